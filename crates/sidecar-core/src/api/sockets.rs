//! The whole stack over real sockets and TLS: one HTTP/2 connection, whatever is asked at once, and a new one after a loss.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::Api;
use testkit::api::ApiServer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{ApiConfig, Budget, Connector, ErrorKind, Purpose};
use crate::cache::Caches;
use crate::context::Variables;
use crate::objects::{Class, Interest};
use crate::random::Random;

/// Passes connections on and counts them.
struct Relay {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Relay {
    async fn start(address: &str, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let counter = connections.clone();
        let task = tokio::spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((mut inner, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                open.spawn(async move {
                    let mut outer = TcpStream::connect(target).await?;
                    tokio::io::copy_bidirectional(&mut inner, &mut outer).await
                });
            }
        });
        Self { address, connections, task }
    }

    fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Cuts all connections and refuses new ones.
    async fn stop(self) -> String {
        self.task.abort();
        let _cancelled = self.task.await;
        self.address.to_string()
    }
}

async fn connector(kubeconfig: &Path) -> Connector {
    let config = ApiConfig { kubeconfig: Some(kubeconfig.to_owned()), master: None };
    Connector::from_config(config.load(&Variables::default()).await.unwrap(), "csi-provisioner")
}

async fn get(client: &kube::Client) -> Result<PersistentVolume, kube::Error> {
    Api::<PersistentVolume>::all(client.clone()).get("none").await
}

#[tokio::test]
async fn a_hundred_calls_share_one_connection_which_is_replaced_when_lost() {
    let api = ApiServer::new();
    let served = api.serve_https().await.unwrap();
    let relay = Relay::start("127.0.0.1:0", served.address).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = served.kubeconfig("").replace(&served.address.to_string(), &relay.address.to_string());
    std::fs::write(file.path(), text).unwrap();
    let connector = connector(file.path()).await;
    let client = connector.client(Budget::UNLIMITED, Purpose::Work).unwrap();
    let events = connector.client(Budget::UNLIMITED, Purpose::Events).unwrap();
    let calls = (0..100).map(|n| get(if n % 2 == 0 { &client } else { &events }));
    for result in futures::future::join_all(calls).await {
        assert_eq!(ErrorKind::of(&result.unwrap_err()), ErrorKind::NotFound);
    }
    assert_eq!(relay.count(), 1);
    assert!(
        api.calls()
            .iter()
            .all(|call| call.user_agent == "csi-provisioner/v0.0.0 (linux/amd64) kubernetes/$Format")
    );

    let leases = connector.client(Budget::UNLIMITED, Purpose::Leases).unwrap();
    assert_eq!(ErrorKind::of(&get(&leases).await.unwrap_err()), ErrorKind::NotFound);
    assert_eq!(relay.count(), 2, "leases have a connection of their own");

    let address = relay.stop().await;
    let gone = get(&client).await.unwrap_err();
    assert_eq!(ErrorKind::of(&gone), ErrorKind::Unreachable, "{gone:?}");
    let relay = Relay::start(&address, served.address).await;
    assert_eq!(ErrorKind::of(&get(&client).await.unwrap_err()), ErrorKind::NotFound);
    assert_eq!(relay.count(), 1);
}

#[tokio::test]
async fn caches_work_over_tls_and_over_plain_http() {
    let api = ApiServer::new();
    api.create(&serde_json::json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "fast"}, "provisioner": "d"}))
        .unwrap();
    for served in [api.serve_https().await.unwrap(), api.serve_http().await.unwrap()] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), served.kubeconfig("")).unwrap();
        let client = connector(file.path()).await.client(Budget::default(), Purpose::Work).unwrap();
        let caches = Caches::new(Random::seeded(1));
        let classes = caches.want::<Class>(Interest::all());
        caches.start(&client);
        tokio::time::timeout(Duration::from_secs(30), caches.synced()).await.expect("synced in time");
        assert!(classes.exists("", "fast"));
    }
}
