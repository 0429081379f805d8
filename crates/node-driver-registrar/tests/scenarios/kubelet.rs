//! Kubelet's side: dials the registration socket with an authority of the test's choice.

use std::path::Path;

use csi_client::registration::{InfoRequest, PluginInfo, RegistrationStatus, RegistrationStatusResponse};
use prost::Message;
use testkit::grpc_go;

pub(crate) use testkit::grpc_go::authority_of as kubelets_authority;

/// Asks for the plugin's information.
pub(crate) fn get_info(socket: &Path, authority: &str) -> Result<PluginInfo, String> {
    call(socket, authority, "GetInfo", &InfoRequest {})
}

/// Gives the verdict.
pub(crate) fn notify(
    socket: &Path,
    registered: bool,
    error: &str,
) -> Result<RegistrationStatusResponse, String> {
    let status = RegistrationStatus { plugin_registered: registered, error: error.to_owned() };
    call(socket, &kubelets_authority(socket), "NotifyRegistrationStatus", &status)
}

fn call<A: Message + Default>(
    socket: &Path,
    authority: &str,
    method: &str,
    request: &impl Message,
) -> Result<A, String> {
    let path = format!("/pluginregistration.Registration/{method}");
    grpc_go::call(socket, authority, &path, request).map_err(|error| format!("{error:#}"))
}
