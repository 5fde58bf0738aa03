//! Where a response that refuses may name its error code.

use std::prelude::rust_2024::*;

use http::StatusCode;
use serde_json::Value;

use super::members::Members;
use crate::provider::Dialect;
use crate::token::Secret;

/// How deep a code may lie within `error`, `errors` or `detail`.
const DEPTH: usize = 3;

/// How many codes of one response are looked at, which is more than anybody sends.
const MOST: usize = 64;

/// Members that are a code, or hold one; the standard's first.
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
    // A code only where it is nothing but one: no known code is a sentence.
    "message",
    "title",
];

/// The same, within one of those.
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

/// Whatever a response may name as its error code, the standard's place first, and its dialect's
/// envelopes last. A number that only repeats the status is none.
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

/// The codes of a value, however it is wrapped, but not of all that lies within.
fn walk(value: &Value, depth: usize, named: &mut Vec<Secret>) {
    if named.len() >= MOST {
        return;
    }
    match value {
        Value::Object(inner) if depth < DEPTH => {
            for value in WITHIN.iter().filter_map(|name| inner.get(*name)) {
                walk(value, depth + 1, named);
            }
            // Meta: the one counts within the other.
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

/// A text, or a whole number.
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

/// Whether the members' `error` says that there is one (RFC 6749, section 5.2).
pub(super) fn says_error(members: &Members) -> bool {
    members.value("error").is_some_and(|error| is_error(&error))
}

/// Some say by an `error` that there is none: `{"code":"ok"}`.
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

/// What a response's body says of how long to wait.
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

/// Meta's word for what may pass.
pub(super) fn is_transient(members: &Members) -> bool {
    let says = |value: Option<&Value>| {
        value.is_some_and(|it| it == &Value::Bool(true) || it.as_str() == Some("true"))
    };
    members.value("error").as_ref().is_some_and(|error| says(error.get("is_transient")))
        || says(members.value("is_transient").as_ref())
}
