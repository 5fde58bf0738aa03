//! Good answers that leave something out, or say it in an odd way.

use std::time::Duration;

use perennial::time::{Lifetime, Span};
use perennial::token::Secret;

use crate::wire::Exchange;
use crate::wire::scene::{HOUR, START, Scene, mends_after, while_the_old_token_works};

async fn refreshed(body: &str) -> Scene {
    let mut scene = Scene::without_token().await;
    let token = scene.refresh(async |exchange| exchange.json(body).await).await;
    assert_eq!(token.expect("a token").expose(), "access-2", "{body}");
    scene
}

// Rule B14.
#[tokio::test]
async fn an_answer_that_names_no_new_refresh_token_keeps_the_old_one() {
    let silent = [
        r#"{"access_token":"access-2","expires_in":3600}"#,
        r#"{"access_token":"access-2","expires_in":3600,"refresh_token":null}"#,
        r#"{"access_token":"access-2","expires_in":3600,"refresh_token":""}"#,
        r#"{"access_token":"access-2","expires_in":3600,"refresh_token":"refresh-1"}"#,
        r#"{"access_token":"access-2","expires_in":3600,"refresh_token":17}"#,
    ];
    for body in silent {
        let mut scene = refreshed(body).await;
        assert_eq!(scene.held(), "refresh-1", "{body}");
        scene.recovers("refresh-1").await;
    }
}

// Rule A4.
#[tokio::test]
async fn a_lifetime_that_cannot_be_read_is_a_missing_one_and_the_tokens_are_kept() {
    for told in [r#""soon""#, "null", "true", "{}", "[3600]", r#""""#, r#""inf""#, r#""NaN""#] {
        let body = format!(
            r#"{{"access_token":"access-2","refresh_token":"refresh-2","expires_in":{told}}}"#
        );
        let mut scene = refreshed(&body).await;
        assert_eq!(scene.held(), "refresh-2");
        let grant = scene.session.grant().expect("a grant");
        assert_eq!(grant.lifetime(), Lifetime::Unstated, "{told}");
        // The policy says an hour.
        let token = scene.token().await;
        assert_eq!(token.expires_at(), Some(START.saturating_add(HOUR.into())), "{told}");
        scene.recovers("refresh-2").await;
    }
}

// Rule A4.
#[tokio::test]
async fn a_lifetime_is_read_as_a_number_or_as_a_text_that_holds_one() {
    let told = [
        ("3600", 3_600_000),
        (r#""3600""#, 3_600_000),
        (r#"" 3600 ""#, 3_600_000),
        ("3.6e3", 3_600_000),
        ("3599.9999", 3_599_999),
        (r#""12.5""#, 12_500),
    ];
    for (told, millis) in told {
        let scene =
            refreshed(&format!(r#"{{"access_token":"access-2","expires_in":{told}}}"#)).await;
        let expires = START.saturating_add(Span::from_millis(millis));
        assert_eq!(scene.token().await.expires_at(), Some(expires), "{told}");
    }
    let forever = refreshed(r#"{"access_token":"access-2","expires_in":1e300}"#).await;
    forever.time.advance(Duration::from_secs(1_000_000_000));
    assert_eq!(forever.token().await.expose(), "access-2");
}

// Rules B10, B14.
#[tokio::test]
async fn a_token_that_was_born_dead_is_a_failure_that_keeps_its_refresh_token() {
    for told in ["0", "-5", r#""-1""#, "0.0004"] {
        let body = format!(
            r#"{{"access_token":"access-dead","refresh_token":"refresh-2","expires_in":{told}}}"#
        );
        let error = mends_after(async |exchange| exchange.json(&body).await, "refresh-2").await;
        assert_eq!(error.to_string(), "the access token was no longer usable when it arrived");
    }
}

// Rule B14.
#[tokio::test]
async fn a_refresh_token_that_comes_alone_is_kept_and_presented_next() {
    let bodies = [
        r#"{"refresh_token":"refresh-2"}"#,
        r#"{"access_token":null,"refresh_token":"refresh-2","expires_in":3600}"#,
        r#"{"access_token":"","refresh_token":"refresh-2","expires_in":3600}"#,
        r#"{"access_token":{"of":"another dialect"},"refresh_token":"refresh-2"}"#,
    ];
    for body in bodies {
        let error = mends_after(async |exchange| exchange.json(body).await, "refresh-2").await;
        assert_eq!(error.to_string(), "the token response contained no usable access token");
    }
}

// Rules B14, G2.
#[tokio::test]
async fn an_access_token_that_no_header_may_carry_is_never_handed_out() {
    for token in
        [r"access\n-2", r"access\r\nx: y", "access 2", r"acc\u0000ess", "äccess", r"\u007f"]
    {
        let with_refresh_token = format!(
            r#"{{"access_token":"{token}","refresh_token":"refresh-2","expires_in":3600}}"#
        );
        mends_after(async |exchange| exchange.json(&with_refresh_token).await, "refresh-2").await;
        let alone = format!(r#"{{"access_token":"{token}","expires_in":3600}}"#);
        mends_after(async |exchange| exchange.json(&alone).await, "refresh-1").await;
    }
}

// Rules B5, B10.
#[tokio::test]
async fn an_answer_that_is_dead_on_arrival_takes_nothing_from_the_token_that_works() {
    let bad = async |exchange: Exchange| {
        exchange.json(r#"{"access_token":"access-dead","expires_in":0}"#).await;
    };
    let scene = while_the_old_token_works(bad, "refresh-1").await;
    let grant = scene.session.grant().expect("a grant");
    assert_eq!(grant.refresh_token().map(Secret::expose), Some("refresh-1"));
}
