//! snapshot-conversion-webhook: shows group snapshots' contents in the version that is asked for (annex B of sheet
//! `snapshot-controller`).
//!
//! `v1beta1` of VolumeGroupSnapshotContent has another list of members than its successors. Where a definition names this
//! webhook, the API server has it convert; the definitions in `deploy/crds` do not, as upstream's do not, and then a list
//! gets lost when somebody writes the old version.
//!
//! [`Webhook`] is the HTTPS server, [`policy`] what it answers, [`certificate`] what it shows for itself.

mod certificate;
mod flags;
mod policy;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;

use sidecar_core::context::Context;
use sidecar_core::entry;
use sidecar_core::exit::Exit;
use sidecar_core::flags::Parsed;
use tokio::net::TcpListener;

use self::certificate::Certificate;
pub use self::flags::Flags;

/// Answers the API server until the process is asked to stop.
pub async fn run(parsed: Parsed, context: Context) -> Result<(), Exit> {
    entry::prologue(&parsed, &context)?;
    let webhook = Webhook::start(&Flags::new(&parsed)?).await?;
    tracing::info!(address = %webhook.local_address(), "Listening");
    webhook.serve(&context).await;
    Ok(())
}

/// A webhook that listens.
#[derive(Debug)]
pub struct Webhook {
    listener: TcpListener,
    local: SocketAddr,
    certificate: Arc<Certificate>,
}

impl Webhook {
    /// Reads the certificate and opens the port.
    ///
    /// Whatever is in the way ends the process with upstream's code.
    pub async fn start(flags: &Flags) -> Result<Self, Exit> {
        let certificate = Certificate::load(&flags.certificate, &flags.key)
            .map_err(|error| Exit::fatal(255, "Failed to load the certificate").because(error))?;
        let failed = |error: &dyn std::fmt::Display| {
            Exit::fatal(255, format!("Failed to listen on port {}", flags.port)).because(error)
        };
        let listener = server::listen(flags.port).await.map_err(|error| failed(&error))?;
        let local = listener.local_addr().map_err(|error| failed(&error))?;
        Ok(Self { listener, local, certificate: Arc::new(certificate) })
    }

    /// The address that is listened on; its port is the one the system chose if 0 was asked for.
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Answers until a stop is asked for, and ends what was begun.
    pub async fn serve(self, context: &Context) {
        tokio::select! {
            biased;
            () = server::serve(self.listener, Arc::clone(&self.certificate), &context.shutdown) => {}
            () = self.certificate.keep_fresh() => {}
        }
    }
}
