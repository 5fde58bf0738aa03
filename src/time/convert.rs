//! Conversions between [`Timestamp`], [`std::time::SystemTime`] and the `time` crate (rule A1).
//!
//! A conversion into a [`Timestamp`] saturates and rounds down to the millisecond. A conversion
//! from one fails if the other type cannot represent the instant.

#[cfg(feature = "std")]
mod with_std {
    use std::time::{SystemTime, UNIX_EPOCH};

    use crate::time::{Span, Timestamp};

    impl From<SystemTime> for Timestamp {
        fn from(instant: SystemTime) -> Self {
            match instant.duration_since(UNIX_EPOCH) {
                Ok(after) => Self::UNIX_EPOCH.saturating_add(Span::from(after)),
                // Before the epoch, rounding down means towards the past.
                Err(before) => {
                    let before = before.duration();
                    let millis = before.as_nanos().div_ceil(1_000_000);
                    let span = Span::from_millis(u64::try_from(millis).unwrap_or(u64::MAX));
                    Self::UNIX_EPOCH.saturating_sub(span)
                }
            }
        }
    }

    impl Timestamp {
        /// Returns the instant as a [`SystemTime`], or `None` if the platform cannot represent it.
        pub fn to_system_time(self) -> Option<SystemTime> {
            let span = Span::from_millis(self.as_millis().unsigned_abs()).to_duration();
            if self < Self::UNIX_EPOCH {
                UNIX_EPOCH.checked_sub(span)
            } else {
                UNIX_EPOCH.checked_add(span)
            }
        }
    }
}

#[cfg(feature = "time")]
mod with_time {
    use time::{Duration, OffsetDateTime, UtcDateTime};

    use crate::time::Timestamp;

    /// Nanoseconds since the epoch, to the millisecond below.
    fn millis_below(nanos: i128) -> Timestamp {
        let millis = nanos.div_euclid(1_000_000);
        let saturated = if millis > 0 { i64::MAX } else { i64::MIN };
        Timestamp::from_millis(i64::try_from(millis).unwrap_or(saturated))
    }

    impl From<OffsetDateTime> for Timestamp {
        fn from(instant: OffsetDateTime) -> Self {
            millis_below(instant.unix_timestamp_nanos())
        }
    }

    impl From<UtcDateTime> for Timestamp {
        fn from(instant: UtcDateTime) -> Self {
            millis_below(instant.unix_timestamp_nanos())
        }
    }

    impl TryFrom<Timestamp> for OffsetDateTime {
        type Error = time::error::ComponentRange;

        /// # Errors
        /// The instant is out of range for the `time` crate: beyond the year 9999 unless its
        /// feature `large-dates` is enabled.
        fn try_from(instant: Timestamp) -> Result<Self, Self::Error> {
            let millis = instant.as_millis();
            let whole = Self::from_unix_timestamp(millis.div_euclid(1000))?;
            // A remainder below one second cannot carry past the end of that second.
            Ok(whole.saturating_add(Duration::milliseconds(millis.rem_euclid(1000))))
        }
    }
}
