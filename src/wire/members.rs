//! The members of a response, from JSON or a form.

use core::fmt;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use secrecy::zeroize::Zeroizing;
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::scan::{member, pieces, sole_element, within};
use crate::provider::Dialect;
use crate::token::{Leniency, Secret};

/// Members by name. Of several with one name, the last one that has a value counts.
#[derive(Default)]
pub(super) struct Members {
    values: BTreeMap<String, Vec<Raw>>,
    /// Whether the text was one complete object or form.
    pub(super) whole: bool,
    /// Whether some bytes could not be decoded. Values that hold one are ignored.
    lossy: bool,
    /// The leniencies that were needed to read them.
    pub(super) leniencies: Vec<Leniency>,
}

/// The value of a member, as it was received.
enum Raw {
    Json(Secret),
    Text(Secret),
}

/// A token, and the leniency that was needed to read it.
pub(super) struct Token {
    pub(super) secret: Secret,
    pub(super) leniencies: Option<Leniency>,
}

impl Members {
    /// Returns no members, of a text that is complete or not.
    pub(super) fn empty(whole: bool) -> Self {
        Self { whole, ..Self::default() }
    }

    /// Reads the members of one JSON object (RFC 8259). If it is incomplete, or invalid from some
    /// point on, returns the members before that (rule B14); if other text follows it, none.
    pub(super) fn strict(body: &[u8]) -> Self {
        let mut members = Self::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        if json.deserialize_map(Collect(&mut members)).is_ok() {
            members.whole = json.end().is_ok();
            if !members.whole {
                members.values.clear();
            }
        }
        members
    }

    /// Reads the members of a closed object that are valid.
    pub(super) fn tolerant(object: &str, lossy: bool) -> Option<Self> {
        let mut members = Self { whole: true, lossy, ..Self::default() };
        let mut unreadable = false;
        for piece in pieces(within(object, '{', '}')?) {
            let piece = piece.trim();
            if let Some((name, raw)) = member(piece) {
                unreadable |= serde_json::from_str::<IgnoredAny>(raw).is_err()
                    || lossy && raw.contains(char::REPLACEMENT_CHARACTER);
                members.push_json(name, raw);
            } else {
                // A trailing comma is tolerated.
                unreadable |= !piece.is_empty();
            }
        }
        members.leniencies.extend(unreadable.then_some(Leniency::Unreadable));
        Some(members)
    }

    pub(super) fn push_json(&mut self, name: String, raw: &str) {
        self.values.entry(name).or_default().push(Raw::Json(Secret::from(raw)));
    }

    pub(super) fn push_text(&mut self, name: String, text: String) {
        self.values.entry(name).or_default().push(Raw::Text(Secret::from(text)));
    }

    /// Sets whether some bytes could not be decoded.
    pub(super) fn of_lossy(mut self, lossy: bool) -> Self {
        self.lossy = lossy;
        self
    }

    /// Adds leniencies, before those that are there.
    pub(super) fn with_leniencies(mut self, mut leniencies: Vec<Leniency>) -> Self {
        leniencies.append(&mut self.leniencies);
        self.leniencies = leniencies;
        self
    }

    /// Returns the values of a name, the last one first, without those that hold undecodable bytes.
    /// An object or array is returned: its own members are filtered in turn.
    fn all(&self, name: &str) -> impl Iterator<Item = &Raw> {
        let readable = |raw: &&Raw| {
            let text = raw.as_it_stood();
            !self.lossy || raw.is_container() || !text.contains(char::REPLACEMENT_CHARACTER)
        };
        self.values.get(name).into_iter().flatten().rev().filter(readable)
    }

    /// Returns a non-empty string without surrounding white space.
    pub(super) fn text(&self, name: &str) -> Option<Secret> {
        self.all(name).find_map(|raw| {
            let text = raw.text()?;
            let trimmed = text.expose().trim();
            (!trimmed.is_empty()).then(|| Secret::from(trimmed))
        })
    }

    /// Returns a token: a string other than a placeholder such as `null`, also as the only element
    /// of an array.
    pub(super) fn token(&self, name: &str) -> Option<Token> {
        self.all(name).find_map(Raw::token)
    }

    /// As [`token`](Members::token), and also accepts an integer.
    pub(super) fn token_or_number(&self, name: &str) -> Option<Token> {
        self.all(name).find_map(|raw| raw.token().or_else(|| raw.digits()))
    }

    /// Returns the strings of a name, and the digits of its numbers, the last one first.
    pub(super) fn literals(&self, name: &str) -> impl Iterator<Item = Secret> {
        self.all(name).filter_map(Raw::literal)
    }

    /// Returns whether there is any value of a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all(name).any(|raw| match raw {
            Raw::Json(json) => serde_json::from_str::<IgnoredAny>(json.expose()).is_ok(),
            Raw::Text(_) => true,
        } || raw.text().is_some())
    }

    /// Returns the last non-empty value of a name, or else the last one.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        let mut values = self.all(name).filter_map(Raw::value).peekable();
        let last = values.peek().cloned();
        values.find(|value| !is_empty(value)).or(last)
    }

    /// Returns the members of the object at a path, with dots between the names.
    pub(super) fn inside(&self, path: &str) -> Option<Self> {
        let (first, rest) =
            path.split_once('.').map_or((path, None), |(it, rest)| (it, Some(rest)));
        let mut opened = self.all(first).filter_map(|raw| opened(raw.as_it_stood(), self.lossy));
        let inner = opened.next()?;
        match rest {
            Some(rest) => inner.inside(rest).map(|it| it.with_leniencies(inner.leniencies)),
            None => Some(inner),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Returns whether an access or a refresh token is among them.
    pub(super) fn has_tokens(&self) -> bool {
        self.token("access_token").is_some() || self.token_or_number("refresh_token").is_some()
    }

    /// Renames the dialect's members to the standard's names where these have no value.
    pub(super) fn renamed(mut self, dialect: Dialect) -> Self {
        for (standard, theirs) in dialect.names() {
            if self.all(standard).any(Raw::says_something) {
                continue;
            }
            if let Some(values) = self.values.remove(*theirs) {
                self.values.insert((*standard).to_owned(), values);
            }
        }
        self
    }

    /// Adds the members of the envelope that holds the tokens, if there are none at the top level.
    pub(super) fn unwrapped(mut self, dialect: Dialect) -> Self {
        if self.has_tokens() {
            return self;
        }
        let envelopes = dialect.envelopes().iter().filter_map(|path| self.inside(path));
        let mut opened = envelopes.map(|inner| inner.renamed(dialect));
        if let Some(inner) = opened.find(Self::has_tokens) {
            drop(opened);
            self.leniencies.extend(inner.leniencies);
            for (name, values) in inner.values {
                self.values.entry(name).or_default().extend(values);
            }
        }
        self
    }
}

/// Reads the members of an object, also as the only element of an array, or encoded as a JSON
/// string.
fn opened(raw: &str, lossy: bool) -> Option<Members> {
    let raw = raw.trim();
    let object = |text: &str| {
        let strict = Some(Members::strict(text.as_bytes())).filter(|it| it.whole && !lossy);
        strict.or_else(|| Members::tolerant(text, lossy))
    };
    let framed = match raw.bytes().next()? {
        b'{' => return object(raw),
        b'[' => object(sole_element(raw)?),
        b'"' => object(unquoted(raw)?.expose().trim()),
        _ => None,
    };
    framed.map(|it| it.with_leniencies(vec![Leniency::Framed]))
}

impl Raw {
    fn as_it_stood(&self) -> &str {
        match self {
            Self::Json(raw) | Self::Text(raw) => raw.expose(),
        }
    }

    fn is_container(&self) -> bool {
        self.as_it_stood().starts_with(['{', '['])
    }

    fn text(&self) -> Option<Secret> {
        match self {
            Self::Json(raw) => unquoted(raw.expose()),
            Self::Text(text) => Some(text.clone()),
        }
    }

    fn literal(&self) -> Option<Secret> {
        match self {
            Self::Json(raw) if raw.expose().starts_with('"') => self.text(),
            Self::Json(raw) | Self::Text(raw) => Some(raw.clone()),
        }
    }

    fn value(&self) -> Option<Value> {
        let of_text = || self.text().map(|it| Value::String(it.expose().to_owned()));
        match self {
            Self::Json(json) => serde_json::from_str(json.expose()).ok().or_else(of_text),
            Self::Text(_) => of_text(),
        }
    }

    fn token(&self) -> Option<Token> {
        let (text, shaped) = match self {
            Self::Json(raw) if raw.expose().starts_with('[') => {
                (unquoted(sole_element(raw.expose())?)?, true)
            }
            Self::Json(_) | Self::Text(_) => (self.text()?, false),
        };
        let trimmed = text.expose().trim();
        let padded = trimmed != text.expose();
        let leniencies = [(shaped, Leniency::Shaped), (padded, Leniency::Padded)];
        let leniencies = leniencies.into_iter().find_map(|(is, what)| is.then_some(what));
        says_something(trimmed).then(|| Token { secret: Secret::from(trimmed), leniencies })
    }

    /// Returns an integer as a token, if it is longer than a count or a flag.
    fn digits(&self) -> Option<Token> {
        let Self::Json(raw) = self else { return None };
        let digits = raw.expose();
        let whole = digits.bytes().all(|it| it.is_ascii_digit()) && !digits.starts_with('0');
        let token = || Token { secret: raw.clone(), leniencies: Some(Leniency::Shaped) };
        (whole && digits.len() >= 8).then(token)
    }

    fn says_something(&self) -> bool {
        self.literal().is_some_and(|it| says_something(it.expose().trim()))
    }
}

/// Returns whether a text is a value, and not a placeholder that programs write for none.
pub(super) fn says_something(text: &str) -> bool {
    const NOTHING: [&str; 9] = [
        "undefined",
        "null",
        "none",
        "nil",
        "nan",
        "true",
        "false",
        "object object",
        // A scheme without its credentials.
        "bearer",
    ];
    let bare = text.trim_matches(|c: char| "()<>[] ".contains(c));
    text.contains(|c: char| c.is_alphanumeric())
        && !NOTHING.iter().any(|word| word.eq_ignore_ascii_case(bare))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Returns the contents of a JSON string. Unescaped line breaks and tabs, which JSON forbids, are
/// accepted.
fn unquoted(raw: &str) -> Option<Secret> {
    if !raw.starts_with('"') {
        return None;
    }
    if let Ok(text) = serde_json::from_str::<String>(raw) {
        return Some(Secret::from(text));
    }
    let escaped = replaced(raw, &[("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")]);
    serde_json::from_str::<String>(&escaped).ok().map(Secret::from)
}

/// Replaces words in a text, without leaving copies of it behind.
pub(super) fn replaced(text: &str, words: &[(&str, &str)]) -> Zeroizing<String> {
    // No replacement is longer than twice the word.
    let mut replaced = Zeroizing::new(String::with_capacity(2 * text.len()));
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((word, by)) = words.iter().find(|(word, _)| rest.starts_with(word)) {
            replaced.push_str(by);
            rest = &rest[word.len()..];
        } else {
            replaced.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    replaced
}

struct Collect<'s>(&'s mut Members);

impl<'de> Visitor<'de> for Collect<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            self.0.push_json(name, value.get());
        }
        Ok(())
    }
}
