//! Environment variables in the place of flags (sheets `documented-dialects` and `common-library`, 2.6).

use super::{Binary, Mode, Notice, Parsed, Value};
use crate::context::Variables;
use crate::exit::Exit;

/// Fills in flags that are not on the command line, and upstream's one variable that beats its flag.
pub(super) fn apply(parsed: &mut Parsed, variables: &Variables, mode: Mode) -> Result<(), Exit> {
    let overriding = variables.non_empty("KUBECONFIG").filter(|_| parsed.binary == Binary::Provisioner);
    if let Some(path) = overriding {
        parsed.fill("kubeconfig", "KUBECONFIG", path);
    }
    if mode == Mode::UpstreamOnly {
        return Ok(());
    }
    if let Some(path) = variables.non_empty("KUBE_CONFIG_PATH").filter(|_| parsed.lacks("kubeconfig")) {
        parsed.fill("kubeconfig", "KUBE_CONFIG_PATH", path);
    }
    if let Some(endpoint) = variables.non_empty("CSI_ENDPOINT").filter(|_| parsed.lacks("csi-address")) {
        if !(endpoint.starts_with("unix://") || endpoint.starts_with('/')) {
            let message =
                "The environment variable CSI_ENDPOINT must be an absolute path or start with unix://";
            return Err(Exit::failure(1, message).with("CSI_ENDPOINT", endpoint));
        }
        parsed.fill("csi-address", "CSI_ENDPOINT", endpoint);
    }
    Ok(())
}

impl Parsed {
    /// Whether the binary has the flag, and the command line does not.
    fn lacks(&self, option: &str) -> bool {
        self.values.contains_key(option) && !self.given.contains(option)
    }

    fn fill(&mut self, option: &'static str, name: &'static str, text: &str) {
        self.values.insert(option.to_owned(), Value::Text(text.to_owned()));
        self.given.insert(option.to_owned());
        self.notices.push(Notice::Variable { name, option });
    }
}
