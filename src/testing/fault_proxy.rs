//! A proxy on this machine that injects the faults of networks and servers.

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
    /// No fault: the request is forwarded, and the response returned.
    Pass,
    /// The server handles the request; the connection is closed instead of a response.
    LoseResponse,
    /// The connection is reset, and the server never sees the request.
    ResetBefore,
    /// The server never sees the request, and there is no response until [`FaultProxy::release`].
    Swallow,
    /// The server handles the request; the connection is reset instead of a response.
    ResetAfter,
    /// The server handles the request; the response is held until [`FaultProxy::release`].
    Hold,
    /// The connection is closed after this many bytes of the response.
    Truncate(usize),
    /// The response is sent byte by byte, with this delay after each.
    Drip(Duration),
    /// The server handles the request; the response is delayed by this much.
    Delay(Duration),
    /// The server handles the request; these bytes are inserted before the body of the response.
    Prefix(Vec<u8>),
    /// The server handles the request; these bytes are sent instead of its response.
    Replace(Vec<u8>),
    /// The server never sees the request; these bytes are sent as the response.
    Respond(Vec<u8>),
    /// The server never sees the request; the response is a 200 with a body of this many bytes.
    Flood(u64),
}

impl Fault {
    /// Returns a response with a status, a header and a body; the server never sees the request.
    pub fn responding(status: u16, header: Option<(&str, &str)>, body: &str) -> Self {
        Self::Respond(written(status, header, body))
    }

    /// Returns a response with a status, a header and a body, sent after the server has handled the
    /// request: for example a gateway's 502 or 504.
    pub fn replacing(status: u16, header: Option<(&str, &str)>, body: &str) -> Self {
        Self::Replace(written(status, header, body))
    }

    /// Returns a 200 with an HTML page, as from a captive portal.
    pub fn html() -> Self {
        Self::responding(
            200,
            Some(("content-type", "text/html")),
            "<!doctype html><h1>Welcome</h1>",
        )
    }

    /// Returns the fault that puts a byte order mark before the response's body (RFC 8259, section
    /// 8.1).
    pub fn byte_order_mark() -> Self {
        Self::Prefix(b"\xef\xbb\xbf".to_vec())
    }

    /// Returns a response that is not HTTP.
    pub fn garbage() -> Self {
        Self::Respond(b"\x00\xff\x16\x03 this is not HTTP\n\n".to_vec())
    }
}

/// A response as bytes.
fn written(status: u16, header: Option<(&str, &str)>, body: &str) -> Vec<u8> {
    let header = header.map(|(name, value)| format!("{name}: {value}\r\n"));
    let (header, length) = (header.unwrap_or_default(), body.len());
    let rest = format!("content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    format!("HTTP/1.1 {status} Fault\r\n{header}{rest}").into_bytes()
}

/// A proxy in front of any HTTP/1.1 server on this machine, with one request per connection. Each
/// connection takes the next [`Fault`] of the script; those beyond the script pass, or get the
/// fault set with [`otherwise`](FaultProxy::otherwise).
///
/// Like a reverse proxy, it sets a request's `Host` to the server, and changes redirects to the
/// server's origin to its own address. It also sets `Connection`; everything else is forwarded
/// unchanged.
///
/// ```
/// use std::io::{Read, Write};
/// use std::net::{TcpListener, TcpStream};
/// use perennial::testing::{Fault, FaultProxy};
///
/// let server = TcpListener::bind("127.0.0.1:0")?;
/// let proxy = FaultProxy::before(server.local_addr()?)?;
/// proxy.next(Fault::responding(503, Some(("retry-after", "7")), ""));
///
/// let mut client = TcpStream::connect(proxy.address())?;
/// client.write_all(b"POST /token HTTP/1.1\r\ncontent-length: 0\r\n\r\n")?;
/// let mut response = String::new();
/// client.read_to_string(&mut response)?;
/// assert!(response.starts_with("HTTP/1.1 503"));
/// assert_eq!((proxy.connections(), proxy.forwarded()), (1, 0));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// It uses one thread and another per connection, and needs no runtime. Only [`Fault::Drip`] and
/// [`Fault::Delay`] take time. Dropping the proxy closes its port and releases what is held.
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
    /// The fault of connections beyond the script, if any.
    otherwise: Option<Fault>,
    connections: usize,
    forwarded: usize,
    held: usize,
    /// How many responses, held now or later, may be sent.
    released: usize,
    closed: bool,
}

impl FaultProxy {
    /// Starts a proxy in front of the server at `server`, on a free port of the loopback interface.
    ///
    /// # Errors
    /// If no port is free or no thread can be started.
    pub fn before(server: SocketAddr) -> io::Result<Self> {
        Self::between((Ipv4Addr::LOCALHOST, 0).into(), &server.to_string())
    }

    /// Starts a proxy that listens at `listen`, in front of the server at `authority`: a host and a
    /// port, such as `localhost:8080`. The host is resolved once, here.
    ///
    /// # Errors
    /// If the host is not found, the port is in use, or no thread can be started.
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
                    // If no thread can be started the connection is dropped, which is a fault, too.
                    let _ = spawn(move || shared.serve(client));
                }
            }
        };
        spawn(accept)?;
        Ok(Self { address, shared })
    }

    /// Returns the address on which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Appends a fault to the script.
    pub fn next(&self, fault: Fault) {
        self.shared.lock().script.push_back(fault);
    }

    /// Sets the fault of connections beyond the script. Default: none, they pass.
    pub fn otherwise(&self, fault: Fault) {
        self.shared.lock().otherwise = Some(fault);
    }

    /// Returns how many connections were accepted, with a request or without.
    pub fn connections(&self) -> usize {
        self.shared.lock().connections
    }

    /// Returns how many requests the server handled, whether or not the client got a response.
    pub fn forwarded(&self) -> usize {
        self.shared.lock().forwarded
    }

    /// Blocks the thread until a response is held, so that the server has certainly handled its
    /// request, or until a request was swallowed.
    pub fn wait_until_held(&self) {
        let mut state = self.shared.lock();
        while state.held == 0 {
            state = self.shared.wait(state);
        }
    }

    /// Releases one held response, or the next one that will be held.
    pub fn release(&self) {
        self.shared.lock().released += 1;
        self.shared.changed.notify_all();
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        // Its thread waits for a connection, and gets this one.
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
        // A client that has closed the connection meanwhile has had its fault.
        let _ = self.inflict(fault, client);
    }

    fn inflict(&self, fault: Fault, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        match fault {
            Fault::Pass => {
                let response = self.forward(&mut client, Rest::Nothing)?;
                client.write_all(&response)?;
            }
            Fault::LoseResponse => drop(self.forward(&mut client, Rest::Nothing)?),
            // A socket that is closed with unread data is reset.
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
                let response = self.forward(&mut client, Rest::Nothing)?;
                self.hold();
                client.write_all(&response)?;
            }
            Fault::Truncate(length) => {
                let mut response = self.forward(&mut client, Rest::Nothing)?;
                response.truncate(length);
                client.write_all(&response)?;
            }
            Fault::Drip(pause) => {
                for byte in self.forward(&mut client, Rest::Nothing)? {
                    client.write_all(&[byte])?;
                    thread::sleep(pause);
                }
            }
            Fault::Delay(delay) => {
                let response = self.forward(&mut client, Rest::Nothing)?;
                thread::sleep(delay);
                client.write_all(&response)?;
            }
            Fault::Prefix(prefix) => {
                let response = self.forward(&mut client, Rest::Nothing)?;
                client.write_all(&with_prefix(&response, &prefix))?;
            }
            Fault::Replace(response) => {
                self.forward(&mut client, Rest::Nothing)?;
                client.write_all(&response)?;
            }
            Fault::Respond(response) => {
                receive(&mut client, Rest::Nothing)?;
                client.write_all(&response)?;
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

    /// Forwards the request to the server, and returns the whole response.
    fn forward(&self, client: &mut TcpStream, rest: Rest) -> io::Result<Vec<u8>> {
        let request = receive(client, rest)?;
        let mut server = TcpStream::connect(&*self.server)?;
        server.write_all(&for_server(&request, &self.authority))?;
        let mut response = Vec::new();
        server.read_to_end(&mut response)?;
        self.lock().forwarded += 1;
        Ok(for_client(&response, &self.authority, self.proxy))
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
