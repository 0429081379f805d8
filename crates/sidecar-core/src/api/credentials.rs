//! The service account's token: read again about every minute, and at once when the server refuses it.
//!
//! Tokens of pods expire after an hour and kubelet replaces the file before that. A process that was suspended, or a clock
//! that jumped, can still present an old one; the answer 401 then leads to one more try with the file as it is now.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

const REREAD_AFTER: Duration = Duration::from_secs(60);

/// A token file. Clones share what was read.
#[derive(Clone, Debug)]
pub(super) struct TokenFile {
    path: Arc<PathBuf>,
    read: Arc<Mutex<Option<Read>>>,
}

#[derive(Clone)]
struct Read {
    header: HeaderValue,
    at: Instant,
}

impl std::fmt::Debug for Read {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Read").field("at", &self.at).finish_non_exhaustive()
    }
}

impl TokenFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), read: Arc::default() }
    }

    /// The `Authorization` header, `None` if no token can be read; the server then says what it thinks of that.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let cached = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match cached {
            Some(read) if read.at.elapsed() < REREAD_AFTER => Some(read.header),
            _ => self.reread(),
        }
    }

    /// The header after the server refused `refused`: `None` if the file still holds the same token.
    pub(super) fn header_instead_of(&self, refused: Option<&HeaderValue>) -> Option<HeaderValue> {
        self.reread().filter(|header| Some(header) != refused)
    }

    fn reread(&self) -> Option<HeaderValue> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match std::fs::read_to_string(&*self.path) {
            Ok(text) => {
                let mut header = HeaderValue::from_str(&format!("Bearer {}", text.trim())).ok()?;
                header.set_sensitive(true);
                *read = Some(Read { header: header.clone(), at: Instant::now() });
                Some(header)
            }
            Err(error) => {
                tracing::error!(err = %error, path = %self.path.display(), "Failed to read the service account token");
                // A token that cannot be read again may still be good.
                read.as_ref().map(|read| read.header.clone())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_read_again_after_a_minute_or_a_refusal() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write("one\n");
        let token = TokenFile::new(file.path().to_owned());
        let one = token.header().unwrap();
        assert_eq!(one, "Bearer one");
        assert_eq!(token.header_instead_of(Some(&one)), None, "nothing new to try");
        write("two");
        assert_eq!(token.header().unwrap(), "Bearer one");
        assert_eq!(token.header_instead_of(Some(&one)).unwrap(), "Bearer two");
        write("three");
        tokio::time::advance(REREAD_AFTER).await;
        assert_eq!(token.header().unwrap(), "Bearer three");
        std::fs::remove_file(file.path()).unwrap();
        tokio::time::advance(REREAD_AFTER).await;
        assert_eq!(token.header().unwrap(), "Bearer three", "better than none");
    }
}
