//! Claims about a token: of a JWT (RFC 9068, section 2.2), or of an introspection response (RFC 7662,
//! section 2.2).

use std::string::String;
use std::vec::Vec;

use serde::Deserialize;
use serde_json::{Map, Number, Value};

use crate::issue::{AuthenticationError, FamilyId, Identity, OwnClaims};
use crate::time::{Span, Timestamp};

#[derive(Deserialize)]
pub(super) struct Claims {
    iss: Option<String>,
    aud: Option<Texts>,
    sub: Option<String>,
    client_id: Option<String>,
    /// What some issuers state in place of `client_id`.
    azp: Option<String>,
    scope: Option<String>,
    /// What some issuers state in place of `scope`.
    scp: Option<Texts>,
    /// The family, where the issuer has such.
    sid: Option<String>,
    exp: Option<Number>,
    nbf: Option<Number>,
    iat: Option<Number>,
    #[serde(flatten)]
    own: Map<String, Value>,
}

/// One text, or an array of them, as in RFC 7519, section 4.1.3.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Any(Vec<String>),
}

impl Claims {
    /// Returns the issuer, if it is stated.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.iss.as_deref()
    }

    /// Returns whether a subject is stated.
    pub(super) fn has_subject(&self) -> bool {
        self.sub.is_some()
    }

    /// Returns whether the token is for `audience`.
    pub(super) fn is_for(&self, audience: &str) -> bool {
        match &self.aud {
            Some(Texts::One(one)) => one == audience,
            Some(Texts::Any(any)) => any.iter().any(|one| one == audience),
            None => false,
        }
    }

    /// Returns when the token expires, if that is stated.
    pub(super) fn expires_at(&self) -> Option<Timestamp> {
        self.exp.as_ref().map(instant)
    }

    /// Returns whether the token is good now, with clocks that differ by `leeway`.
    ///
    /// # Errors
    /// [`AuthenticationError::Expired`] and [`AuthenticationError::NotYetValid`].
    pub(super) fn check_times(
        &self,
        now: Timestamp,
        leeway: Span,
    ) -> Result<(), AuthenticationError> {
        self.check_expiry(now.saturating_sub(leeway))?;
        let latest = now.saturating_add(leeway);
        let starts = [&self.nbf, &self.iat];
        if starts.into_iter().flatten().any(|start| instant(start) > latest) {
            return Err(AuthenticationError::NotYetValid);
        }
        Ok(())
    }

    /// Returns whether the token has not expired by `now`.
    ///
    /// # Errors
    /// [`AuthenticationError::Expired`].
    pub(super) fn check_expiry(&self, now: Timestamp) -> Result<(), AuthenticationError> {
        let is_over = self.expires_at().is_some_and(|at| now >= at);
        if is_over { Err(AuthenticationError::Expired) } else { Ok(()) }
    }

    /// Returns the identity that the token stands for. A client that acts for itself is the subject.
    ///
    /// # Errors
    /// [`AuthenticationError::Unverified`] if no client is stated.
    pub(super) fn into_identity(self) -> Result<Identity, AuthenticationError> {
        let client = self.client_id.or(self.azp).ok_or(AuthenticationError::Unverified)?;
        let subject = self.sub.unwrap_or_else(|| client.clone());
        let listed = self.scp.map(|scp| match scp {
            Texts::One(scope) => scope,
            Texts::Any(values) => values.join(" "),
        });
        let scope = self.scope.or(listed).filter(|scope| !scope.is_empty());
        let family = self.sid.as_deref().and_then(FamilyId::parse);
        let claims = OwnClaims::of_members(self.own);
        Ok(Identity { scope, family, claims, ..Identity::new(subject, client) })
    }
}

/// Returns the instant of a `NumericDate` (RFC 7519, section 2), fractions rounded down.
fn instant(seconds: &Number) -> Timestamp {
    let float = || seconds.as_f64().unwrap_or_default().floor();
    #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
    let whole = seconds.as_i64().unwrap_or_else(|| float() as i64);
    Timestamp::from_secs(whole)
}
