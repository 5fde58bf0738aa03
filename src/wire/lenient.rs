//! The lenient reading of a response that is not strict JSON (rule B14), so that a grant is not
//! lost to its wrapping.
//!
//! It accepts one closed JSON object, or a form whose first key is one that responses have, and
//! never a fragment: the contents of an incomplete nested object are ignored. Each token is the
//! value of one member. Nothing is taken from a web page, whose examples and scripts are not the
//! response.

use std::prelude::rust_2024::*;

use secrecy::zeroize::Zeroizing;
use url::form_urlencoded;

use super::members::{Members, replaced};
use super::scan::free_objects;
use crate::token::Leniency;

/// The keys of which a form must begin with one.
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

/// How much an object looks like a token endpoint's response.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    None,
    /// It has an error code in a place for one.
    Code,
    /// It has a refresh token, or an `error`.
    Standard,
    AccessToken,
}

/// Reads a body strictly, and if that fails, leniently. `ended` is whether all of it was received;
/// `likeness` returns how much members look like those of a response.
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
    // The members that were complete, and no more.
    leniencies.push(Leniency::CutShort);
    half.of_lossy(lossy).with_leniencies(leniencies)
}

/// Returns the text of a body, the leniencies needed, and whether some of its bytes could not be
/// decoded.
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
        // An object, a form and white space begin with ASCII, so zero bytes show the byte order.
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

/// Collects the characters of a body in a text that never grows, which would leave copies behind.
fn collected(body: &[u8], characters: impl Iterator<Item = char>) -> Zeroizing<String> {
    // One byte becomes at most three.
    let mut text = Zeroizing::new(String::with_capacity(3 * body.len()));
    text.extend(characters);
    text
}

/// Returns whether each byte of the charset is the character with that number, as far as tokens can
/// hold it.
fn is_single_byte(charset: &str) -> bool {
    ["iso-8859-1", "latin1", "us-ascii", "windows-1252"]
        .iter()
        .any(|known| charset.eq_ignore_ascii_case(known))
}

/// Unwraps JSON that was encoded as a JSON string.
fn unquoted(text: &str) -> Option<Zeroizing<String>> {
    let text = text.trim();
    if !text.starts_with('"') {
        return None;
    }
    serde_json::from_str(text).ok().map(Zeroizing::new)
}

/// Reads the members of a form, also of one that is not well encoded. The last pair of an
/// incomplete form is dropped, since it may be a fragment.
fn form(text: &str, ended: bool) -> Option<Members> {
    let text = text.trim().trim_start_matches(['?', '#']);
    let (first, _) = text.split_once('=')?;
    // No form holds these; the text is a web page or a log.
    let foreign = |c: char| c.is_control() || c == '<' || c == '>';
    if !FIRST_KEYS.contains(&first) || text.contains(foreign) {
        return None;
    }
    // The separator as HTML escapes it, and an older separator.
    let plain = replaced(text, &[("&amp;", "&")]);
    let older =
        if plain.contains('&') { Zeroizing::default() } else { replaced(&plain, &[(";", "&")]) };
    let text = if older.is_empty() { plain.as_str() } else { older.as_str() };
    let text = if ended { text } else { text.rsplit_once('&')?.0 };
    let mut members = Members::empty(ended);
    for pair in text.split('&') {
        let (name, raw) = pair.split_once('=').unwrap_or((pair, ""));
        // Forms encode these; it is not known what they stand for in a token.
        let is_sloppy = |byte: u8| !byte.is_ascii_graphic() || br#""[\]^`{};"#.contains(&byte);
        if name.ends_with("_token") && raw.bytes().any(is_sloppy) {
            return None;
        }
        for (name, value) in form_urlencoded::parse(pair.as_bytes()) {
            // Bytes that are not UTF-8 are decoded to this, and are not part of a token.
            if !value.contains(char::REPLACEMENT_CHARACTER) {
                members.push_text(name.into_owned(), value.into_owned());
            }
        }
    }
    Some(members)
}

/// Reads the one closed object that looks most like a response, whatever text surrounds it.
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
    // Of two that differ, it is not known which is the response.
    found.dedup_by(|later, first| text[later.0.clone()] == text[first.0.clone()]);
    let [(range, _)] = &found[..] else { return None };
    let outside = !text[..range.start].trim().is_empty() || !text[range.end..].trim().is_empty();
    let (_, members) = found.pop()?;
    Some(members.with_leniencies(outside.then_some(Leniency::Framed).into_iter().collect()))
}
