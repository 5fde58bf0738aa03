//! Grants to be written, and how what was read differs from them.

use std::error::Error as StdError;
use std::format;
use std::prelude::rust_2024::*;

use super::flaw::{StoreFlaw, StoreProperty, ensure};
use crate::store::{Intent, StoreError, StoredGrant};
use crate::time::{Lifetime, Span, Timestamp};
use crate::token::{Grant, Secret};

/// In each secret that is written.
const PLANTED: &str = "p1ant3d";

/// When the sample grants were obtained.
const SENT: Timestamp = Timestamp::from_millis(1_700_000_000_123);

/// The field that counts.
const COUNT: &str = "count";

/// Returns a grant whose every token and field names `number`.
pub(super) fn numbered(number: u64) -> StoredGrant {
    let access = format!("{PLANTED}-at-{number}");
    let refresh = format!("{PLANTED}-rt-{number}");
    let grant = Grant::new(access, refresh, Span::from_secs(3600))
        .with_field(COUNT, number.to_string())
        .with_field("id_token", format!("{PLANTED}-id-{number}"));
    StoredGrant::new(grant, SENT)
}

/// Returns the number of a grant; `None` where its parts name different ones.
pub(super) fn number(stored: &StoredGrant) -> Option<u64> {
    let number = stored.grant.field(COUNT)?.expose().parse().ok()?;
    (*stored == numbered(number)).then_some(number)
}

/// Returns grants that differ in all that a grant can hold.
pub(super) fn of_every_kind(longest: usize) -> Vec<StoredGrant> {
    let (access, refresh) = (format!("{PLANTED}-at"), format!("{PLANTED}-rt"));
    let full = Grant::new(&*access, &*refresh, Lifetime::For(Span::from_millis(3_600_001)))
        .with_refresh_in(Span::from_millis(1_800_001))
        .with_refresh_token_expiry(Timestamp::from_secs(1_800_000_000))
        .with_field("scope", format!("{PLANTED} read write"))
        .with_field("id_token", format!("{PLANTED}-id \"quoted\" \\ ' \n \u{0} Zo\u{eb} \u{1f512}"))
        .with_field("a name with \"quotes\" ' and \u{fc}", "")
        .with_field("", "a field without a name");
    let full = StoredGrant::new(full, SENT);
    let (since, until) = (Timestamp::from_millis(-1), Timestamp::from_millis(1_700_000_031_456));
    let sending = StoredGrant {
        intent: Some(Intent { since, until: Some(until), holder: Some(7) }),
        ..full.clone()
    };
    let sent =
        StoredGrant { intent: Some(Intent { since, until: None, holder: None }), ..full.clone() };
    let long = Grant::new("x".repeat(longest.max(1)), &*refresh, Span::from_secs(1));
    vec![
        full.clone(),
        sending,
        sent,
        full,
        StoredGrant::new(long, SENT),
        StoredGrant::new(Grant::of_access_token(&*access, Lifetime::Unstated), Timestamp::MIN),
        StoredGrant::new(Grant::of_access_token(&*access, Span::ZERO), Timestamp::MAX),
        StoredGrant::new(Grant::of_refresh_token(&*refresh), Timestamp::from_millis(-1)),
        StoredGrant::new(Grant::new(&*access, &*refresh, Span::MAX), Timestamp::MIN),
    ]
}

/// Returns what of `found` is not as in `written`, by name; `None` if all is.
pub(super) fn difference(found: Option<&StoredGrant>, written: &StoredGrant) -> Option<String> {
    let Some(found) = found else { return Some("there is no grant".into()) };
    let (left, right) = (&found.grant, &written.grant);
    let fields = |grant: &Grant| -> Vec<(String, Secret)> {
        grant.fields().map(|(name, value)| (name.into(), value.clone())).collect()
    };
    let differs = [
        ("access_token", left.access_token() != right.access_token()),
        ("refresh_token", left.refresh_token() != right.refresh_token()),
        ("refresh_in", left.refresh_in() != right.refresh_in()),
        ("fields", fields(left) != fields(right)),
        ("acquired_at", found.acquired_at != written.acquired_at),
        ("expires_at", found.expires_at != written.expires_at),
        ("intent", found.intent != written.intent),
        ("lifetime", left.lifetime() != right.lifetime()),
    ];
    let names: Vec<_> =
        differs.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    (!names.is_empty()).then(|| format!("it differs in {}", names.join(", ")))
}

/// Checks that an error shows nothing that was written.
pub(super) fn shows_nothing(error: &StoreError) -> Result<(), StoreFlaw> {
    let mut shown = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        shown.extend([format!(" {cause} {cause:?}")]);
        source = cause.source();
    }
    ensure(
        StoreProperty::ShowsNoSecret,
        !shown.contains(PLANTED),
        || "an error contains a token that was stored",
    )?;
    let says = !error.to_string().trim().is_empty();
    ensure(StoreProperty::ReportsErrors, says, || "an error has no message")
}
