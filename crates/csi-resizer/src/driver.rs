//! The driver: what it can do, what it is asked, and what its answers say.

pub mod request;

use csi_client::capabilities::{ControllerRpc, NodeRpc};
use csi_client::{ControllerCapabilities, NodeCapabilities, status_text};
use tonic::{Code, Status};

use crate::policy::node::Here;

/// A driver as the sidecar found it at start. Its capabilities are asked for once, not before every call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Driver {
    /// Its name.
    pub name: String,
    /// Whether it replaces an in-tree plugin.
    pub migrated: bool,
    /// Where volumes grow, if they do.
    pub expansion: Option<Expansion>,
    /// Whether it applies attributes classes.
    pub modifies: bool,
    /// The node whose volumes alone are to be worked on; `None`: all volumes of the driver are.
    pub here: Option<Here>,
}

/// Where the volumes of a driver grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expansion {
    /// The controller is asked, and says whether the node has to do something, too.
    Controller {
        /// The driver tells one writer on a node from several.
        single_node_multi_writer: bool,
    },
    /// Only nodes are asked: there is nothing to do here but the bookkeeping.
    Node,
}

/// Where volumes grow as far as the controller knows; `None`: the node's capabilities decide (sheet 3).
pub fn controller_expansion(controller: &ControllerCapabilities) -> Option<Expansion> {
    let single_node_multi_writer = controller.has(ControllerRpc::SingleNodeMultiWriter);
    controller.has(ControllerRpc::ExpandVolume).then_some(Expansion::Controller { single_node_multi_writer })
}

/// Where volumes grow as the node service says.
pub fn node_expansion(node: &NodeCapabilities) -> Option<Expansion> {
    node.has(NodeRpc::ExpandVolume).then_some(Expansion::Node)
}

/// Why a call failed, or was never made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallFailed {
    /// The code of the driver's answer; `None`: the driver did not say so.
    pub code: Option<Code>,
    /// The driver's own text.
    pub message: String,
}

impl CallFailed {
    /// A failure before the call.
    pub fn before(problem: impl ToString) -> Self {
        #[expect(clippy::needless_pass_by_value, reason = "takes errors as `map_err` hands them over")]
        fn text(problem: impl ToString) -> String {
            problem.to_string()
        }
        Self { code: None, message: text(problem) }
    }

    /// The text as Go prints it.
    pub fn text(&self) -> String {
        match self.code {
            Some(code) => status_text(&Status::new(code, self.message.clone())),
            None => self.message.clone(),
        }
    }
}

impl From<Status> for CallFailed {
    fn from(status: Status) -> Self {
        Self { code: Some(status.code()), message: status.message().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resizer_selection() {
        let of =
            |capabilities: &[ControllerRpc]| controller_expansion(&capabilities.iter().copied().collect());
        let expansion = |single_node_multi_writer| Some(Expansion::Controller { single_node_multi_writer });
        assert_eq!(of(&[ControllerRpc::ExpandVolume]), expansion(false));
        assert_eq!(of(&[ControllerRpc::ExpandVolume, ControllerRpc::SingleNodeMultiWriter]), expansion(true));
        assert_eq!(of(&[ControllerRpc::SingleNodeMultiWriter]), None);
        assert_eq!(node_expansion(&[NodeRpc::ExpandVolume].into_iter().collect()), Some(Expansion::Node));
        assert_eq!(node_expansion(&[NodeRpc::StageUnstageVolume].into_iter().collect()), None);
    }

    #[test]
    fn errors_read_like_go_errors() {
        let failed = CallFailed::from(Status::cancelled("gone"));
        assert_eq!(failed.text(), "rpc error: code = Canceled desc = gone");
        assert_eq!(CallFailed::before("empty volume handle").text(), "empty volume handle");
    }
}
