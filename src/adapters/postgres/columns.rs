//! The values of columns, as parameters and as they are read.

use core::time::Duration;
use std::prelude::rust_2024::*;

use secrecy::zeroize::Zeroizing;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql, Type};

use super::said;
use crate::store::{StoreError, Version};
use crate::token::Secret;

/// A parameter of a statement.
pub(super) enum Value {
    #[cfg(feature = "issue")]
    Bytes(Vec<u8>),
    Text(Option<String>),
    /// A text that is zeroised.
    Record(Zeroizing<String>),
    Number(Option<i64>),
    Seconds(f64),
    Flag(bool),
}

impl Value {
    pub(super) fn parameter(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            #[cfg(feature = "issue")]
            Self::Bytes(bytes) => (bytes, Type::BYTEA),
            Self::Text(text) => (text, Type::TEXT),
            Self::Record(text) => (&**text, Type::TEXT),
            Self::Number(number) => (number, Type::INT8),
            Self::Seconds(seconds) => (seconds, Type::FLOAT8),
            Self::Flag(flag) => (flag, Type::BOOL),
        }
    }
}

/// Returns a version as the database has it. One that it cannot have is none of its versions.
pub(super) fn number(version: Version) -> i64 {
    i64::try_from(version.number()).unwrap_or(-1)
}

/// Returns a term.
pub(super) fn seconds(term: Duration) -> Value {
    const LONGEST: f64 = 1e9;
    Value::Seconds(term.as_secs_f64().min(LONGEST))
}

pub(super) fn record_value(record: &Secret) -> Value {
    Value::Record(Zeroizing::new(record.expose().into()))
}

pub(super) fn column<'a, T: FromSql<'a>>(row: &'a Row, place: usize) -> Result<T, StoreError> {
    row.try_get(place).map_err(|_| said::other_schema())
}
