//! The families of an issuer, for their subjects and for the operator.

use std::prelude::rust_2024::*;
#[cfg(feature = "axum")]
use std::{net::IpAddr, sync::PoisonError};

#[cfg(feature = "axum")]
use super::error::Denied;
use super::issuer::Issuer;
use super::ports::{FamilyId, FamilyStore};
use crate::events::IssuerOutcome;
#[cfg(feature = "axum")]
use crate::events::{ErrorView, IssuerEvent};
use crate::rotation::{Family, State};
use crate::store::StoreError;
use crate::time::Timestamp;
#[cfg(feature = "axum")]
use crate::token::Secret;

/// How many families [`Issuer::families_of`] returns at most.
const MOST: usize = 1000;

/// One login of a subject, for a list of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActiveLogin {
    /// The family of its tokens.
    pub family: FamilyId,
    /// The client that acts for the subject.
    pub client: String,
    /// The label that the login was given ([`Login::device`](super::Login::device)).
    pub device: Option<String>,
    /// The granted scope.
    pub scope: Option<String>,
    /// When the subject logged in.
    pub began: Timestamp,
    /// When a refresh token of it last worked.
    pub used: Timestamp,
    /// When it ends if it is not used again; `None` if it never does.
    pub ends_at: Option<Timestamp>,
}

impl<S: FamilyStore> Issuer<S> {
    /// Returns the logins of a subject that still work, those used last first, and at most 1,000 of them. What
    /// clients get for themselves is left out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn families_of(&self, subject: &str) -> Result<Vec<ActiveLogin>, StoreError> {
        let (now, policy) = (self.0.clock.now(), &self.0.policy);
        let found = self.0.store.families_of(subject, MOST).await?;
        let works = found.into_iter().filter(|(_, record)| {
            let state = Family::from_row(record.family).state(policy, now);
            record.has_refresh_token() && matches!(state, State::Active | State::Rotated)
        });
        let shown = works.map(|(family, record)| ActiveLogin {
            family,
            client: record.client,
            device: record.device,
            scope: record.scope,
            began: record.family.began,
            used: record.family.used,
            ends_at: Family::from_row(record.family).ends_at(policy),
        });
        Ok(shown.collect())
    }

    /// Revokes a family of `subject`: its refresh tokens and its access tokens. Returns whether the subject has
    /// this family; a family of another subject is left alone, so that a page may pass on what it was sent.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn revoke_family(&self, subject: &str, id: FamilyId) -> Result<bool, StoreError> {
        let found = self.0.store.find(id).await?;
        let Some(found) = found.filter(|found| found.record.subject == subject) else {
            return Ok(false);
        };
        self.0.store.revoke(id).await?;
        self.0.notify(&found.record.client, Some(id), None, IssuerOutcome::Revoked);
        Ok(true)
    }

    /// Revokes all families of a subject. Returns how many were not revoked before.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn revoke_subject(&self, subject: &str) -> Result<u64, StoreError> {
        self.0.store.revoke_subject(subject).await
    }

    /// Deletes the records of families that are over: to be called from time to time, such as once an hour. Returns how
    /// many were deleted. A login is deleted by the second of two calls that lie an hour or more apart
    /// ([`FamilyStore::purge`]).
    ///
    /// # Errors
    /// If the store fails.
    pub async fn purge(&self) -> Result<u64, StoreError> {
        self.0.store.purge(self.0.clock.now()).await
    }

    /// Returns the family of a refresh token or an access token, if this issuer has made the token. Reads no store.
    #[cfg(feature = "axum")]
    pub(crate) fn family_of_any(&self, token: &Secret) -> Option<FamilyId> {
        let by_access_token =
            || self.0.tokens.verify(token.expose()).ok().map(|(claims, _)| claims.family);
        self.family_of(token).or_else(by_access_token)
    }

    /// Reports a request that was denied before its family was known.
    #[cfg(feature = "axum")]
    pub(crate) fn report_denied(&self, client: &str, peer: Option<IpAddr>, denied: Denied) {
        let outcome = || IssuerOutcome::Denied(ErrorView::from(denied));
        self.0.tell(|| IssuerEvent {
            client: client.into(),
            family: None,
            number: None,
            peer,
            outcome: outcome(),
        });
    }

    /// Refuses logins whose subject is one of these clients, from now on.
    #[cfg(feature = "axum")]
    pub(crate) fn know_clients(&self, ids: impl IntoIterator<Item = String>) {
        self.0.clients.write().unwrap_or_else(PoisonError::into_inner).extend(ids);
    }
}
