//! The API server over real sockets, through kube's own stack and a kubeconfig.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use testkit::api::{ApiServer, Served};

async fn client(served: &Served, token: &str) -> kube::Client {
    let file = Kubeconfig::from_yaml(&served.kubeconfig(token)).expect("a kubeconfig");
    let config =
        kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.expect("complete");
    kube::Client::try_from(config).expect("a client")
}

async fn use_it(client: kube::Client) -> Result<usize, kube::Error> {
    let maps = Api::<ConfigMap>::namespaced(client, "default");
    let map = serde_json::from_value(json!({"metadata": {"generateName": "m-"}})).expect("a map");
    maps.create(&PostParams::default(), &map).await?;
    Ok(maps.list(&ListParams::default()).await?.items.len())
}

#[tokio::test]
async fn http_and_https_reach_the_same_objects() {
    let server = ApiServer::new();
    let (plain, secure) = (server.serve_http().await.unwrap(), server.serve_https().await.unwrap());
    assert_eq!(use_it(client(&plain, "").await).await.unwrap(), 1);
    assert_eq!(use_it(client(&secure, "").await).await.unwrap(), 2);
}

#[tokio::test]
async fn tokens_name_users_and_can_be_revoked() {
    let server = ApiServer::new();
    server.add_token("secret", "somebody");
    let secure = server.serve_https().await.unwrap();
    use_it(client(&secure, "secret").await).await.unwrap();
    assert!(server.calls().iter().all(|call| call.user == "somebody"));
    server.revoke_token("secret");
    match use_it(client(&secure, "secret").await).await {
        Err(kube::Error::Api(status)) => {
            assert_eq!((status.code, status.reason.as_str()), (401, "Unauthorized"));
        }
        other => panic!("{other:?}"),
    }
}
