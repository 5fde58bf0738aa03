//! How long an access token lives, reckoned beside the session (rule B1).

/// The policy's defaults, in milliseconds.
const MARGIN: i64 = 10_000;
const WINDOW: i64 = 300_000;

/// The life of one access token by one session's clock.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Reckoning {
    /// Not due before, whatever jitter was drawn.
    pub(crate) due: i64,
    /// A refresh token in doubt is not presented before, while this one works.
    pub(crate) chance: i64,
    pub(crate) lifetime: i64,
    /// Certainly usable before.
    pub(crate) usable: i64,
    /// Certainly not usable from here on: more than the former only where there are two stories.
    pub(crate) unusable: i64,
    /// The latest expiry of any story.
    pub(crate) expires: i64,
}

impl Reckoning {
    pub(crate) fn of(sent: i64, lifetime: i64, hint: Option<i64>, deadline: i64) -> Self {
        let (eighth, expires) = (lifetime / 8, sent + lifetime);
        let unusable = expires - MARGIN.min(eighth);
        let wished = hint.map_or(expires - WINDOW, |hint| sent + hint);
        let due = (wished - eighth).max(sent + lifetime / 2).min(unusable);
        let chance = unusable - deadline.min(eighth);
        Self { due, chance, lifetime, usable: unusable, unusable, expires }
    }
}
