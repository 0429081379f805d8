//! Which server, and who we are: `--master`, `--kubeconfig`, or the pod's service account (sheet `common-library`, 3.2).

use std::io;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::context::Variables;

/// What the command line says about the API server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiConfig {
    /// `--kubeconfig`, already replaced by the variable `KUBECONFIG` where a sidecar does that.
    pub kubeconfig: Option<PathBuf>,
    /// `--master`: overrides the server of the kubeconfig, or is used alone without credentials.
    pub master: Option<String>,
}

/// Why there is no API client.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The kubeconfig cannot be opened; the text is Go's.
    #[error("stat {path}: {reason}")]
    Open {
        /// The path as given.
        path: String,
        /// The system's text, as Go spells it.
        reason: String,
    },
    /// The kubeconfig is not usable.
    #[error("error loading config file \"{path}\": {source}")]
    Kubeconfig {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        source: Box<KubeconfigError>,
    },
    /// `--master` is no URL.
    #[error("invalid --master {0:?}: not a URL such as https://host:6443")]
    Master(String),
    /// Not in a pod.
    #[error(
        "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined"
    )]
    NotInCluster,
    /// In a pod, but without a service account.
    #[error("unable to load in-cluster configuration: {0}")]
    InCluster(String),
    /// `tls-server-name` is no host name.
    #[error("invalid tls-server-name {0:?}")]
    ServerName(String),
    /// The rest of the client cannot be made: bad certificates, an unusable credential plugin.
    #[error("cannot build the Kubernetes client: {0}")]
    Client(Box<kube::Error>),
    /// QPS and burst do not fit.
    #[error(transparent)]
    Budget(#[from] super::BudgetError),
}

impl ConfigError {
    pub(super) fn client(error: kube::Error) -> Self {
        Self::Client(Box::new(error))
    }
}

impl ApiConfig {
    /// Reads the files and decides who is called and with which credentials. Nothing is sent.
    pub async fn load(&self, variables: &Variables) -> Result<Config, ConfigError> {
        let master = self.master.as_deref().filter(|master| !master.is_empty());
        let path = self.kubeconfig.as_deref().filter(|path| !path.as_os_str().is_empty());
        let mut config = match (path, master) {
            (Some(path), _) => from_file(path).await?,
            (None, Some(master)) => Config::new(master_uri(master)?),
            (None, None) => in_cluster(variables)?,
        };
        if let Some(master) = master {
            config.cluster_url = master_uri(master)?;
        }
        // The stack has its own rule for retries.
        config.default_retry = false;
        Ok(config)
    }
}

fn master_uri(text: &str) -> Result<http::Uri, ConfigError> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    with_scheme
        .parse::<http::Uri>()
        .ok()
        .filter(|uri| uri.host().is_some_and(|host| !host.is_empty()))
        .ok_or_else(|| ConfigError::Master(text.to_owned()))
}

async fn from_file(path: &Path) -> Result<Config, ConfigError> {
    let shown = path.display().to_string();
    if let Err(error) = std::fs::metadata(path) {
        return Err(ConfigError::Open { path: shown, reason: go_reason(&error) });
    }
    let unusable = |source| ConfigError::Kubeconfig { path: shown.clone(), source: Box::new(source) };
    let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.map_err(unusable)
}

fn go_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "not a directory".to_owned(),
        _ => error.to_string(),
    }
}

fn in_cluster(variables: &Variables) -> Result<Config, ConfigError> {
    let variable = |name| variables.non_empty(name).ok_or(ConfigError::NotInCluster);
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let url = format!("https://{host}:{port}");
    // The variables name the server; this only reads the service account's files.
    let mut config = Config::incluster_dns().map_err(|error| ConfigError::InCluster(error.to_string()))?;
    config.cluster_url = url.parse().map_err(|_| ConfigError::InCluster(format!("{url} is not a URL")))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = r#"{"apiVersion":"v1","kind":"Config","current-context":"c",
        "clusters":[{"name":"k","cluster":{"server":"https://10.0.0.1:6443"}}],
        "users":[{"name":"u","user":{"token":"secret"}}],
        "contexts":[{"name":"c","context":{"cluster":"k","user":"u","namespace":"ns"}}]}"#;

    async fn load(kubeconfig: Option<&Path>, master: Option<&str>) -> Result<Config, ConfigError> {
        let config =
            ApiConfig { kubeconfig: kubeconfig.map(Path::to_owned), master: master.map(str::to_owned) };
        config.load(&Variables::default()).await
    }

    #[tokio::test]
    async fn master_overrides_the_server_of_the_kubeconfig() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), KUBECONFIG).unwrap();
        let config = load(Some(file.path()), None).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:6443/");
        assert_eq!(config.default_namespace, "ns");
        let config = load(Some(file.path()), Some("https://other:1")).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), "https://other:1/");
        assert!(config.auth_info.token.is_some(), "the credentials are kept");
        let config = load(None, Some("127.0.0.1:8080")).await.unwrap();
        assert_eq!(config.cluster_url.to_string(), "http://127.0.0.1:8080/");
    }

    #[tokio::test]
    async fn errors_read_as_upstream() {
        let text = |result: Result<Config, ConfigError>| result.unwrap_err().to_string();
        assert_eq!(
            text(load(Some(Path::new("/nonexistent")), None).await),
            "stat /nonexistent: no such file or directory"
        );
        assert_eq!(
            text(load(None, None).await),
            "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "]").unwrap();
        assert!(text(load(Some(file.path()), None).await).starts_with("error loading config file"));
        assert!(text(load(None, Some("https://")).await).starts_with("invalid --master"));
    }
}
