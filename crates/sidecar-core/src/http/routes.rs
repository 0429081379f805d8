//! Which path gets which answer; can grow while the server runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use futures::future::BoxFuture;

use super::reply::{Asked, Reply};
use crate::go_text::quote;

type Handler = Arc<dyn Fn(Asked) -> BoxFuture<'static, Reply> + Send + Sync>;

/// A pattern that Go's `http.ServeMux` would panic about, in its words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parsing {}: {reason}", quote(.pattern))]
pub struct PatternError {
    pattern: String,
    reason: &'static str,
}

/// The routes of one address. Clones share their state.
#[derive(Clone, Default)]
pub struct Routes {
    handlers: Arc<RwLock<BTreeMap<String, Handler>>>,
}

impl Routes {
    /// Answers requests for `pattern`, a path or `host/path`; one that ends in `/` takes everything below it, too. The last
    /// handler of a pattern wins.
    pub fn add<F, R>(&self, pattern: &str, handler: F) -> Result<(), PatternError>
    where
        F: Fn(Asked) -> R + Send + Sync + 'static,
        R: Future<Output = Reply> + Send + 'static,
    {
        let path = path_of(pattern)?;
        self.insert(path, Arc::new(move |asked| Box::pin(handler(asked))));
        Ok(())
    }

    /// As [`Self::add`], for answers that need no waiting.
    pub fn add_sync<F>(&self, pattern: &str, handler: F) -> Result<(), PatternError>
    where
        F: Fn(&Asked) -> Reply + Send + Sync + 'static,
    {
        let path = path_of(pattern)?;
        self.insert(path, ready(handler));
        Ok(())
    }

    /// As [`Self::add_sync`], for paths that are constants of this project.
    pub fn add_fixed<F>(&self, path: &'static str, handler: F)
    where
        F: Fn(&Asked) -> Reply + Send + Sync + 'static,
    {
        self.insert(path, ready(handler));
    }

    /// Whether exactly this path has a handler.
    pub fn has(&self, path: &str) -> bool {
        self.handlers.read().unwrap_or_else(PoisonError::into_inner).contains_key(path)
    }

    /// The answer to a request.
    pub async fn answer(&self, asked: Asked) -> Reply {
        match self.find(&asked.path) {
            Some(handler) => handler(asked).await,
            None => Reply::not_found(),
        }
    }

    fn insert(&self, path: &str, handler: Handler) {
        self.handlers.write().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), handler);
    }

    /// The handler of the path itself, else of the longest subtree it is in.
    fn find(&self, path: &str) -> Option<Handler> {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        let subtree = || {
            let around =
                handlers.iter().filter(|(pattern, _)| pattern.ends_with('/') && path.starts_with(*pattern));
            around.max_by_key(|(pattern, _)| pattern.len()).map(|(_, handler)| handler)
        };
        handlers.get(path).or_else(subtree).cloned()
    }
}

fn ready<F>(handler: F) -> Handler
where
    F: Fn(&Asked) -> Reply + Send + Sync + 'static,
{
    Arc::new(move |asked| {
        let reply = handler(&asked);
        Box::pin(std::future::ready(reply))
    })
}

/// The path of a Go pattern `[METHOD ][HOST]/PATH`. Host and method are accepted and not looked at.
fn path_of(pattern: &str) -> Result<&str, PatternError> {
    let fault = |reason| PatternError { pattern: pattern.to_owned(), reason };
    if pattern.is_empty() {
        return Err(fault("empty pattern"));
    }
    let location = pattern.split_once([' ', '\t']).map_or(pattern, |(_, location)| location.trim_start());
    let slash = location.find('/').ok_or_else(|| fault("at offset 0: host/path missing /"))?;
    location.get(slash..).ok_or_else(|| fault("at offset 0: host/path missing /"))
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_set().entries(handlers.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_without_a_path_are_refused_in_gos_words() {
        assert_eq!(path_of("/metrics"), Ok("/metrics"));
        assert_eq!(path_of("example.com/metrics"), Ok("/metrics"));
        assert_eq!(path_of("GET /metrics"), Ok("/metrics"));
        let fault = path_of("metrics").unwrap_err().to_string();
        assert_eq!(fault, "parsing \"metrics\": at offset 0: host/path missing /");
        assert_eq!(path_of("").unwrap_err().to_string(), "parsing \"\": empty pattern");
    }

    #[tokio::test]
    async fn the_longest_pattern_answers() {
        let routes = Routes::default();
        routes.add_fixed("/debug/pprof/", |_| Reply::text(200, "index"));
        routes.add_fixed("/debug/pprof/cmdline", |_| Reply::text(200, "cmdline"));
        let ask = |path: &str| routes.answer(Asked { path: path.to_owned(), ..Asked::default() });
        assert_eq!(ask("/debug/pprof/cmdline").await.body, "cmdline");
        assert_eq!(ask("/debug/pprof/heap").await.body, "index");
        assert_eq!(ask("/debug").await, Reply::not_found());
    }
}
