//! Reading the response of a token endpoint (RFC 6749, sections 5.1 and 5.2) into a grant or a
//! failure.

use core::time::Duration;
use std::prelude::rust_2024::*;

use http::StatusCode;

use super::context::RequestContext;
use super::error_response::ErrorResponse;
use super::headers::{challenges_basic, text};
use super::lenient::{Likeness, read};
use super::lifetime::End;
use super::members::{Members, Token};
use super::places::{codes, says_error, waits};
use super::tokens::{
    Beside, bearer, elsewhere, is_beside, looks_like_a_token, refresh_token,
    refresh_token_by_another_name, refresh_tokens_elsewhere, repeats,
};
use crate::clock::{Clock, SharedClock};
use crate::provider::Dialect;
use crate::refresh::RefreshError;
use crate::time::{ExpiresIn, Lifetime, Span, Timestamp};
use crate::token::{Grant, Leniency, Unusable};

/// Reads the response of a token endpoint into a grant or a failure.
///
/// For a request made by a [`Client`](super::Client), use
/// [`Form::read_response`](super::Form::read_response), which takes the request into account.
///
/// Of the headers, `Content-Type`, `Date`, `Retry-After` and `Location` are used, the first of each
/// name, and every `WWW-Authenticate`. A date in `Retry-After` counts from the `Date` header, or
/// from the local wall clock if there is none or it is before the year 2000. The body of a redirect
/// is ignored. Pass an incomplete body as far as it was received.
///
/// ```
/// use perennial::lifecycle::Failure;
/// use perennial::wire::read_response;
///
/// let error = read_response(400, [], br#"{"error":"invalid_grant"}"#).unwrap_err();
/// assert_eq!(error.failure(), Failure::Declined);
/// ```
///
/// A grant without an access token comes from a response that was understood in part: its refresh
/// token must be kept (see rule [B14](crate::spec#b-the-client-machine)). A refresher returns it to
/// its session like any other grant. With a status other than 2xx, or with an `error`, tokens are
/// taken only from what is otherwise a token response.
///
/// # Errors
///
/// | response | failure |
/// |---|---|
/// | 429; 503 with `Retry-After` or an `error`; 408, 421, 425, 511; a code for a temporary failure | *unavailable* |
/// | `invalid_grant`, and codes that mean, as documented, that the refresh token does not work or a person must act | *declined* |
/// | `invalid_client`, and codes that mean, as documented, that a setting must be corrected; 407 | *misconfigured* |
/// | any other 4xx; an unknown `error`, except with a 5xx | *unexplained* |
/// | any other 5xx; a success without a token | *unknown* |
/// | a redirect | *unavailable* |
///
/// For the client credentials grant, *declined* and *unexplained* become *misconfigured*. See rule
/// [B6](crate::spec#b-the-client-machine).
pub fn read_response<'a>(
    status: u16,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    body: &[u8],
) -> Result<Grant, RefreshError> {
    TokenResponseHead::new(status, headers)?.read(body, Ok(()), &RequestContext::default())
}

/// 2000-01-01. A server clock before that was never set.
const LONG_AGO: Timestamp = Timestamp::from_secs(946_684_800);

/// The headers of which the first is used.
const HEADERS: [&str; 4] = ["content-type", "date", "retry-after", "location"];

/// The status and headers of a token endpoint's response.
pub(crate) struct TokenResponseHead<'a> {
    status: StatusCode,
    content_type: Option<&'a str>,
    date: Option<Timestamp>,
    retry_after: Option<&'a str>,
    location: Option<&'a str>,
    /// Whether the server asks the client to authenticate by the header (RFC 6749, section 5.2).
    challenged: bool,
}

impl<'a> TokenResponseHead<'a> {
    pub(crate) fn new(
        status: u16,
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, RefreshError> {
        let status = StatusCode::from_u16(status).map_err(|_| {
            RefreshError::unknown("the response's status is not a valid HTTP status")
        })?;
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

    /// Returns whether the response is likely to hold a grant, and so worth waiting for all of it.
    pub(crate) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    /// Returns whether the body is to be read. That of a redirect is not.
    pub(crate) fn needs_body(&self) -> bool {
        !self.status.is_redirection()
    }

    /// Reads the body into a grant or a failure; `ended` is the error that kept it from being
    /// received whole.
    pub(crate) fn read(
        &self,
        body: &[u8],
        ended: Result<(), RefreshError>,
        context: &RequestContext<'_>,
    ) -> Result<Grant, RefreshError> {
        let grant = self.read_whole(body, ended, context);
        grant.map_err(|error| error.with_status(self.status.as_u16()))
    }

    fn read_whole(
        &self,
        body: &[u8],
        ended: Result<(), RefreshError>,
        context: &RequestContext<'_>,
    ) -> Result<Grant, RefreshError> {
        if !self.needs_body() {
            return Err(self.redirected(context));
        }
        let dialect = context.dialect();
        let likeness = |members: &Members| self.likeness(members, dialect);
        let members = read(body, self.charset(), ended.is_ok(), likeness).renamed(dialect);
        // An `error` at the top level makes it an error response, whatever the envelopes hold and
        // whether or not it is complete.
        let refused = refuses(&members);
        let members = if refused { members } else { members.unwrapped(dialect) };
        let refused = refused || refuses(&members);
        let leniencies = members.leniencies.clone();
        let grant = if refused || !self.is_success() && !self.grants(&members, context) {
            self.beside_a_refusal(&members, context)
                .ok_or_else(|| self.refusal(&members, context).to_error(context))
        } else {
            self.granted(body, &members, ended, context)
        }?;
        let status = (!self.is_success()).then_some(Leniency::Status);
        Ok(grant.read_with(leniencies).read_with(status))
    }

    /// Returns how much an object with other text around it looks like the response.
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

    /// Returns whether a response with an error status is a grant: a token response but for its
    /// status, without a known code or other text around it (rule B14).
    fn grants(&self, members: &Members, context: &RequestContext<'_>) -> bool {
        members.whole
            && !members.leniencies.contains(&Leniency::Framed)
            && bearer(members, context).is_ok_and(|(token, _)| looks_like_a_token(&token))
            && is_beside(Beside::AccessToken, members)
            && !self.refusal(members, context).is_final(context)
    }

    /// Returns the refresh token of an error response that is also part of a token response (rule
    /// B14). It must differ from the one that was presented, which must be known.
    fn beside_a_refusal(&self, members: &Members, context: &RequestContext<'_>) -> Option<Grant> {
        let limited = self.status == StatusCode::TOO_MANY_REQUESTS
            || self.status == StatusCode::SERVICE_UNAVAILABLE;
        let framed = members.leniencies.contains(&Leniency::Framed);
        let said = limited || framed || self.refusal(members, context).is_known(context);
        let unsaid = context.presented().is_none();
        if said || unsaid || !is_beside(Beside::RefreshToken, members) {
            return None;
        }
        let token = refresh_token(members).filter(|token| is_credible(token, context))?;
        Some(Grant::of_refresh_token(token.secret).unusable(Unusable::Missing))
    }

    fn redirected(&self, context: &RequestContext<'_>) -> RefreshError {
        let to = self.location.and_then(|location| context.moved_to(location));
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

    fn refusal<'m>(&self, members: &'m Members, context: &RequestContext<'_>) -> ErrorResponse<'m> {
        let retry_after = self.retry_after.and_then(|it| self.wait(it));
        let in_body = || waits(members).iter().find_map(|it| self.wait(it.expose()));
        let retry_after = retry_after.or_else(in_body);
        let dialect = context.dialect();
        ErrorResponse::new(self.status, members, dialect, retry_after, self.challenged)
    }

    /// Reads the grant of a successful response. One understood in part is kept for its refresh
    /// token (rule B14).
    fn granted(
        &self,
        body: &[u8],
        members: &Members,
        ended: Result<(), RefreshError>,
        context: &RequestContext<'_>,
    ) -> Result<Grant, RefreshError> {
        let found = refresh_token(members);
        if !members.whole {
            let error = ended.err().unwrap_or_else(|| self.not_a_token_response(body));
            let half = |it: Token| Grant::of_refresh_token(it.secret).unusable(Unusable::CutShort);
            return found.map(half).ok_or(error);
        }
        let mut leniencies = Vec::new();
        let found = if self.is_success() {
            found.or_else(|| {
                let renamed = refresh_token_by_another_name(members)?;
                leniencies.push(Leniency::Renamed);
                Some(renamed)
            })
        } else {
            found.filter(|token| is_credible(token, context))
        };
        leniencies.extend(found.as_ref().and_then(|token| token.leniencies));
        let lifetime = self.lifetime(members);
        let mut grant = match (bearer(members, context), found) {
            (Ok((access_token, how)), refresh_token) => {
                leniencies.extend(how);
                match refresh_token {
                    Some(token) => Grant::new(access_token, token.secret, lifetime),
                    None => said_elsewhere(Grant::of_access_token(access_token, lifetime), members),
                }
            }
            (Err(unusable), Some(token)) => {
                Grant::of_refresh_token(token.secret).unusable(unusable)
            }
            (Err(Unusable::Missing), None) => return Err(self.without_tokens(members, context)),
            (Err(unusable @ (Unusable::Dpop | Unusable::TokenType)), None) => {
                return Err(RefreshError::misconfigured(unusable.to_string()));
            }
            (Err(unusable), None) => return Err(RefreshError::unknown(unusable.to_string())),
        };
        if let Some(expires_at) = self.refresh_token_expiry(members) {
            grant = grant.with_refresh_token_expiry(expires_at);
        }
        let hint = members.literals("refresh_in").find_map(|it| it.expose().parse().ok());
        if let Some(refresh_in) = hint.map(ExpiresIn::span) {
            grant = grant.with_refresh_in(refresh_in);
        }
        for name in ["scope", "id_token"] {
            if let Some(value) = members.text(name) {
                grant = grant.with_field(name, value);
            }
        }
        Ok(grant.read_with(leniencies))
    }

    /// Some servers return an error code with a success status. Otherwise the request may have
    /// taken effect.
    fn without_tokens(&self, members: &Members, context: &RequestContext<'_>) -> RefreshError {
        let refusal = self.refusal(members, context);
        if refusal.is_known(context) { refusal.to_error(context) } else { nothing_found(members) }
    }

    fn lifetime(&self, members: &Members) -> Lifetime {
        match End::of_access_token(members) {
            Some(End::After(span)) => Lifetime::For(span),
            Some(End::At(exp)) => Lifetime::Until { exp, issuer_now: self.date },
            None => Lifetime::Unstated,
        }
    }

    /// Returns when the refresh token expires. A lifetime of zero means that it does not.
    fn refresh_token_expiry(&self, members: &Members) -> Option<Timestamp> {
        match End::of_refresh_token(members)? {
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
        // The magic number of gzip (RFC 1952, section 2.3.1), which was not accepted.
        let bytes = if body.starts_with(&[0x1f, 0x8b]) { "compressed bytes" } else { "bytes" };
        RefreshError::unknown(format!(
            "the response is not a token response: {} {bytes} of {kind}",
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

    /// Parses `Retry-After` in both its forms (RFC 9110, section 10.2.3), and in others in use: a
    /// fraction, a number with a unit, or a date as a number.
    fn wait(&self, text: &str) -> Option<Duration> {
        match End::parse(text).filter(|_| !text.trim().starts_with('-'))? {
            End::After(wait) => Some(wait.to_duration()),
            End::At(date) => {
                let now = self.date.unwrap_or_else(|| SharedClock.wall());
                Some(date.since(now).to_duration())
            }
        }
    }
}

/// Returns whether members are those of an error response: an `error` that is one (RFC 6749,
/// section 5.2), and no access token.
fn refuses(members: &Members) -> bool {
    let token = members.token("access_token");
    says_error(members) && !token.is_some_and(|token| looks_like_a_token(&token.secret))
}

/// Returns whether a refresh token in a response other than a plain success was issued. Rule B14:
/// "only if it looks like one, is not the one presented in any encoding".
fn is_credible(token: &Token, context: &RequestContext<'_>) -> bool {
    let repeated = context.presented().is_some_and(|it| repeats(&token.secret, it));
    looks_like_a_token(&token.secret) && !repeated
}

/// What the program can do about tokens in an unknown place.
const NAME_IT: &str = "name that place by `ClientBuilder::dialect` or `ClientBuilder::provider`";

/// Adds to a grant without a refresh token where else the response holds one.
fn said_elsewhere(grant: Grant, members: &Members) -> Grant {
    let found = refresh_tokens_elsewhere(members);
    if found.is_empty() {
        return grant;
    }
    let found = found.join(", ");
    grant.with_elsewhere(format!("the response holds {found}, which was not taken: {NAME_IT}"))
}

/// Returns an error that says where the response holds tokens, in known names only, never in its
/// own words.
fn nothing_found(members: &Members) -> RefreshError {
    let found: Vec<_> = elsewhere(members).into_iter().map(|(_, place)| place).collect();
    if found.is_empty() {
        return RefreshError::unknown("the response holds no usable access token");
    }
    RefreshError::unknown(format!(
        "the response holds no `access_token` at its top, but {}: {NAME_IT}",
        found.join(", ")
    ))
}

fn http_date(text: &str) -> Option<Timestamp> {
    httpdate::parse_http_date(text).ok().map(Timestamp::from)
}
