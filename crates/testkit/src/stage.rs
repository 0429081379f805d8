//! What scenarios need that play on two stages: the API server in this process, and a real control plane in the lab.
//!
//! A scenario sees nothing but a client, so that the same definition runs on both. Names of objects carry the stage's prefix;
//! a scenario leaves nothing behind when it succeeds. What goes wrong is told in words, for whoever reads the lab's report.

use std::fmt::Debug;
use std::time::Duration;

use kube::api::PostParams;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep};

pub mod claims;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What went wrong, in words.
pub type Outcome<T = ()> = Result<T, String>;

/// Says what failed in which call.
pub fn wrong(what: &str) -> impl Fn(kube::Error) -> String + '_ {
    move |error| format!("{what}: {error}")
}

/// Creates an object.
pub async fn create<T>(api: &Api<T>, manifest: Value) -> Outcome<T>
where
    T: Clone + DeserializeOwned + Serialize + Debug,
{
    let object = serde_json::from_value(manifest).map_err(|error| format!("bad manifest: {error}"))?;
    api.create(&PostParams::default(), &object).await.map_err(wrong("create"))
}

/// Waits until an object is gone.
pub async fn gone<T>(api: &Api<T>, name: &str) -> Outcome
where
    T: Resource + Clone + DeserializeOwned + Debug,
{
    eventually(&format!("{name} is gone"), async || {
        let found = api.get_opt(name).await.map_err(wrong("get"))?;
        Ok(found.is_none().then_some(()))
    })
    .await
}

/// Waits until `look` finds something.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!("not within {} s: {what}", PATIENCE.as_secs()));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Fails unless `condition` holds.
pub fn ensure(condition: bool, what: &str) -> Outcome {
    if condition { Ok(()) } else { Err(format!("not true: {what}")) }
}
