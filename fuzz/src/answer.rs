//! An HTTP answer as text, a status, header lines, an empty line and the body; and what an error
//! about it may say.

use perennial::provider::{Code, Meaning};
use perennial::refresh::RefreshError;
use perennial::token::Unusable;
use perennial::wire::known_codes;

/// What an error may say of where tokens are, besides known codes.
const NAMES: [&str; 24] = [
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
    "data",
    "authed_user",
    "result",
    "response",
    "body",
    "payload",
    "tokens",
    "session",
    "credentials",
    "AuthenticationResult",
    "auth",
    "content",
    "ClientBuilder::dialect",
    "ClientBuilder::provider",
];

/// The parts of an answer.
#[derive(Clone, Debug)]
pub struct Answer<'a> {
    /// Any number that the first line begins with.
    pub status: u16,
    /// Names and values; no name is checked, and neither is any value.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// All that follows the first empty line.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Reads any bytes as an answer: `200\nRetry-After: 120\n\n{}`.
    pub fn read(bytes: &'a [u8]) -> Self {
        let (status, mut rest) = line(bytes);
        let digits = status.iter().take_while(|byte| byte.is_ascii_digit());
        let number = digits.fold(0_u16, |number, digit| {
            number.saturating_mul(10).saturating_add(u16::from(digit - b'0'))
        });
        let mut headers = Vec::new();
        while !rest.is_empty() {
            let header;
            (header, rest) = line(rest);
            if header.is_empty() {
                break;
            }
            let colon = header.iter().position(|byte| *byte == b':').unwrap_or(header.len());
            let (name, value) = header.split_at(colon);
            if let Ok(name) = core::str::from_utf8(name) {
                headers.push((name, value.strip_prefix(b":").unwrap_or(value).trim_ascii()));
            }
        }
        Self { status: number, headers, body: rest }
    }

    /// Whether an error says only what it may: what is said of `nothing`, the same answer with
    /// nothing in its body, and at most a known code and what to check; or how many bytes came and of
    /// what kind; or known names.
    pub fn is_not_quoted_by(&self, error: &RefreshError, nothing: &RefreshError) -> bool {
        let (text, failure) = (error.to_string(), error.failure());
        let compressed = if self.body.starts_with(&[0x1f, 0x8b]) { "compressed " } else { "" };
        let garbled = format!(
            "the response is not a token response: {} {compressed}bytes of ",
            self.body.len()
        );
        let nothing = nothing.to_string();
        // A 407 says what to check by itself.
        let (nothing, check) = nothing.split_once("; check").unwrap_or((&nothing, ""));
        let by_itself =
            |rest: &str| !check.is_empty() && rest.strip_prefix("; check") == Some(check);
        let said = match (text.strip_prefix(nothing), text.strip_prefix(&garbled)) {
            (Some(rest), _) => is_known(rest) || by_itself(rest),
            (None, Some(kind)) => {
                kind == "no content type" || self.kind().starts_with(kind.as_bytes())
            }
            (None, None) => {
                let elsewhere = "the response holds no `access_token` at its top, but ";
                let names =
                    text.strip_prefix(elsewhere).map(|rest| rest.split('`').skip(1).step_by(2));
                let known = names.is_some_and(|mut names| names.all(|name| NAMES.contains(&name)));
                let fixed =
                    [Unusable::Missing, Unusable::NotSendable, Unusable::Dpop, Unusable::TokenType];
                known
                    || text == "the response holds no usable access token"
                    || fixed.iter().any(|it| it.to_string() == text)
            }
        };
        let (failure, message) = (format!("{failure:?}"), format!("{text:?}"));
        // One that is no HTTP status is not kept.
        let status = error.status();
        let shown = format!(
            "RefreshError {{ failure: {failure}, status: {status:?}, message: {message}, source: None }}"
        );
        let said = said && status.is_none_or(|status| status == self.status);
        said && format!("{error:?}") == shown
    }

    /// The value of the first `Content-Type`.
    fn kind(&self) -> &'a [u8] {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        found.map(|(_, value)| *value).unwrap_or_default()
    }
}

/// Whether what follows the status is a known code, and what to check about it, if anything.
fn is_known(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(": ") else { return rest.is_empty() };
    let of = |code: &Code| rest.strip_prefix(code.text()).map(|rest| (rest.to_owned(), *code));
    known_codes().iter().filter_map(of).any(|(rest, code)| {
        let check = if let Meaning::Misconfigured(setting) = code.meaning() {
            format!("; check {setting}")
        } else {
            String::new()
        };
        // Where the status weighs more, there is nothing to check.
        rest.is_empty() || rest == check
    })
}

/// What comes before the first line feed, and what comes after it.
fn line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (line, rest) = bytes.split_at(end);
    (line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default())
}
