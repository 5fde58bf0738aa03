//! What is no token of this issuer: refused, with nothing written, and no secret told.

use std::collections::BTreeSet;

use perennial::issue::{GrantError, InvalidGrant, Issuer, KeyError, Keys, Login, MemoryFamilies};
use perennial::rotation::{Policy, RefusalReason};
use perennial::token::Secret;
use proptest::prelude::*;

use super::support::{DAY, MILLI, Rig, block_on, keys, refresh_token};

/// Texts that are no refresh token of `rig`, though some were made for one.
fn not_tokens(token: &str) -> Vec<String> {
    let mut texts: Vec<String> =
        ["", "prt1_", "pat1_", "prt1_====", "prt2_AAAA", "Bearer x", "\u{0}", "\u{1f512}"]
            .map(String::from)
            .into();
    texts.push(token.to_uppercase());
    texts.push(token.replacen("prt1_", "pat1_", 1));
    texts.push(format!("{token}A"));
    texts.push(format!("{token}="));
    texts.push(format!(" {token}"));
    texts.push("A".repeat(1_000_000));
    texts.push(format!("prt1_{}", "A".repeat(1_000_000)));
    texts.extend((0..token.len()).map(|length| token[..length].to_owned()));
    texts
}

// Rule D4.
#[test]
fn what_is_no_refresh_token_is_refused_and_nothing_is_written() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    let writes = rig.store.writes();
    for text in not_tokens(refresh_token(&login).expose()) {
        assert_eq!(rig.refused(&Secret::from(text.clone())), InvalidGrant::NotOurs, "{text:?}");
        assert!(block_on(rig.issuer.revoke("web", &Secret::from(text))).is_ok());
    }
    assert_eq!(rig.refused(&login.access_token), InvalidGrant::NotOurs);
    assert!(!rig.works(&refresh_token(&login)));
    assert_eq!(rig.store.writes(), writes);
    rig.present(&refresh_token(&login)).expect("it was harmed by none of it");
}

// Rule D4.
#[test]
fn a_token_under_a_key_that_is_known_of_a_family_that_is_not_is_refused() {
    let elsewhere = Issuer::builder(keys(), MemoryFamilies::new()).build();
    let login = block_on(elsewhere.login(Login::new("web", "alice"))).expect("a login");
    let rig = Rig::new(Policy::default());
    assert_eq!(rig.refused(&refresh_token(&login)), InvalidGrant::UnknownFamily(login.family));
    assert!(!rig.works(&login.access_token));
    assert_eq!(rig.store.writes(), 0);
}

// Rule D4.
#[test]
fn a_token_of_another_key_is_refused() {
    let others = Keys::new([8; 32]).expect("long enough");
    let elsewhere = Issuer::builder(others, MemoryFamilies::new()).build();
    let login = block_on(elsewhere.login(Login::new("web", "alice"))).expect("a login");
    let rig = Rig::new(Policy::default());
    assert_eq!(rig.refused(&refresh_token(&login)), InvalidGrant::NotOurs);
}

// Rule D4.
#[test]
fn one_that_expired_by_a_millisecond_is_refused_and_nothing_is_written() {
    let rig = Rig::new(Policy::default().idle_lifetime(DAY));
    let login = rig.log_in();
    let second = rig.present(&refresh_token(&login)).expect("it rotates");
    let writes = rig.store.writes();
    rig.time.advance(DAY + MILLI);
    let expired = InvalidGrant::Refused(login.family, RefusalReason::Expired);
    assert_eq!(rig.refused(&refresh_token(&second)), expired);
    assert_eq!(rig.store.writes(), writes);
}

#[test]
fn a_key_that_could_be_guessed_is_not_taken() {
    assert_eq!(Keys::new([7; 31]).map(|_| ()), Err(KeyError::TooShort(31)));
    assert_eq!(keys().and_older([]).map(|_| ()), Err(KeyError::TooShort(0)));
    assert!(KeyError::TooShort(31).to_string().contains("31 bytes"));
}

#[test]
fn tokens_outlive_a_change_of_keys_as_long_as_the_older_one_is_kept() {
    let store = MemoryFamilies::new();
    let old = Issuer::builder(keys(), store.clone()).build();
    let login = block_on(old.login(Login::new("web", "alice"))).expect("a login");
    let changed = Keys::new([9; 32]).and_then(|it| it.and_older([7; 32])).expect("long enough");
    let new = Issuer::builder(changed, store.clone()).build();
    assert!(block_on(new.authenticate(&login.access_token)).is_ok());
    let first = block_on(new.refresh("web", &refresh_token(&login), None)).expect("verified");
    let again = block_on(old.refresh("web", &refresh_token(&login), None)).expect("in the overlap");
    // Under another key it is another text, and the same token.
    assert_ne!(again.refresh_token, first.refresh_token);
    let next = block_on(new.refresh("web", &refresh_token(&again), None)).expect("the newest");
    let gone = Issuer::builder(Keys::new([9; 32]).expect("long enough"), store).build();
    assert!(block_on(gone.refresh("web", &refresh_token(&login), None)).is_err());
    assert!(block_on(gone.refresh("web", &refresh_token(&next), None)).is_ok());
}

// Rule G1.
#[test]
fn no_token_and_no_key_shows_in_what_is_printed() {
    let rig = Rig::new(Policy::default());
    let login = rig.log_in();
    let token = refresh_token(&login);
    let reused = rig.present(&token).and_then(|_| block_on(rig.issuer.refresh("x", &token, None)));
    let shown = format!(
        "{:?} {:?} {login:?} {reused:?} {:?}",
        rig.issuer,
        keys(),
        rig.refused(&Secret::from("rt-planted"))
    );
    for secret in [token.expose(), login.access_token.expose(), "rt-planted", "7, 7", "0707070707"]
    {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
    // What is no secret is of use.
    let builder = format!("{:?}", Issuer::builder(keys(), rig.store.clone()));
    for told in [format!("{:?}", rig.issuer), builder] {
        assert!(told.contains("Idempotent"), "which policy it has: {told}");
    }
    assert!(format!("{:?}", keys().and_older([9; 32])).contains("older: 1"));
}

// Rule D4. The program's log is told why; a client is not.
#[test]
fn what_is_denied_says_what_and_its_source_why() {
    let rig = Rig::new(Policy::default());
    let token = refresh_token(&rig.log_in());
    let told = |denied: &GrantError| {
        let why = std::error::Error::source(denied).map(ToString::to_string);
        (denied.to_string(), why.unwrap_or_default())
    };
    let told_of = |what: &str, why: &str| (what.to_owned(), why.to_owned());
    let foreign = rig.present(&Secret::from("rt-planted")).expect_err("it is none");
    let not_ours = "not a refresh token of this issuer";
    assert_eq!(told(&foreign), told_of("the refresh token does not work", not_ours));
    let more = block_on(rig.issuer.refresh("web", &token, Some("admin"))).expect_err("too much");
    assert_eq!(
        told(&more),
        told_of("the scope exceeds what was granted, or what a token can hold", "")
    );
    rig.store.set_down(true);
    let down = rig.present(&token).expect_err("nothing can be read");
    let later = "the token could not be issued now; try again later";
    assert_eq!(told(&down), told_of(later, "it is down"));
}

// Rule D1. What is derived is told apart.
#[test]
fn no_two_tokens_are_alike() {
    let rig = Rig::new(Policy::default());
    let mut seen = BTreeSet::new();
    for _ in 0..100 {
        let mut issued = rig.log_in();
        for _ in 0..3 {
            let token = refresh_token(&issued);
            assert!(seen.insert(token.expose().to_owned()));
            assert!(seen.insert(issued.access_token.expose().to_owned()));
            issued = rig.present(&token).expect("it rotates");
        }
    }
}

proptest! {
    // Rule D4.
    #[test]
    fn no_text_is_taken_for_a_refresh_token_and_none_panics(text in "(prt1_|pat1_)?[A-Za-z0-9_-]{0,120}|\\PC*") {
        let rig = Rig::new(Policy::default());
        prop_assert_eq!(rig.refused(&Secret::from(text.clone())), InvalidGrant::NotOurs);
        prop_assert!(!rig.works(&Secret::from(text)));
    }

    // Rule D4.
    #[test]
    fn a_token_with_another_letter_in_it_is_no_token(at in any::<prop::sample::Index>(), letter in "[A-Za-z0-9_-]") {
        let rig = Rig::new(Policy::default());
        let login = rig.log_in();
        for token in [refresh_token(&login), login.access_token] {
            let at = at.index(token.expose().len());
            let mut text = token.expose().to_owned();
            text.replace_range(at..=at, &letter);
            prop_assume!(text != token.expose());
            let text = Secret::from(text);
            prop_assert_eq!(rig.refused(&text), InvalidGrant::NotOurs);
            prop_assert!(!rig.works(&text));
        }
    }
}
