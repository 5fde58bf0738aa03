//! Reading `WWW-Authenticate` (RFC 9110, section 11.6.1).

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use http_auth::ChallengeRef;
use http_auth::parser::ChallengeParser;

use crate::verdict::Challenge;

/// What all challenges of an answer come to (rule E4): any for a bearer token counts, whatever
/// stands beside it.
pub fn read(headers: &HeaderMap) -> Challenge {
    let mut found = Challenge::Absent;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let Ok(text) = value.to_str() else {
            found = weightier(found, Challenge::Unreadable);
            continue;
        };
        for challenge in ChallengeParser::new(text) {
            let challenge = challenge.as_ref().map_or(Challenge::Unreadable, meaning);
            found = weightier(found, challenge);
        }
    }
    found
}

fn meaning(challenge: &ChallengeRef<'_>) -> Challenge {
    let has_error = |code: &str| {
        challenge.params.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("error") && value.to_unescaped().eq_ignore_ascii_case(code)
        })
    };
    if has_error("use_dpop_nonce") {
        Challenge::DpopNonce
    } else if !challenge.scheme.eq_ignore_ascii_case("Bearer") {
        Challenge::OtherScheme
    } else if has_error("insufficient_scope") {
        Challenge::InsufficientScope
    } else {
        Challenge::Bearer
    }
}

/// Of two challenges, the one that says more of the token.
fn weightier(one: Challenge, other: Challenge) -> Challenge {
    if weight(other) > weight(one) { other } else { one }
}

const fn weight(challenge: Challenge) -> u8 {
    match challenge {
        Challenge::Absent => 0,
        Challenge::Unreadable => 1,
        Challenge::OtherScheme => 2,
        Challenge::DpopNonce => 3,
        Challenge::InsufficientScope => 4,
        Challenge::Bearer => 5,
    }
}
