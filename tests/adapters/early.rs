//! A server that answers 401 to the head of a large request.

use http::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::Adapter;
use crate::wire::{Server, answer, soon};
use crate::world::{UNAUTHORIZED, World, minting, on_every_adapter, response};

const SIZE: usize = 20_000_000;

/// What a server does with the rest of a request that it has answered.
#[derive(Copy, Clone)]
enum Rest {
    Read,
    /// Closing with unread bytes resets the connection.
    Closed,
}

/// Rejects `access-1` by the head of its request; of others it reads all, and likes them.
async fn serve(mut socket: TcpStream, rest: Rest) -> Option<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        socket.read_buf(&mut head).await.ok().filter(|read| *read > 0)?;
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    if text.contains("Bearer access-1") {
        socket.write_all(answer(UNAUTHORIZED, &[], "no").as_bytes()).await.ok()?;
        match rest {
            Rest::Closed => return None,
            Rest::Read => socket.shutdown().await.ok()?,
        }
        let mut buffer = vec![0; 65_536];
        while socket.read(&mut buffer).await.ok()? > 0 {}
        return None;
    }
    let length = text.lines().find_map(|it| it.strip_prefix("content-length: "));
    let length: usize = length.map_or(0, |it| it.parse().expect("a length"));
    let mut read = head.len() - text.find("\r\n\r\n")? - 4;
    let mut buffer = vec![0; 65_536];
    while read < length {
        read += socket.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
    }
    socket.write_all(answer("200 OK", &[], "done").as_bytes()).await.ok()
}

/// The address of such a server, and a world whose interceptor has it for origin.
async fn world(on: Adapter, rest: Rest) -> (World, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/things", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, rest));
        }
    });
    let world = World::of(on, minting().await, Server::start().await);
    let origin = world.interceptor().origin(&url);
    (world.intercepted_by(origin), url)
}

// Rules E2, E3. Case X24.
async fn an_early_401_is_heard_while_the_body_goes_out_and_rejects_the_token(on: Adapter) {
    let (world, url) = world(on, Rest::Read).await;
    let body = "x".repeat(SIZE);
    let call = crate::client::Call::get(&url).method(Method::POST).whole(&body);
    let (status, text) = response(world.send(call)).await;
    // Such a body is in memory for reqwest, which can send it again; the others have it once.
    match on {
        Adapter::Reqwest => assert_eq!((status, text.as_str()), (200, "done")),
        Adapter::Tower | Adapter::Ureq => assert_eq!((status, text.as_str()), (401, "no")),
    }
    assert_eq!(world.holds().await, "access-2", "the next request has a new token");
    assert_eq!(world.auth.requests(), 1);
    assert_eq!(response(world.send(crate::client::Call::get(url))).await.0, 200);
}

// Rules E2, E3. Case X24.
async fn a_connection_that_breaks_before_its_401_is_read_is_the_clients_own_error(on: Adapter) {
    let (world, url) = world(on, Rest::Closed).await;
    let body = "x".repeat(SIZE);
    let call = crate::client::Call::get(&url).method(Method::POST).whole(&body);
    // Which of the two it is depends on what arrives first; nothing else may come of it.
    let rejected = match soon(world.send(call)).await.expect("a task") {
        Ok(answered) => {
            assert!([200, 401].contains(&answered.status), "{answered:?}");
            true
        }
        Err(failed) => {
            assert!(failed.refused().is_none() && failed.found().is_none(), "{failed:?}");
            false
        }
    };
    let expected = if rejected { "access-2" } else { "access-1" };
    assert_eq!(world.holds().await, expected);
}

on_every_adapter!(
    an_early_401_is_heard_while_the_body_goes_out_and_rejects_the_token,
    a_connection_that_breaks_before_its_401_is_read_is_the_clients_own_error,
);
