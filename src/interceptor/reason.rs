//! Why there was no token, in one line: some HTTP clients show the text of an error and not its
//! sources.

use core::error::Error as _;
use core::fmt;
use core::time::Duration;

use crate::session::Error;

pub(super) struct OneLine<'a> {
    error: &'a Error,
    retry_in: Option<Duration>,
}

pub(super) fn of(error: &Error, retry_in: Option<Duration>) -> OneLine<'_> {
    OneLine { error, retry_in }
}

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.error)?;
        if let Some(why) = self.error.source() {
            write!(formatter, ": {why}")?;
        }
        match self.retry_in {
            None => Ok(()),
            Some(Duration::ZERO) => write!(formatter, "; try again now"),
            // Rounded up, so as not to be too early.
            Some(wait) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                write!(formatter, "; try again in {seconds} s")
            }
        }
    }
}
