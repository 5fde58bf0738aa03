//! Introspection (RFC 7662): what a token is good for, for resource servers on other machines.

use std::borrow::ToOwned;
use std::string::String;

use super::issuer::Issuer;
use super::ports::{Claims, FamilyId, FamilyRecord, FamilyStore, Identity, Principal};
use crate::rotation::{Family, Presented};
use crate::store::StoreError;
use crate::time::Timestamp;
use crate::token::Secret;

/// A token that works now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Introspected {
    /// What the token is used for.
    pub token_use: TokenUse,
    /// The subject, the client and the scope that the token stands for.
    pub identity: Identity,
    /// When the token was issued, if the token says so.
    pub issued_at: Option<Timestamp>,
    /// When the token expires: for a refresh token, when its family does; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// Identifies an access token uniquely.
    pub id: Option<u128>,
    /// The family that the token belongs to.
    pub family: FamilyId,
    /// The resource server that an access token is for, if the tokens of the issuer say so.
    pub audience: Option<String>,
}

/// What a token is used for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenUse {
    /// At resource servers.
    AccessToken,
    /// At the token endpoint only. A resource server MUST NOT accept it.
    RefreshToken,
}

impl<S: FamilyStore> Issuer<S> {
    /// Returns what an access token or a refresh token stands for; `None` for any that does not
    /// work now, for whatever reason: malformed, unknown, expired, spent or revoked.
    ///
    /// Nothing is written: no token is rotated, revoked or confirmed
    /// ([D8](crate::spec#d-the-authorization-server)).
    ///
    /// # Errors
    /// If the store fails.
    pub async fn introspect(&self, token: &Secret) -> Result<Option<Introspected>, StoreError> {
        if let Some((family, number)) = self.0.keys.read(token.expose()) {
            return self.introspect_refresh_token(family, number).await;
        }
        let Ok((claims, principal)) = self.0.tokens.verify(token.expose()) else { return Ok(None) };
        self.introspect_access_token(claims, principal).await
    }

    async fn introspect_access_token(
        &self,
        claims: Claims,
        principal: Principal,
    ) -> Result<Option<Introspected>, StoreError> {
        if self.0.clock.now() >= claims.expires_at {
            return Ok(None);
        }
        let Some(record) = self.kept(claims.family).await? else { return Ok(None) };
        // The family is not confirmed. Rule D8: "An introspection MUST change nothing".
        Ok(Some(Introspected {
            token_use: TokenUse::AccessToken,
            identity: record.identity(claims.family, principal),
            issued_at: Some(claims.issued_at),
            expires_at: Some(claims.expires_at),
            id: Some(claims.id),
            family: claims.family,
            audience: self.0.tokens.audience().map(ToOwned::to_owned),
        }))
    }

    async fn introspect_refresh_token(
        &self,
        id: FamilyId,
        number: u64,
    ) -> Result<Option<Introspected>, StoreError> {
        let Some(record) = self.kept(id).await? else { return Ok(None) };
        // What presenting the token would do, on a copy of the family that is then dropped.
        let mut copy = Family::from_row(record.family);
        match copy.handle_presented(&self.0.policy, number, self.0.clock.now()) {
            Presented::IssueSuccessor { .. }
            | Presented::RepeatSuccessor { .. }
            | Presented::IssueSibling { .. }
            | Presented::RenewAccess => {}
            Presented::Refuse(_) | Presented::RevokeFamily => return Ok(None),
        }
        let expires_at = Family::from_row(record.family).ends_at(&self.0.policy);
        let scope = record.scope.clone();
        Ok(Some(Introspected {
            token_use: TokenUse::RefreshToken,
            identity: record.identity(id, Principal::Family { scope }),
            issued_at: None,
            expires_at,
            id: None,
            family: id,
            audience: None,
        }))
    }

    /// Returns a family that is stored and was not revoked.
    async fn kept(&self, id: FamilyId) -> Result<Option<FamilyRecord>, StoreError> {
        let found = self.0.store.find(id).await?;
        Ok(found.map(|found| found.record).filter(|record| !record.is_revoked()))
    }
}
