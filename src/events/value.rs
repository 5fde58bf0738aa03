//! The values of attributes.

use core::fmt;
use core::time::Duration;

/// The value of an attribute.
#[derive(Copy, Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// A text.
    Text(&'a str),
    /// A number.
    Number(u64),
    /// A duration, in seconds.
    Seconds(f64),
    /// Yes or no.
    Flag(bool),
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Escaped, so that no text can forge a line of a log.
            Self::Text(text) => text.escape_debug().fmt(formatter),
            Self::Number(number) => number.fmt(formatter),
            Self::Seconds(seconds) => write!(formatter, "{seconds} s"),
            Self::Flag(flag) => flag.fmt(formatter),
        }
    }
}

impl From<Duration> for Value<'_> {
    fn from(duration: Duration) -> Self {
        Self::Seconds(duration.as_secs_f64())
    }
}
