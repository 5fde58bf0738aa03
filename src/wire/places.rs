//! Where an error response may hold its error code.

use std::prelude::rust_2024::*;

use http::StatusCode;
use serde_json::Value;

use super::members::Members;
use crate::provider::Dialect;
use crate::token::Secret;

/// How deep a code may be nested within a member.
const DEPTH: usize = 3;

/// The maximum number of codes of one response.
const MOST: usize = 64;

/// The members that may be or hold a code, the standard's first.
const AT_THE_TOP: [&str; 11] = [
    "error",
    "error_code",
    "errorCode",
    "error_type",
    "code",
    "errcode",
    "status",
    "errors",
    "detail",
    // These count only if the whole text is a known code.
    "message",
    "title",
];

/// The members that may be or hold a code within one of those.
const WITHIN: [&str; 13] = [
    "code",
    "errorType",
    "error_code",
    "errorCode",
    "status",
    "type",
    "error",
    "errors",
    "reason",
    "detail",
    "details",
    "message",
    ".tag",
];

/// Returns all possible error codes of a response, that of the standard's place first, those in the
/// dialect's envelopes last. A number that only repeats the status is not one.
pub(super) fn codes(status: StatusCode, members: &Members, dialect: Dialect) -> Vec<Secret> {
    let mut named = Vec::new();
    of_members(members, &mut named);
    for inner in dialect.envelopes().iter().filter_map(|path| members.inside(path)) {
        of_members(&inner.renamed(dialect), &mut named);
    }
    named.retain(|code| code.expose() != status.as_str());
    named.truncate(MOST);
    named
}

fn of_members(members: &Members, named: &mut Vec<Secret>) {
    for name in AT_THE_TOP {
        if let Some(value) = members.value(name) {
            walk(&value, 0, named);
        }
    }
    // AWS: `com.amazon.service#Code:page`.
    let kind = members.text("__type");
    let kind = kind.as_ref().and_then(|kind| kind.expose().rsplit('#').next()?.split(':').next());
    named.extend(kind.map(Secret::from));
    let numbers = members.value("error_codes");
    let numbers = numbers.as_ref().and_then(Value::as_array).into_iter().flatten();
    let numbers = numbers.filter_map(Value::as_u64).take(MOST);
    named.extend(numbers.map(|number| Secret::from(format!("AADSTS{number}"))));
    let fault = members.value("fault");
    let fault = fault.as_ref().and_then(|fault| fault.pointer("/detail/errorcode"));
    named.extend(fault.and_then(plain));
}

/// Collects the codes of a value, from known members only.
fn walk(value: &Value, depth: usize, named: &mut Vec<Secret>) {
    if named.len() >= MOST {
        return;
    }
    match value {
        Value::Object(inner) if depth < DEPTH => {
            for value in WITHIN.iter().filter_map(|name| inner.get(*name)) {
                walk(value, depth + 1, named);
            }
            // Meta: the code is relative to the type.
            let code = inner.get("code").and_then(Value::as_i64);
            if let (Some(kind), Some(code)) = (inner.get("type").and_then(plain), code) {
                named.push(Secret::from(format!("{}/{code}", kind.expose())));
            }
        }
        Value::Array(list) if depth < DEPTH => {
            list.iter().take(MOST).for_each(|value| walk(value, depth + 1, named));
        }
        Value::Object(_) | Value::Array(_) => {}
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            named.extend(plain(value));
        }
    }
}

/// Returns a string or an integer as a text.
fn plain(value: &Value) -> Option<Secret> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(Secret::from(text.trim())),
        Value::Number(number) if number.is_i64() => Some(Secret::from(number.to_string())),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => None,
    }
}

/// Returns whether `error` says that there is an error (RFC 6749, section 5.2).
pub(super) fn says_error(members: &Members) -> bool {
    members.value("error").is_some_and(|error| is_error(&error))
}

/// Some servers send an `error` for success: `{"code":"ok"}`.
fn is_error(value: &Value) -> bool {
    const NONE: [&str; 8] = ["", "0", "ok", "none", "null", "success", "false", "undefined"];
    match value {
        Value::Null => false,
        Value::Bool(is_error) => *is_error,
        Value::Number(number) => number.as_i64() != Some(0),
        Value::String(text) => !NONE.iter().any(|none| none.eq_ignore_ascii_case(text.trim())),
        Value::Array(list) => list.iter().any(is_error),
        Value::Object(members) => match members.get("code") {
            None | Some(Value::Null) => !members.is_empty(),
            Some(code) => is_error(code),
        },
    }
}

/// Returns how long to wait, as texts, from the body of a response.
pub(super) fn waits(members: &Members) -> Vec<Secret> {
    const NAMES: [&str; 2] = ["retry_after", "retryAfter"];
    let error = members.value("error");
    let within = |name: &str| {
        let value = error.as_ref()?.get(name)?;
        let number = value.as_number().map(|it| Secret::from(it.to_string()));
        number.or_else(|| plain(value))
    };
    let mut waits: Vec<_> = NAMES.iter().filter_map(|it| members.literals(it).next()).collect();
    waits.extend(NAMES.iter().filter_map(|name| within(name)));
    waits
}

/// Returns whether Meta's `is_transient` marks a temporary failure.
pub(super) fn is_transient(members: &Members) -> bool {
    let says = |value: Option<&Value>| {
        value.is_some_and(|it| it == &Value::Bool(true) || it.as_str() == Some("true"))
    };
    members.value("error").as_ref().is_some_and(|error| says(error.get("is_transient")))
        || says(members.value("is_transient").as_ref())
}
