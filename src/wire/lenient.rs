//! The second reading of a response, after the first one failed (rule B14): no grant is lost to its
//! wrapping.
//!
//! It takes one closed JSON object, or a form whose first key is one that responses have, and never a
//! fragment: what an object that breaks off holds within is not looked at. Each token it gives is one
//! member's value. Of a web page it takes nothing: what that shows as an example, or has in a script, is
//! no response.

use std::prelude::rust_2024::*;

use secrecy::zeroize::Zeroizing;
use url::form_urlencoded;

use super::members::{Members, replaced};
use super::scan::free_objects;
use crate::token::Leniency;

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

/// How much an object looks like a response.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    None,
    /// It has a code in some place for one.
    Code,
    /// It has a refresh token, or an `error`.
    Standard,
    AccessToken,
}

/// Reads a body once, as it should be, and if it is not so, once more. `ended` says whether all of it
/// came; `likeness`, how much members look like those of a response.
pub(super) fn read(
    body: &[u8],
    charset: Option<&str>,
    ended: bool,
    likeness: impl Fn(&Members) -> Likeness,
) -> Members {
    let members = Members::strict(body);
    if members.whole {
        return members;
    }
    let (text, mut leniencies, lossy) = decoded(body, charset);
    let half = if leniencies.is_empty() { members } else { Members::strict(text.as_bytes()) };
    if half.whole && !lossy {
        return half.with_leniencies(leniencies);
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
        return members.with_leniencies(leniencies);
    }
    if let Some(members) = framed(text, lossy, likeness) {
        return members.with_leniencies(leniencies);
    }
    // What came whole before it broke off, and no more.
    leniencies.push(Leniency::CutShort);
    half.of_lossy(lossy).with_leniencies(leniencies)
}

/// The text of a body, what had to be leniencies, and whether some of its bytes could not be read.
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
        collected(body, characters)
    };
    let (text, mut leniencies) = match body {
        [0xFF, 0xFE, rest @ ..] => (wide(rest, true), vec![Leniency::Charset]),
        [0xFE, 0xFF, rest @ ..] => (wide(rest, false), vec![Leniency::Charset]),
        // What begins an object, a form or white space is ASCII, so the zeros tell.
        [first, 0, ..] if *first != 0 => (wide(body, true), vec![Leniency::Charset]),
        [0, second, ..] if *second != 0 => (wide(body, false), vec![Leniency::Charset]),
        _ => match core::str::from_utf8(body) {
            Ok(text) => (Zeroizing::new(text.to_owned()), Vec::new()),
            Err(_) if charset.is_some_and(is_single_byte) => {
                (collected(body, body.iter().copied().map(char::from)), vec![Leniency::Charset])
            }
            Err(_) => {
                lossy = true;
                let characters = body.utf8_chunks().flat_map(|chunk| {
                    let invalid = !chunk.invalid().is_empty();
                    let unread = invalid.then_some(char::REPLACEMENT_CHARACTER);
                    chunk.valid().chars().chain(unread)
                });
                (collected(body, characters), vec![Leniency::Charset])
            }
        },
    };
    let inner = text.trim_start_matches('\u{FEFF}');
    if inner.len() == text.len() {
        return (text, leniencies, lossy);
    }
    leniencies.push(Leniency::ByteOrderMark);
    (Zeroizing::new(inner.to_owned()), leniencies, lossy)
}

/// The characters of a body, in a text that never grows: it would leave copies of it behind.
fn collected(body: &[u8], characters: impl Iterator<Item = char>) -> Zeroizing<String> {
    // One byte stands for a character of three at most.
    let mut text = Zeroizing::new(String::with_capacity(3 * body.len()));
    text.extend(characters);
    text
}

/// Whether each byte of that charset is the character of its number, where a token could tell.
fn is_single_byte(charset: &str) -> bool {
    ["iso-8859-1", "latin1", "us-ascii", "windows-1252"]
        .iter()
        .any(|known| charset.eq_ignore_ascii_case(known))
}

/// A response that was made JSON twice.
fn unquoted(text: &str) -> Option<Zeroizing<String>> {
    let text = text.trim();
    if !text.starts_with('"') {
        return None;
    }
    serde_json::from_str(text).ok().map(Zeroizing::new)
}

/// The members of a form, also of one that was made sloppily. Where it may go on, its last pair may be
/// a fragment.
fn form(text: &str, ended: bool) -> Option<Members> {
    let text = text.trim().trim_start_matches(['?', '#']);
    let (first, _) = text.split_once('=')?;
    // What no form holds: that is a page, or a log.
    let foreign = |c: char| c.is_control() || c == '<' || c == '>';
    if !FIRST_KEYS.contains(&first) || text.contains(foreign) {
        return None;
    }
    // HTML's way of writing the separator, and an older one.
    let plain = replaced(text, &[("&amp;", "&")]);
    let older =
        if plain.contains('&') { Zeroizing::default() } else { replaced(&plain, &[(";", "&")]) };
    let text = if older.is_empty() { plain.as_str() } else { older.as_str() };
    let text = if ended { text } else { text.rsplit_once('&')?.0 };
    let mut members = Members::empty(ended);
    for pair in text.split('&') {
        let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
        // What no form leaves as it is: in a token nobody knows what it was to be.
        let is_sloppy = |byte: u8| !byte.is_ascii_graphic() || br#""[\]^`{};"#.contains(&byte);
        if name.ends_with("_token") && raw.bytes().any(is_sloppy) {
            return None;
        }
        for (name, value) in form_urlencoded::parse(pair.as_bytes()) {
            // Bytes that are no text are read as this, and are no token.
            if !value.contains(char::REPLACEMENT_CHARACTER) {
                members.push_text(name.into_owned(), value.into_owned());
            }
        }
    }
    Some(members)
}

/// The one closed object with the tokens, or with the refusal, whatever stands around it.
fn framed(text: &str, lossy: bool, likeness: impl Fn(&Members) -> Likeness) -> Option<Members> {
    let mut found = Vec::new();
    let mut best = Likeness::Code;
    for range in free_objects(text) {
        let Some(members) = Members::tolerant(&text[range.clone()], lossy) else { continue };
        let like = likeness(&members);
        if like > best {
            found.clear();
            best = like;
        }
        if like == best {
            found.push((range, members));
        }
    }
    // Of two that differ neither is known to be the response.
    found.dedup_by(|later, first| text[later.0.clone()] == text[first.0.clone()]);
    let [(range, _)] = &found[..] else { return None };
    let outside = !text[..range.start].trim().is_empty() || !text[range.end..].trim().is_empty();
    let (_, members) = found.pop()?;
    Some(members.with_leniencies(outside.then_some(Leniency::Framed).into_iter().collect()))
}
