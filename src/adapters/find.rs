//! Finding a session's error in the error of an HTTP client.

use std::boxed::Box;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use crate::session::Error;

type Shown = dyn StdError + 'static;

/// How many errors are followed: a chain of errors may be a cycle.
const DEPTH: usize = 100;

impl Error {
    /// Returns the session's error that `error` is or has as a source, however deep. It is also
    /// found where a client has no [`source`](StdError::source), as `ureq`, or skips one, as
    /// [`io::Error`] and `reqwest-middleware`.
    ///
    /// ```
    /// use perennial::session::Error;
    ///
    /// fn is_logged_out(error: &(dyn std::error::Error + 'static)) -> bool {
    ///     Error::find(error).is_some_and(Error::is_login_required)
    /// }
    /// assert!(!is_logged_out(&std::fmt::Error));
    /// ```
    ///
    /// For a `Box<dyn Error>` or an `anyhow::Error`, pass its content: `Error::find(&*error)`.
    pub fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        let chain = core::iter::successors(Some(error), |&error| underneath(error));
        chain.take(DEPTH).find_map(|error| {
            let shared = || error.downcast_ref::<Arc<Self>>().map(|it| &**it);
            let boxed = || error.downcast_ref::<Box<Self>>().map(|it| &**it);
            error.downcast_ref::<Self>().or_else(shared).or_else(boxed)
        })
    }
}

/// The next error of the chain, with those that `source` steps over.
fn underneath(error: &Shown) -> Option<&Shown> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        if let Some(inner) = error.get_ref() {
            return Some(inner);
        }
    }
    #[cfg(feature = "ureq")]
    if let Some(error) = error.downcast_ref::<::ureq::Error>() {
        #[expect(
            clippy::wildcard_enum_match_arm,
            reason = "the others hold no error of a program's"
        )]
        match error {
            ::ureq::Error::Other(inner) => return Some(&**inner),
            ::ureq::Error::Io(inner) => return Some(inner),
            _ => {}
        }
    }
    #[cfg(feature = "reqwest")]
    if let Some(::reqwest_middleware::Error::Middleware(inner)) = error.downcast_ref() {
        return Some(&**inner);
    }
    error.source()
}
