//! What goes over the wire to a token endpoint and back (RFC 6749), without the wire (feature
//! `wire`): for the adapters, and for programs with an HTTP client of their own.
//!
//! ```
//! use perennial::wire::Client;
//! # use perennial::token::Secret;
//!
//! let client = Client::builder("https://auth.example.com/token", "my-client").build()?;
//! let form = client.refresh(&Secret::from("rt-1"));
//! assert_eq!(form.body(), "grant_type=refresh_token&refresh_token=rt-1&client_id=my-client");
//! // Send it by POST to `form.url()`, with `form.headers()`. Then:
//! let headers = [("Content-Type", &b"application/json"[..])];
//! let grant = form.read_answer(200, headers, br#"{"access_token":"at-2","expires_in":"3600"}"#)?;
//! assert_eq!(grant.access_token().map(Secret::expose), Some("at-2"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Invariants: nothing here panics, whatever came; no error holds a word of a body but the error
//! codes that the standard knows (rule G1); secrets go to https endpoints, or within this machine.
//!
//! Deliberately absent: I/O. How long an answer is waited for, and how much of it is taken, is the
//! caller's to say; so is what a request that brought no answer at all means (rule B6).

mod answer;
mod client;
mod codes;
mod form;
mod lenient;
mod lifetime;
mod members;
mod question;
mod refusal;

#[cfg(any(feature = "oauth2", feature = "ureq"))]
pub(crate) use answer::Head;
pub use answer::read_answer;
pub use client::{Client, ClientAuthentication, ClientBuilder, ClientError};
pub use form::Form;
pub use refusal::Refusal;

/// How many bytes of an answer the adapters read.
pub const ANSWER_LIMIT: usize = 1 << 20;
