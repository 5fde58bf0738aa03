//! A tiny HTTP/1.1 server on loopback that does what the test says, and what tests of the
//! adapters share besides. One request a connection; nothing here sleeps.
#![allow(dead_code, reason = "each test crate uses its own part of it")]

pub(crate) mod scene;

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What must be seen in no error and no debug text.
pub(crate) const SECRETS: [&str; 6] =
    ["access-1", "refresh-1", "access-2", "refresh-2", "hush-client", "hush-url"];

/// A good answer.
pub(crate) const GOOD: &str = r#"{"access_token":"access-2","token_type":"bearer","refresh_token":"refresh-2","expires_in":3600}"#;

/// Waits for what must come; fails instead of hanging. The limit is a watchdog's, and no test's
/// outcome depends on it.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("hung")
}

/// One request, as it came in.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Received {
    /// `POST /token`.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().and_then(|line| line.rsplit_once(' ')).map_or("", |line| line.0)
    }

    /// All values of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let named = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        named.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, it)| it.trim()).collect()
    }

    /// The bearer token that it carried.
    pub(crate) fn bearer(&self) -> &str {
        match self.headers("authorization").as_slice() {
            [one] => one.strip_prefix("Bearer ").unwrap_or(one),
            [] => "no authorization",
            _ => panic!("more than one Authorization header: {}", self.head),
        }
    }

    /// The body, without the framing of its chunks if it came in chunks.
    pub(crate) fn content(&self) -> String {
        if self.headers("transfer-encoding").is_empty() {
            return self.body.clone();
        }
        let (mut content, mut rest) = (String::new(), self.body.as_str());
        while let Some((size, behind)) = rest.split_once("\r\n") {
            let size = usize::from_str_radix(size, 16).expect("a chunk's size");
            content.push_str(&behind[..size]);
            rest = &behind[size + 2..];
        }
        content
    }

    /// A field of the form that it carried.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let mut fields = url::form_urlencoded::parse(self.body.as_bytes());
        fields.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// A request that waits for its answer. Dropping it closes the connection.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) received: Received,
    socket: TcpStream,
}

impl Exchange {
    /// Answers whole, and closes.
    pub(crate) async fn answer(mut self, status: &str, headers: &[(&str, &str)], body: &str) {
        let answer = answer(status, headers, body);
        // The client may have gone, which is some tests' point.
        let _ = self.write(answer.as_bytes()).await;
    }

    /// Answers `200 OK` with JSON, and closes.
    pub(crate) async fn json(self, body: &str) {
        self.answer("200 OK", &[("content-type", "application/json")], body).await;
    }

    /// Writes raw bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await?;
        self.socket.flush().await
    }

    /// Waits until the client has hung up.
    pub(crate) async fn gone(mut self) {
        let mut rest = Vec::new();
        while soon(self.socket.read_buf(&mut rest)).await.is_ok_and(|read| read > 0) {}
    }

    /// Resets the connection, instead of closing it in good order.
    pub(crate) fn reset(self) {
        self.socket.set_zero_linger().expect("a socket that can be reset");
    }
}

/// An answer's bytes.
pub(crate) fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> String {
    let lines = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
    let head = format!("HTTP/1.1 {status}\r\n{}", lines.collect::<String>());
    format!("{head}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

type Handler = dyn Fn(&Received) -> String + Send + Sync;

/// The server. Its requests wait for [`Server::next`], unless it was made to answer by itself.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    waiting: mpsc::UnboundedReceiver<Exchange>,
    log: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// A server whose requests wait until the test answers them.
    pub(crate) async fn start() -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a port"), None)
    }

    /// A server that answers by itself.
    pub(crate) async fn answering(
        handler: impl Fn(&Received) -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::on(listener, Some(Arc::new(handler)))
    }

    pub(crate) fn on(listener: TcpListener, handler: Option<Arc<Handler>>) -> Self {
        let address = listener.local_addr().expect("an address");
        let (arriving, waiting) = mpsc::unbounded_channel();
        let log = Arc::<Mutex<Vec<Received>>>::default();
        let seen = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (seen, arriving) = (Arc::clone(&seen), arriving.clone());
                let handler = handler.clone();
                tokio::spawn(async move {
                    let Some(exchange) = receive(socket).await else { return };
                    let received = exchange.received.clone();
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(received.clone());
                    match handler {
                        None => drop(arriving.send(exchange)),
                        Some(handler) => {
                            let mut exchange = exchange;
                            let _ = exchange.write(handler(&received).as_bytes()).await;
                        }
                    }
                });
            }
        });
        Self { address, waiting, log }
    }

    /// The next request, which then waits for its answer.
    pub(crate) async fn next(&mut self) -> Exchange {
        soon(self.waiting.recv()).await.expect("a server that runs")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests that came, answered or not.
    pub(crate) fn log(&self) -> Vec<Received> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn requests(&self) -> usize {
        self.log().len()
    }
}

/// Reads one request, whole.
async fn receive(mut socket: TcpStream) -> Option<Exchange> {
    socket.set_nodelay(true).ok()?;
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let received = Received { head: head.to_owned(), body: body.to_owned() };
            let length = received.headers("content-length").first().and_then(|it| it.parse().ok());
            let chunked = !received.headers("transfer-encoding").is_empty();
            let whole = match length {
                Some(length) => body.len() >= length,
                None => !chunked || body.ends_with("0\r\n\r\n"),
            };
            if whole {
                return Some(Exchange { received, socket });
            }
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// An error and all that is underneath, outermost first.
pub(crate) fn chain<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source()).collect()
}

/// Holds an error to the house's manners: the crate's own texts are lower case and without a full
/// stop, and no text of the whole chain shows a secret (rule G1).
pub(crate) fn assert_mannered(error: &(dyn StdError + 'static)) {
    for (depth, error) in chain(error).into_iter().enumerate() {
        let (text, debug) = (error.to_string(), format!("{error:?} {error:#?}"));
        assert!(!text.is_empty(), "a text that says nothing: {debug}");
        if depth < 2 {
            assert!(text.starts_with(|first: char| first.is_lowercase()), "{text}");
            assert!(!text.ends_with(['.', '\n']), "{text}");
        }
        for secret in SECRETS {
            assert!(!text.contains(secret), "`{secret}` is shown: {text}");
            assert!(!debug.contains(secret), "`{secret}` is shown: {debug}");
        }
    }
}
