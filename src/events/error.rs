//! Errors as events show them.

use core::error::Error as StdError;
use core::fmt;
use std::string::ToString;
use std::sync::Arc;

use super::value::Value;

/// An error, with its kind as a word. It is displayed as one line, with its sources.
#[derive(Clone)]
pub struct ErrorView {
    name: &'static str,
    status: Option<u16>,
    error: Arc<dyn StdError + Send + Sync>,
}

impl ErrorView {
    pub(crate) fn new(
        name: &'static str,
        status: Option<u16>,
        error: impl StdError + Send + Sync + 'static,
    ) -> Self {
        Self { name, status, error: Arc::new(error) }
    }

    /// Returns the kind of the error in a word, such as `unavailable`. The words are kept from version to
    /// version; there may be new ones. For a refresh and a wait it is
    /// [`session::Error::name`](crate::session::Error::name).
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the HTTP status of the token endpoint's response, where that was the cause and is known.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// Returns the error itself, such as a [`session::Error`](crate::session::Error) or a
    /// [`StoreError`](crate::store::StoreError), to be downcast.
    pub fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }

    pub(super) fn attributes(&self, visit: &mut dyn FnMut(&'static str, Value<'_>)) {
        visit("error.type", Value::Text(self.name));
        visit("error.message", Value::Text(&self.to_string()));
        if let Some(status) = self.status {
            visit("http.response.status_code", Value::Number(status.into()));
        }
    }
}

impl fmt::Display for ErrorView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)?;
        let mut source = self.error.source();
        while let Some(error) = source {
            write!(formatter, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for ErrorView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ErrorView")
            .field("name", &self.name)
            .field("status", &self.status)
            .field("error", &self.error)
            .finish()
    }
}
