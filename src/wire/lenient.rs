//! The second reading of an answer, after the first one failed (rule B14): no grant is lost to its
//! wrapping.
//!
//! It takes one closed JSON object, or a form whose first key is one that answers have, and never a
//! fragment: what an object that breaks off holds within is not looked at. Each token it gives is one
//! member's value.

use core::ops::Range;
use std::prelude::rust_2024::*;

use secrecy::zeroize::Zeroizing;
use url::form_urlencoded;

use super::members::Members;
use crate::token::Leniency;

/// An answer's members, and what had to be borne to read them.
#[derive(Default)]
pub(super) struct Reading {
    pub(super) members: Members,
    pub(super) leniencies: Vec<Leniency>,
}

/// The keys by one of which a form must begin.
const FIRST_KEYS: [&str; 9] = [
    "access_token",
    "refresh_token",
    "token_type",
    "expires_in",
    "expires",
    "scope",
    "id_token",
    "error",
    "error_description",
];

/// Reads a body once, as it should be, and if it is not so, once more. `ended` says whether all of it
/// came; `speaks`, whether members are those of an answer.
pub(super) fn read(
    body: &[u8],
    charset: Option<&str>,
    ended: bool,
    speaks: impl Fn(&Members) -> bool,
) -> Reading {
    let members = Members::strict(body);
    if members.whole {
        return Reading { members, leniencies: Vec::new() };
    }
    let (text, mut leniencies, lossy) = decoded(body, charset);
    let half = if leniencies.is_empty() { members } else { Members::strict(text.as_bytes()) };
    if half.whole && !lossy {
        return Reading { members: half, leniencies };
    }
    let unwrapped = unquoted(&text);
    let text = match &unwrapped {
        Some(inner) => {
            leniencies.push(Leniency::Framed);
            inner
        }
        None => &text,
    };
    if let Some(members) = form(text, ended) {
        leniencies.push(Leniency::Form);
        return Reading { members, leniencies };
    }
    if let Some((members, borne)) = framed(text, lossy, speaks) {
        leniencies.extend(borne);
        return Reading { members, leniencies };
    }
    // What came whole before it broke off, and no more.
    leniencies.push(Leniency::CutShort);
    let members = if lossy { half.without_unreadable() } else { half };
    Reading { members, leniencies }
}

/// The text of a body, what had to be borne, and whether some of its bytes could not be read.
fn decoded(body: &[u8], charset: Option<&str>) -> (Zeroizing<String>, Vec<Leniency>, bool) {
    let mut lossy = false;
    let mut wide = |body: &[u8], little: bool| {
        let units = body.chunks_exact(2).map(|pair| {
            let pair = [pair[0], pair[1]];
            if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) }
        });
        let characters = char::decode_utf16(units).map(|it| {
            lossy |= it.is_err();
            it.unwrap_or(char::REPLACEMENT_CHARACTER)
        });
        characters.collect::<String>()
    };
    let (text, mut borne) = match body {
        [0xFF, 0xFE, rest @ ..] => (wide(rest, true), vec![Leniency::Charset]),
        [0xFE, 0xFF, rest @ ..] => (wide(rest, false), vec![Leniency::Charset]),
        // What begins an object, a form or white space is ASCII, so the zeros tell.
        [first, 0, ..] if *first != 0 => (wide(body, true), vec![Leniency::Charset]),
        [0, second, ..] if *second != 0 => (wide(body, false), vec![Leniency::Charset]),
        _ => match core::str::from_utf8(body) {
            Ok(text) => (text.to_owned(), Vec::new()),
            Err(_) if charset.is_some_and(is_single_byte) => {
                (body.iter().copied().map(char::from).collect(), vec![Leniency::Charset])
            }
            Err(_) => {
                lossy = true;
                (String::from_utf8_lossy(body).into_owned(), vec![Leniency::Charset])
            }
        },
    };
    let text = Zeroizing::new(text);
    let inner = text.trim_start_matches('\u{FEFF}');
    if inner.len() == text.len() {
        return (text, borne, lossy);
    }
    borne.push(Leniency::ByteOrderMark);
    (Zeroizing::new(inner.to_owned()), borne, lossy)
}

/// Whether each byte of that charset is the character of its number, where a token could tell.
fn is_single_byte(charset: &str) -> bool {
    ["iso-8859-1", "latin1", "us-ascii", "windows-1252"]
        .iter()
        .any(|known| charset.eq_ignore_ascii_case(known))
}

/// An answer that was made JSON twice.
fn unquoted(text: &str) -> Option<Zeroizing<String>> {
    let text = text.trim();
    if !text.starts_with('"') {
        return None;
    }
    serde_json::from_str(text).ok().map(Zeroizing::new)
}

/// The members of a form. Where it may go on, its last pair may be a fragment.
fn form(text: &str, ended: bool) -> Option<Members> {
    let text = text.trim();
    let (first, _) = text.split_once('=')?;
    // What no form leaves as it is, however sloppily it is made.
    let foreign = |byte: u8| !byte.is_ascii_graphic() || br#""<>[\]^`{}"#.contains(&byte);
    if !FIRST_KEYS.contains(&first) || text.bytes().any(foreign) {
        return None;
    }
    let text = if ended { text } else { text.rsplit_once('&')?.0 };
    let mut members = Members::empty(ended);
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        // Bytes that are no text are read as this, and are no token.
        if !value.contains(char::REPLACEMENT_CHARACTER) {
            members.push_text(name.into_owned(), value.into_owned());
        }
    }
    Some(members)
}

/// The one closed object with the tokens, or with the refusal, whatever stands around it.
fn framed(
    text: &str,
    lossy: bool,
    speaks: impl Fn(&Members) -> bool,
) -> Option<(Members, Vec<Leniency>)> {
    let closed = closed_objects(text);
    let read = |range: &Range<usize>| {
        let (members, unreadable) = tolerant(&text[range.clone()], lossy);
        (range.clone(), members, unreadable)
    };
    let mut found: Vec<_> = closed.iter().map(read).filter(|(_, it, _)| speaks(it)).collect();
    if found.iter().any(|(_, members, _)| members.text("access_token").is_some()) {
        found.retain(|(_, members, _)| members.text("access_token").is_some());
    }
    // Of two that differ neither is known to be the answer.
    found.dedup_by(|later, first| text[later.0.clone()] == text[first.0.clone()]);
    let [(range, ..)] = &found[..] else { return None };
    let outside = !text[..range.start].trim().is_empty() || !text[range.end..].trim().is_empty();
    let (_, members, unreadable) = found.pop()?;
    let borne = [(outside, Leniency::Framed), (unreadable, Leniency::Unreadable)];
    Some((members, borne.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect()))
}

/// Where the objects are that lie in no other object, and are closed. One that is not ends the search:
/// all behind its beginning may be part of it.
fn closed_objects(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = bytes[at..].iter().position(|byte| *byte == b'{').map(|it| at + it) {
        let next = bytes[start + 1..].iter().find(|byte| !byte.is_ascii_whitespace());
        if !matches!(next, Some(b'"' | b'}')) {
            at = start + 1;
            continue;
        }
        let Some(end) = end_of(bytes, start) else { break };
        found.push(start..end);
        at = end;
    }
    found
}

/// Behind the bracket that closes the one at `start`.
fn end_of(bytes: &[u8], start: usize) -> Option<usize> {
    let mut open = Vec::new();
    let mut quoted = false;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            bracket @ (b'{' | b'[') => open.push(bracket),
            b'}' if open.pop() != Some(b'{') => return None,
            b']' if open.pop() != Some(b'[') => return None,
            _ => {}
        }
        at += 1;
        if open.is_empty() {
            return Some(at);
        }
    }
    None
}

/// The members of a closed object that can be read, and whether there was one that cannot.
fn tolerant(object: &str, lossy: bool) -> (Members, bool) {
    let mut members = Members::empty(true);
    let mut unreadable = false;
    for piece in pieces(&object[1..object.len() - 1]) {
        let piece = piece.trim();
        match member(piece) {
            Some((_, raw)) if lossy && raw.contains(char::REPLACEMENT_CHARACTER) => {
                unreadable = true;
            }
            Some((name, raw)) => {
                unreadable |= serde_json::from_str::<serde::de::IgnoredAny>(raw).is_err();
                members.push_json(name, raw);
            }
            // Nothing stands behind a comma too many.
            None => unreadable |= !piece.is_empty(),
        }
    }
    (members, unreadable)
}

/// What stands between the commas that are within no string and no bracket.
fn pieces(inside: &str) -> Vec<&str> {
    let bytes = inside.as_bytes();
    let (mut pieces, mut begun, mut depth, mut quoted, mut at) = (Vec::new(), 0, 0_usize, false, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                pieces.push(&inside[begun..at]);
                begun = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    pieces.push(&inside[begun..]);
    pieces
}

/// A name and what is said to be its value.
fn member(piece: &str) -> Option<(String, &str)> {
    let mut json = serde_json::Deserializer::from_str(piece).into_iter::<String>();
    let name = json.next()?.ok()?;
    let raw = piece[json.byte_offset()..].trim_start().strip_prefix(':')?.trim();
    Some((name, raw))
}
