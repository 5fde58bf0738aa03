//! The issuer: verifies a token, decides by its family, stores the decision, and only then
//! responds.

use core::fmt;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::error::{AuthenticationError, GrantError, InvalidGrant};
use super::issued::{Issued, Login, normalized};
use super::parts::IssuerParts;
use super::ports::{
    Claims, FamilyId, FamilyRecord, FamilyStore, FamilySwap, Identity, Principal, VersionedFamily,
};
use crate::events::IssuerOutcome;
use crate::rotation::{Family, Presented, Row, State, Tolerance};
use crate::store::{StoreError, Version};
use crate::time::Timestamp;
use crate::token::Secret;

/// Issues and renews tokens, and authenticates requests by them. Clones are handles to the same
/// issuer.
pub struct Issuer<S: FamilyStore>(pub(super) Arc<IssuerParts<S>>);

/// The number of the first refresh token of a family.
const FIRST: u64 = 1;

impl<S: FamilyStore> Issuer<S> {
    pub(super) fn of_parts(parts: IssuerParts<S>) -> Self {
        Self(Arc::new(parts))
    }

    /// Starts a family for a login, and issues its first tokens.
    ///
    /// # Errors
    /// [`GrantError::Unavailable`], [`GrantError::InvalidScope`] if no access token can hold
    /// the scope, [`GrantError::TooLong`] if none can hold the rest, and [`GrantError::SubjectIsClient`].
    pub async fn login(&self, login: Login) -> Result<Issued, GrantError> {
        let (client, subject) = (login.client.clone(), login.subject.clone());
        let started = if self.0.is_client(&login) {
            Err(GrantError::SubjectIsClient)
        } else {
            let family = Family::new(self.0.clock.now());
            let ends_at = family.ends_at(&self.0.policy);
            self.start_family(login, family.to_row(), ends_at).await
        };
        let number = started.as_ref().ok().map(|_| FIRST);
        let outcome = IssuerOutcome::LoggedIn { subject };
        self.0.report(&client, None, number, started.map(|issued| (issued, outcome)))
    }

    /// Starts a family, which issues no refresh token where its newest number is 0.
    async fn start_family(
        &self,
        login: Login,
        family: Row,
        ends_at: Option<Timestamp>,
    ) -> Result<Issued, GrantError> {
        let id = FamilyId::from_bytes(random()?);
        let Login { client, subject, scope, device, claims: own } = login;
        let now = family.began;
        let claims = self.new_claims(id, family.newest, now, ends_at)?;
        let refresh_token = (family.newest > 0).then_some((family.newest, 0));
        let identity = Identity { subject, client, scope, family: Some(id), device, claims: own };
        let issued = self.issue(&claims, &identity, refresh_token, ends_at, now)?;
        // Without a refresh token the family is over with its access token.
        let ends_at = if refresh_token.is_some() { ends_at } else { Some(claims.expires_at) };
        let forget_at = self.forget_at(ends_at, now);
        let Identity { subject, client, scope, device, claims, .. } = identity;
        let record = FamilyRecord { client, subject, scope, device, claims, family, forget_at };
        self.0.store.insert(id, record).await.map_err(GrantError::Unavailable)?;
        Ok(issued)
    }

    /// Issues an access token, and no refresh token, to a client that acts for itself (RFC 6749,
    /// section 4.4).
    ///
    /// # Errors
    /// As for [`login`](Issuer::login).
    pub async fn client_credentials(
        &self,
        client: &str,
        scope: Option<&str>,
    ) -> Result<Issued, GrantError> {
        let login = Login::new(client, client);
        let login = login.scope(scope.unwrap_or_default());
        // Tokens are numbered from one on.
        let family = Row { newest: 0, ..Family::new(self.0.clock.now()).to_row() };
        let issued = self.start_family(login, family, None).await;
        let issued = issued.map(|issued| (issued, IssuerOutcome::ClientCredentials));
        self.0.report(client, None, None, issued)
    }

    /// Issues tokens for a refresh token that `client` presents (RFC 6749, section 6), with the
    /// granted scope, or the part of it that `scope` names.
    ///
    /// # Errors
    /// [`GrantError`]. With [`InvalidGrant::Reused`] the family has been revoked.
    ///
    /// # Cancellation
    /// If the future is dropped, the token may have been rotated, as if the response had been lost
    /// on the way to the client.
    pub async fn refresh(
        &self,
        client: &str,
        presented: &Secret,
        scope: Option<&str>,
    ) -> Result<Issued, GrantError> {
        self.refresh_within(client, presented, scope, true).await
    }

    /// As [`refresh`](Issuer::refresh), but where the family is beyond its limit on requests, nothing is issued
    /// to it. Reuse that is not tolerated revokes it all the same.
    pub(crate) async fn refresh_within(
        &self,
        client: &str,
        presented: &Secret,
        scope: Option<&str>,
        within_limit: bool,
    ) -> Result<Issued, GrantError> {
        let presented = self.0.keys.read(presented.expose());
        let response = self.rotate(client, presented, scope, within_limit).await;
        let (family, number) = presented.unzip();
        self.0.report(client, family, number, response)
    }

    /// Returns the family of a refresh token, if this issuer has made the token. Reads no store.
    #[cfg(feature = "axum")]
    pub(crate) fn family_of(&self, presented: &Secret) -> Option<FamilyId> {
        self.0.keys.read(presented.expose()).map(|(family, _)| family)
    }

    async fn rotate(
        &self,
        client: &str,
        presented: Option<(FamilyId, u64)>,
        scope: Option<&str>,
        within_limit: bool,
    ) -> Result<(Issued, IssuerOutcome), GrantError> {
        let (id, number) = presented.ok_or(GrantError::InvalidGrant(InvalidGrant::NotOurs))?;
        let mut found = self.0.store.find(id).await.map_err(GrantError::Unavailable)?;
        loop {
            let unknown = GrantError::InvalidGrant(InvalidGrant::UnknownFamily(id));
            let VersionedFamily { version, record } = found.ok_or(unknown)?;
            // Rule D4: it "MUST work for the client that it was issued to and for no other".
            if record.client != client {
                return Err(GrantError::InvalidGrant(InvalidGrant::OtherClient(id)));
            }
            let now = self.0.clock.now();
            let mut family = Family::from_row(record.family);
            let decision = match family.handle_presented(&self.0.policy, number, now) {
                Presented::IssueSuccessor { number } => {
                    Ok((number, Some((number, 0)), IssuerOutcome::Refreshed { successor: number }))
                }
                Presented::RepeatSuccessor { number } => {
                    Ok((number, Some((number, 0)), IssuerOutcome::Repeated { successor: number }))
                }
                Presented::IssueSibling { number, sibling } => {
                    let repeated = IssuerOutcome::Repeated { successor: number };
                    Ok((number, Some((number, sibling)), repeated))
                }
                Presented::RenewAccess => Ok((number, None, IssuerOutcome::AccessRenewed)),
                // A refusal changes nothing, so nothing is written.
                Presented::Refuse(reason) => {
                    return Err(GrantError::InvalidGrant(InvalidGrant::Refused(id, reason)));
                }
                Presented::RevokeFamily => Err(GrantError::InvalidGrant(InvalidGrant::Reused(id))),
            };
            let ends_at = family.ends_at(&self.0.policy);
            let response = match decision {
                Err(denied) => Err(denied),
                Ok(_) if !within_limit => return Err(GrantError::TooManyRequests),
                // Signed before the swap: if nothing can be signed, nothing has rotated.
                Ok((number, refresh_token, outcome)) => {
                    // Rule D3: reuse is decided "before the scope is looked at".
                    let scope = narrowed(record.scope.as_deref(), scope)?;
                    let identity = record.identity(id, Principal::Family { scope });
                    let claims = self.new_claims(id, number, now, ends_at)?;
                    Ok((self.issue(&claims, &identity, refresh_token, ends_at, now)?, outcome))
                }
            };
            let forget_at = self.forget_at(ends_at, now);
            match self.swap(id, version, family.to_row(), forget_at).await? {
                // Rule D3: "that MUST be kept although the answer is an error".
                FamilySwap::Done => return response,
                FamilySwap::Conflict(now) => found = now,
            }
        }
    }

    async fn swap(
        &self,
        id: FamilyId,
        version: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> Result<FamilySwap, GrantError> {
        let swap = self.0.store.swap(id, version, family, forget_at);
        swap.await.map_err(GrantError::Unavailable)
    }

    /// Returns the identity behind an access token.
    ///
    /// # Errors
    /// [`AuthenticationError`].
    pub async fn authenticate(&self, token: &Secret) -> Result<Identity, AuthenticationError> {
        let (claims, principal) = self.verify(token)?;
        let now = self.0.clock.now();
        if now >= claims.expires_at.saturating_add(self.0.leeway) {
            return Err(AuthenticationError::Expired);
        }
        let found = self.active_family(claims.family).await?;
        self.confirm(claims, &found, now).await;
        Ok(found.record.identity(claims.family, principal))
    }

    /// Renews an access token without a refresh token. Whoever has stolen the token can renew it
    /// too. Rule D5: "An access token that is still good, or lapsed by less than a renewal window
    /// [0 s], MAY be renewed".
    ///
    /// # Errors
    /// [`AuthenticationError`]: [`Expired`](AuthenticationError::Expired) beyond the renewal
    /// window.
    pub async fn renew(&self, token: &Secret) -> Result<Issued, AuthenticationError> {
        let (claims, principal) = self.verify(token)?;
        let now = self.0.clock.now();
        if !self.is_renewable(claims, now) {
            return Err(AuthenticationError::Expired);
        }
        let found = self.active_family(claims.family).await?;
        // Renewals do not extend a family beyond its lifetimes.
        let family = Family::from_row(found.record.family);
        if !found.record.has_refresh_token() || family.state(&self.0.policy, now) == State::Expired
        {
            return Err(AuthenticationError::Expired);
        }
        let identity = found.record.identity(claims.family, principal);
        let unavailable = |denied| match denied {
            GrantError::Unavailable(error) => AuthenticationError::Unavailable(error),
            GrantError::InvalidGrant(_)
            | GrantError::InvalidScope
            | GrantError::TooLong
            | GrantError::SubjectIsClient
            | GrantError::TooManyRequests => AuthenticationError::Unverified,
        };
        let ends_at = family.ends_at(&self.0.policy);
        let claims =
            self.new_claims(claims.family, claims.number, now, ends_at).map_err(unavailable)?;
        let issued = self.issue(&claims, &identity, None, None, now).map_err(unavailable)?;
        let renewed = IssuerOutcome::AccessRenewed;
        self.0.notify(&identity.client, Some(claims.family), Some(claims.number), renewed);
        Ok(issued)
    }

    /// Revokes the family of a refresh token or an access token of `client` (RFC 7009). A token
    /// that does not work, or belongs to another client, is ignored, and so is an access token that expired
    /// longer ago than the renewal window.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn revoke(&self, client: &str, token: &Secret) -> Result<(), StoreError> {
        let by_refresh_token = self.0.keys.read(token.expose());
        let by_access_token = || {
            let (claims, _) = self.verify(token).ok()?;
            let works = self.is_renewable(claims, self.0.clock.now());
            works.then_some((claims.family, claims.number))
        };
        let Some((id, number)) = by_refresh_token.or_else(by_access_token) else { return Ok(()) };
        match self.0.store.find(id).await? {
            Some(found) if found.record.client == client && !found.record.is_revoked() => {
                self.0.store.revoke(id).await?;
            }
            Some(_) | None => return Ok(()),
        }
        self.0.notify(client, Some(id), Some(number), IssuerOutcome::Revoked);
        Ok(())
    }

    /// Returns whether an access token still works, or expired by less than the renewal window or the leeway.
    fn is_renewable(&self, claims: Claims, now: Timestamp) -> bool {
        let window = self.0.renewal_window.max(self.0.leeway);
        now < claims.expires_at.saturating_add(window)
    }

    fn verify(&self, token: &Secret) -> Result<(Claims, Principal), AuthenticationError> {
        self.0.tokens.verify(token.expose()).map_err(|_| AuthenticationError::Unverified)
    }

    /// Returns a family that was not revoked. Rule D3: "Access tokens MUST name their family, so
    /// that they can be refused as well."
    async fn active_family(&self, id: FamilyId) -> Result<VersionedFamily, AuthenticationError> {
        match self.0.store.find(id).await.map_err(AuthenticationError::Unavailable)? {
            Some(found) if !found.record.is_revoked() => Ok(found),
            Some(_) | None => Err(AuthenticationError::Revoked(id)),
        }
    }

    /// Confirms that the tokens of these claims have reached the client, since the access token was
    /// used. If the swap fails, the next use confirms them.
    async fn confirm(&self, claims: Claims, found: &VersionedFamily, now: Timestamp) {
        let before = Family::from_row(found.record.family);
        if before.to_row().tolerance != Tolerance::Unconfirmed {
            return;
        }
        let mut family = before;
        family.handle_confirmed(&self.0.policy, claims.number, now);
        if family != before {
            let (version, forget_at) = (found.version, found.record.forget_at);
            let _ = self.0.store.swap(claims.family, version, family.to_row(), forget_at).await;
        }
    }

    fn new_claims(
        &self,
        family: FamilyId,
        number: u64,
        now: Timestamp,
        ends_at: Option<Timestamp>,
    ) -> Result<Claims, GrantError> {
        let id = u128::from_be_bytes(random()?);
        // Rule D4: "no access token MUST outlive its family".
        let expires_at = now.saturating_add(self.0.access_lifetime);
        let expires_at = ends_at.map_or(expires_at, |ends_at| expires_at.min(ends_at));
        Ok(Claims { family, number, issued_at: now, expires_at, id })
    }

    fn issue(
        &self,
        claims: &Claims,
        identity: &Identity,
        refresh_token: Option<(u64, u32)>,
        ends_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Issued, GrantError> {
        let token = self.0.tokens.mint(claims, identity)?;
        let ends_at = ends_at.filter(|_| refresh_token.is_some());
        Ok(Issued {
            access_token: token,
            expires_in: claims.expires_at.since(now).to_duration(),
            refresh_token: refresh_token
                .map(|(number, sibling)| self.0.keys.refresh_token(claims.family, number, sibling)),
            refresh_expires_in: ends_at.map(|ends_at| ends_at.since(now).to_duration()),
            scope: identity.scope.clone(),
            family: claims.family,
        })
    }

    /// Returns when the record of a family may be deleted: once it and its last access token have
    /// expired, which expires no later, and cannot be renewed any more.
    fn forget_at(&self, ends_at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let window = self.0.renewal_window.max(self.0.leeway);
        ends_at.map(|ends_at| ends_at.max(now).saturating_add(window))
    }
}

impl FamilyRecord {
    /// Returns the identity behind a token of this family.
    pub(super) fn identity(self, family: FamilyId, token: Principal) -> Identity {
        let Self { subject, client, device, claims, .. } = self;
        match token {
            Principal::Identity(identity) => Identity { device, ..identity },
            Principal::Family { scope } => {
                Identity { subject, client, scope, family: Some(family), device, claims }
            }
        }
    }
}

/// Returns the scope that was asked for, or the granted one if none was (RFC 6749, section 6).
fn narrowed(granted: Option<&str>, asked: Option<&str>) -> Result<Option<String>, GrantError> {
    let granted = granted.unwrap_or_default();
    let Some(asked) = asked.and_then(normalized) else {
        return Ok(Some(granted.into()).filter(|it: &String| !it.is_empty()));
    };
    let known = |one| granted.split(' ').any(|other| other == one);
    if asked.split(' ').all(known) { Ok(Some(asked)) } else { Err(GrantError::InvalidScope) }
}

/// Returns random bytes from the operating system.
fn random() -> Result<[u8; 16], GrantError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let text = "the operating system returned no random numbers";
        GrantError::Unavailable(StoreError::unreachable(text).with_source(error))
    })?;
    Ok(bytes)
}

impl<S: FamilyStore> Clone for Issuer<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: FamilyStore> fmt::Debug for Issuer<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Issuer").field("policy", &self.0.policy).finish_non_exhaustive()
    }
}
