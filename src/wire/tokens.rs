//! Finding the tokens of a response, and checking that they can be used (RFC 6749, sections 5.1 and
//! 7.1; rule B14).

use std::prelude::rust_2024::*;

use secrecy::zeroize::Zeroizing;
use serde_json::Value;

use super::context::RequestContext;
use super::lifetime::End;
use super::members::{Members, Token, says_something};
use crate::token::{Leniency, Secret, Unusable};

/// Other names of a refresh token, accepted beside an access token.
const OTHER_NAMES: [&str; 2] = ["refreshToken", "RefreshToken"];

/// Returns the access token, if it can be sent as a bearer token. RFC 6749, section 7.1: a client
/// must not use a token of an unknown type.
pub(super) fn bearer(
    members: &Members,
    context: &RequestContext<'_>,
) -> Result<(Secret, Vec<Leniency>), Unusable> {
    let Token { secret, leniencies } = members.token("access_token").ok_or(Unusable::Missing)?;
    let mut leniencies: Vec<_> = leniencies.into_iter().collect();
    is_of_bearer_type(members, context)?;
    let text = secret.expose();
    let bare = match text.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => {
            if !says_something(rest) {
                return Err(Unusable::Missing);
            }
            leniencies.push(Leniency::Prefixed);
            rest
        }
        Some(_) | None => text,
    };
    let sendable = bare.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    if sendable { Ok((Secret::from(bare), leniencies)) } else { Err(Unusable::NotSendable) }
}

fn is_of_bearer_type(members: &Members, context: &RequestContext<'_>) -> Result<(), Unusable> {
    /// `Bearer`, and types that are documented to be sent as such, of Slack, Apigee and eBay.
    /// Without spaces and dashes.
    const BEARER: [&str; 6] =
        ["bearer", "bot", "user", "bearertoken", "useraccesstoken", "applicationaccesstoken"];
    let said = match members.value("token_type") {
        Some(Value::String(text)) => text,
        Some(Value::Array(list)) => {
            let texts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            texts.join(",")
        }
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            return Ok(());
        }
    };
    let said = said.trim();
    if said.is_empty() || context.accepts(said) {
        return Ok(());
    }
    if said.eq_ignore_ascii_case("dpop") {
        return Err(Unusable::Dpop);
    }
    let is_bearer = |kind: &str| {
        let plain = kind.replace([' ', '_', '-'], "");
        BEARER.iter().any(|known| known.eq_ignore_ascii_case(&plain)) || context.accepts(kind)
    };
    if said.split(',').map(str::trim).all(is_bearer) { Ok(()) } else { Err(Unusable::TokenType) }
}

/// Returns the refresh token of a response.
pub(super) fn refresh_token(members: &Members) -> Option<Token> {
    members.token_or_number("refresh_token")
}

/// Returns a refresh token by another name beside an access token, unless two of them differ.
pub(super) fn refresh_token_by_another_name(members: &Members) -> Option<Token> {
    members.token("access_token")?;
    let mut named = OTHER_NAMES.iter().filter_map(|name| members.token_or_number(name));
    let first = named.next()?;
    named.all(|other| other.secret == first.secret).then_some(first)
}

/// The token whose surroundings are checked by [`is_beside`].
#[derive(Copy, Clone, PartialEq, Eq)]
pub(super) enum Beside {
    AccessToken,
    RefreshToken,
}

/// Returns whether another part of a token response accompanies a token in a response that is not a
/// success.
pub(super) fn is_beside(what: Beside, members: &Members) -> bool {
    let other = match what {
        Beside::AccessToken => refresh_token(members),
        Beside::RefreshToken => members.token("access_token"),
    };
    members.text("token_type").is_some()
        || End::of_access_token(members).is_some()
        || other.is_some()
}

/// Returns whether a text looks like a token, and not like a message or a masked token.
pub(super) fn looks_like_a_token(token: &Secret) -> bool {
    let text = token.expose();
    let visible = |byte: u8| byte.is_ascii_graphic() && !b"*[<".contains(&byte);
    // Unlike `required`, `must_not_be_blank` or `Expired`, random texts have digits, or both cases.
    let both = text.contains(|c: char| c.is_ascii_uppercase())
        && text.contains(|c: char| c.is_ascii_lowercase());
    let drawn = text.contains(|c: char| c.is_ascii_digit()) || both && text.len() >= 20;
    drawn && text.bytes().all(visible) && !text.contains("...")
}

/// Returns whether a token is the refresh token that was presented, in any encoding.
pub(super) fn repeats(token: &Secret, presented: &Secret) -> bool {
    let presented = presented.expose().trim();
    let mut text = Zeroizing::new(token.expose().to_owned());
    // It may have been encoded more than once.
    for _ in 0..3 {
        if text.as_str() == presented {
            return true;
        }
        text = decoded(&text);
    }
    text.as_str() == presented
}

/// Decodes percent encoding (RFC 3986, section 2.1), HTML character references to ASCII, and JSON
/// escapes. Other text is unchanged.
fn decoded(text: &str) -> Zeroizing<String> {
    let mut decoded = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (character, length) = escape(rest).unwrap_or((first, first.len_utf8()));
        decoded.push(character);
        rest = &rest[length..];
    }
    decoded
}

/// Returns the character of the escape that a text begins with, and the length of the escape.
fn escape(text: &str) -> Option<(char, usize)> {
    const NAMED: [(&str, char); 5] =
        [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"'), ("&apos;", '\'')];
    let hex = |digits: Option<&str>| u8::from_str_radix(digits?, 16).ok();
    let ascii = |number: u8| number.is_ascii().then_some(char::from(number));
    match text.as_bytes() {
        [b'%', ..] => Some((ascii(hex(text.get(1..3))?)?, 3)),
        [b'\\', b'u', b'0', b'0', ..] => Some((ascii(hex(text.get(4..6))?)?, 6)),
        [b'\\', escaped @ (b'/' | b'"' | b'\\'), ..] => Some((char::from(*escaped), 2)),
        [b'&', b'#', ..] => {
            // The longest reference to ASCII has seven bytes.
            let end = text.bytes().take(7).position(|byte| byte == b';')?;
            let number = &text[2..end];
            let number = match number.strip_prefix(['x', 'X']) {
                Some(digits) => hex(Some(digits)),
                None => number.parse().ok(),
            };
            Some((ascii(number?)?, end + 1))
        }
        [b'&', ..] => {
            let named = NAMED.iter().find(|(name, _)| text.starts_with(name));
            named.map(|(name, character)| (*character, name.len()))
        }
        _ => None,
    }
}

/// Returns the known names of tokens in other places than those of RFC 6749, with a description of
/// the place, which holds no text of the response.
pub(super) fn elsewhere(members: &Members) -> Vec<(&'static str, String)> {
    const TOKENS: [&str; 10] = [
        "access_token",
        "refresh_token",
        "accessToken",
        "refreshToken",
        "AccessToken",
        "RefreshToken",
        "token",
        "jwt",
        "id_token",
        "idToken",
    ];
    const ENVELOPES: [&str; 13] = [
        "data",
        "authed_user",
        "result",
        "response",
        "body",
        "payload",
        "token",
        "tokens",
        "session",
        "credentials",
        "AuthenticationResult",
        "auth",
        "content",
    ];
    let mut found = Vec::new();
    // At the top level the first two are in their place.
    let others = &TOKENS[2..];
    for name in members.names().filter_map(|name| others.iter().find(|known| **known == name)) {
        if members.token_or_number(name).is_some() {
            found.push((*name, format!("`{name}`")));
        }
    }
    for name in members.names() {
        let Some(inner) = members.inside(name) else { continue };
        let place = ENVELOPES.iter().find(|known| **known == name);
        let place = place.map_or("another member".into(), |known| format!("`{known}`"));
        let inside = TOKENS.iter().filter(|known| inner.token_or_number(known).is_some());
        found.extend(inside.map(|known| (*known, format!("`{known}` in {place}"))));
    }
    // More would not be read.
    found.truncate(8);
    found
}

/// Returns the places of refresh tokens that were not used.
pub(super) fn refresh_tokens_elsewhere(members: &Members) -> Vec<String> {
    let names = ["refresh_token", "refreshToken", "RefreshToken"];
    let found = elsewhere(members).into_iter().filter(|(name, _)| names.contains(name));
    found.map(|(_, place)| place).collect()
}
