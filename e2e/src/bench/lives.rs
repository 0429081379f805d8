//! Volume lives in bulk: API calls by kind, as the API server counts them, and CPU time of the provisioner.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::Method;
use serde_json::{Value, json};
use testkit::driver::{ControllerCapability, ScriptedDriver};

use super::idle::{PROVISIONER_READY, float};
use super::report::{Report, Row};
use super::sidecar::{Sidecar, cpu};
use super::{Bench, PROVISIONER, Set, load};
use crate::audit::{self, Call, Counts};
use crate::control_plane;
use crate::progress::Step;

/// Volumes that are made, bound and deleted.
const LIVES: usize = 1000;
/// CPU seconds that upstream's provisioner takes for as many lives.
const CPU_GOAL: f64 = 8.0;
const COMMAND: &str =
    "csi-provisioner --kube-api-qps=1000 --kube-api-burst=1000, 1000 claims made, bound, deleted";
const LIMIT: Duration = Duration::from_secs(240);
/// Without a call for so long, the last events are out.
const QUIET: Duration = Duration::from_secs(3);

/// Runs 1000 lives with the provisioner of a set.
pub(super) async fn measure(bench: &Bench<'_>, set: &Set, report: &mut Report) -> Result<()> {
    let Some(binary) = set.binary(PROVISIONER) else { return Ok(()) };
    let name = format!("lives-{}", set.column.name());
    let (driver, socket) =
        bench.driver(&format!("{name}.bench.example"), &[ControllerCapability::CreateDeleteVolume])?;
    let mut arguments = bench.arguments(&socket);
    arguments.extend(["--kube-api-qps=1000", "--kube-api-burst=1000"].map(str::to_owned));
    let lives = Lives { client: &bench.cluster.client, name: &name, driver: &driver };
    load::namespace(lives.client, &name).await?;
    load::class(lives.client, &name, &format!("{name}.bench.example")).await?;

    let mut sidecar = Sidecar::start(&binary, &arguments, &bench.dir.join(format!("{name}.log")))?;
    sidecar.says(PROVISIONER_READY, LIMIT).await?;
    let log = control_plane::audit_log(&bench.cluster.spec);
    let (mark, before) = (audit::mark(&log)?, cpu(sidecar.id())?);
    let began = Instant::now();
    lives.live(&sidecar).await?;
    let counts = settled(&log, mark).await?;
    let spent = cpu(sidecar.id())? - before;
    let took = began.elapsed();
    sidecar.stop().await?;

    let per_life = 1000.0 / float(LIVES as u64);
    let row = Row::new("csi-provisioner CPU for 1,000 volume lives", "s").goal(CPU_GOAL);
    report.note(
        set.column,
        row.command(&format!("{COMMAND}; utime+stime of /proc/PID/stat")),
        spent * per_life,
    );
    for (what, goal, count) in split(&counts) {
        let row = Row::new(&format!("API calls per volume life: {what}"), "calls").goal(goal);
        let command = format!("{COMMAND}; the API server's audit log");
        report.note(set.column, row.command(&command), float(count) / float(LIVES as u64));
    }
    crate::progress::say(&format!(
        "{LIVES} lives with {} took {:.1} s; its calls:\n{}",
        binary.display(),
        took.as_secs_f64(),
        audit::table(&counts)
    ));
    Ok(())
}

/// The calls of a volume's life by kind, with the budget of each. Leases and watches are not part of a life.
fn split(counts: &Counts) -> [(&'static str, f64, u64); 7] {
    let of = |wanted: &dyn Fn(&Call) -> bool| -> u64 {
        let counted = |call: &Call| call.verb != "watch" && call.resource != "leases" && wanted(call);
        counts.iter().filter(|(call, _)| counted(call)).map(|(_, count)| count).sum()
    };
    let volume = |call: &Call, verb: &str| call.verb == verb && call.resource == "persistentvolumes";
    let create = of(&|call| volume(call, "create"));
    let delete = of(&|call| volume(call, "delete"));
    let patch = of(&|call| volume(call, "patch"));
    let events = of(&|call| call.resource == "events");
    let all = of(&|_| true);
    [
        ("PV create", 1.0, create),
        ("PV delete", 1.0, delete),
        ("finalizer patch", 1.0, patch),
        ("events", 2.0, events),
        ("other", 0.0, all - create - delete - patch - events),
        ("all", 5.0, all),
        ("answered 404, 409 or 422", 0.0, of(&|call| [404, 409, 422].contains(&call.code))),
    ]
}

/// The calls since `mark` once there are no more.
async fn settled(log: &Path, mark: audit::Mark) -> Result<Counts> {
    let step = Step::start("waiting for the last events");
    let total = |counts: &Counts| counts.values().sum::<u64>();
    let mut counts = audit::count(log, mark, PROVISIONER)?;
    let mut since = Instant::now();
    while since.elapsed() < QUIET {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = audit::count(log, mark, PROVISIONER)?;
        if total(&now) != total(&counts) {
            since = Instant::now();
        }
        counts = now;
    }
    step.done();
    Ok(counts)
}

struct Lives<'a> {
    client: &'a kube::Client,
    /// Namespace, class and first part of the driver's name.
    name: &'a str,
    driver: &'a ScriptedDriver,
}

impl Lives<'_> {
    async fn live(&self, sidecar: &Sidecar) -> Result<()> {
        let claims = format!("/api/v1/namespaces/{}/persistentvolumeclaims", self.name);
        load::each(&format!("{}: making claims", self.name), LIVES, async |number| {
            let claim = json!({
                "metadata": {"name": format!("data-{number}")},
                "spec": {
                    "storageClassName": self.name, "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                },
            });
            load::call(self.client, Method::POST, &claims, &claim).await.map(drop)
        })
        .await?;
        self.until(sidecar, "claims bound", &claims, |items| {
            items.iter().filter(|item| is_bound(item)).count() == LIVES
        })
        .await?;
        load::each(&format!("{}: deleting claims", self.name), LIVES, async |number| {
            load::call(self.client, Method::DELETE, &format!("{claims}/data-{number}"), &Value::Null)
                .await
                .map(drop)
        })
        .await?;
        let mine =
            |item: &Value| item.pointer("/spec/storageClassName").is_some_and(|class| class == self.name);
        self.until(sidecar, "volumes gone", "/api/v1/persistentvolumes", |items| !items.iter().any(mine))
            .await?;
        ensure!(
            self.driver.volumes().is_empty(),
            "{} volumes are left in the driver",
            self.driver.volumes().len()
        );
        Ok(())
    }

    /// Polls a list until it is as wanted. Rarely: whoever lists thousands of objects takes CPU from what is measured.
    async fn until(
        &self,
        sidecar: &Sidecar,
        what: &str,
        path: &str,
        done: impl Fn(&[Value]) -> bool,
    ) -> Result<()> {
        let step = Step::start(format!("{}: waiting for {what}", self.name));
        let deadline = Instant::now() + LIMIT;
        loop {
            let list = load::call(self.client, Method::GET, path, &Value::Null).await?;
            if done(list.get("items").and_then(Value::as_array).context("not a list")?) {
                step.note(format!("{}: {what}", self.name));
                step.done();
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not within {} s; the provisioner's last words:\n{}", LIMIT.as_secs(), sidecar.tail());
            }
            step.note(format!(
                "{}: waiting for {what}, the driver has {}",
                self.name,
                self.driver.volumes().len()
            ));
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn is_bound(claim: &Value) -> bool {
    claim.pointer("/status/phase").is_some_and(|phase| phase == "Bound")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_split_by_kind_and_every_call_is_in_one() {
        let call = |verb: &str, resource: &str, code| Call {
            agent: PROVISIONER.to_owned(),
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            code,
        };
        let counts = Counts::from([
            (call("create", "persistentvolumes", 201), 10),
            (call("delete", "persistentvolumes", 200), 9),
            (call("delete", "persistentvolumes", 404), 1),
            (call("patch", "persistentvolumes", 200), 8),
            (call("create", "events", 201), 20),
            (call("patch", "events", 200), 2),
            (call("get", "persistentvolumeclaims", 200), 3),
            (call("update", "leases", 200), 100),
            (call("watch", "persistentvolumes", 200), 100),
        ]);
        let counted = split(&counts).map(|(_, _, count)| count);
        assert_eq!(counted, [10, 10, 8, 22, 3, 53, 1]);
    }
}
