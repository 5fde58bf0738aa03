//! The members of an answer, wherever they came from.

use core::fmt;
use std::collections::BTreeMap;
use std::prelude::rust_2024::*;

use secrecy::zeroize::Zeroizing;
use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::provider::Dialect;
use crate::token::Secret;

/// Members by name; of several with one name, the last that can be read counts.
#[derive(Default)]
pub(super) struct Members {
    values: BTreeMap<String, Vec<Raw>>,
    /// Whether there was one object, or one form, to its end.
    pub(super) whole: bool,
}

/// A member's value, as it stood there.
enum Raw {
    Json(Secret),
    Text(Secret),
}

impl Members {
    /// None yet, of something that is whole or not.
    pub(super) fn empty(whole: bool) -> Self {
        Self { values: BTreeMap::new(), whole }
    }

    /// The members of one JSON object, in the very words of RFC 8259. Of one that breaks off, or is no
    /// JSON from some point on, those that came whole before (rule B14).
    pub(super) fn strict(body: &[u8]) -> Self {
        let mut members = Self::default();
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = json.deserialize_map(Collect(&mut members)).and_then(|()| json.end());
        members.whole = read.is_ok();
        members
    }

    pub(super) fn push_json(&mut self, name: String, raw: &str) {
        self.values.entry(name).or_default().push(Raw::Json(Secret::from(raw)));
    }

    pub(super) fn push_text(&mut self, name: String, text: String) {
        self.values.entry(name).or_default().push(Raw::Text(Secret::from(text)));
    }

    /// A text without the white space around it; nothing for an absent, empty or other value.
    pub(super) fn text(&self, name: &str) -> Option<Secret> {
        self.values.get(name)?.iter().rev().find_map(|raw| {
            let text = raw.text()?;
            let trimmed = text.expose().trim();
            (!trimmed.is_empty()).then(|| Secret::from(trimmed))
        })
    }

    /// Whether the text has white space around it, which is no part of any token.
    pub(super) fn is_padded(&self, name: &str) -> bool {
        let last = self.values.get(name).and_then(|all| all.iter().rev().find_map(Raw::text));
        last.is_some_and(|text| text.expose().trim() != text.expose())
    }

    /// What a text says, or a number's digits, of each member of that name, the last one first.
    pub(super) fn literals(&self, name: &str) -> impl Iterator<Item = Secret> {
        self.values.get(name).into_iter().flatten().rev().filter_map(Raw::literal)
    }

    /// Any value.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.values.get(name)?.iter().rev().find_map(|raw| match raw {
            Raw::Json(json) => {
                let value = serde_json::from_str(json.expose()).ok();
                value.or_else(|| raw.text().map(|it| Value::String(it.expose().to_owned())))
            }
            Raw::Text(text) => Some(Value::String(text.expose().to_owned())),
        })
    }

    /// The members of the object at a path, with dots between the names.
    pub(super) fn inside(&self, path: &str) -> Option<Self> {
        let (first, rest) =
            path.split_once('.').map_or((path, None), |(it, rest)| (it, Some(rest)));
        let inner = self.values.get(first)?.iter().rev().find_map(|raw| match raw {
            Raw::Json(raw) => Some(Self::strict(raw.expose().as_bytes())).filter(|it| it.whole),
            Raw::Text(_) => None,
        })?;
        match rest {
            Some(rest) => inner.inside(rest),
            None => Some(inner),
        }
    }

    /// Without those that hold bytes of no charset.
    pub(super) fn without_unreadable(mut self) -> Self {
        for values in self.values.values_mut() {
            values.retain(|raw| match raw {
                Raw::Json(raw) | Raw::Text(raw) => {
                    !raw.expose().contains(char::REPLACEMENT_CHARACTER)
                }
            });
        }
        self
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Whether an access or a refresh token is among them.
    pub(super) fn has_tokens(&self) -> bool {
        ["access_token", "refresh_token"].iter().any(|name| self.text(name).is_some())
    }

    /// Whether they are a refusal: an `error` that says anything (RFC 6749, section 5.2), and no
    /// access token beside it.
    pub(super) fn refuses(&self) -> bool {
        let says_something = match self.value("error") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(is_error)) => is_error,
            Some(Value::Number(number)) => number.as_i64() != Some(0),
            Some(Value::String(text)) => !text.trim().is_empty(),
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(members)) => !members.is_empty(),
        };
        says_something && self.text("access_token").is_none()
    }

    /// Those of the standard's names that only the dialect's stand for.
    pub(super) fn renamed(mut self, dialect: Dialect) -> Self {
        for (standard, theirs) in dialect.names() {
            if self.values.contains_key(*standard) {
                continue;
            }
            if let Some(values) = self.values.remove(*theirs) {
                self.values.insert((*standard).to_owned(), values);
            }
        }
        self
    }

    /// With those of the envelope that holds the tokens, where there is none at the top.
    pub(super) fn unwrapped(mut self, dialect: Dialect) -> Self {
        if self.has_tokens() {
            return self;
        }
        let envelopes = dialect.envelopes().iter().filter_map(|path| self.inside(path));
        let mut opened = envelopes.map(|inner| inner.renamed(dialect));
        if let Some(inner) = opened.find(Self::has_tokens) {
            drop(opened);
            self.values.extend(inner.values);
        }
        self
    }
}

impl Raw {
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
}

/// What a JSON string says. One that holds line breaks as they are, which JSON forbids, is read all the
/// same: no escape of its own is taken for another thing.
fn unquoted(raw: &str) -> Option<Secret> {
    if !raw.starts_with('"') {
        return None;
    }
    if let Ok(text) = serde_json::from_str::<String>(raw) {
        return Some(Secret::from(text));
    }
    let escaped =
        Zeroizing::new(raw.replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t"));
    serde_json::from_str::<String>(&escaped).ok().map(Secret::from)
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
