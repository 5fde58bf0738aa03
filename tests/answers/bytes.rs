//! Whatever bytes come: no reading gives a token that they do not hold as one member's value.

use std::collections::BTreeSet;

use perennial::provider;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{JSON, client, read_by, tokens};

/// Pieces that answers are made of, in an order that nobody would choose.
const PIECES: [&str; 30] = [
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
];

/// The tokens that were put in whole, each as one piece.
const WHOLE: [&str; 8] = ["at-", "rt-", "at-7", "rt-7", "at-8", "rt-8", "at-9", "rt-9"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

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

/// Each run of bytes that could be one member's value: between quotation marks, or between the signs of
/// a form, with its escapes undone and without white space around it.
fn held(body: &[u8]) -> BTreeSet<String> {
    let wide: Vec<u16> =
        body.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let big: Vec<u16> =
        body.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    let texts = [
        String::from_utf8_lossy(body).into_owned(),
        String::from_utf16_lossy(&wide),
        String::from_utf16_lossy(&big),
    ];
    let mut held = BTreeSet::new();
    for text in texts {
        let undone = text.replace("\\\"", "\"").replace("\\\\", "\\");
        for text in [&text, &undone] {
            let cuts: Vec<_> =
                text.match_indices(['"', '=', '&', '\n', ' ']).map(|it| it.0).collect();
            let cuts = [vec![0], cuts, vec![text.len()]].concat();
            for (number, from) in cuts.iter().enumerate() {
                for to in &cuts[number..] {
                    let inside = text[*from..*to].trim_start_matches(['"', '=', '&']).trim();
                    let decoded = percent(inside);
                    if let Ok(text) = serde_json::from_str::<String>(&format!("\"{inside}\"")) {
                        held.insert(text.trim().to_owned());
                    }
                    held.insert(decoded.trim().to_owned());
                }
            }
        }
    }
    held
}

fn percent(text: &str) -> String {
    url::form_urlencoded::parse(format!("k={}", text.replace('&', "%26")).as_bytes())
        .map(|(_, value)| value.into_owned())
        .collect()
}

// The judge itself sees what a fragment is.
#[test]
fn a_fragment_is_not_held() {
    let held = held(br#"{"access_token":"at-7"}"#);
    assert!(held.contains("at-7") && !held.contains("at-") && !held.contains("t-7"), "{held:?}");
    assert!(WHOLE.iter().filter(|token| held.contains(**token)).count() == 1);
}
