//! Finding objects, members and elements in a text, by brackets and quotation marks alone.

use core::ops::Range;
use std::prelude::rust_2024::*;

/// The elements of a web page whose objects are not the response.
const VEILS: [&str; 4] = ["script", "pre", "code", "textarea"];

/// The maximum number of objects side by side. If there are more, none is the response.
const MOST_OBJECTS: usize = 1000;

/// Returns whether a text is a web page.
pub(super) fn is_page(text: &str) -> bool {
    const PAGES: [&str; 4] = ["<!doctype", "<html", "<head", "<body"];
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || "\0\u{FEFF}".contains(c));
        let aside = [("<!--", "-->"), ("<?", "?>")];
        let Some((_, end)) = aside.iter().find(|(begin, _)| rest.starts_with(begin)) else {
            return PAGES.iter().any(|tag| is_named(rest, tag));
        };
        let Some((_, behind)) = rest.split_once(end) else { return false };
        rest = behind;
    }
}

/// Returns the ranges of the closed top-level objects that are not part of a web page, nor of a
/// script, an example or an attribute.
pub(super) fn free_objects(text: &str) -> Vec<Range<usize>> {
    if is_page(text) {
        return Vec::new();
    }
    let (mut veil, mut in_tag, mut at) = (None, false, 0);
    let mut objects = closed_objects(text);
    objects.retain(|object| {
        let gap = &text[at..object.start];
        at = object.end;
        for (place, bracket) in gap.match_indices(['<', '>']) {
            let tag = &gap[place + 1..];
            in_tag = bracket == "<" && tag.starts_with(|c: char| c.is_ascii_alphabetic());
            veil = match veil {
                _ if bracket == ">" => veil,
                None => VEILS.into_iter().find(|element| is_named(tag, element)),
                Some(element) => {
                    let over = tag.strip_prefix('/').is_some_and(|tag| is_named(tag, element));
                    (!over).then_some(element)
                }
            };
        }
        let is_value = in_tag && gap.trim_end().ends_with(['=', '"', '\'']);
        veil.is_none() && !is_value
    });
    objects
}

/// Returns whether a tag has this name.
fn is_named(tag: &str, name: &str) -> bool {
    let begins = tag.as_bytes().get(..name.len());
    begins.is_some_and(|it| it.eq_ignore_ascii_case(name.as_bytes()))
        && !tag.as_bytes().get(name.len()).is_some_and(u8::is_ascii_alphanumeric)
}

/// Returns the ranges of the closed top-level objects. An object that is not closed ends the
/// search, since all that follows may be part of it.
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
        if found.len() > MOST_OBJECTS {
            return Vec::new();
        }
    }
    found
}

/// Returns the end of the bracket pair that begins at `start`.
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

/// Returns what is within the brackets, if the text is one pair of them.
pub(super) fn within(text: &str, open: char, close: char) -> Option<&str> {
    let inside = text.strip_prefix(open)?.strip_suffix(close)?;
    (end_of(text.as_bytes(), 0) == Some(text.len())).then_some(inside)
}

/// Returns the only element of an array.
pub(super) fn sole_element(list: &str) -> Option<&str> {
    match pieces(within(list, '[', ']')?)[..] {
        [element] => Some(element.trim()),
        [] | [_, _, ..] => None,
    }
}

/// Splits at the commas outside of strings and brackets.
pub(super) fn pieces(inside: &str) -> Vec<&str> {
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

/// Splits a member into its name and the text of its value, after any comments.
pub(super) fn member(piece: &str) -> Option<(String, &str)> {
    let mut piece = piece.trim_start();
    while let Some((_, behind)) = match piece.get(..2) {
        Some("//") => piece.split_once('\n'),
        Some("/*") => piece[2..].split_once("*/"),
        Some(_) | None => None,
    } {
        piece = behind.trim_start();
    }
    let mut json = serde_json::Deserializer::from_str(piece).into_iter::<String>();
    let name = json.next()?.ok()?;
    let raw = piece[json.byte_offset()..].trim_start().strip_prefix(':')?.trim();
    Some((name, raw))
}
