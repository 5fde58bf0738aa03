//! What a token endpoint's answers mean, without an HTTP client: each case from the field, the kind
//! that it is of, and others of its kind.

use std::time::Duration;

use perennial::lifecycle::Failure;
use perennial::refresh::RefreshError;
use perennial::time::{Span, Timestamp};
use perennial::token::{Grant, Leniency, Secret};
use perennial::wire::{Client, ClientBuilder};

#[path = "../wire/mod.rs"]
mod wire;

mod bytes;
mod credible;
mod dialects;
mod lifetimes;
mod odd;
mod own;
mod places;
mod provider;
mod read_answer;
mod refresh_grant;
mod refresh_grant_bad_input;
mod refused;
mod token_types;
mod unlisted;
mod wrapped;

const JSON: (&str, &str) = ("content-type", "application/json");
const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The answer of ten minutes, with which most of these have something wrong.
const GOOD: &str = r#"{"access_token":"at-2","refresh_token":"rt-2","expires_in":600}"#;

fn client() -> ClientBuilder {
    Client::builder("https://auth.example.com/token?key=hush", "app").client_secret("hush")
}

/// What the answer to a presentation of `rt-1` means.
fn read_by(
    client: ClientBuilder,
    status: u16,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Grant, RefreshError> {
    let client = client.build().expect("a client");
    let headers = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    let read = client.refresh(&Secret::from("rt-1")).read_response(status, headers, body);
    if let Err(error) = &read {
        for text in [error.to_string(), format!("{error:?}")] {
            let shown = ["hush", "rt-1", "rt-2", "at-2"].iter().any(|it| text.contains(it));
            assert!(!shown, "a secret is shown: {text}");
        }
    }
    read
}

fn read(status: u16, headers: &[(&str, &str)], body: &str) -> Result<Grant, RefreshError> {
    read_by(client(), status, headers, body.as_bytes())
}

fn refused(status: u16, headers: &[(&str, &str)], body: &str) -> RefreshError {
    read(status, headers, body).expect_err(body)
}

const UNAVAILABLE: Failure<Timestamp> = Failure::Unavailable { retry_after: None };
const UNEXPLAINED: Failure<Timestamp> = Failure::Unexplained { retry_after: None };
const MISCONFIGURED: Failure<Timestamp> = Failure::Misconfigured { retry_after: None };

fn after(seconds: u64) -> Failure<Timestamp> {
    Failure::Unavailable { retry_after: Some(Span::from_secs(seconds)) }
}

/// The tokens of a grant, or none of them.
fn tokens(grant: &Grant) -> (Option<&str>, Option<&str>) {
    (grant.access_token().map(Secret::expose), grant.refresh_token().map(Secret::expose))
}

/// A grant of the answer of ten minutes, and what had to be tolerated for it.
#[track_caller]
fn assert_good(read: Result<Grant, RefreshError>, tolerated: &[Leniency]) {
    let grant = read.expect("a grant");
    assert_eq!(tokens(&grant), (Some("at-2"), Some("rt-2")));
    let now = Timestamp::from_secs(1_700_000_000);
    assert_eq!(grant.lifetime().span(now), Some(Duration::from_secs(600).into()));
    assert_eq!(grant.leniencies().collect::<Vec<_>>(), tolerated);
}
