//! What an answer says of the token.

use perennial::interceptor::ResponseHead;
use perennial::verdict::Classification;

use crate::client::Adapter;
use crate::wire::{answer, soon};
use crate::world::{UNAUTHORIZED, World, answered, on_every_adapter, response};

// Rule E4. Case X23.
async fn a_401_that_is_none_of_the_tokens_is_the_callers_and_rejects_nothing(on: Adapter) {
    // Duende foss: a DPoP-nonce 401 is not a token 401.
    for challenges in [
        &[r#"Bearer error="insufficient_scope", scope="write""#][..],
        &[r#"DPoP error="use_dpop_nonce", algs="ES256""#],
        &[r#"DPoP error="use_dpop_nonce""#, "Bearer"],
        // RFC 9470: a stronger or more recent login is asked for.
        &[r#"Bearer error="insufficient_user_authentication", max_age=5"#],
        &["Bearer", r#"Bearer realm="x" error=insufficient_scope"#],
    ] {
        let world = World::with_api(on, move |_| {
            let headers: Vec<_> = challenges.iter().map(|it| ("www-authenticate", *it)).collect();
            answer(UNAUTHORIZED, &headers, "as it is")
        })
        .await;
        for _ in 0..2 {
            let answered = answered(world.get()).await;
            assert_eq!(answered.status, 401);
            let seen: Vec<_> = answered.headers.get_all("www-authenticate").iter().collect();
            assert_eq!(seen, challenges);
            assert_eq!(soon(answered.text()).await.expect("a body"), "as it is");
        }
        assert_eq!(world.bearers(), ["access-1", "access-1"], "{challenges:?}");
        assert_eq!(world.auth.requests(), 0, "{challenges:?}");
    }
}

// Rule E4. Case X22.
async fn any_other_challenge_counts_also_of_another_scheme_alone_and_so_does_none(on: Adapter) {
    for challenges in [
        &[][..],
        &["Bearer"],
        &[r#"Bearer realm="a, b", error="invalid_token""#],
        &[r#"Basic realm="x", Bearer realm="y""#],
        &["Bearer", r#"Basic realm="x""#],
        &[r#"OAuth realm="x""#],
        &[r#"Basic realm="other""#],
        &["Negotiate"],
        &["Token"],
        &["\"garbled"],
    ] {
        let world = World::with_api(on, move |request| match request.bearer() {
            "access-1" => {
                let headers = challenges.iter().map(|it| ("www-authenticate", *it));
                answer(UNAUTHORIZED, &headers.collect::<Vec<_>>(), "")
            }
            _ => answer("200 OK", &[], "done"),
        })
        .await;
        assert_eq!(response(world.get()).await, (200, "done".to_owned()), "{challenges:?}");
        assert_eq!((world.api.requests(), world.auth.requests()), (2, 1), "{challenges:?}");
    }
}

// Rules E2, E4.
async fn only_a_401_is_replayed_and_costs_the_token_its_place(on: Adapter) {
    for status in [
        "400 Bad Request",
        "403 Forbidden",
        "407 Proxy Authentication Required",
        "419 Expired",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ] {
        let world = World::with_api(on, move |_| answer(status, &[], "as it is")).await;
        for _ in 0..2 {
            assert_eq!(response(world.get()).await.1, "as it is");
        }
        assert_eq!(world.bearers(), ["access-1", "access-1"], "{status}");
        assert_eq!(world.auth.requests(), 0, "{status}");
    }
}

// Rule E4.
async fn a_program_says_itself_what_a_rejection_looks_like(on: Adapter) {
    let world = World::with_api(on, |request| match request.bearer() {
        "access-1" => answer("419 Expired", &[], ""),
        _ => answer("200 OK", &[], "done"),
    })
    .await;
    let interceptor = world.interceptor().classify(|answer: ResponseHead<'_>| {
        if answer.status.as_u16() == 419 { Classification::Rejected } else { answer.classify() }
    });
    let world = world.intercepted_by(interceptor);
    assert_eq!(response(world.get()).await, (200, "done".to_owned()));
    assert_eq!(
        (world.bearers(), world.auth.requests()),
        (vec!["access-1".into(), "access-2".into()], 1)
    );
}

on_every_adapter!(
    a_401_that_is_none_of_the_tokens_is_the_callers_and_rejects_nothing,
    any_other_challenge_counts_also_of_another_scheme_alone_and_so_does_none,
    only_a_401_is_replayed_and_costs_the_token_its_place,
    a_program_says_itself_what_a_rejection_looks_like,
);
