//! Any text as a refresh token, genuine ones and what becomes of them byte by byte: the newest of its
//! client works, and so does its sibling; a spent one revokes; all else is refused alike, and writes
//! nothing. Rules D3, D4, G1.
#![cfg_attr(not(test), no_main)]

use perennial::issue::{GrantError, InvalidGrant};
use perennial::rotation::RefusalReason;
use perennial::token::Secret;
use perennial_fuzz::{Issued, at_once};

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub(crate) fn property(bytes: &[u8]) {
    Issued::with(|issued| holds(issued, bytes));
}

fn holds(issued: &Issued, bytes: &[u8]) {
    let text = issued.bent(bytes);
    let (presented, before) = (Secret::from(text.clone()), issued.writes());
    let denied = match at_once(issued.issuer.refresh("web", &presented, None)) {
        Ok(next) => {
            assert!(presented == issued.newest || presented == issued.sibling);
            return assert!(next.refresh_token.is_some());
        }
        Err(denied) => denied,
    };
    let [web, shop, ended] = issued.ids;
    let expected = match text.as_str() {
        text if text == issued.spent.expose() => InvalidGrant::Reused(web),
        text if text == issued.foreign.expose() => InvalidGrant::OtherClient(shop),
        text if text == issued.revoked.expose() => {
            InvalidGrant::Refused(ended, RefusalReason::Revoked)
        }
        _ => InvalidGrant::NotOurs,
    };
    // Nothing but what is known, so nothing that was presented.
    assert!(matches!(denied, GrantError::InvalidGrant(why) if why == expected), "{denied:?}");
    assert_eq!(denied.to_string(), "the refresh token does not work");
    assert_eq!(issued.writes() != before, expected == InvalidGrant::Reused(web));
    assert_eq!(issued.is_revoked(), expected == InvalidGrant::Reused(web));
}
