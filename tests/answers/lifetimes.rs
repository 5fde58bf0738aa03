//! How long tokens live, in whichever words it is said (rules A3, A4).

use perennial::time::{Lifetime, Span, Timestamp};

use crate::{JSON, read};

/// `Tue, 14 Nov 2023 22:13:20 GMT`, when the answers come, by their own `Date`.
const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
const DATE: (&str, &str) = ("date", "Tue, 14 Nov 2023 22:13:20 GMT");

fn lifetime(members: &str) -> Lifetime {
    let body = format!(r#"{{"access_token":"at-2",{members}}}"#);
    read(200, &[JSON, DATE], &body).expect("a grant").lifetime()
}

/// How long the access token lives, in milliseconds.
fn lives(members: &str) -> Option<u64> {
    lifetime(members).span(NOW).map(Span::as_millis)
}

/// In how many seconds the refresh token ends.
fn refresh_token_ends(members: &str) -> Option<i64> {
    let body = format!(r#"{{"access_token":"at-2","refresh_token":"rt-2",{members}}}"#);
    let grant = read(200, &[JSON, DATE], &body).expect("a grant");
    let ends = grant.refresh_token_expires_at()?;
    Some((ends.as_millis() - NOW.as_millis()) / 1000)
}

// Rule A4. Case X14.
#[test]
fn an_answer_that_says_when_it_ends_is_never_given_the_default() {
    for members in [
        r#""expires_in":600"#,
        r#""expires_in":"600""#,
        r#""expires_in":"600s""#,
        r#""expires_in":"2023-11-14T22:23:20Z""#,
        r#""expires_in_sec":600,"expires_in":600000"#,
        r#""expires_in_ms":600000"#,
        r#""expiresIn":600"#,
        r#""expireIn":600"#,
        r#""expire":600"#,
        r#""expires":600"#,
        r#""expires":"600""#,
        r#""expires":1700000600"#,
        r#""expires":"Tue, 14 Nov 2023 22:23:20 GMT""#,
        r#"".expires":"Tue, 14 Nov 2023 22:23:20 GMT""#,
        r#""expires_at":"2023-11-14T22:23:20Z""#,
        r#""expires_at":"2023-11-14T22:23:20.000Z""#,
        r#""expires_at":"2023-11-15T00:23:20+02:00""#,
        r#""expires_at":"2023-11-15T00:23:20+0200""#,
        r#""expires_at":"20231114T222320Z""#,
        r#""expires_at":"2023-11-14T22:23:20""#,
        r#""expires_at":"2023-11-14 22:23:20""#,
        r#""expires_at":"2023-11-14 22:23:20 +0000""#,
        r#""expires_at":"2023-11-14 22:23:20 UTC""#,
        r#""expires_at":"Tuesday, 14-Nov-23 22:23:20 GMT""#,
        r#""expires_at":"Tue Nov 14 22:23:20 2023""#,
        r#""expires_at":"Tue, 14 Nov 2023 22:23:20 +0000""#,
        r#""expires_at":"\u0032023-11-14T22:23:20Z""#,
        r#""expires_at":1700000600"#,
        r#""expires_at":1700000600.0"#,
        r#""expires_at":1700000600000"#,
        r#""expires_at":"1700000600000""#,
        r#""expires_at":1.7000006e15"#,
        r#""expires_at":600"#,
        r#""expiresAt":1700000600000"#,
        r#""expires_on":"1700000600""#,
        r#""expires_on":"11/14/2023 10:23:20 PM +00:00""#,
        r#""expiresOn":"2023-11-14 22:23:20.000000""#,
        r#""expiry":"2023-11-14T22:23:20.000000000Z""#,
        r#""expiry_date":1700000600000"#,
        r#""expireTime":"2023-11-14T22:23:20Z""#,
        r#""access_token_expire_in":1700000600"#,
        r#""access_token_expires_at":"2023-11-14T22:23:20Z""#,
        r#""exp":1700000600,"iat":1700000000"#,
        r#""expires_in":null,"expires_at":1700000600"#,
        r#""expires_in":"soon","expires":1700000600"#,
    ] {
        assert_eq!(lives(members), Some(600_000), "{members}");
    }
}

// Rule A4. Case X15.
#[test]
fn an_escaped_number_is_that_number() {
    assert_eq!(lives(r#""expires_in":"\u0033600""#), Some(3_600_000));
}

// Rule A3.
#[test]
fn a_relative_lifetime_beats_an_absolute_one_whichever_comes_first() {
    for members in [
        r#""expires_in":600,"expires_at":1700009999"#,
        r#""expires_at":1700009999,"expires_in":600"#,
        r#""expires":"2023-11-15T22:23:20Z","expires_in":"600""#,
        r#""expires_on":"1700009999","expires":600"#,
    ] {
        assert_eq!(lifetime(members), Lifetime::For(Span::from_secs(600)), "{members}");
    }
}

// Rule A4.
#[test]
fn a_number_is_a_date_from_thirty_one_years_on_and_the_standards_never() {
    assert_eq!(lives(r#""expires":999999999"#), Some(999_999_999_000));
    assert_eq!(lives(r#""expires":1000000000"#), Some(0), "a date of 2001, long over");
    assert_eq!(lives(r#""expires_in":1700000600"#), Some(1_700_000_600_000));
    assert_eq!(lives(r#""expires_at":0"#), Some(0));
    assert_eq!(lives(r#""expires":-1"#), Some(0));
    let forever = lives(r#""expires_at":1e300"#).expect("a lifetime");
    assert!(forever > 1 << 60, "{forever}");
    assert_eq!(lives(r#""expires_in":1e300"#), Some(u64::MAX));
}

// Rule A4.
#[test]
fn what_cannot_be_read_is_as_if_it_were_not_there() {
    for said in
        [r#""soon""#, "null", "true", "{}", "[600]", r#""""#, r#""tomorrow 5 pm""#, r#""2023""#]
    {
        for name in ["expires_in", "expires", "expires_at"] {
            let members = format!(r#""{name}":{said}"#);
            // A year alone is a number, and two thousand seconds.
            let is_number = said == r#""2023""#;
            assert_eq!(lives(&members), is_number.then_some(2_023_000), "{members}");
        }
    }
}

// Rule B14. Case X16.
#[test]
fn a_refresh_tokens_end_is_told_in_whichever_words() {
    for members in [
        r#""x_refresh_token_expires_in":600"#,
        r#""refresh_token_expires_in":"600""#,
        r#""refresh_expires_in":600"#,
        r#""refreshTokenExpiresIn":600"#,
        r#""refresh_token_expires_at":"2023-11-14T22:23:20Z""#,
        r#""refresh_token_expires_at":1700000600"#,
        r#""refreshTokenExpiresAt":1700000600000"#,
        r#""refresh_token_expire_in":1700000600"#,
    ] {
        assert_eq!(refresh_token_ends(members), Some(600), "{members}");
    }
    assert_eq!(refresh_token_ends(r#""x_refresh_token_expires_in":8726400"#), Some(8_726_400));
    assert_eq!(refresh_token_ends(r#""refresh_expires_in":0"#), None, "it has no end");
    assert_eq!(refresh_token_ends(r#""expires_in":600"#), None);
}

// Rule A4.
#[test]
fn a_form_says_it_as_well() {
    let grant = read(200, &[], "access_token=at-2&expires=600").expect("a grant");
    assert_eq!(grant.lifetime(), Lifetime::For(Span::from_secs(600)));
    let grant = read(200, &[DATE], "access_token=at-2&expires_at=2023-11-14T22%3A23%3A20Z");
    let lifetime = grant.expect("a grant").lifetime();
    assert_eq!(lifetime.span(NOW), Some(Span::from_secs(600)));
}

// Rule A4. Case X14.
#[test]
fn a_date_is_read_in_each_form_in_which_it_is_written() {
    for date in [
        "2023-11-14 17:23:20 -0500",
        "2023-11-14 17:23:20 -05:00",
        "2023-11-14 22:23:20 +0000 UTC",
        "2023-11-14 22:23:20.123456789 +0000 UTC m=+3600.1",
        "2023-11-14 22:23:20 GMT",
        "2023-11-14T22:23:20 GMT",
        "2023-11-14 22:23:20+00",
        "2023-11-14 17:23:20-05",
        "2023-11-14T22:23:20z",
        "2023-11-14T22:23:20Z[UTC]",
        "2023-11-14T23:23:20+01:00[Europe/Berlin]",
        "Tue, 14 Nov 2023 22:23:20 UTC",
        "Tue, 14 Nov 2023 22:23:20 Z",
        "Tue Nov 14 2023 22:23:20 GMT+0000 (Coordinated Universal Time)",
        "Tue Nov 14 2023 17:23:20 GMT-0500 (EST)",
        "/Date(1700000600000)/",
        "/Date(1700000600000+0100)/",
        "20231114222320",
        "20231114222320Z",
    ] {
        for name in ["expires_at", "expires", "access_token_expiration"] {
            let members = format!(r#""{name}":"{date}""#);
            let lives = lives(&members).map(|millis| millis / 1000);
            assert_eq!(lives, Some(600), "{members}");
        }
    }
    assert_eq!(lives(r#""expires_at":20231114222320"#), Some(600_000));
    assert_eq!(lives(r#""expires_at":20231399222320"#).map(|it| it > 1 << 43), Some(true));
}

// Rule A4. Case X14.
#[test]
fn a_duration_is_read_in_each_form_in_which_it_is_written() {
    for duration in [
        "10m",
        "10 min",
        "600s",
        "600 s",
        "600sec",
        "600 seconds",
        "10 minutes",
        "0h10m",
        "9m 60s",
        "600000ms",
        "PT10M",
        "PT600S",
        "P0DT10M0S",
        "pt10m",
        "00:10:00",
        "0:10:00",
        "00:10:00.000",
    ] {
        for name in ["expires_in", "expiresIn", "expires_at"] {
            let members = format!(r#""{name}":"{duration}""#);
            assert_eq!(lives(&members), Some(600_000), "{members}");
        }
    }
    assert_eq!(lives(r#""expires_in":"1h""#), Some(3_600_000));
    assert_eq!(lives(r#""expires_in":"1 hour 30 minutes""#), Some(5_400_000));
    assert_eq!(lives(r#""expires_in":"7d""#), Some(604_800_000));
    assert_eq!(refresh_token_ends(r#""refresh_token_expires_in":"P90D""#), Some(7_776_000));
    assert_eq!(lives(&format!(r#""expires_in":"{}h""#, "9".repeat(400))), Some(u64::MAX));
    for nonsense in [
        "PT", "P", "P1Y", "P1M", "10", "m", "10x", "1h-5m", "-5m", "never", "10:00", "1:2:3:4",
        "00:99:00",
    ] {
        let read = lives(&format!(r#""expires_in":"{nonsense}""#));
        let is_number = nonsense == "10";
        assert_eq!(read, is_number.then_some(10_000), "{nonsense}");
    }
}

// Rule A4. Case X14.
#[test]
fn further_names_that_providers_document_are_known() {
    for members in [
        r#""access_expiration":"2023-11-14T22:23:20Z""#,
        r#""access_token_expiration":"2023-11-14T22:23:20Z""#,
        r#""accessTokenExpiration":"2023-11-14T22:23:20Z""#,
        r#""ExpiresIn":600"#,
        r#""accessTokenExpires":1700000600000"#,
        r#""access_token_expires":1700000600"#,
        r#""accessTokenExpiry":1700000600"#,
        r#""valid_until":"2023-11-14T22:23:20Z""#,
        r#""validUntil":"2023-11-14T22:23:20Z""#,
        r#""expires_in_seconds":600"#,
        r#""expiresInSeconds":"600""#,
    ] {
        assert_eq!(lives(members), Some(600_000), "{members}");
    }
    for members in [
        r#""refresh_expiration":"2023-11-14T22:23:20Z""#,
        r#""refresh_token_expiration":600"#,
        r#""refreshTokenExpires":1700000600000"#,
    ] {
        assert_eq!(refresh_token_ends(members), Some(600), "{members}");
    }
}

// Rule A4: what languages write for no date at all.
#[test]
fn a_date_in_a_text_at_the_beginning_of_the_epoch_or_before_says_nothing() {
    for date in [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00",
        "0001-01-01 00:00:00 +0000 UTC",
        "1970-01-01T00:00:00Z",
        "1970-01-01T01:00:00+01:00",
        "1970-01-01T00:00:00-05:00",
        "1969-12-31T19:00:00Z",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "/Date(0)/",
        "/Date(-62135596800000)/",
    ] {
        let members = format!(r#""expiry":"{date}""#);
        assert_eq!(lives(&members), None, "{date}");
        let with_another = format!(r#""expires_at":"{date}","expiry":"2023-11-14T22:23:20Z""#);
        assert_eq!(lives(&with_another), Some(600_000), "{date}");
        let of_refresh_token = format!(r#""refresh_token_expires_at":"{date}""#);
        assert_eq!(refresh_token_ends(&of_refresh_token), None, "{date}");
    }
    assert_eq!(lives(r#""expires_at":"1999-01-01T00:00:00Z""#), Some(0), "that is over");
    assert_eq!(lives(r#""expires_at":0"#), Some(0), "and so is a number");
}
