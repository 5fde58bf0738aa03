//! Errors that say why, and from which the session's own error can be had, whatever lies around it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use perennial::interceptor::Refused;
use perennial::refresh::{RefreshError, Request};
use perennial::session::{Error, Session};
use perennial::token::Grant;

use crate::client::Adapter;
use crate::wire::scene::HOUR;
use crate::world::{World, failed, next_with, on_every_adapter};

fn declined() -> Error {
    let refresh = |_: Request| async { Err::<Grant, _>(RefreshError::declined("it was revoked")) };
    let session = Session::builder(refresh).grant(Grant::of_refresh_token("refresh-1"));
    session.build().expect("a session").token_blocking().expect_err("declined")
}

fn refused() -> Refused {
    Refused::NoToken { error: declined(), retry_in: None }
}

/// An error with another one underneath.
#[derive(Debug)]
struct Around<E>(E);

impl<E: fmt::Debug> fmt::Display for Around<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("around")
    }
}

impl<E: StdError + 'static> StdError for Around<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

/// An error that lies underneath itself.
#[derive(Debug)]
struct Circle;

impl fmt::Display for Circle {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a circle")
    }
}

impl StdError for Circle {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

// Case X29.
#[test]
fn the_sessions_error_is_found_in_every_chain() {
    let boxed = || -> Box<dyn StdError + Send + Sync> { Box::new(refused()) };
    let with_context = || anyhow::Error::new(declined()).context("while listing things");
    let chains: Vec<(&str, Box<dyn StdError>)> = vec![
        ("itself", Box::new(declined())),
        ("tower: refused", boxed()),
        ("a thiserror of one's own", Box::new(Around(Around(refused())))),
        ("shared", Box::new(Around(Arc::new(declined())))),
        ("boxed", Box::new(Around(Box::new(declined())))),
        ("io", Box::new(io::Error::other(refused()))),
        ("io in io", Box::new(io::Error::other(io::Error::other(declined())))),
        ("io underneath", Box::new(Around(io::Error::other(declined())))),
        ("ureq", Box::new(ureq::Error::Other(boxed()))),
        ("ureq, as io", Box::new(ureq::Error::Other(boxed()).into_io())),
        ("ureq's io", Box::new(ureq::Error::Io(io::Error::other(refused())))),
        ("ureq underneath", Box::new(Around(ureq::Error::Other(Box::new(declined()))))),
        ("reqwest", Box::new(reqwest_middleware::Error::middleware(refused()))),
        ("reqwest, bare", Box::new(reqwest_middleware::Error::middleware(declined()))),
        ("reqwest, context", Box::new(reqwest_middleware::Error::Middleware(with_context()))),
        ("anyhow", with_context().into()),
        ("tonic", Box::new(tonic::Status::from_error(boxed()))),
        ("tonic underneath", Box::new(Around(tonic::Status::from_error(boxed())))),
    ];
    for (name, chain) in chains {
        let found = Error::find(&*chain).unwrap_or_else(|| panic!("{name}: not found"));
        assert!(found.is_login_required(), "{name}: {found:?}");
    }
}

// Case X29.
#[test]
fn where_there_is_no_error_of_a_session_none_is_found() {
    let none: Vec<Box<dyn StdError>> = vec![
        Box::new(fmt::Error),
        Box::new(io::Error::other("x")),
        Box::new(io::Error::from(io::ErrorKind::TimedOut)),
        Box::new(ureq::Error::HostNotFound),
        Box::new(Refused::UnknownOrigin),
        Box::new(Around(Circle)),
    ];
    for error in none {
        assert!(Error::find(&*error).is_none(), "{error:?}");
    }
}

// Rule E2. Case X29.
async fn the_text_of_a_clients_error_alone_says_why_and_what_to_do(on: Adapter) {
    let declined = ("400 Bad Request", r#"{"error":"invalid_grant"}"#);
    let misconfigured = ("401 Unauthorized", r#"{"error":"invalid_client"}"#);
    for ((status, body), says) in [
        (declined, vec!["log in again", "invalid_grant"]),
        (misconfigured, vec!["correct its configuration", "client", "try again in "]),
        (("503 Service Unavailable", ""), vec!["is unavailable", "503", "try again in 7 s"]),
    ] {
        let mut world = World::new(on).await;
        world.time.advance(HOUR);
        let request = world.get();
        world.auth.next().await.answer(status, &[("retry-after", "7")], body).await;
        let failed = failed(request).await;
        let text = failed.says().remove(0);
        for says in says {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert!(failed.found().is_some(), "{failed:?}");
    }
}

// Rule E2. Case X29: a refresher's own words, such as that another process is refreshing.
async fn what_a_refresher_says_reaches_the_caller(on: Adapter) {
    let words = "another process is refreshing";
    let refresh =
        move |_: Request| async move { Err::<Grant, _>(RefreshError::unavailable(words)) };
    let world = World::new(on).await;
    let session = Session::builder(refresh).grant(Grant::of_refresh_token("refresh-1"));
    let session = session.clock(world.time.clone()).build().expect("a session");
    let World { auth, api, time, .. } = world;
    let world = World::with(on, auth, api, time, session);
    let text = failed(world.get()).await.says().remove(0);
    assert!(text.contains(words), "{text}");
}

// Rule E1.
async fn a_request_that_needs_no_token_fails_with_no_error_of_the_session(on: Adapter) {
    let mut world = World::new(on).await;
    let request = world.get();
    next_with(&mut world.api, "access-1").await.reset();
    assert!(failed(request).await.found().is_none());
}

on_every_adapter!(
    the_text_of_a_clients_error_alone_says_why_and_what_to_do,
    what_a_refresher_says_reaches_the_caller,
    a_request_that_needs_no_token_fails_with_no_error_of_the_session,
);
