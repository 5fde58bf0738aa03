//! The errors of these stores: what is wrong, and what to do about it.
//!
//! The database's own text is not repeated, nor the error that has it: it may quote what was sent to it
//! (rule G1).

use std::error::Error as StdError;
use std::format;
use std::io;
use std::string::String;

use deadpool_postgres::{HookError, PoolError};
use tokio_postgres::Error;
use tokio_postgres::error::SqlState;

use crate::store::StoreError;

/// The error of a statement that the database has refused, or did not get.
pub(super) fn failed(error: &Error) -> StoreError {
    let what = match error.code().map(SqlState::code) {
        Some("25006") => "it takes no writes: connect to the primary".into(),
        Some("42P01" | "42703") => {
            "its tables are missing: run `PostgresConnection::migrate`".into()
        }
        Some("42501") => {
            "the user may not do this: grant SELECT, INSERT, UPDATE and DELETE on the tables".into()
        }
        Some("28P01" | "28000") => "it does not accept the user name or the password".into(),
        Some("3D000") => "there is no such database".into(),
        Some("53300") => "it has too many connections: lower `max_connections`".into(),
        Some("53100" | "53200") => "it has no space left".into(),
        Some("54000") => "the key is too long".into(),
        Some("57P01" | "57P02" | "57P03") => "it is starting or shutting down".into(),
        Some("57014" | "55P03") => return late(),
        Some("22003") => {
            return StoreError::damaged(
                "the version of the stored grant cannot be increased further",
            );
        }
        Some(code) => format!("it answered with the code {code}"),
        None if is_refused(error) => "nobody listens there".into(),
        None => String::from("the connection failed"),
    };
    StoreError::unreachable(format!("the PostgreSQL database cannot be used: {what}"))
}

/// Whether the connection was refused.
fn is_refused(error: &Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// The error of a connection that the pool could not open.
pub(super) fn not_connected(error: &PoolError) -> StoreError {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            failed(error)
        }
        PoolError::Timeout(_) => late(),
        PoolError::NoRuntimeSpecified => no_runtime(),
        PoolError::Closed => {
            StoreError::unreachable("the pool of PostgreSQL connections was closed")
        }
        PoolError::PostCreateHook(_) => {
            StoreError::unreachable("a hook of the pool of PostgreSQL connections failed")
        }
    }
}

/// The error for a row that is deleted or damaged again and again.
pub(super) fn restless() -> StoreError {
    StoreError::unreachable("something else changes the stored grant again and again")
}

pub(super) fn late() -> StoreError {
    StoreError::unreachable("the PostgreSQL database did not answer in time")
}

pub(super) fn no_runtime() -> StoreError {
    StoreError::unreachable(
        "PostgreSQL connections need a tokio runtime: create them inside one that goes on running",
    )
}

/// The error for a column of another type than that of the schema.
pub(super) fn other_schema() -> StoreError {
    StoreError::damaged("a table of PostgreSQL has other columns than this program's schema")
}

/// Rule F5: "Damaged content MUST be a clear error, and nothing
/// may be overwritten but by a login or a logout."
pub(super) fn damaged(key: &str, reason: &str) -> StoreError {
    StoreError::damaged(format!(
        "what the PostgreSQL database holds for the key {key} cannot be understood: {reason}. It was left \
         as it is: restore it, or log in again, which replaces it and keeps a copy in the column `damaged`"
    ))
}

/// Rule F5.
pub(super) fn emptied(key: &str) -> StoreError {
    StoreError::emptied(format!(
        "the PostgreSQL database has lost what it held for the key {key}, or its latest state: by a \
         failover, or by hand"
    ))
}
