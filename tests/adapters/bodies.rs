//! Bodies that can be sent once.

use bytes::Bytes;
use http::Method;

use crate::client::{Adapter, READ_AHEAD};
use crate::wire::{answer, soon};
use crate::world::{UNAUTHORIZED, World, answered, next_with, on_every_adapter, response};

/// An upload that is longer than any adapter reads ahead, of lines that can be told apart.
fn upload() -> Vec<Bytes> {
    let lines: Vec<_> = (0..2000).map(|line| Bytes::from(format!("{line:049}\n"))).collect();
    assert!(lines.iter().map(Bytes::len).sum::<usize>() > READ_AHEAD);
    lines
}

fn text(chunks: &[Bytes]) -> String {
    String::from_utf8(chunks.concat()).expect("a text")
}

// Rule E3.
async fn a_one_shot_upload_arrives_whole_and_once(on: Adapter) {
    let world = World::with_api(on, |_| answer("201 Created", &[], "kept")).await;
    let call = world.call("/upload").method(Method::POST).stream(upload());
    assert_eq!(response(world.send(call)).await, (201, "kept".to_owned()));
    let log = world.api.log();
    assert_eq!(log[0].content(), text(&upload()));
    assert_eq!((log.len(), log[0].bearer(), world.auth.requests()), (1, "access-1", 0));
}

// Rule E3.
async fn a_one_shot_uploads_401_comes_back_whole_and_the_next_request_has_a_new_token(on: Adapter) {
    let world = World::with_api(on, |request| match request.bearer() {
        "access-1" => answer(UNAUTHORIZED, &[("x-why", "expired")], "the 401's own body"),
        _ => answer("200 OK", &[], "done"),
    })
    .await;
    let call = world.call("/upload").method(Method::POST).stream(upload());
    let first = answered(world.send(call)).await;
    assert_eq!((first.status, &first.headers["x-why"]), (401, &"expired".parse().expect("text")));
    assert_eq!(soon(first.text()).await.expect("a body"), "the 401's own body");
    assert_eq!((world.api.requests(), world.auth.requests()), (1, 0), "nothing is replayed");
    // The server saw all of it, and once.
    assert_eq!(world.api.log()[0].content(), text(&upload()));
    assert_eq!(response(world.get()).await, (200, "done".to_owned()));
    assert_eq!(world.bearers(), ["access-1", "access-2"]);
    assert_eq!((world.api.requests(), world.auth.requests()), (2, 1));
}

// Rule E3.
async fn a_one_shot_upload_whose_connection_breaks_is_not_begun_again(on: Adapter) {
    let mut world = World::new(on).await;
    let call = world.call("/upload").method(Method::POST).stream(upload());
    let request = world.send(call);
    let exchange = next_with(&mut world.api, "access-1").await;
    exchange.reset();
    assert!(crate::world::failed(request).await.refused().is_none());
    assert_eq!((world.api.requests(), world.auth.requests()), (1, 0));
}

on_every_adapter!(
    a_one_shot_upload_arrives_whole_and_once,
    a_one_shot_uploads_401_comes_back_whole_and_the_next_request_has_a_new_token,
    a_one_shot_upload_whose_connection_breaks_is_not_begun_again,
);
