//! The issuer: verify, decide, claim, answer.

use core::fmt;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use super::error::{Denied, Rejected, Why};
use super::issued::{Issued, Login};
use super::notice::Outcome;
use super::parts::Parts;
use super::ports::{Bearing, Claim, FamilyId, FamilyStore, Found, Identity, Record, StandsFor};
use crate::rotation::{Family, Presented, Row, State, Tolerance};
use crate::store::{StoreError, Version};
use crate::time::Timestamp;
use crate::token::Secret;

/// Issues tokens, renews them, and says whom they stand for. Cloning it gives another handle.
pub struct Issuer<S: FamilyStore>(Arc<Parts<S>>);

impl<S: FamilyStore> Issuer<S> {
    pub(super) fn of_parts(parts: Parts<S>) -> Self {
        Self(Arc::new(parts))
    }

    /// A login begins a family.
    ///
    /// # Errors
    /// [`Denied::Unavailable`], and [`Denied::InvalidScope`] where no token can hold what was granted.
    pub async fn login(&self, login: Login) -> Result<Issued, Denied> {
        let begun = self.begin(&login).await;
        let number = begun.as_ref().ok().map(|(_, number)| *number);
        let outcome = Outcome::LoggedIn { subject: &login.subject };
        let begun = begun.map(|(issued, _)| (issued, outcome));
        self.0.told(&login.client, None, number, begun)
    }

    /// What was issued, and the number of its refresh token.
    async fn begin(&self, login: &Login) -> Result<(Issued, u64), Denied> {
        let now = self.0.clock.now();
        let family = Family::new(now);
        let id = FamilyId::of_bytes(random()?);
        let Login { client, subject, scope } = login.clone();
        let identity = Identity { subject, client, scope };
        let bearing = self.bearing(id, family.newest(), now)?;
        let issued = self.issue(&bearing, &identity, Some(family.newest()), now)?;
        let Identity { subject, client, scope } = identity;
        let forget_at = self.forget_at(family, now);
        let record = Record { client, subject, scope, family: family.to_row(), forget_at };
        self.0.store.insert(id, record).await.map_err(Denied::Unavailable)?;
        Ok((issued, family.newest()))
    }

    /// A client acts for itself (RFC 6749, section 4.4): an access token, and no refresh token.
    ///
    /// # Errors
    /// As for [`login`](Issuer::login).
    pub async fn client_credentials(
        &self,
        client: &str,
        scope: Option<&str>,
    ) -> Result<Issued, Denied> {
        let login = Login::new(client, client);
        let login = match scope {
            Some(scope) => login.scope(scope),
            None => login,
        };
        let issued = self.begin(&login).await.map(|(issued, _)| {
            (Issued { refresh_token: None, ..issued }, Outcome::ClientCredentials)
        });
        self.0.told(client, None, None, issued)
    }

    /// A client presents a refresh token (RFC 6749, section 6), for all of what was granted or,
    /// with `scope`, some of it.
    ///
    /// # Errors
    /// [`Denied`]. Where the family does not bear that the token was used before, it is revoked
    /// all the same.
    ///
    /// # Cancellation
    /// Dropped, it may have rotated: then the answer was lost, as on the way to the client.
    pub async fn refresh(
        &self,
        client: &str,
        presented: &Secret,
        scope: Option<&str>,
    ) -> Result<Issued, Denied> {
        let presented = self.0.keys.read(presented.expose());
        let answer = self.rotate(client, presented, scope).await;
        let (family, number) = presented.unzip();
        self.0.told(client, family, number, answer)
    }

    async fn rotate(
        &self,
        client: &str,
        presented: Option<(FamilyId, u64)>,
        scope: Option<&str>,
    ) -> Result<(Issued, Outcome<'static>), Denied> {
        let (id, number) = presented.ok_or(Denied::InvalidGrant(Why::NotOurs))?;
        let mut found = self.0.store.find(id).await.map_err(Denied::Unavailable)?;
        loop {
            let unknown = Denied::InvalidGrant(Why::UnknownFamily(id));
            let Found { version, record } = found.ok_or(unknown)?;
            // Rule D4: it "MUST work for the client that it was issued to and for no other".
            if record.client != client {
                return Err(Denied::InvalidGrant(Why::OtherClient(id)));
            }
            let narrowed = narrowed(record.scope.as_deref(), scope)?;
            let now = self.0.clock.now();
            let mut family = Family::of_row(record.family);
            let decision = match family.handle_presented(&self.0.policy, number, now) {
                Presented::IssueSuccessor { number } => {
                    Ok((number, Some(number), Outcome::Refreshed { successor: number }))
                }
                Presented::RepeatSuccessor { number } => {
                    Ok((number, Some(number), Outcome::Repeated { successor: number }))
                }
                Presented::RenewAccess => Ok((number, None, Outcome::AccessRenewed)),
                // A refusal changes nothing, so nothing is written.
                Presented::Refuse(reason) => {
                    return Err(Denied::InvalidGrant(Why::Refused(id, reason)));
                }
                Presented::RevokeFamily => Err(Denied::InvalidGrant(Why::Reused(id))),
            };
            let response = match decision {
                Err(denied) => Err(denied),
                // Signed before the swap: if nothing can be signed, nothing has rotated.
                Ok((number, refresh_token, outcome)) => {
                    let Record { client, subject, .. } = record;
                    let identity = Identity { subject, client, scope: narrowed };
                    let bearing = self.bearing(id, number, now)?;
                    Ok((self.issue(&bearing, &identity, refresh_token, now)?, outcome))
                }
            };
            let forget_at = self.forget_at(family, now);
            match self.claim(id, version, family.to_row(), forget_at).await? {
                // Rule D3: "that MUST be kept although the answer is an error".
                Claim::Done => return response,
                Claim::Conflict(now) => found = now,
            }
        }
    }

    async fn claim(
        &self,
        id: FamilyId,
        version: Version,
        family: Row,
        forget_at: Option<Timestamp>,
    ) -> Result<Claim, Denied> {
        let claim = self.0.store.claim(id, version, family, forget_at);
        claim.await.map_err(Denied::Unavailable)
    }

    /// Whom an access token stands for.
    ///
    /// # Errors
    /// [`Rejected`].
    pub async fn authenticate(&self, token: &Secret) -> Result<Identity, Rejected> {
        let (bearing, stands_for) = self.verified(token)?;
        let now = self.0.clock.now();
        if now >= bearing.expires_at {
            return Err(Rejected::Expired);
        }
        let found = self.living(bearing.family).await?;
        self.confirm(bearing, &found, now).await;
        Ok(found.record.identity(stands_for))
    }

    /// Renews an access token without a refresh token: the simplest form in common use. Where it was
    /// stolen, so is the renewal. Rule D5: "An access token that is still good, or lapsed by less than
    /// a renewal window [0 s], MAY be renewed".
    ///
    /// # Errors
    /// [`Rejected`], also where none is configured and it has lapsed.
    pub async fn renew(&self, token: &Secret) -> Result<Issued, Rejected> {
        let (bearing, stands_for) = self.verified(token)?;
        let now = self.0.clock.now();
        if now >= bearing.expires_at.saturating_add(self.0.renewal_window) {
            return Err(Rejected::Expired);
        }
        let found = self.living(bearing.family).await?;
        // Rule D4: a family that has outlived itself lives on in no renewal.
        if Family::of_row(found.record.family).state(&self.0.policy, now) == State::Expired {
            return Err(Rejected::Expired);
        }
        let identity = found.record.identity(stands_for);
        let unavailable = |denied| match denied {
            Denied::Unavailable(error) => Rejected::Unavailable(error),
            Denied::InvalidGrant(_) | Denied::InvalidScope => Rejected::Unverified,
        };
        let bearing = self.bearing(bearing.family, bearing.number, now).map_err(unavailable)?;
        let issued = self.issue(&bearing, &identity, None, now).map_err(unavailable)?;
        let renewed = Outcome::AccessRenewed;
        self.0.tell(&identity.client, Some(bearing.family), Some(bearing.number), renewed);
        Ok(issued)
    }

    /// A client, or whoever has the token, revokes it (RFC 7009): the family of a refresh token or
    /// of an access token ends. One that does not work is none.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn revoke(&self, client: &str, token: &Secret) -> Result<(), StoreError> {
        let by_refresh_token = self.0.keys.read(token.expose());
        let by_access_token =
            || self.verified(token).ok().map(|(bearing, _)| (bearing.family, bearing.number));
        let Some((id, number)) = by_refresh_token.or_else(by_access_token) else { return Ok(()) };
        match self.0.store.find(id).await? {
            Some(found) if found.record.client == client => self.0.store.revoke(id).await?,
            Some(_) | None => return Ok(()),
        }
        self.0.tell(client, Some(id), Some(number), Outcome::Revoked);
        Ok(())
    }

    /// Revokes all that a subject has granted to anybody. Gives how many families that ended.
    ///
    /// # Errors
    /// Where the store fails.
    pub async fn revoke_subject(&self, subject: &str) -> Result<u64, StoreError> {
        self.0.store.revoke_subject(subject).await
    }

    fn verified(&self, token: &Secret) -> Result<(Bearing, StandsFor), Rejected> {
        self.0.tokens.verify(token.expose()).map_err(|_| Rejected::Unverified)
    }

    /// A family that was not revoked. Rule D3: "Access tokens MUST name their family, so that they can
    /// be refused as well."
    async fn living(&self, id: FamilyId) -> Result<Found, Rejected> {
        match self.0.store.find(id).await.map_err(Rejected::Unavailable)? {
            Some(found) if !found.record.is_revoked() => Ok(found),
            Some(_) | None => Err(Rejected::Revoked(id)),
        }
    }

    /// An access token was used: what it came with has reached its holder. Should telling the
    /// family fail, the next use tells it.
    async fn confirm(&self, bearing: Bearing, found: &Found, now: Timestamp) {
        let before = Family::of_row(found.record.family);
        if before.to_row().tolerance != Tolerance::Unconfirmed {
            return;
        }
        let mut family = before;
        family.handle_confirmed(&self.0.policy, bearing.number, now);
        if family != before {
            let (version, forget_at) = (found.version, found.record.forget_at);
            let _ = self.0.store.claim(bearing.family, version, family.to_row(), forget_at).await;
        }
    }

    fn bearing(&self, family: FamilyId, number: u64, now: Timestamp) -> Result<Bearing, Denied> {
        let id = u128::from_be_bytes(random()?);
        let expires_at = now.saturating_add(self.0.access_lifetime);
        Ok(Bearing { family, number, issued_at: now, expires_at, id })
    }

    fn issue(
        &self,
        bearing: &Bearing,
        identity: &Identity,
        refresh_token: Option<u64>,
        now: Timestamp,
    ) -> Result<Issued, Denied> {
        let token = self.0.tokens.mint(bearing, identity)?;
        Ok(Issued {
            access_token: token,
            expires_in: bearing.expires_at.since(now).to_duration(),
            refresh_token: refresh_token
                .map(|number| self.0.keys.refresh_token(bearing.family, number)),
            scope: identity.scope.clone(),
            family: bearing.family,
        })
    }

    /// Once its family has outlived itself and so has the last access token of it, it need not be
    /// kept.
    fn forget_at(&self, family: Family, now: Timestamp) -> Option<Timestamp> {
        let last = now.saturating_add(self.0.access_lifetime);
        let last = last.saturating_add(self.0.renewal_window);
        family.ends_at(&self.0.policy).map(|ends_at| ends_at.max(last))
    }
}

impl Record {
    /// Whom a token of this family stands for.
    fn identity(self, token: StandsFor) -> Identity {
        match token {
            StandsFor::Identity(identity) => identity,
            StandsFor::Family { scope } => {
                Identity { subject: self.subject, client: self.client, scope }
            }
        }
    }
}

/// What was asked for of what was granted; all of it, where nothing was (RFC 6749, section 6).
fn narrowed(granted: Option<&str>, asked: Option<&str>) -> Result<Option<String>, Denied> {
    let granted = granted.unwrap_or_default();
    let Some(asked) = asked else {
        return Ok(Some(granted.into()).filter(|it: &String| !it.is_empty()));
    };
    let known = |one| granted.split(' ').any(|other| other == one);
    if asked.split(' ').all(known) { Ok(Some(asked.into())) } else { Err(Denied::InvalidScope) }
}

/// Random bytes of the operating system's.
fn random() -> Result<[u8; 16], Denied> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let told = "the operating system gives no random numbers";
        Denied::Unavailable(StoreError::unreachable(told).with_source(error))
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
