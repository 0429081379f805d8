//! The driver as a set of gRPC services.

use std::sync::Arc;

use csi_client::RpcMetrics;
use csi_client::csi::snapshot_metadata_server::SnapshotMetadataServer;
use csi_driver_kit::driver::Answer;
use csi_driver_kit::service::{Service, Settings};
use tokio::sync::oneshot;
use tonic::Status;

use crate::error::Error;
use crate::hostpath::Hostpath;

/// Carries the calls of the four services to the driver.
#[derive(Debug)]
pub struct Plugin {
    pub(crate) driver: Arc<Hostpath>,
}

impl Plugin {
    /// The services of `driver`, with validation, exclusivity and logging in front.
    pub fn service(driver: Arc<Hostpath>) -> Service<Self> {
        Self::measured(driver, None)
    }

    /// The same with a sample for every call.
    pub fn measured(driver: Arc<Hostpath>, metrics: Option<RpcMetrics>) -> Service<Self> {
        let settings = Settings {
            exclusivity: driver.exclusivity(),
            log_secrets: driver.config().log_secrets,
            metrics,
            ..Settings::default()
        };
        let with_metadata = driver.config().enable_snapshot_metadata;
        let plugin = Arc::new(Self { driver });
        let service = Service::new(plugin.clone(), settings);
        if !with_metadata {
            return service;
        }
        service
            .with_routes(move |routes| routes.add_service(SnapshotMetadataServer::from_arc(plugin.clone())))
    }

    /// Runs a call on a thread of its own: the driver's methods are system calls on files, and removing a large
    /// volume must not keep the others waiting for a place in a pool.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Hostpath) -> Result<T, Error> + Send + 'static,
    ) -> Answer<T> {
        let driver = self.driver.clone();
        let (sender, receiver) = oneshot::channel();
        let started = std::thread::Builder::new().name("call".into()).spawn(move || {
            let _nobody_waits = sender.send(call(&driver));
        });
        started.map_err(|error| Status::resource_exhausted(format!("start a thread: {error}")))?;
        let result = receiver.await.map_err(|_| Status::internal("the driver failed in this call"))?;
        Ok(result?)
    }
}
