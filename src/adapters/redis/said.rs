//! The errors of these stores: what is wrong, and what to do about it.
//!
//! A server's own text is not repeated, nor the error that has it: it may quote what was sent to it
//! (rule G1).

use std::format;
use std::string::String;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::store::StoreError;

/// The error of a request that the server has refused, or did not get.
pub(super) fn failed(error: &RedisError) -> StoreError {
    let what = match (error.kind(), error.code()) {
        (ErrorKind::Server(ServerErrorKind::ReadOnly), _) => {
            "it is a read-only replica: connect to the primary".into()
        }
        (ErrorKind::Server(ServerErrorKind::BusyLoading), _) => {
            "it is still loading its data".into()
        }
        (
            ErrorKind::Server(
                ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::CrossSlot,
            ),
            _,
        ) => "it is a cluster: use `RedisConnection::from_connection` with a cluster's connection"
            .into(),
        (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
            "it does not accept the user name or the password".into()
        }
        (_, Some("NOPERM")) => {
            "the user may not do this: allow the commands EVALSHA, SCRIPT, TIME, TYPE, \
            HMGET, HSET, HDEL, PUBLISH and SUBSCRIBE"
                .into()
        }
        (_, Some("OOM")) => "it is out of memory".into(),
        (_, Some("MISCONF")) => "it cannot save its data, and takes no writes".into(),
        (_, Some(code)) if is_code(code) => format!("it answered {code}"),
        _ if error.is_connection_refusal() => "nobody listens there".into(),
        _ if error.is_timeout() => return late(),
        _ if error.is_io_error() || error.is_connection_dropped() => "the connection failed".into(),
        _ => String::from("it answered something else than was asked"),
    };
    StoreError::unreachable(format!("the Redis server cannot be used: {what}"))
}

/// Whether this is the first word of an error, and no text that was sent.
fn is_code(code: &str) -> bool {
    code.len() <= 16 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// The error for a record that is damaged again and again.
pub(super) fn restless() -> StoreError {
    StoreError::unreachable("something else changes the stored grant again and again")
}

pub(super) fn late() -> StoreError {
    StoreError::unreachable("the Redis server did not answer in time")
}

pub(super) fn no_runtime() -> StoreError {
    StoreError::unreachable(
        "a Redis connection needs a tokio runtime: create it inside one that goes on running",
    )
}

/// The error for an answer that no script here has.
pub(super) fn unknown_answer() -> StoreError {
    StoreError::unreachable("the Redis server answered what this program cannot understand")
}

/// The error for a key that holds something else.
pub(super) fn foreign(key: &str) -> StoreError {
    StoreError::unreachable(format!(
        "the key {key} is in use for something else, which is left alone: choose another key"
    ))
}

/// Rule F5: "Damaged content MUST be a clear error, and nothing
/// may be overwritten but by a login or a logout."
pub(super) fn damaged(key: &str, reason: &str) -> StoreError {
    StoreError::damaged(format!(
        "what the Redis server holds for the key {key} cannot be understood: {reason}. It was left as it \
         is: restore it, or log in again, which replaces it and keeps a copy in the field `damaged`"
    ))
}

/// Rule F5.
pub(super) fn emptied(key: &str) -> StoreError {
    StoreError::emptied(format!(
        "the Redis server has lost what it held for the key {key}, or its latest state: by a failover, an \
         eviction, or by hand"
    ))
}
