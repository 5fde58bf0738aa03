//! Requests and responses of HTTP/1.1 as bytes: as much of RFC 9112 as a proxy on one machine
//! needs.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::prelude::rust_2024::*;
use std::{format, vec};

/// What is left unread of a request.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Rest {
    Nothing,
    LastByte,
}

/// Reads one request, whole.
pub(super) fn receive(client: &mut TcpStream, rest: Rest) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let seen = client.peek(&mut buffer)?;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        request.extend_from_slice(&buffer[..seen]);
        let whole = is_whole(&request);
        let unread = usize::from(whole && rest == Rest::LastByte);
        client.read_exact(&mut buffer[..seen - unread])?;
        if whole {
            return Ok(request);
        }
    }
}

/// Where the head of a message ends.
fn head_of(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = head_of(request) else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if value("transfer-encoding:").is_some() {
        return request.ends_with(b"0\r\n\r\n");
    }
    let length = value("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.len() - end >= length
}

/// Returns a message with each line of its head passed through `change`; lines for which that
/// returns nothing are left out. `last` ends the head, if it is not empty.
fn changed(
    message: &[u8],
    last: &str,
    mut change: impl FnMut(&str) -> Option<String>,
) -> Option<Vec<u8>> {
    let end = head_of(message)?;
    // Bytes that are not UTF-8 would be changed: such a head is passed on as it is.
    let head = core::str::from_utf8(&message[..end - 4]).ok()?;
    let mut lines: Vec<String> = head.split("\r\n").filter_map(&mut change).collect();
    if !last.is_empty() {
        lines.push(last.into());
    }
    let mut changed = format!("{}\r\n\r\n", lines.join("\r\n")).into_bytes();
    changed.extend_from_slice(&message[end..]);
    Some(changed)
}

/// The value of the line, if it is the header `name`.
fn value<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (found, value) = line.split_once(':')?;
    found.eq_ignore_ascii_case(name).then(|| value.trim())
}

/// Returns the request for the server: it names that server, and asks it to close the connection
/// after the response.
pub(super) fn for_server(request: &[u8], authority: &str) -> Vec<u8> {
    let line = |line: &str| match (value(line, "host"), value(line, "connection")) {
        (Some(_), _) => Some(format!("host: {authority}")),
        (None, Some(_)) => None,
        (None, None) => Some(line.into()),
    };
    changed(request, "connection: close", line).unwrap_or_else(|| request.into())
}

/// Returns the response for the client: a redirect to the server is changed to one to the proxy.
pub(super) fn for_client(response: &[u8], authority: &str, proxy: SocketAddr) -> Vec<u8> {
    let line = |line: &str| {
        let rest = value(line, "location")
            .and_then(|location| location.strip_prefix("http://"))
            .and_then(|location| location.strip_prefix(authority))
            .filter(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']));
        Some(rest.map_or_else(|| line.into(), |rest| format!("location: http://{proxy}{rest}")))
    };
    // A response that is not HTTP is passed on unchanged.
    changed(response, "", line).unwrap_or_else(|| response.into())
}

/// Returns the response with these bytes before its body, and a head that counts them.
pub(super) fn with_prefix(response: &[u8], prefix: &[u8]) -> Vec<u8> {
    let mut chunked = false;
    let line = |line: &str| {
        chunked |= value(line, "transfer-encoding").is_some();
        let length = value(line, "content-length").and_then(|length| length.parse().ok());
        Some(match length {
            Some::<usize>(length) => format!("content-length: {}", length + prefix.len()),
            None => line.into(),
        })
    };
    let mut response = changed(response, "", line).unwrap_or_else(|| response.into());
    let body = head_of(&response).unwrap_or(0);
    let chunk = if chunked {
        [format!("{:x}\r\n", prefix.len()).as_bytes(), prefix, b"\r\n"].concat()
    } else {
        prefix.into()
    };
    response.splice(body..body, chunk);
    response
}
