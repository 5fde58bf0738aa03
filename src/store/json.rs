//! A stored grant as bytes (feature `json`): one JSON object, written and read by the same types,
//! for the adapters and for third-party stores.
//!
//! Invariants: this is the only place where secrets become bytes (rule G2); those bytes are
//! zeroised; errors quote nothing of what they met (rule G1).
//!
//! Out of scope: leniency. Every key is always written, so a missing or unknown key means
//! that something else wrote the file, and it is not touched (rule F5).

use core::fmt;
use std::collections::BTreeMap;
use std::format;
use std::io::{self, Write};
use std::prelude::rust_2024::*;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::error::Category;

use super::{Intent, StoreError, StoredGrant, Version, Versioned};
use crate::time::{Lifetime, Span, Timestamp};
use crate::token::{Grant, Secret};

/// The format that is written. Format 1, which lacks `intent_until` and `intent_holder`, is read as well.
const FORMAT: u64 = 2;

/// Only the format, whatever else there is.
#[derive(Deserialize)]
struct Head {
    format: u64,
}

/// The whole. `T` is a secret's text: borrowed when written, wrapped when read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Deserialize<'de>"))]
struct Content<T> {
    format: u64,
    version: u64,
    #[serde(deserialize_with = "required")]
    grant: Option<Body<T>>,
}

/// A stored grant. Instants are milliseconds since the Unix epoch, spans are milliseconds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "T: Deserialize<'de>"))]
#[expect(clippy::option_option, reason = "a key may be missing, null, or there")]
struct Body<T> {
    #[serde(deserialize_with = "required")]
    access_token: Option<T>,
    #[serde(deserialize_with = "required")]
    refresh_token: Option<T>,
    acquired_at: Timestamp,
    #[serde(deserialize_with = "required")]
    expires_at: Option<Timestamp>,
    #[serde(deserialize_with = "required")]
    refresh_in: Option<Span>,
    #[serde(deserialize_with = "required")]
    intent: Option<Timestamp>,
    /// This and the next are missing in format 1, and there alone.
    #[serde(default, deserialize_with = "present")]
    #[expect(clippy::option_option, reason = "null and missing are not the same")]
    intent_until: Option<Option<Timestamp>>,
    #[serde(default, deserialize_with = "present")]
    intent_holder: Option<Option<u64>>,
    fields: BTreeMap<String, T>,
}

/// A value that may be null but not missing.
fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

/// A value that may be null, or missing.
#[expect(clippy::option_option, reason = "null and missing are not the same")]
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Versioned {
    /// Returns the content as JSON, unencrypted, in the format of the file store:
    /// `{"format":2,"version":7,"grant":{..}}`, or `"grant":null` after a logout. A store that was
    /// never written has no content at all.
    ///
    /// ```
    /// use core::time::Duration;
    /// use perennial::store::{StoredGrant, Version, Versioned};
    /// use perennial::time::Timestamp;
    /// use perennial::token::Grant;
    ///
    /// let grant = Grant::new("at-1", "rt-1", Duration::from_secs(3600));
    /// let grant = StoredGrant::new(grant, Timestamp::from_secs(1_700_000_000));
    /// let content = Versioned { version: Version::new(7), grant: Some(grant) };
    /// let text = content.to_json(); // a `Secret`: `expose` it to whatever keeps it
    /// assert_eq!(Versioned::from_json(text.expose().as_bytes())?, content);
    /// # Ok::<(), perennial::store::StoreError>(())
    /// ```
    pub fn to_json(&self) -> Secret {
        encode(self.version, self.grant.as_ref())
    }

    /// Parses the output of [`to_json`](Self::to_json).
    ///
    /// # Errors
    /// [`StoreError::damaged`] for anything else: a text that is cut short, has another format, or
    /// is at [`Version::EMPTY`], the version of an empty store.
    pub fn from_json(bytes: &[u8]) -> Result<Self, StoreError> {
        decode(bytes).map_err(|reason| {
            StoreError::damaged(format!("the stored grant cannot be understood: {reason}"))
        })
    }
}

/// Returns the text of a store that holds `grant` as `version`.
pub(crate) fn encode(version: Version, grant: Option<&StoredGrant>) -> Secret {
    const TAKES_ALL: &str = "memory takes all, and every key of a grant is a text";
    let content =
        Content { format: FORMAT, version: version.number(), grant: grant.map(Body::exposing) };
    // Measured first: a buffer that grows would leave copies of the secrets behind.
    let mut size = Size(0);
    serde_json::to_writer(&mut size, &content).expect(TAKES_ALL);
    let mut bytes = Vec::with_capacity(size.0 + 1);
    serde_json::to_writer(&mut bytes, &content).expect(TAKES_ALL);
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("JSON is text").into()
}

impl<'a> Body<&'a str> {
    /// Exposes all secrets of `stored`, to be written. Rule G2: "Serialising a secret MUST be an
    /// explicit act."
    fn exposing(stored: &'a StoredGrant) -> Self {
        let grant = &stored.grant;
        Self {
            access_token: grant.access_token().map(Secret::expose),
            refresh_token: grant.refresh_token().map(Secret::expose),
            acquired_at: stored.acquired_at,
            expires_at: stored.expires_at,
            refresh_in: grant.refresh_in(),
            intent: stored.intent.map(|intent| intent.since),
            intent_until: Some(stored.intent.and_then(|intent| intent.until)),
            intent_holder: Some(stored.intent.and_then(|intent| intent.holder)),
            fields: grant.fields().map(|(name, it)| (name.into(), it.expose())).collect(),
        }
    }
}

/// Counts the bytes that would be written.
struct Size(usize);

impl Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Parses the bytes of a store. The error quotes nothing of them.
pub(crate) fn decode(bytes: &[u8]) -> Result<Versioned, String> {
    if bytes.trim_ascii().is_empty() {
        return Err("it is empty".into());
    }
    let head: Head = serde_json::from_slice(bytes).map_err(|error| describe(&error))?;
    if !(1..=FORMAT).contains(&head.format) {
        return Err("its format is neither 1 nor 2, the ones that this program knows".into());
    }
    let content: Content<Text> = serde_json::from_slice(bytes).map_err(|error| describe(&error))?;
    // Otherwise a swap that expects an empty store would overwrite it.
    if content.version == Version::EMPTY.number() {
        return Err("its version is that of a file that was never written".into());
    }
    let is_later =
        |grant: &Body<Text>| [grant.intent_until.is_some(), grant.intent_holder.is_some()];
    if content.grant.as_ref().is_some_and(|grant| is_later(grant) != [head.format > 1; 2]) {
        return Err("its note of intent is not that of its format".into());
    }
    let grant = content.grant.map(Body::into_stored).transpose()?;
    Ok(Versioned { version: Version::new(content.version), grant })
}

impl Body<Text> {
    fn into_stored(self) -> Result<StoredGrant, String> {
        let lifetime = match self.expires_at {
            Some(expires_at) => Lifetime::For(expires_at.since(self.acquired_at)),
            None => Lifetime::Unstated,
        };
        let mut grant = match (self.access_token, self.refresh_token) {
            (Some(access), Some(refresh)) => Grant::new(access.0, refresh.0, lifetime),
            (Some(access), None) => Grant::of_access_token(access.0, lifetime),
            (None, Some(refresh)) => Grant::of_refresh_token(refresh.0),
            (None, None) => return Err("its grant holds no token".into()),
        };
        if let Some(refresh_in) = self.refresh_in {
            grant = grant.with_refresh_in(refresh_in);
        }
        for (name, value) in self.fields {
            grant = grant.with_field(name, value.0);
        }
        Ok(StoredGrant {
            grant,
            acquired_at: self.acquired_at,
            expires_at: self.expires_at,
            intent: self.intent.map(|since| Intent {
                since,
                until: self.intent_until.flatten(),
                holder: self.intent_holder.flatten(),
            }),
        })
    }
}

/// Says what is wrong and where. The error's own message would quote the input.
fn describe(error: &serde_json::Error) -> String {
    let problem = match error.classify() {
        Category::Eof => "it ends too early",
        Category::Syntax => "it is not JSON",
        Category::Data => "a value is missing, unknown, or of another type than it should be",
        Category::Io => "it could not be read to its end",
    };
    format!("{problem}, at line {} column {}", error.line(), error.column())
}

/// A secret's text, wrapped as it is read.
struct Text(Secret);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = Text;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.into()))
    }
}
