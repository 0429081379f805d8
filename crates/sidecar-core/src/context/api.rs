//! How a process gets to its API server: as its flags say, or as whoever built the context says.

use crate::api::{ApiConfig, ConfigError, Connector};
use crate::context::Variables;

/// The way to the API server. Clones share what is behind it.
#[derive(Clone, Debug, Default)]
pub struct ApiAccess {
    given: Option<Connector>,
}

impl ApiAccess {
    /// Through the flags of the process, as in every real one.
    pub fn by_flags() -> Self {
        Self::default()
    }

    /// Through this connector whatever the flags say; for tests, the simulation and the all-in-one.
    pub fn through(connector: Connector) -> Self {
        Self { given: Some(connector) }
    }

    /// Where clients come from. `binary` goes into the user agent. Nothing is sent yet.
    pub async fn connector(
        &self,
        config: &ApiConfig,
        variables: &Variables,
        binary: &str,
    ) -> Result<Connector, ConfigError> {
        match &self.given {
            Some(connector) => Ok(connector.clone()),
            None => Ok(Connector::from_config(config.load(variables).await?, binary)),
        }
    }
}
