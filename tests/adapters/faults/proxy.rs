//! The fault proxy itself, by a client that is nothing but a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use perennial::testing::{Fault, FaultProxy};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A proxy before a server that answers each request alike, and says what it saw.
fn before_a_server() -> (FaultProxy, std::sync::mpsc::Receiver<String>) {
    before_one_that_says(|_| ANSWER.to_vec())
}

/// The same, whose answer is made of the server's own address.
fn before_one_that_says(
    answer: fn(std::net::SocketAddr) -> Vec<u8>,
) -> (FaultProxy, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let proxy = FaultProxy::before(address).expect("a proxy");
    let (sender, seen) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.expect("a connection");
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"end") && client.read_exact(&mut byte).is_ok() {
                request.push(byte[0]);
            }
            client.write_all(&answer(address)).expect("a client");
            sender.send(String::from_utf8(request).expect("a text")).ok();
        }
    });
    (proxy, seen)
}

fn connect(proxy: &FaultProxy) -> TcpStream {
    ask(proxy, "POST /a HTTP/1.1\r\nConnection: keep-alive\r\ncontent-length: 3\r\n\r\nend")
}

fn ask(proxy: &FaultProxy, request: &str) -> TcpStream {
    let mut client = TcpStream::connect(proxy.address()).expect("a proxy");
    client.write_all(request.as_bytes()).expect("a proxy that listens");
    client
}

fn read(mut client: TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut answer = Vec::new();
    let error = client.read_to_end(&mut answer).err();
    (answer, error.map(|error| error.kind()))
}

#[test]
fn each_fault_is_what_its_name_says() {
    let (proxy, seen) = before_a_server();
    let whole = "POST /a HTTP/1.1\r\ncontent-length: 3\r\nconnection: close\r\n\r\nend";
    let reset = Some(ErrorKind::ConnectionReset);
    let marked = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n\xef\xbb\xbfok";
    let cases: [(Fault, &[u8], Option<ErrorKind>, bool); 11] = [
        (Fault::Pass, ANSWER, None, true),
        (Fault::LoseResponse, b"", None, true),
        (Fault::ResetBefore, b"", reset, false),
        (Fault::ResetAfter, b"", reset, true),
        (Fault::Truncate(9), &ANSWER[..9], None, true),
        (Fault::Drip(std::time::Duration::ZERO), ANSWER, None, true),
        (Fault::Delay(std::time::Duration::ZERO), ANSWER, None, true),
        (Fault::byte_order_mark(), marked, None, true),
        (Fault::Replace(b"hello".to_vec()), b"hello", None, true),
        (Fault::Respond(b"hello".to_vec()), b"hello", None, false),
        // Beyond the script, all pass.
        (Fault::Pass, ANSWER, None, true),
    ];
    for (fault, ..) in &cases[..10] {
        proxy.next(fault.clone());
    }
    let mut forwarded = 0;
    for (number, (fault, answer, error, reaches_the_server)) in cases.iter().enumerate() {
        assert_eq!(read(connect(&proxy)), (answer.to_vec(), *error), "{fault:?}");
        forwarded += usize::from(*reaches_the_server);
        assert_eq!((proxy.connections(), proxy.forwarded()), (number + 1, forwarded), "{fault:?}");
        if *reaches_the_server {
            assert_eq!(seen.recv().expect("a request"), whole);
        }
    }
    assert!(seen.try_recv().is_err(), "the server saw more");
}

#[test]
fn what_is_held_waits_for_its_release_and_the_server_has_handled_it() {
    let (proxy, seen) = before_a_server();
    proxy.next(Fault::Hold);
    let client = connect(&proxy);
    proxy.wait_until_held();
    seen.recv().expect("a request");
    client.set_nonblocking(true).expect("a socket");
    let mut byte = [0];
    assert_eq!(client.peek(&mut byte).expect_err("nothing").kind(), ErrorKind::WouldBlock);
    client.set_nonblocking(false).expect("a socket");
    proxy.release();
    assert_eq!(read(client), (ANSWER.to_vec(), None));
}

#[test]
fn a_flood_is_as_long_as_it_was_told() {
    let (proxy, _seen) = before_a_server();
    proxy.next(Fault::Flood(3_000_000));
    let (answer, error) = read(connect(&proxy));
    let head = answer.windows(4).position(|it| it == b"\r\n\r\n").expect("a head");
    assert_eq!((answer.len() - head - 4, error), (3_000_000, None));
}

#[test]
fn dropping_the_proxy_closes_its_port_and_lets_go_what_is_held() {
    let (proxy, _seen) = before_a_server();
    proxy.next(Fault::Hold);
    let client = connect(&proxy);
    proxy.wait_until_held();
    drop(proxy);
    assert_eq!(read(client), (ANSWER.to_vec(), None));
}

#[test]
fn what_stands_before_a_body_is_counted_in_however_the_body_is_framed() {
    let chunked =
        |_| b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_vec();
    let (proxy, _seen) = before_one_that_says(chunked);
    proxy.next(Fault::Prefix(b"0123456789abcdef".to_vec()));
    let expected = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        10\r\n0123456789abcdef\r\n2\r\nok\r\n0\r\n\r\n";
    assert_eq!(read(connect(&proxy)), (expected.as_bytes().to_vec(), None));

    let until_closed = |_| b"HTTP/1.0 200 OK\r\n\r\nok".to_vec();
    let (proxy, _seen) = before_one_that_says(until_closed);
    proxy.next(Fault::Prefix(b"not ".to_vec()));
    assert_eq!(read(connect(&proxy)), (b"HTTP/1.0 200 OK\r\n\r\nnot ok".to_vec(), None));
}

#[test]
fn the_server_is_named_to_itself_and_what_it_redirects_to_itself_goes_through_the_proxy() {
    let redirecting = |server| {
        format!(
            "HTTP/1.1 307 Elsewhere\r\nLocation: http://{server}/b?c\r\n\
             x-other: http://{server}/\r\nlocation: http://{server}0/b\r\n\
             location: https://{server}/b\r\nlocation: /b\r\n\r\n"
        )
        .into_bytes()
    };
    let (proxy, seen) = before_one_that_says(redirecting);
    let request = "POST /a HTTP/1.1\r\nHOST: elsewhere\r\ncontent-length: 3\r\n\r\nend";
    let (answer, _) = read(ask(&proxy, request));
    let request = seen.recv().expect("a request");
    let server = request.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    assert_ne!(server, proxy.address().to_string());
    assert_eq!(
        request,
        format!(
            "POST /a HTTP/1.1\r\nhost: {server}\r\ncontent-length: 3\r\n\
             connection: close\r\n\r\nend"
        )
    );
    let expected = String::from_utf8(redirecting(server.parse().expect("an address")));
    let (from, to) = (format!("Location: http://{server}/"), proxy.address());
    let expected = expected.expect("a text").replace(&from, &format!("location: http://{to}/"));
    assert_eq!(String::from_utf8(answer).expect("a text"), expected);
}

#[test]
fn what_befalls_all_others_begins_behind_the_script_and_does_not_end() {
    let (proxy, _seen) = before_a_server();
    proxy.otherwise(Fault::Respond(b"none".to_vec()));
    proxy.next(Fault::Pass);
    assert_eq!(read(connect(&proxy)), (ANSWER.to_vec(), None));
    for _ in 0..3 {
        assert_eq!(read(connect(&proxy)), (b"none".to_vec(), None));
    }
}
