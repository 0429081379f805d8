//! What is said to the driver: what it can do, the requests, and what its answers mean (sheet 6).

mod group;
mod single;

use std::collections::BTreeMap;

use csi_client::capabilities::{ControllerRpc, GroupControllerRpc};
use csi_client::{CallOptions, Connection, ControllerCapabilities, GroupControllerCapabilities, status_text};
use jiff::Timestamp;
use serde_json::{Map, Value};
use tonic::{Code, Status};

use crate::content::Content;

/// A driver as the sidecar found it at start.
#[derive(Clone, Debug)]
pub struct Driver {
    /// What it calls itself, and what contents call it.
    pub name: String,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// What a driver can do, as far as snapshots go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of independent capabilities")]
pub struct Capabilities {
    /// It takes and deletes snapshots.
    pub takes_snapshots: bool,
    /// It tells about snapshots when asked for a list.
    pub lists: bool,
    /// It tells about a snapshot.
    pub gets: bool,
    /// It takes and deletes groups, and tells about them.
    pub groups: bool,
}

impl Capabilities {
    /// Reads the two sets that the driver reports.
    pub fn new(controller: &ControllerCapabilities, groups: &GroupControllerCapabilities) -> Self {
        Self {
            takes_snapshots: controller.has(ControllerRpc::CreateDeleteSnapshot),
            lists: controller.has(ControllerRpc::ListSnapshots),
            gets: controller.has(ControllerRpc::GetSnapshot),
            groups: groups.has(GroupControllerRpc::CreateDeleteGetVolumeGroupSnapshot),
        }
    }
}

/// Secrets or parameters of a call.
pub type Pairs = BTreeMap<String, String>;

/// What a driver says about a snapshot, or a group of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What it calls it.
    pub handle: String,
    /// Whether it can be used.
    pub ready: bool,
    /// When it was cut.
    pub cut: Option<prost_types::Timestamp>,
    /// How large a volume is needed to restore it, in bytes; 0 if that is unknown.
    pub size: i64,
    /// The group that it belongs to; empty for none.
    pub group: String,
    /// The snapshots of a group.
    pub members: Vec<Member>,
}

/// A snapshot of a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Member {
    /// The volume it is of.
    pub volume: String,
    /// The same as of a single snapshot.
    pub answer: Answer,
}

/// Why a call to take a snapshot brought nothing.
#[derive(Debug)]
pub enum CallFailed {
    /// The driver refused, or could not be reached.
    Refused(Status),
    /// The driver's answer makes no sense.
    Nonsense(&'static str),
}

impl CallFailed {
    /// The error as Go prints it.
    pub fn text(&self) -> String {
        match self {
            Self::Refused(status) => status_text(status),
            Self::Nonsense(what) => (*what).to_owned(),
        }
    }

    /// Whether nothing is being taken and nothing has been: the driver has said so. After any other failure there may be a
    /// snapshot that nobody knows yet (sheet 7).
    pub fn is_final(&self) -> bool {
        match self {
            Self::Refused(status) => !leaves_open(status.code()),
            Self::Nonsense(_) => false,
        }
    }
}

/// Why a driver does not tell about a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LookFailed {
    /// It knows no such snapshot.
    Unknown(String),
    /// It could not answer now.
    Open(String),
    /// It refused, or could not even be asked.
    Refused(String),
}

impl LookFailed {
    /// What an error of the driver means. `text` is what is said about it.
    fn of(code: Code, text: String) -> Self {
        match code {
            Code::NotFound => Self::Unknown(text),
            code if leaves_open(code) => Self::Open(text),
            _ => Self::Refused(text),
        }
    }

    /// What is said about it.
    pub fn into_text(self) -> String {
        match self {
            Self::Unknown(text) | Self::Open(text) | Self::Refused(text) => text,
        }
    }
}

/// Whether an error with this code leaves open what the driver does.
fn leaves_open(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Unavailable
            | Code::ResourceExhausted
            | Code::Aborted
    )
}

/// The calls for one kind of content, and what of their answers goes into its status.
pub trait Calls: Content {
    /// The request to take it.
    type Request: Send;

    /// What it is taken of, in texts.
    fn volumes(&self) -> String;

    /// The request to take it, or why there is none.
    fn request(&self, name: String, parameters: Pairs, secrets: Pairs) -> Result<Self::Request, String>;

    /// Has it taken, or finds out about one that was taken under that name.
    fn take(
        connection: &Connection,
        request: Self::Request,
        options: CallOptions,
    ) -> impl Future<Output = Result<Answer, CallFailed>> + Send;

    /// Whether one that we had taken can be looked at without having it taken again.
    fn can_look(&self, capabilities: Capabilities) -> bool;

    /// Finds out about one that is there.
    fn look(
        &self,
        connection: &Connection,
        capabilities: Capabilities,
        secrets: Pairs,
        options: CallOptions,
    ) -> impl Future<Output = Result<Answer, LookFailed>> + Send;

    /// Has it deleted.
    fn delete(
        &self,
        connection: &Connection,
        secrets: Pairs,
        options: CallOptions,
    ) -> impl Future<Output = Result<(), String>> + Send;

    /// The fields of the status that an answer changes: those that are missing, and whether it is ready (sheet 5.11).
    fn learned(&self, answer: &Answer, now: Timestamp) -> Map<String, Value>;

    /// The fields of the status that mean nothing once the snapshot is deleted.
    fn forgotten() -> Value;
}

/// When a snapshot was cut. One that is not ready may not know yet (13.6): upstream writes 1970 then, for good.
fn moment(cut: Option<&prost_types::Timestamp>, ready: bool, now: Timestamp) -> Option<Timestamp> {
    let told = cut.and_then(|cut| Timestamp::new(cut.seconds, cut.nanos).ok());
    told.filter(|told| *told > Timestamp::UNIX_EPOCH).or(ready.then_some(now))
}

fn nanoseconds(moment: Timestamp) -> Option<i64> {
    i64::try_from(moment.as_nanosecond()).ok()
}

/// The fields of a status that change.
#[derive(Debug, Default)]
struct Changes(Map<String, Value>);

impl Changes {
    /// Sets a field that is not there yet.
    fn fill(&mut self, field: &str, there: bool, value: Option<impl Into<Value>>) {
        if let (false, Some(value)) = (there, value) {
            self.0.insert(field.to_owned(), value.into());
        }
    }

    /// Sets whether it is ready. That it is ends what went wrong before.
    fn ready(&mut self, known: Option<bool>, ready: bool) {
        if known != Some(ready) {
            self.0.insert("readyToUse".to_owned(), ready.into());
            if ready {
                self.0.insert("error".to_owned(), Value::Null);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sidecar_core::objects::{GroupContent, SnapshotContent};

    use super::*;
    use crate::policy::fixtures::{content, group};

    fn answer(ready: bool) -> Answer {
        let cut = Some(prost_types::Timestamp { seconds: 5, nanos: 7 });
        Answer { handle: "new-handle".into(), ready, cut, size: 123, ..Answer::default() }
    }

    fn now() -> Timestamp {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    #[test]
    fn errors_after_which_a_snapshot_may_be_there() {
        let open = |code: Code| !CallFailed::Refused(Status::new(code, "")).is_final();
        for code in 1..=16 {
            let code = Code::from_i32(code);
            let expected = matches!(
                code,
                Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::Unavailable
                    | Code::ResourceExhausted
                    | Code::Aborted
            );
            assert_eq!(open(code), expected, "{code:?}");
        }
        assert!(!CallFailed::Nonsense("").is_final());
    }

    /// Row U: size 0 and 123.
    #[test]
    fn status_write_fills_what_is_missing() {
        let full = json!({
            "snapshotHandle": "new-handle", "readyToUse": true, "error": null, "creationTime": 5_000_000_007_i64,
            "restoreSize": 123,
        });
        assert_eq!(Value::from(content(&json!({})).learned(&answer(true), now())), full);
        let sizeless = content(&json!({})).learned(&Answer { size: 0, ..answer(true) }, now());
        assert!(!sizeless.contains_key("restoreSize"));
        let known = json!({"status": {
            "snapshotHandle": "old-handle", "readyToUse": false, "creationTime": 1, "restoreSize": 2,
            "error": {"message": "x"},
        }});
        assert!(content(&known).learned(&answer(false), now()).is_empty(), "a stale error stays");
        let ready = content(&known).learned(&answer(true), now());
        assert_eq!(Value::from(ready), json!({"readyToUse": true, "error": null}));
        let grouped = Answer { group: "g".into(), ..answer(false) };
        assert_eq!(
            Value::from(content(&known).learned(&grouped, now())),
            json!({"volumeGroupSnapshotHandle": "g"})
        );
    }

    /// Row G-ST; "old-handle" stays. Row U: a nil timestamp stays nil.
    #[test]
    fn group_status_write_on_nil_status_and_on_existing() {
        let member = |handle: &str, ready: bool| Member {
            volume: format!("volume-of-{handle}"),
            answer: Answer { handle: handle.into(), cut: None, size: 0, ..answer(ready) },
        };
        let told = Answer { members: vec![member("a", false), member("b", true)], ..answer(false) };
        let entry = |handle: &str, ready: bool| json!({"volumeHandle": format!("volume-of-{handle}"), "snapshotHandle": handle, "readyToUse": ready});
        let first = group(&json!({})).learned(&told, now());
        assert_eq!(
            Value::from(first),
            json!({
                "volumeGroupSnapshotHandle": "new-handle", "readyToUse": false, "creationTime": "1970-01-01T00:00:05Z",
                "volumeSnapshotInfoList": [entry("a", false), entry("b", true)],
            })
        );
        let status = json!({"volumeGroupSnapshotHandle": "old-handle", "readyToUse": false,
            "creationTime": "2026-01-01T00:00:00Z"});
        let known = group(&json!({"status": status}));
        let listed = known.learned(&told, now());
        assert_eq!(listed.keys().collect::<Vec<_>>(), ["volumeSnapshotInfoList"]);
        let mut status = status;
        status["volumeSnapshotInfoList"] = json!([entry("a", false), entry("b", true)]);
        let known = group(&json!({"status": status}));
        assert!(known.learned(&told, now()).is_empty(), "nothing changes");
        let later = Answer { members: vec![member("a", true)], ..answer(false) };
        assert_eq!(
            Value::from(known.learned(&later, now())),
            json!({"volumeSnapshotInfoList": [entry("a", true), entry("b", true)]})
        );
    }

    /// 13.6 and issue 1397.
    #[test]
    fn times_that_are_none() {
        let timeless = |ready, cut| Answer { cut, ..answer(ready) };
        let epoch = Some(prost_types::Timestamp { seconds: 0, nanos: 0 });
        for cut in [None, epoch] {
            assert!(!content(&json!({})).learned(&timeless(false, cut), now()).contains_key("creationTime"));
            let ready = content(&json!({})).learned(&timeless(true, cut), now());
            assert_eq!(ready["creationTime"], now().as_second() * 1_000_000_000);
            let ready = group(&json!({})).learned(&timeless(true, cut), now());
            assert_eq!(ready["creationTime"], "2026-01-02T03:04:05Z");
        }
        let upstreams = content(&json!({"status": {"creationTime": 0}}));
        assert!(upstreams.learned(&answer(false), now()).contains_key("creationTime"));
    }

    /// Row G-CL, and the same for single snapshots.
    #[test]
    fn clear_status_handle_ready_time_nil() {
        let single = SnapshotContent::forgotten();
        assert_eq!(
            single,
            json!({"snapshotHandle": null, "readyToUse": null, "creationTime": null, "restoreSize": null})
        );
        let several = GroupContent::forgotten();
        assert_eq!(
            several,
            json!({"volumeGroupSnapshotHandle": null, "readyToUse": null, "creationTime": null, "error": null})
        );
    }

    /// Rows G-C, CS.
    #[test]
    fn requests_need_something_to_take() {
        let nothing = || (String::new(), Pairs::new(), Pairs::new());
        let (name, parameters, secrets) = nothing();
        let given = json!({"spec": {"source": {"volumeHandle": null, "snapshotHandle": "s"}}});
        let error = content(&given).request(name, parameters, secrets).unwrap_err();
        assert_eq!(error, "cannot create snapshot. Volume handle not found in snapshot content content1");
        let (name, parameters, secrets) = nothing();
        let empty = json!({"spec": {"source": {"volumeHandles": []}}});
        let error = group(&empty).request(name, parameters, secrets).unwrap_err();
        assert!(
            error.starts_with("cannot create group snapshot. PVCs to be snapshotted not found"),
            "{error}"
        );
    }
}
