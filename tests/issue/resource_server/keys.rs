//! The key set: when it is fetched, and which keys are used meanwhile.

use std::time::Duration;

use perennial::issue::AuthenticationError;
use serde_json::{Value, json};

use super::support::{LIFETIME, Machine, Reply, Server, is_unchecked, is_unverified, set, token};
use crate::support::{DAY, HOUR, MILLI, SECOND, START, just_before};

// Rule D8.
#[test]
fn any_number_of_tokens_at_once_cause_one_fetch() {
    let server = Server::new(Reply::Hang);
    let mut all: Vec<_> = (0..50).map(|_| server.start(&token(1))).collect();
    assert!(all.iter_mut().all(|one| one.poll().is_none()), "without keys they wait");
    assert_eq!(server.machine.count(), 1);
    server.machine.answer(Reply::Body(set([1])));
    for mut one in all {
        let identity = one.poll().expect("the keys are there").expect("a good token");
        assert_eq!((&*identity.subject, &*identity.client), ("alice", "web"));
        assert_eq!(identity.scope.as_deref(), Some("read"));
    }
    for _ in 0..100 {
        server.now(&token(1)).expect("nothing is fetched for it");
    }
    assert_eq!(server.machine.count(), 1);
    let seen = &server.machine.seen()[0];
    assert!(seen.contains("GET") && seen.contains("https://auth.example.com/jwks.json"), "{seen}");
}

// Rule D8.
#[test]
fn while_a_set_is_fetched_before_it_expires_the_old_keys_verify_and_nobody_waits() {
    let server = Server::ready();
    server.machine.reply(Reply::Hang);
    server.advance(just_before(LIFETIME));
    for _ in 0..10 {
        server.now(&token(1)).expect("the old set has not expired");
    }
    assert_eq!(server.machine.count(), 2, "one fetch is out");
    server.machine.answer(Reply::Body(set([2, 1])));
    server.now(&token(1)).expect("in both sets");
    server.now(&token(2)).expect("in the new set");
    assert_eq!(server.machine.count(), 2);
}

// Rule D8.
#[test]
fn a_token_of_a_new_key_waits_for_one_fetch_and_is_verified_by_it() {
    let server = Server::ready();
    server.machine.reply(Reply::Hang);
    let mut new: Vec<_> = (0..20).map(|_| server.start(&token(2))).collect();
    assert!(new.iter_mut().all(|one| one.poll().is_none()));
    assert_eq!(server.machine.count(), 2);
    server.now(&token(1)).expect("a known key is not waited for");
    server.machine.answer(Reply::Body(set([2, 1])));
    assert!(new.iter_mut().all(|one| one.poll().expect("fetched").is_ok()));
    assert_eq!(server.machine.count(), 2);
    server.machine.reply(Reply::Body(set([3, 2])));
    server.advance(30 * SECOND);
    server.now(&token(3)).expect("the next rotation");
    assert!(is_unverified(&server.now(&token(1))), "withdrawn by it");
}

// Rule D8.
#[test]
fn a_failed_fetch_for_an_unknown_key_is_tried_again_after_the_cooldown_whoever_comes() {
    let server = Server::ready();
    server.machine.reply(Reply::Unreachable);
    assert!(is_unchecked(&server.now(&token(2))));
    server.machine.reply(Reply::Body(set([2, 1])));
    server.advance(just_before(30 * SECOND));
    server.now(&token(1)).expect("a known key");
    assert_eq!(server.machine.count(), 2);
    server.advance(3 * SECOND);
    server.now(&token(1)).expect("a known key");
    assert_eq!(server.machine.count(), 3);
    server.now(&token(2)).expect("it is known by now");
    assert_eq!(server.machine.count(), 3);
}

// Rule D8.
#[test]
fn unknown_keys_cause_a_fetch_each_cooldown_and_no_more_whatever_the_fetch_brings() {
    let (known, unknown) = (token(1), [token(2), token(3), token(4)]);
    for reply in
        [Reply::Body(set([1])), Reply::Unreachable, Reply::Whole(503, vec![], String::new())]
    {
        let server = Server::ready();
        server.machine.reply(reply);
        for second in 0..600_u32 {
            for unknown in &unknown {
                let result = server.now(unknown);
                assert!(is_unverified(&result) || is_unchecked(&result), "{result:?}");
            }
            if second % 7 == 0 {
                server.now(&known).expect("known keys stay available");
            }
            let fetches = server.machine.count() - 1;
            assert!(fetches <= 1 + second as usize / 30, "{fetches} after {second} s");
            server.advance(SECOND);
        }
        assert!(server.machine.count() > 10, "and they go on causing one");
    }
}

// Rule D8.
#[test]
fn a_known_key_verifies_while_a_fetch_for_an_unknown_one_is_out_hangs_and_has_failed() {
    let server = Server::ready();
    server.machine.reply(Reply::Hang);
    let mut unknown = server.start(&token(2));
    for _ in 0..20 {
        assert!(unknown.poll().is_none_or(|result| is_unchecked(&result)));
        server.now(&token(1)).expect("a known key");
        server.advance(SECOND);
        unknown = server.start(&token(2));
    }
    server.machine.reply(Reply::Unreachable);
    server.advance(60 * SECOND);
    let failed = server.now(&token(2));
    let Err(AuthenticationError::Unchecked(why)) = failed else { panic!("{failed:?}") };
    assert!(why.retry_in().is_some_and(|delay| delay <= 31 * SECOND), "{why:?}");
    server.now(&token(1)).expect("a known key");
    server.machine.reply(Reply::Body(set([2, 1])));
    server.advance(31 * SECOND);
    server.now(&token(2)).expect("fetched");
}

// Rule D8.
#[test]
fn a_new_key_is_rejected_until_the_cooldown_of_another_is_over() {
    let server = Server::ready();
    assert!(is_unverified(&server.now(&token(3))));
    server.machine.reply(Reply::Body(set([2, 1])));
    server.advance(just_before(30 * SECOND));
    assert!(is_unverified(&server.now(&token(2))));
    assert_eq!(server.machine.count(), 2);
    server.advance(MILLI);
    server.now(&token(2)).expect("the cooldown is over");
}

// Rule D8.
#[test]
fn where_a_set_cannot_be_renewed_it_is_used_for_a_day_beyond_its_expiry_and_no_longer() {
    let server = Server::ready();
    server.machine.reply(Reply::Unreachable);
    server.advance(LIFETIME);
    let known = token(1);
    for _ in 0..(24 * 6) - 1 {
        server.now(&known).expect("within the grace");
        server.advance(600 * SECOND);
    }
    server.advance(just_before(600 * SECOND));
    server.now(&token(1)).expect("the last millisecond");
    server.advance(MILLI);
    let refused = server.now(&token(1));
    assert!(is_unchecked(&refused), "{refused:?}");
    server.machine.reply(Reply::Body(set([1])));
    server.advance(60 * SECOND);
    server.now(&token(1)).expect("the issuer is back");
}

// Rule D8.
#[test]
fn without_a_grace_an_expired_set_is_not_used() {
    let server = Server::with(Reply::Body(set([1])), |builder| builder.grace(Duration::ZERO));
    server.now(&token(1)).expect("fetched");
    server.machine.reply(Reply::Unreachable);
    server.advance(just_before(LIFETIME));
    server.now(&token(1)).expect("not expired");
    server.advance(MILLI);
    assert!(is_unchecked(&server.now(&token(1))));
}

// Rule D8.
#[test]
fn an_expired_set_is_renewed_before_it_is_used_unless_that_takes_too_long() {
    let server = Server::ready();
    server.machine.reply(Reply::Hang);
    server.advance(LIFETIME + HOUR);
    let mut first = server.start(&token(1));
    assert!(first.poll().is_none(), "the issuer may have withdrawn the key");
    server.machine.answer(Reply::Body(set([2])));
    server.machine.reply(Reply::Body(set([2])));
    assert!(is_unverified(&first.poll().expect("fetched")), "it has");

    let server = Server::ready();
    server.machine.reply(Reply::Hang);
    server.advance(LIFETIME + HOUR);
    let mut first = server.start(&token(1));
    assert!(first.poll().is_none());
    server.advance(5 * SECOND);
    first.poll().expect("it has waited for long enough").expect("within the grace");
    server.now(&token(1)).expect("nobody else waits then");
    assert_eq!(server.machine.count(), 2);
}

// Rule D8.
#[test]
fn a_damaged_set_is_a_failed_fetch_and_the_old_keys_stay() {
    let only = |key: Value| json!({ "keys": [key] }).to_string();
    let good: Value = serde_json::from_str(&set([2])).expect("JSON");
    let with = |member: &str, value: Value| {
        let mut key = good["keys"][0].clone();
        key[member] = value;
        only(key)
    };
    let cases = [
        String::new(),
        "<html>".into(),
        "[]".into(),
        "{}".into(),
        r#"{"keys":{}}"#.into(),
        r#"{"keys":[]}"#.into(),
        set([2])[..40].into(),
        only(json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "x" })),
        only(json!(7)),
        with("use", json!("enc")),
        with("key_ops", json!(["encrypt"])),
        with("alg", json!("ES256")),
        with("crv", json!("X25519")),
        with("x", json!("AAAA")),
        // A point of small order: one signature by it is good for any message.
        with("x", json!("AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
        format!("{}{}", set([2]), " ".repeat(2 << 20)),
    ];
    for case in cases {
        let text = case[..case.len().min(60)].to_owned();
        let server = Server::ready();
        server.machine.reply(Reply::Body(case));
        assert!(is_unchecked(&server.now(&token(2))), "{text}");
        assert_eq!(server.machine.count(), 2, "{text}");
        server.now(&token(1)).expect("the old set stays");
    }
    for status in [204, 301, 404, 500] {
        let server = Server::ready();
        server.machine.reply(Reply::Whole(status, vec![], set([2])));
        assert!(is_unchecked(&server.now(&token(2))), "{status}");
        server.now(&token(1)).expect("the old set stays");
    }
}

// Rule D8.
#[test]
fn keys_that_cannot_verify_are_skipped_and_the_others_are_used() {
    let mut all: Value = serde_json::from_str(&set([1, 2])).expect("JSON");
    let keys = all["keys"].as_array_mut().expect("keys");
    keys.insert(0, json!({ "kty": "oct", "kid": "shared", "k": "AAAA" }));
    keys.insert(0, json!("no key"));
    keys.insert(0, json!({ "kty": "AKP", "kid": "new", "alg": "ML-DSA-44", "pub": "AA" }));
    let server = Server::new(Reply::Body(all.to_string()));
    server.now(&token(1)).expect("in the set");
    server.now(&token(2)).expect("in the set");
}

#[test]
fn a_set_lives_as_long_as_its_response_says_within_bounds() {
    let cases: [(&[(&str, &str)], Duration); 12] = [
        (&[], HOUR),
        (&[("cache-control", "max-age=7200")], 2 * HOUR),
        (&[("cache-control", "public, Max-Age=\"7200\", must-revalidate")], 2 * HOUR),
        (&[("cache-control", "public"), ("cache-control", "max-age=7200")], 2 * HOUR),
        (&[("cache-control", "max-age=7200"), ("age", "3600")], HOUR),
        (&[("cache-control", "max-age=1")], 300 * SECOND),
        (&[("cache-control", "max-age=0")], 300 * SECOND),
        (&[("cache-control", "max-age=soon")], 300 * SECOND),
        (&[("cache-control", "max-age=7200, no-store")], 300 * SECOND),
        (&[("cache-control", "max-age=31536000")], DAY),
        (&[("cache-control", "max-age=99999999999999999999")], DAY),
        (&[("cache-control", "private")], HOUR),
    ];
    for (headers, lifetime) in cases {
        let headers: Vec<_> = headers.iter().copied().map(leaked).collect();
        let server = Server::new(Reply::Whole(200, headers.clone(), set([1])));
        server.now(&token(1)).expect("fetched");
        let token = server.verifier.session().try_token().expect("the set");
        let expected = START.saturating_add(lifetime.into());
        assert_eq!(token.expires_at(), Some(expected), "{headers:?}");
    }
}

fn leaked((name, value): (&str, &str)) -> (&'static str, &'static str) {
    (name.to_owned().leak(), value.to_owned().leak())
}

// Rule D8.
#[test]
fn without_any_key_the_error_says_when_to_try_again_and_the_next_fetch_is_not_held_back_for_long() {
    let server = Server::new(Reply::Unreachable);
    let refused = server.now(&token(1));
    let Err(AuthenticationError::Unchecked(why)) = refused else { panic!("{refused:?}") };
    assert!(why.retry_in().is_some_and(|delay| delay <= SECOND), "{why:?}");
    assert!(!format!("{why:?} {why}").contains(token(1).expose()));
    server.machine.reply(Reply::Body(set([1])));
    server.advance(SECOND);
    server.now(&token(1)).expect("the issuer is back");
}

#[test]
fn a_key_set_is_fetched_over_https_or_from_this_machine() {
    use perennial::adapters::resource_server::JwtVerifier;
    let build = |url: &str| {
        JwtVerifier::builder("i", "a", url, Machine::default()).build().map_err(|it| it.to_string())
    };
    for good in ["https://a.example/keys", "http://127.0.0.1:8080/keys", "http://localhost/keys"] {
        assert!(build(good).is_ok(), "{good}");
    }
    for wrong in
        ["", "keys", "http://a.example/keys", "ftp://a.example/keys", "https://u:p@a.example/"]
    {
        let error = build(wrong).expect_err("not to be used");
        assert!(error.starts_with("the key set endpoint"), "{error}");
    }
}
