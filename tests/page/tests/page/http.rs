//! The least of HTTP.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Sends a request, and returns the response with its head: all of it, or so many bytes at most of one that does
/// not end.
pub(crate) async fn request(url: &str, method: &str, path: &str, most: usize) -> String {
    let host = url.strip_prefix("http://").expect("a URL");
    let mut stream = TcpStream::connect(host).await.expect("it listens");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut response = Vec::new();
    let mut buffer = [0; 8192];
    while response.len() < most {
        // A stream of events goes on, but not without a pause.
        let read = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut buffer)).await;
        match read {
            Ok(Ok(length)) if length > 0 => response.extend_from_slice(&buffer[..length]),
            Ok(_) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&response).into_owned()
}
