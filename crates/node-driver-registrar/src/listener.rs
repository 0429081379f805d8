//! Keeps the registration socket alive: accepts kubelet's calls and makes the socket anew when it has vanished.
//!
//! Upstream goes on serving a socket that nobody can reach any more once its file is gone
//! (node-driver-registrar#57, #139); kubelet has then unregistered the driver and only a restart helps. Kubelet
//! takes a new socket under the same name for a new registration, so binding again is the cure (sheet 13.1).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use csi_client::authority::NormalizedAuthority;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::policy::{self, AtPath};
use crate::socket::{self, Found, Identity, SocketError};

/// How often the path is looked at. Kubelet needs about a second to react, so faster would gain nothing.
const WATCH_PERIOD: Duration = Duration::from_secs(2);
/// How long a foreign socket may take to accept before it counts as dead.
const PEER_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections accepted but not yet taken by the server; kubelet opens one at a time.
const BACKLOG: usize = 16;

/// A connection the registration server can read.
pub(crate) type Incoming = Result<NormalizedAuthority<UnixStream>, io::Error>;

/// The registration socket while it is served.
#[derive(Debug)]
pub(crate) struct Listener {
    path: PathBuf,
    socket: UnixListener,
    identity: watch::Sender<Identity>,
    renew: Arc<Notify>,
}

/// Why the socket is bound again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    /// Kubelet can no longer reach us through it.
    Gone,
    /// Kubelet is to take it for a new registration.
    Wanted,
}

impl Listener {
    /// Binds the socket, in place of one that an earlier instance left.
    pub(crate) fn bind(path: &Path) -> Result<Self, SocketError> {
        let (socket, identity) = socket::bind(path)?;
        let identity = watch::Sender::new(identity);
        Ok(Self { path: path.to_owned(), socket, identity, renew: Arc::default() })
    }

    /// The bell that has the socket made anew although all is well with it.
    pub(crate) fn renewal(&self) -> Arc<Notify> {
        self.renew.clone()
    }

    /// Tells which file is ours, also after it was made anew.
    pub(crate) fn identity(&self) -> watch::Receiver<Identity> {
        self.identity.subscribe()
    }

    /// Accepts connections until `stop`; they come out of the receiver.
    pub(crate) fn serve(self, stop: CancellationToken) -> mpsc::Receiver<Incoming> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        tokio::spawn(self.accept(sender, stop));
        receiver
    }

    async fn accept(mut self, connections: mpsc::Sender<Incoming>, stop: CancellationToken) {
        let mut look = tokio::time::interval(WATCH_PERIOD);
        let renew = self.renew.clone();
        let (mut reported, mut wanted) = (false, false);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.socket.accept() => {
                    let connection = accepted.map(|(stream, _)| NormalizedAuthority::new(stream));
                    if connections.send(connection).await.is_err() {
                        return;
                    }
                }
                () = renew.notified() => {
                    reported = self.bind_again(Again::Wanted, false);
                    wanted = reported;
                }
                _ = look.tick() => {
                    reported = if wanted { self.bind_again(Again::Wanted, reported) } else { self.mend(reported).await };
                    // What failed is tried again at the next look.
                    wanted &= reported;
                }
            }
        }
    }

    /// Looks at the path and binds again if kubelet can no longer reach us through it. Returns whether something
    /// is wrong that has been logged, so that it is logged once.
    async fn mend(&mut self, reported: bool) -> bool {
        let ours = *self.identity.borrow();
        let at_path = match socket::examine(&self.path) {
            Ok(Found::Absent) => AtPath::Nothing,
            Ok(Found::Socket(found)) if found == ours => AtPath::Ours,
            Ok(Found::Socket(_)) if answers(&self.path).await => AtPath::LivePeer,
            Ok(Found::Socket(_)) => AtPath::DeadSocket,
            Err(error) => AtPath::Unusable(error.to_string()),
        };
        match policy::mend(&at_path) {
            policy::Mend::Nothing => false,
            policy::Mend::Report(problem) => {
                if !reported {
                    tracing::error!(socketPath = %self.path.display(), err = problem, "Registration socket is not ours");
                }
                true
            }
            policy::Mend::BindAgain => self.bind_again(Again::Gone, reported),
        }
    }

    /// Returns whether it failed, which is logged once.
    fn bind_again(&mut self, why: Again, reported: bool) -> bool {
        match socket::bind(&self.path) {
            Ok((socket, identity)) => {
                self.socket = socket;
                self.identity.send_replace(identity);
                let text = match why {
                    Again::Gone => "Registration socket was gone, made it anew",
                    Again::Wanted => "Made the registration socket anew",
                };
                tracing::info!(socketPath = %self.path.display(), "{text}");
                false
            }
            Err(error) => {
                if !reported {
                    tracing::error!(err = %error, "Failed to listen on socket");
                }
                true
            }
        }
    }
}

/// Whether somebody accepts connections at the path.
async fn answers(path: &Path) -> bool {
    matches!(tokio::time::timeout(PEER_TIMEOUT, UnixStream::connect(path)).await, Ok(Ok(_)))
}
