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
            Self::Refused(status) => !matches!(
                status.code(),
                Code::Cancelled
                    | Code::DeadlineExceeded
                    | Code::Unavailable
                    | Code::ResourceExhausted
                    | Code::Aborted
            ),
            Self::Nonsense(_) => false,
        }
    }
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
    ) -> impl Future<Output = Result<Answer, String>> + Send;

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
