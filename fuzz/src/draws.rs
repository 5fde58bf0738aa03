//! Drawing values from a byte string: one byte mostly chooses among the values at which mistakes are
//! made, and only seldom takes eight more for any value at all.

use perennial::lifecycle::{MissingLifetime, RawPolicy, Reuse, TokenTimes};
use perennial::time::{Draw, Span, Timestamp};

/// The instants and spans at the edges of what there is.
const INSTANTS: [i64; 8] =
    [0, 1, -1, i64::MAX, i64::MAX - 1, i64::MIN, i64::MIN + 1, 1_700_000_000_000];
const SPANS: [u64; 10] = [
    u64::MAX,
    u64::MAX - 1,
    i64::MAX as u64,
    i64::MAX as u64 + 1,
    1 << 62,
    10_000,
    80_000,
    300_000,
    600_000,
    3_600_000,
];

/// The bytes that are left. Where there are none, zeroes come.
#[derive(Clone, Debug)]
pub struct Draws<'a>(&'a [u8]);

impl<'a> Draws<'a> {
    /// All of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether all is drawn.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// True for an odd byte.
    pub fn flag(&mut self) -> bool {
        self.byte() % 2 == 1
    }

    /// A drawn share: none, nearly all, half, or any.
    pub fn share(&mut self) -> u32 {
        match self.byte() {
            0..=63 => 0,
            64..=127 => u32::MAX,
            128..=191 => 1 << 31,
            byte => u32::from(byte - 192) << 26 | u32::from(self.byte()),
        }
    }

    /// Milliseconds, in most cases fewer than two hundred.
    pub fn span(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..=199 => byte.into(),
            byte @ 200..=249 => SPANS[usize::from(byte) % SPANS.len()],
            250..=252 => self.any() >> 24,
            253..=255 => self.any(),
        }
    }

    /// A span, or none.
    pub fn optional_span(&mut self) -> Option<u64> {
        self.flag().then(|| self.span())
    }

    /// An instant: in most cases one of those that matter here, or close to it.
    pub fn instant(&mut self, near: &[i64]) -> i64 {
        let choice = self.byte();
        let known = near.iter().chain(&INSTANTS);
        let known = known.copied().nth(usize::from(choice) % (near.len() + INSTANTS.len()));
        let by = match (choice, self.byte()) {
            (224..=255, _) => self.any().cast_signed(),
            (_, 0..=99) => 0,
            (_, 100..=149) => 1,
            (_, 150..=199) => -1,
            (_, byte @ 200..=227) => i64::from(byte) - 200,
            (_, byte @ 228..=255) => 228 - i64::from(byte),
        };
        known.unwrap_or(0).saturating_add(by)
    }

    /// What an answer says of its token.
    pub fn token(&mut self, sent: Timestamp) -> TokenTimes<Timestamp> {
        let mut span = || self.optional_span().map(Span::from_millis);
        let (lifetime, refresh_in) = (span(), span());
        TokenTimes { sent, lifetime, refresh_in, jitter: Draw::new(self.share()) }
    }

    /// A policy of any kind: sensible, tiny, huge or useless.
    pub fn policy(&mut self) -> RawPolicy<Timestamp> {
        let mut span = || Span::from_millis(self.span());
        let (interval, window) = (span(), span());
        RawPolicy {
            refresh_window: span(),
            margin: span(),
            backoff_base: span(),
            backoff_cap: span(),
            misconfigured_base: span(),
            misconfigured_cap: span(),
            retry_after_cap: span(),
            budget_interval: interval.min(window),
            budget_window: window,
            unexplained_window: span(),
            rejections_window: span(),
            rejections_interval: span(),
            refresh_deadline: span(),
            unexplained_count: u32::from(self.byte() % 5),
            rejections_count: u32::from(self.byte() % 5),
            missing_lifetime: match self.optional_span() {
                Some(millis) => MissingLifetime::Assume(Span::from_millis(millis)),
                None => MissingLifetime::UntilRejected,
            },
            reuse: match self.byte() % 6 {
                0 => Reuse::Strict,
                1 => Reuse::OverlapSuccessors(Span::from_millis(self.span())),
                2 => Reuse::Idempotent(Span::from_millis(self.span())),
                3 => Reuse::ConfirmByUse,
                4 => Reuse::OverlapAccessOnly(Span::from_millis(self.span())),
                _ => Reuse::Unrotated,
            },
        }
    }
}
