//! The values of response headers.

use std::prelude::rust_2024::*;

/// Returns the value of a header as a text, if it is printable ASCII.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    let visible = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    core::str::from_utf8(value).ok().filter(|text| text.as_bytes().iter().all(visible))
}

/// Returns whether one of a header's challenges is for `Basic` (RFC 9110, section 11.6.1).
pub(super) fn challenges_basic(header: &str) -> bool {
    let mut quoted = false;
    let mut parts = header.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.any(|part| {
        let scheme = part.split_ascii_whitespace().next();
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
    })
}
