//! Reading a token endpoint's answer (RFC 6749, sections 5.1 and 5.2), and telling failures apart.

use core::time::Duration;
use std::prelude::rust_2024::*;

use http::StatusCode;

use super::lenient::{Likeness, read};
use super::lifetime::End;
use super::members::{Members, Token};
use super::places::{codes, says_error, waits};
use super::question::Question;
use super::refusal::Refusal;
use super::tokens::{
    Beside, bearer, elsewhere, is_beside, looks_like_a_token, refresh_token,
    refresh_token_by_another_name, refresh_tokens_elsewhere, repeats,
};
use crate::clock::{Clock, SharedClock};
use crate::provider::Dialect;
use crate::refresh::RefreshError;
use crate::time::{ExpiresIn, Lifetime, Span, Timestamp};
use crate::token::{Grant, Leniency, Unusable};

/// Makes a grant, or the right failure (rule B6), of a token endpoint's answer. Where the request was
/// made by a [`Client`](super::Client), [`Form::read_answer`](super::Form::read_answer) knows more.
///
/// Of the headers, `Content-Type`, `Date`, `Retry-After` and `Location` are looked at, of several with one name the
/// first, and each `WWW-Authenticate`. A date in `Retry-After` is counted from the `Date` beside it, or
/// from the local wall clock where there is none, or one from before the year 2000. The body of a redirect is not looked at; a body that
/// broke off is given as far as it came.
///
/// ```
/// use perennial::lifecycle::Failure;
/// use perennial::wire::read_answer;
///
/// let error = read_answer(400, [], br#"{"error":"invalid_grant"}"#).unwrap_err();
/// assert_eq!(error.failure(), Failure::Declined);
/// ```
///
/// A grant without an access token was understood only in half: it stands for its refresh token,
/// which must be kept (rule B14). A refresher hands it to its session like any other. Outside 2xx, and
/// beside an `error`, tokens are taken only of what is a token response in all but that.
///
/// # Errors
///
/// | the answer | failure |
/// |---|---|
/// | 429; 503 with `Retry-After` or an `error`; 408, 421, 425, 511; a code that names passing trouble | *unavailable* |
/// | `invalid_grant`, and codes documented to say that the refresh token is dead or a person must act | *declined* |
/// | `invalid_client`, and codes documented to say what is to be corrected; 407 | *misconfigured* |
/// | any other 4xx; an `error` that nobody knows, but with a 5xx | *unexplained* |
/// | any other 5xx; a success in which no token was found | *unknown* |
/// | a redirect | *unavailable* |
///
/// For the client credentials grant, *declined* and *unexplained* are *misconfigured*.
pub fn read_answer<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
) -> Result<Grant, RefreshError> {
    Head::new(status, headers)?.answer(body, Ok(()), &Question::default())
}

/// 2000-01-01: before it there was no OAuth, and a server's clock that shows it was never set.
const LONG_AGO: Timestamp = Timestamp::from_secs(946_684_800);

/// The headers of which the first is looked at.
const HEADERS: [&str; 4] = ["content-type", "date", "retry-after", "location"];

/// What an answer says before its body.
pub(crate) struct Head<'a> {
    status: StatusCode,
    content_type: Option<&'a str>,
    date: Option<Timestamp>,
    retry_after: Option<&'a str>,
    location: Option<&'a str>,
    /// Whether the client is asked to authenticate by the header (RFC 6749, section 5.2).
    challenged: bool,
}

impl<'a> Head<'a> {
    pub(crate) fn new(
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, RefreshError> {
        let status = StatusCode::from_u16(status)
            .map_err(|_| RefreshError::unknown("the answer's status is none of HTTP"))?;
        let mut first = [None; HEADERS.len()];
        let mut challenged = false;
        for (name, value) in headers {
            if let Some(at) = HEADERS.iter().position(|known| name.eq_ignore_ascii_case(known)) {
                first[at].get_or_insert(value);
            } else if name.eq_ignore_ascii_case("www-authenticate") {
                challenged |= text(value).is_some_and(challenges_basic);
            }
        }
        let [content_type, date, retry_after, location] = first.map(|it| it.and_then(text));
        let date = date.and_then(http_date).filter(|date| *date > LONG_AGO);
        Ok(Self { status, content_type, date, retry_after, location, challenged })
    }

    /// Whether the answer is likely to hold a grant, so that all of it is worth waiting for.
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// Whether the body may be looked at: what a redirect brings is nobody's word.
    pub(crate) fn needs_body(&self) -> bool {
        !self.status.is_redirection()
    }

    /// The grant, or the failure, given what kept the body from being read to its end.
    pub(crate) fn answer(
        &self,
        body: &[u8],
        ended: Result<(), RefreshError>,
        question: &Question<'_>,
    ) -> Result<Grant, RefreshError> {
        if !self.needs_body() {
            return Err(self.redirected(question));
        }
        let dialect = question.dialect();
        let likeness = |members: &Members| self.likeness(members, dialect);
        let members = read(body, self.charset(), ended.is_ok(), likeness).renamed(dialect);
        // Whatever lies within, and whatever became of the rest of it, a server that says `error` at
        // the top has refused.
        let refused = refuses(&members);
        let members = if refused { members } else { members.unwrapped(dialect) };
        let refused = refused || refuses(&members);
        let borne = members.borne.clone();
        let grant = if refused || !self.is_success() && !self.grants(&members, question) {
            self.beside_a_refusal(&members, question)
                .ok_or_else(|| self.refusal(&members, question).judged(question))
        } else {
            self.granted(body, &members, ended, question)
        }?;
        let status = (!self.is_success()).then_some(Leniency::Status);
        Ok(grant.read_with(borne).read_with(status))
    }

    /// How much an object with other things around it looks like the answer.
    fn likeness(&self, members: &Members, dialect: Dialect) -> Likeness {
        let theirs = |standard: &str| {
            let mut names = dialect.names().iter().filter(|(name, _)| *name == standard);
            names.any(|(_, theirs)| members.has(theirs))
        };
        let mut opened = dialect.envelopes().iter().filter_map(|path| members.inside(path));
        if members.text("access_token").is_some() || theirs("access_token") {
            return Likeness::AccessToken;
        }
        if opened.next().is_some()
            || ["access_token", "refresh_token", "error"].iter().any(|it| members.has(it))
            || dialect.names().iter().any(|(standard, _)| theirs(standard))
        {
            return Likeness::Standard;
        }
        let code = codes(self.status, members, dialect).is_empty();
        if code { Likeness::None } else { Likeness::Code }
    }

    /// Whether an answer of an error status is a grant all the same: a token response in all but its
    /// status, which neither a code nor a frame contradicts (rule B14).
    fn grants(&self, members: &Members, question: &Question<'_>) -> bool {
        members.whole
            && !members.borne.contains(&Leniency::Framed)
            && bearer(members, question).is_ok_and(|(token, _)| looks_like_a_token(&token))
            && is_beside(Beside::AccessToken, members)
            && !self.refusal(members, question).is_final(question)
    }

    /// A refresh token that came with a refusal, half of a token response (rule B14). The very one that
    /// was presented was not received; where it is not known which that was, none was.
    fn beside_a_refusal(&self, members: &Members, question: &Question<'_>) -> Option<Grant> {
        let limited = self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::SERVICE_UNAVAILABLE;
        let framed = members.borne.contains(&Leniency::Framed);
        let said = limited || framed || self.refusal(members, question).is_known(question);
        let unsaid = question.presented().is_none();
        if said || unsaid || !is_beside(Beside::RefreshToken, members) {
            return None;
        }
        let token = refresh_token(members).filter(|token| is_credible(token, question))?;
        Some(Grant::of_refresh_token(token.secret).unusable(Unusable::Missing))
    }

    fn redirected(&self, question: &Question<'_>) -> RefreshError {
        let to = self.location.and_then(|location| question.moved_to(location));
        let moved = match (to, self.location) {
            (Some(origin), _) => format!(" (its URL has moved to {origin})"),
            (None, Some(_)) => " (its URL has moved)".into(),
            (None, None) => String::new(),
        };
        let error = RefreshError::unavailable(format!(
            "the token endpoint answered {}{moved}: redirects are not followed with a refresh token; \
             configure the endpoint's own URL",
            self.status
        ));
        match self.retry_after.and_then(|it| self.wait(it)) {
            Some(delay) => error.retry_after(delay),
            None => error,
        }
    }

    fn refusal<'m>(&self, members: &'m Members, question: &Question<'_>) -> Refusal<'m> {
        let retry_after = self.retry_after.and_then(|it| self.wait(it));
        let told = || waits(members).iter().find_map(|it| self.wait(it.expose()));
        let retry_after = retry_after.or_else(told);
        let dialect = question.dialect();
        Refusal::new(self.status, members, dialect, retry_after, self.challenged)
    }

    /// The grant of a success. One understood only in half is kept for its refresh token (rule B14).
    fn granted(
        &self,
        body: &[u8],
        answer: &Members,
        ended: Result<(), RefreshError>,
        question: &Question<'_>,
    ) -> Result<Grant, RefreshError> {
        let found = refresh_token(answer);
        if !answer.whole {
            let error = ended.err().unwrap_or_else(|| self.not_a_token_response(body));
            let half = |it: Token| Grant::of_refresh_token(it.secret).unusable(Unusable::CutShort);
            return found.map(half).ok_or(error);
        }
        let mut borne = Vec::new();
        let found = if self.is_success() {
            found.or_else(|| {
                let renamed = refresh_token_by_another_name(answer)?;
                borne.push(Leniency::Renamed);
                Some(renamed)
            })
        } else {
            found.filter(|token| is_credible(token, question))
        };
        borne.extend(found.as_ref().and_then(|token| token.borne));
        let lifetime = self.lifetime(answer);
        let mut grant = match (bearer(answer, question), found) {
            (Ok((access_token, how)), refresh_token) => {
                borne.extend(how);
                match refresh_token {
                    Some(token) => Grant::new(access_token, token.secret, lifetime),
                    None => said_elsewhere(Grant::of_access_token(access_token, lifetime), answer),
                }
            }
            (Err(unusable), Some(token)) => {
                Grant::of_refresh_token(token.secret).unusable(unusable)
            }
            (Err(Unusable::Missing), None) => return Err(self.without_tokens(answer, question)),
            (Err(unusable @ (Unusable::Dpop | Unusable::TokenType)), None) => {
                return Err(RefreshError::misconfigured(unusable.to_string()));
            }
            (Err(unusable), None) => return Err(RefreshError::unknown(unusable.to_string())),
        };
        if let Some(expires_at) = self.refresh_token_expiry(answer) {
            grant = grant.with_refresh_token_expiry(expires_at);
        }
        let hint = answer.literals("refresh_in").find_map(|it| it.expose().parse().ok());
        if let Some(refresh_in) = hint.map(ExpiresIn::span) {
            grant = grant.with_refresh_in(refresh_in);
        }
        for name in ["scope", "id_token"] {
            if let Some(value) = answer.text(name) {
                grant = grant.with_field(name, value);
            }
        }
        Ok(grant.read_with(borne))
    }

    /// Some refuse by a success and a number. Anything else may have been honoured.
    fn without_tokens(&self, answer: &Members, question: &Question<'_>) -> RefreshError {
        let refusal = self.refusal(answer, question);
        if refusal.is_known(question) { refusal.judged(question) } else { nothing_found(answer) }
    }

    fn lifetime(&self, answer: &Members) -> Lifetime {
        match End::of_access_token(answer) {
            Some(End::After(span)) => Lifetime::For(span),
            Some(End::At(exp)) => Lifetime::Until { exp, issuer_now: self.date },
            None => Lifetime::Unstated,
        }
    }

    /// When the refresh token will be over. Nothing left, or zero, means that it has no end.
    fn refresh_token_expiry(&self, answer: &Members) -> Option<Timestamp> {
        match End::of_refresh_token(answer)? {
            End::After(Span::ZERO) => None,
            End::After(lifetime) => {
                let now = self.date.unwrap_or_else(|| SharedClock.wall());
                Some(now.saturating_add(lifetime))
            }
            End::At(expires_at) => Some(expires_at),
        }
    }

    fn not_a_token_response(&self, body: &[u8]) -> RefreshError {
        let kind =
            self.content_type.and_then(|kind| kind.split(';').next()).unwrap_or("no content type");
        // As gzip marks it (RFC 1952, section 2.3.1): nobody asked for that.
        let bytes = if body.starts_with(&[0x1f, 0x8b]) { "compressed bytes" } else { "bytes" };
        RefreshError::unknown(format!(
            "the answer is not a token response: {} {bytes} of {kind}",
            body.len()
        ))
    }

    fn charset(&self) -> Option<&str> {
        let parameters = self.content_type?.split(';').skip(1);
        parameters.map(str::trim).find_map(|it| {
            let (name, value) = it.split_once('=')?;
            name.eq_ignore_ascii_case("charset").then(|| value.trim_matches('"'))
        })
    }

    /// `Retry-After` in both its forms (RFC 9110, section 10.2.3), and in others in which it is met: a
    /// fraction, a unit behind it, or a date as a number.
    fn wait(&self, text: &str) -> Option<Duration> {
        match End::told(text).filter(|_| !text.trim().starts_with('-'))? {
            End::After(wait) => Some(wait.to_duration()),
            End::At(date) => {
                let now = self.date.unwrap_or_else(|| SharedClock.wall());
                Some(date.since(now).to_duration())
            }
        }
    }
}

/// Whether members are a refusal: an `error` that says that there is one (RFC 6749, section 5.2), and
/// beside it no access token.
fn refuses(members: &Members) -> bool {
    let token = members.token("access_token");
    says_error(members) && !token.is_some_and(|token| looks_like_a_token(&token.secret))
}

/// Whether a refresh token in an answer that is no plain success was received. Rule B14: "only if it
/// looks like one, is not the one presented in any encoding".
fn is_credible(token: &Token, question: &Question<'_>) -> bool {
    let repeated = question.presented().is_some_and(|it| repeats(&token.secret, it));
    looks_like_a_token(&token.secret) && !repeated
}

/// What to do about tokens that were found.
const NAME_IT: &str = "name that place by `ClientBuilder::dialect` or `ClientBuilder::provider`";

/// A grant that brought no refresh token where one is looked for, but may have elsewhere.
fn said_elsewhere(grant: Grant, answer: &Members) -> Grant {
    let found = refresh_tokens_elsewhere(answer);
    if found.is_empty() {
        return grant;
    }
    let found = found.join(", ");
    grant.with_elsewhere(format!("the answer holds {found}, which was not taken: {NAME_IT}"))
}

/// Says where tokens are, in names that are known and hold nothing of the answer's.
fn nothing_found(answer: &Members) -> RefreshError {
    let found: Vec<_> = elsewhere(answer).into_iter().map(|(_, place)| place).collect();
    if found.is_empty() {
        return RefreshError::unknown("the answer holds no usable access token");
    }
    RefreshError::unknown(format!(
        "the answer holds no `access_token` at its top, but {}: {NAME_IT}",
        found.join(", ")
    ))
}

/// A header's value, if it is such a text as HTTP knows.
fn text(value: &[u8]) -> Option<&str> {
    let visible = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    core::str::from_utf8(value).ok().filter(|text| text.as_bytes().iter().all(visible))
}

/// Whether one of a header's challenges is for `Basic` (RFC 9110, section 11.6.1).
fn challenges_basic(header: &str) -> bool {
    let mut quoted = false;
    let mut parts = header.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    parts.any(|part| {
        let scheme = part.split_ascii_whitespace().next();
        scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("basic"))
    })
}

fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}
