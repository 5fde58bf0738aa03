//! A proxy on this machine that does to requests what networks and servers do.

mod message;

use core::fmt;
use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::prelude::rust_2024::*;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{format, thread};

use message::{Rest, for_client, for_server, receive, with_prefix};

/// What happens to one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: the request is passed on, and its answer back.
    Pass,
    /// The server handles the request; the connection is closed instead of its answer.
    LoseAnswer,
    /// The connection is reset, and the server never sees the request.
    ResetBefore,
    /// The server never sees the request, and nothing comes back until [`FaultProxy::release`].
    Swallow,
    /// The server handles the request; the connection is reset instead of its answer.
    ResetAfter,
    /// The server handles the request; the answer waits for [`FaultProxy::release`].
    Hold,
    /// The connection is closed behind so many bytes of the answer.
    Truncate(usize),
    /// The answer comes a byte at a time, with this in between.
    Drip(Duration),
    /// The server handles the request; the answer comes so much later.
    Delay(Duration),
    /// The server handles the request; these bytes stand before the body of its answer.
    Prefix(Vec<u8>),
    /// The server handles the request; this comes instead of its answer, byte by byte as it stands.
    Replace(Vec<u8>),
    /// The server never sees the request; this is answered, byte by byte as it stands.
    Answer(Vec<u8>),
    /// The server never sees the request; so many bytes of a body come with a 200.
    Flood(u64),
}

impl Fault {
    /// An answer of a status, a header and a body, instead of the server's.
    pub fn answer(status: u16, header: Option<(&str, &str)>, body: &str) -> Self {
        Self::Answer(written(status, header, body))
    }

    /// The same instead of the answer of a server that has handled the request: a gateway's 502 or
    /// 504, say.
    pub fn replacing(status: u16, header: Option<(&str, &str)>, body: &str) -> Self {
        Self::Replace(written(status, header, body))
    }

    /// A page for people, with a 200, as from a portal that asks one to log in.
    pub fn html() -> Self {
        Self::answer(200, Some(("content-type", "text/html")), "<!doctype html><h1>Welcome</h1>")
    }

    /// The server's answer behind a byte order mark (RFC 8259, section 8.1).
    pub fn byte_order_mark() -> Self {
        Self::Prefix(b"\xef\xbb\xbf".to_vec())
    }

    /// Bytes that are no HTTP.
    pub fn garbage() -> Self {
        Self::Answer(b"\x00\xff\x16\x03 this is no answer\n\n".to_vec())
    }
}

/// An answer as it goes over the wire.
fn written(status: u16, header: Option<(&str, &str)>, body: &str) -> Vec<u8> {
    let header = header.map(|(name, value)| format!("{name}: {value}\r\n"));
    let (header, length) = (header.unwrap_or_default(), body.len());
    let rest = format!("content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    format!("HTTP/1.1 {status} Fault\r\n{header}{rest}").into_bytes()
}

/// A proxy before any server of HTTP/1.1 on this machine, one request a connection. Each connection
/// takes the next [`Fault`] of the script; those beyond it pass, or meet the one that
/// [`otherwise`](FaultProxy::otherwise) was given.
///
/// As a reverse proxy does, it names the server in a request's `Host`, and has redirects to the
/// server's origin come to itself. All else passes as it is, but for `Connection`.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use perennial::testing::{Fault, FaultProxy};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let proxy = FaultProxy::before(server.local_addr()?)?;
/// proxy.next(Fault::answer(503, Some(("retry-after", "7")), ""));
///
/// let mut client = TcpStream::connect(proxy.address())?;
/// client.write_all(b"POST /token HTTP/1.1\r\ncontent-length: 0\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 503"));
/// assert_eq!((proxy.connections(), proxy.forwarded()), (1, 0));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// It has a thread of its own and one a connection, and needs no runtime. Nothing is timed but
/// [`Fault::Drip`] and [`Fault::Delay`]. Dropping it closes its port and lets go what is held.
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    proxy: SocketAddr,
    server: Vec<SocketAddr>,
    /// The server's host and port, as its clients write them.
    authority: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    script: VecDeque<Fault>,
    /// What befalls those beyond the script, if anything does.
    otherwise: Option<Fault>,
    connections: usize,
    forwarded: usize,
    held: usize,
    /// How many of those that are held, or will be, may go on.
    released: usize,
    closed: bool,
}

impl FaultProxy {
    /// A proxy before the server at `server`, on a free port of the loopback interface.
    ///
    /// # Errors
    /// Where no port or no thread can be had.
    pub fn before(server: SocketAddr) -> io::Result<Self> {
        Self::between((Ipv4Addr::LOCALHOST, 0).into(), &server.to_string())
    }

    /// A proxy that listens at `listen`, before the server at `authority`: a host and a port, such as
    /// `localhost:8080`. The host is looked up now, and only now.
    ///
    /// # Errors
    /// Where the host is not found, or the port or a thread cannot be had.
    pub fn between(listen: SocketAddr, authority: &str) -> io::Result<Self> {
        let server = authority.to_socket_addrs()?.collect();
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let (state, changed) = (Mutex::default(), Condvar::new());
        let authority = authority.into();
        let shared = Arc::new(Shared { proxy: address, server, authority, state, changed });
        let accepting = Arc::clone(&shared);
        let accept = move || {
            for client in listener.incoming() {
                if accepting.lock().closed {
                    return;
                }
                if let Ok(client) = client {
                    let shared = Arc::clone(&accepting);
                    // Where no thread can be had the connection is dropped, which is a fault too.
                    let _ = spawn(move || shared.serve(client));
                }
            }
        };
        spawn(accept)?;
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Appends to the script.
    pub fn next(&self, fault: Fault) {
        self.shared.lock().script.push_back(fault);
    }

    /// What befalls connections beyond the script \[nothing\].
    pub fn otherwise(&self, fault: Fault) {
        self.shared.lock().otherwise = Some(fault);
    }

    /// How many connections came, with a request or without.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// How many requests the server handled, whatever became of its answers.
    pub fn forwarded(&self) -> usize {
        self.shared.lock().forwarded
    }

    /// Waits until an answer is held, so that the server has certainly handled its request, or until a
    /// request was swallowed. It blocks the thread.
    pub fn wait_until_held(&self) {
        let mut state = self.shared.lock();
        while state.held == 0 {
            state = self.shared.wait(state);
        }
    }

    /// Lets one answer that is held go, or the next one that will be.
    pub fn release(&self) {
        self.shared.lock().released += 1;
        self.shared.changed.notify_all();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        // Its thread waits for a connection: this is one.
        drop(TcpStream::connect(self.address));
    }
}

impl fmt::Debug for FaultProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FaultProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name("perennial fault proxy".into()).spawn(work).map(drop)
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, client: TcpStream) {
        let fault = {
            let mut state = self.lock();
            state.connections += 1;
            let next = state.script.pop_front().or_else(|| state.otherwise.clone());
            next.unwrap_or(Fault::Pass)
        };
        // Whoever hangs up meanwhile has had what was to happen.
        let _ = self.inflict(fault, client);
    }

    fn inflict(&self, fault: Fault, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        match fault {
            Fault::Pass => {
                let answer = self.forward(&mut client, Rest::Nothing)?;
                client.write_all(&answer)?;
            }
            Fault::LoseAnswer => drop(self.forward(&mut client, Rest::Nothing)?),
            // A socket that is closed with something unread in it is reset.
            Fault::ResetBefore => {
                receive(&mut client, Rest::LastByte)?;
                return Ok(());
            }
            Fault::Swallow => {
                receive(&mut client, Rest::Nothing)?;
                self.hold();
            }
            Fault::ResetAfter => {
                self.forward(&mut client, Rest::LastByte)?;
                return Ok(());
            }
            Fault::Hold => {
                let answer = self.forward(&mut client, Rest::Nothing)?;
                self.hold();
                client.write_all(&answer)?;
            }
            Fault::Truncate(length) => {
                let mut answer = self.forward(&mut client, Rest::Nothing)?;
                answer.truncate(length);
                client.write_all(&answer)?;
            }
            Fault::Drip(pause) => {
                for byte in self.forward(&mut client, Rest::Nothing)? {
                    client.write_all(&[byte])?;
                    thread::sleep(pause);
                }
            }
            Fault::Delay(delay) => {
                let answer = self.forward(&mut client, Rest::Nothing)?;
                thread::sleep(delay);
                client.write_all(&answer)?;
            }
            Fault::Prefix(prefix) => {
                let answer = self.forward(&mut client, Rest::Nothing)?;
                client.write_all(&with_prefix(&answer, &prefix))?;
            }
            Fault::Replace(answer) => {
                self.forward(&mut client, Rest::Nothing)?;
                client.write_all(&answer)?;
            }
            Fault::Answer(answer) => {
                receive(&mut client, Rest::Nothing)?;
                client.write_all(&answer)?;
            }
            Fault::Flood(length) => {
                receive(&mut client, Rest::Nothing)?;
                flood(&mut client, length)?;
            }
        }
        client.shutdown(Shutdown::Write)
    }

    /// Waits for a release.
    fn hold(&self) {
        let mut state = self.lock();
        state.held += 1;
        self.changed.notify_all();
        while state.released == 0 && !state.closed {
            state = self.wait(state);
        }
        state.held -= 1;
        state.released = state.released.saturating_sub(1);
    }

    /// Has the server handle the request, and gives its answer, whole.
    fn forward(&self, client: &mut TcpStream, rest: Rest) -> io::Result<Vec<u8>> {
        let request = receive(client, rest)?;
        let mut server = TcpStream::connect(&*self.server)?;
        server.write_all(&for_server(&request, &self.authority))?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        self.lock().forwarded += 1;
        Ok(for_client(&answer, &self.authority, self.proxy))
    }
}

fn flood(client: &mut TcpStream, length: u64) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes())?;
    let mut body = io::repeat(b' ').take(length);
    io::copy(&mut body, client).map(drop)
}
