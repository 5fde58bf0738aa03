//! Parsing `WWW-Authenticate` (RFC 9110, section 11.6.1): by the grammar, and leniently, as
//! browsers do, if a field does not follow it.

use std::prelude::rust_2024::*;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use http_auth::ChallengeRef;
use http_auth::parser::ChallengeParser;

use crate::verdict::Challenge;

/// Returns the challenge of a response that says most about the token.
pub fn read(headers: &HeaderMap) -> Challenge {
    let mut found = Challenge::Absent;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        found = weightier(found, field(value.as_bytes()));
    }
    found
}

fn field(value: &[u8]) -> Challenge {
    let text = String::from_utf8_lossy(value);
    let strict = ChallengeParser::new(&text).try_fold(Challenge::Absent, |found, challenge| {
        challenge.map(|challenge| weightier(found, meaning(&challenge)))
    });
    match strict {
        Ok(found) if found != Challenge::Absent => found,
        Ok(_) | Err(_) => lenient(&text),
    }
}

fn meaning(challenge: &ChallengeRef<'_>) -> Challenge {
    let is_error = |name: &str| name.eq_ignore_ascii_case("error");
    let errors = challenge.params.iter().filter(|(name, _)| is_error(name));
    let errors = errors.map(|(_, value)| of_error(challenge.scheme, &value.to_unescaped()));
    errors.fold(of_scheme(challenge.scheme), weightier)
}

fn of_scheme(scheme: &str) -> Challenge {
    if scheme.eq_ignore_ascii_case("Bearer") { Challenge::Bearer } else { Challenge::OtherScheme }
}

fn of_error(scheme: &str, error: &str) -> Challenge {
    // By the grammar, an apostrophe is part of an unquoted value.
    let error = error.trim_matches(['\'', ' ', '\t']);
    let is = |code: &str| error.eq_ignore_ascii_case(code);
    let asked = of_scheme(scheme);
    if is("use_dpop_nonce") {
        Challenge::DpopNonce
    } else if asked == Challenge::Bearer && is("insufficient_scope") {
        Challenge::InsufficientScope
    } else if asked == Challenge::Bearer && is("insufficient_user_authentication") {
        Challenge::InsufficientUserAuthentication
    } else {
        asked
    }
}

/// Returns the one of two challenges that says more about the token.
fn weightier(one: Challenge, other: Challenge) -> Challenge {
    if weight(other) > weight(one) { other } else { one }
}

const fn weight(challenge: Challenge) -> u8 {
    match challenge {
        Challenge::Absent => 0,
        Challenge::Unreadable => 1,
        Challenge::OtherScheme => 2,
        Challenge::Bearer => 3,
        Challenge::InsufficientUserAuthentication => 4,
        Challenge::InsufficientScope => 5,
        Challenge::DpopNonce => 6,
    }
}

/// Parses a field that does not follow the grammar: parameters may be separated by commas,
/// semicolons or spaces; a value may be unquoted, in either kind of quotes, or unterminated. The
/// first word is a scheme, and so is a word after a comma if a parameter, a comma or nothing
/// follows it.
fn lenient(text: &str) -> Challenge {
    let mut found = Challenge::Unreadable;
    let mut scheme = "";
    let mut rest = text;
    let (mut first, mut may_begin) = (true, true);
    loop {
        let skipped = rest.trim_start_matches([' ', '\t', ',', ';']);
        may_begin |= rest[..rest.len() - skipped.len()].contains(',');
        let (word, after) = word(skipped);
        if word.is_empty() {
            let mut characters = skipped.chars();
            if characters.next().is_none() {
                return found;
            }
            // Not part of a word, such as a stray quote.
            rest = characters.as_str();
            (first, may_begin) = (false, false);
            continue;
        }
        let next = after.trim_start_matches([' ', '\t']);
        if let Some(assigned) = next.strip_prefix('=') {
            let (value, beyond) = value(assigned.trim_start_matches([' ', '\t']));
            if word.eq_ignore_ascii_case("error") && !scheme.is_empty() {
                found = weightier(found, of_error(scheme, &value));
            }
            rest = beyond;
        } else {
            if first || may_begin && begins(next) {
                scheme = word;
                found = weightier(found, of_scheme(scheme));
            }
            rest = after;
        }
        (first, may_begin) = (false, false);
    }
}

/// Returns whether what follows a word makes it a scheme.
fn begins(next: &str) -> bool {
    let (word, after) = word(next);
    let is_parameter = !word.is_empty() && after.trim_start_matches([' ', '\t']).starts_with('=');
    next.is_empty() || next.starts_with(',') || is_parameter
}

/// Splits `text` after its first word.
fn word(text: &str) -> (&str, &str) {
    let end =
        text.find(|it: char| !(it.is_ascii_alphanumeric() || "!#$%&*+-.^_`|~/:".contains(it)));
    text.split_at(end.unwrap_or(text.len()))
}

/// Splits `text` after its first value, whose quotes are removed.
fn value(text: &str) -> (String, &str) {
    let Some(quote) = text.chars().next().filter(|first| matches!(first, '"' | '\'')) else {
        let end = text.find([' ', '\t', ',', ';']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = text[1..].chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => value.extend(characters.next()),
            closing if closing == quote => break,
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}
