//! tonic through tower: `UNAUTHENTICATED` instead of a 401. Client and server over HTTP/2, without
//! generated code.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes};
use futures::StreamExt;
use http::uri::PathAndQuery;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use perennial::adapters::tower::{Ahead, BearerLayer, BearerService};
use perennial::interceptor::{Interceptor, classify_grpc};
use perennial::session::Session;
use perennial::testing::Scripted;
use tokio::net::TcpListener;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Response, Status};
use tower::{Layer, service_fn};

use crate::wire::soon;

/// Messages are bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = from.remaining();
        Ok(Some(from.copy_to_bytes(length)))
    }
}

/// What the server saw of each call: the token and the messages.
type Seen = Arc<Mutex<Vec<(String, Vec<String>)>>>;

/// Starts a server that reads all of a call, and answers with `answer` by its token.
async fn server(answer: fn(&str) -> Result<(), Status>) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let seen = Arc::clone(&log);
            let service = service_fn(move |request| {
                let seen = Arc::clone(&seen);
                async move {
                    let echo = Echo { answer, seen };
                    let mut grpc = tonic::server::Grpc::new(Raw);
                    Ok::<_, std::convert::Infallible>(grpc.client_streaming(echo, request).await)
                }
            });
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(service);
            tokio::spawn(async move {
                server.serve_connection(TokioIo::new(socket), service).await.ok();
            });
        }
    });
    (address, seen)
}

/// Joins what it is told.
struct Echo {
    answer: fn(&str) -> Result<(), Status>,
    seen: Seen,
}

impl tonic::server::ClientStreamingService<Bytes> for Echo {
    type Response = Bytes;
    type Future = futures::future::BoxFuture<'static, Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<tonic::Streaming<Bytes>>) -> Self::Future {
        let (answer, seen) = (self.answer, Arc::clone(&self.seen));
        Box::pin(async move {
            let token = request.metadata().get("authorization").map(|it| it.to_str());
            let token = token.and_then(Result::ok).unwrap_or("none").replace("Bearer ", "");
            let mut messages = request.into_inner();
            let mut texts = Vec::new();
            while let Some(message) = messages.message().await? {
                texts.push(String::from_utf8_lossy(&message).into_owned());
            }
            let joined = Bytes::from(texts.concat());
            seen.lock().expect("a server").push((token.clone(), texts));
            answer(&token).map(|()| Response::new(joined))
        })
    }
}

type Http2 = hyper_util::client::legacy::Client<
    hyper_util::client::legacy::connect::HttpConnector,
    tonic::body::Body,
>;

/// A client as a program would make it.
fn client(
    address: SocketAddr,
    refresher: &Scripted,
) -> Grpc<BearerService<Http2, Ahead<tonic::body::Body>>> {
    let session = Session::builder_with(refresher.clone()).grant(Scripted::grant(0));
    let origin = format!("http://{address}");
    let interceptor = Interceptor::builder(session.build().expect("a session"))
        .origin(&origin)
        .classify(classify_grpc)
        .build()
        .expect("an interceptor");
    let http2 = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let layer = BearerLayer::new(interceptor).replaying(Ahead::new(65_536, tonic::body::Body::new));
    Grpc::with_origin(layer.layer(http2), origin.parse().expect("a URI"))
}

const METHOD: PathAndQuery = PathAndQuery::from_static("/test.Echo/Join");

async fn unary(
    client: &mut Grpc<BearerService<Http2, Ahead<tonic::body::Body>>>,
    message: &'static str,
) -> Result<Bytes, Status> {
    soon(client.ready()).await.expect("ready");
    let request = Request::new(Bytes::from_static(message.as_bytes()));
    soon(client.unary(request, METHOD, Raw)).await.map(Response::into_inner)
}

fn liking_new_tokens(token: &str) -> Result<(), Status> {
    if token == "at-1" { Err(Status::unauthenticated("expired")) } else { Ok(()) }
}

fn seen(seen: &Seen) -> Vec<(String, String)> {
    let seen = seen.lock().expect("a server");
    seen.iter().map(|(token, texts)| (token.clone(), texts.concat())).collect()
}

fn calls(calls: &[(&str, &str)]) -> Vec<(String, String)> {
    calls.iter().map(|(token, text)| ((*token).to_owned(), (*text).to_owned())).collect()
}

// Rules E2, E4.
#[tokio::test]
async fn a_unary_call_that_is_unauthenticated_is_replayed_with_a_new_token() {
    let (address, log) = server(liking_new_tokens).await;
    let refresher = Scripted::new();
    let mut client = client(address, &refresher);
    assert_eq!(unary(&mut client, "hello").await.expect("an answer"), "hello");
    assert_eq!(unary(&mut client, "again").await.expect("an answer"), "again");
    assert_eq!(seen(&log), calls(&[("at-1", "hello"), ("at-2", "hello"), ("at-2", "again")]));
    assert_eq!(refresher.requests(), 1);
}

// Rules E2, E4.
#[tokio::test]
async fn a_second_unauthenticated_is_the_callers() {
    let (address, log) = server(|_| Err(Status::unauthenticated("never"))).await;
    let refresher = Scripted::new();
    let mut client = client(address, &refresher);
    let status = unary(&mut client, "hello").await.expect_err("a status");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "never"));
    assert_eq!(seen(&log), calls(&[("at-1", "hello"), ("at-2", "hello")]));
    assert_eq!(refresher.requests(), 1);
}

// Rule E4.
#[tokio::test]
async fn another_status_says_nothing_of_the_token() {
    let (address, log) = server(|_| Err(Status::permission_denied("not you"))).await;
    let refresher = Scripted::new();
    let mut client = client(address, &refresher);
    for _ in 0..2 {
        let status = unary(&mut client, "hello").await.expect_err("a status");
        assert_eq!(status.code(), Code::PermissionDenied);
    }
    assert_eq!(seen(&log), calls(&[("at-1", "hello"), ("at-1", "hello")]));
    assert_eq!(refresher.requests(), 0);
}

// Rule E3.
#[tokio::test]
async fn a_stream_of_messages_that_waits_is_sent_once_and_whole() {
    let (address, log) = server(liking_new_tokens).await;
    let refresher = Scripted::new();
    let mut client = client(address, &refresher);
    let (sender, receiver) = futures::channel::mpsc::unbounded();
    let send = |text: &'static str| sender.unbounded_send(Bytes::from_static(text.as_bytes()));
    send("first ").expect("a receiver");
    soon(client.ready()).await.expect("ready");
    let messages = receiver.boxed();
    let call = client.client_streaming(Request::new(messages), METHOD, Raw);
    let later = async {
        tokio::task::yield_now().await;
        send("second ").expect("a receiver");
        send("third").expect("a receiver");
        sender.close_channel();
    };
    let (status, ()) = soon(async { tokio::join!(call, later) }).await;
    assert_eq!(status.expect_err("a status").code(), Code::Unauthenticated);
    assert_eq!(seen(&log), calls(&[("at-1", "first second third")]));
    // The next call has a new token.
    assert_eq!(unary(&mut client, "hello").await.expect("an answer"), "hello");
    assert_eq!(seen(&log)[1..], calls(&[("at-2", "hello")]));
    assert_eq!(refresher.requests(), 1);
}

// Rules E1, E5. Case X25.
#[tokio::test]
async fn a_channel_of_tonics_whose_requests_name_no_host_sends_the_token_to_the_declared_origin() {
    let (address, log) = server(liking_new_tokens).await;
    for any in [false, true] {
        let refresher = Scripted::new();
        let session = Session::builder_with(refresher.clone()).grant(Scripted::grant(0));
        let interceptor = Interceptor::builder(session.build().expect("a session"));
        let origin = format!("http://{address}");
        let interceptor = if any { interceptor.any_origin() } else { interceptor.origin(&origin) };
        let interceptor = interceptor.classify(classify_grpc).build().expect("an interceptor");
        let endpoint = tonic::transport::Endpoint::from_shared(origin).expect("an endpoint");
        let channel = soon(endpoint.connect()).await.expect("a channel");
        let layer =
            BearerLayer::new(interceptor).replaying(Ahead::new(65_536, tonic::body::Body::new));
        let mut client = Grpc::new(tower::ServiceBuilder::new().layer(layer).service(channel));
        soon(client.ready()).await.expect("ready");
        let request = Request::new(Bytes::from_static(b"hello"));
        let answer = soon(client.unary(request, METHOD, Raw)).await.map(Response::into_inner);
        assert_eq!(answer.expect("an answer"), "hello");
    }
    assert_eq!(seen(&log).len(), 4, "each is replayed once with a new token");
}

// Rule E5. Case X25.
#[tokio::test]
async fn a_request_that_names_no_host_is_an_error_where_several_origins_are_declared() {
    let (address, log) = server(liking_new_tokens).await;
    let session = Session::builder_with(Scripted::new()).grant(Scripted::grant(0));
    let interceptor = Interceptor::builder(session.build().expect("a session"))
        .origin("https://a.example")
        .origin(format!("http://{address}"))
        .build()
        .expect("an interceptor");
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let channel = soon(endpoint.expect("an endpoint").connect()).await.expect("a channel");
    let mut client = Grpc::new(BearerLayer::new(interceptor).layer(channel));
    soon(client.ready()).await.expect("ready");
    let request = Request::new(Bytes::from_static(b"hello"));
    let refused = soon(client.unary(request, METHOD, Raw)).await.expect_err("which is not known");
    assert!(format!("{refused:?}").contains("name the host in its URI"), "{refused:?}");
    assert_eq!(seen(&log), []);
}
