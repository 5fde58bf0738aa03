//! Finding a session's error in an error of an HTTP client, however deep it lies.

use std::boxed::Box;
use std::error::Error as StdError;
use std::io;
use std::sync::Arc;

use crate::session::Error;

type Shown = dyn StdError + 'static;

/// How deep is looked: a chain of errors may be a circle.
const DEPTH: usize = 100;

impl Error {
    /// The session's error that `error` is, or that lies underneath: also where a client shows no
    /// [`source`](StdError::source), as `ureq` does, or steps over one, as [`io::Error`] and
    /// `reqwest-middleware` do.
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
    /// Of a `Box<dyn Error>` or an `anyhow::Error`, pass what is inside: `Error::find(&*error)`.
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
