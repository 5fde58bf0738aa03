//! Whatever bytes come: no reading gives a token that they do not hold as one member's value.

use perennial::provider;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{JSON, client, read_by, tokens};

#[path = "../../fuzz/src/held.rs"]
#[allow(unreachable_pub, reason = "it is the fuzz targets' as well")]
mod held;

use held::held;

/// Pieces that answers are made of, in an order that nobody would choose.
const PIECES: [&str; 42] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\"access_token\":\"at-\"",
    "\"refresh_token\":\"rt-\"",
    "\"access_token\":\"at-7\"",
    "\"refresh_token\":\"rt-7\"",
    "\"error\":\"invalid_grant\"",
    "\"authed_user\":",
    "\"expires_in\":600",
    "access_token=at-8",
    "refresh_token=rt-8",
    "&",
    "=",
    "\u{FEFF}",
    "\u{FFFD}",
    "<br />",
    " ",
    "\n",
    "\\u002d",
    "null",
    "{\"access_token\":\"at-9\",\"refresh_token\":\"rt-9\"}",
    "'",
    "%2D",
    "\\\"",
    "<pre>",
    "</pre>",
    "<html>",
    "&amp;",
    ";",
    "\"Bearer at-7\"",
    "\"access_token\":",
    "\"refresh_token\":",
    "\"refreshToken\":\"rt-7\"",
    "12345",
    "[\"rt-7\"]",
    "\"{\\\"access_token\\\":\\\"at-7\\\"}\"",
];

/// The tokens that were put in whole, each as one piece.
const WHOLE: [&str; 8] = ["at-", "rt-", "at-7", "rt-7", "at-8", "rt-8", "at-9", "rt-9"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    // Rule B14.
    #[test]
    fn no_reading_gives_a_token_that_is_no_members_value(
        chosen in vec(0..PIECES.len(), 0..24),
        byte in any::<Option<(u8, u8)>>(),
        status in prop::sample::select(vec![200_u16, 400, 500]),
        wide in any::<bool>(),
    ) {
        let text: String = chosen.iter().map(|at| PIECES[*at]).collect();
        let mut body = text.clone().into_bytes();
        if wide {
            body = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        }
        if let (Some((at, value)), false) = (byte, body.is_empty()) {
            let at = usize::from(at) % body.len();
            body.insert(at, value);
        }
        let slack = client().provider(&provider::SLACK);
        let Ok(grant) = read_by(slack, status, &[JSON], &body) else { return Ok(()) };
        let held = held(&body);
        let (access, refresh) = tokens(&grant);
        for token in access.into_iter().chain(refresh) {
            prop_assert!(held.contains(token), "{token:?} of {body:?}");
        }
    }
}

// The judge itself sees what a fragment is.
#[test]
fn a_fragment_is_not_held() {
    let held = held(br#"{"access_token":"at-7"}"#);
    assert!(held.contains("at-7") && !held.contains("at-") && !held.contains("t-7"), "{held:?}");
    assert!(WHOLE.iter().filter(|token| held.contains(**token)).count() == 1);
}
