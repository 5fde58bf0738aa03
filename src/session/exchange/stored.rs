//! A refresh of a session with a store. Publishing the grant is left to the shared state.

use std::prelude::rust_2024::*;

use crate::lifecycle::Failure;
use crate::refresh::RefreshError;
use crate::session::exchange::ask::ask;
use crate::session::exchange::grant_count::GrantGuard;
use crate::session::exchange::lease_turn::LeaseTurn;
use crate::session::exchange::params::ExchangeParams;
use crate::session::exchange::persist::{Persisted, persist};
use crate::session::exchange::received::{Granted, Outcome, Report, Stored, same_credential};
use crate::session::exchange::timed_store::TimedStore;
use crate::session::ports::{Launched, Ports};
use crate::store::{StoreError, StoredGrant, Swap, Version, Versioned};
use crate::token::Grant;

/// One refresh, and what it has seen of the store so far. Rule F2: "The order MUST be intent, exchange,
/// persist, publish."
pub(crate) struct StoredExchange<'a> {
    pub(super) ports: &'a Ports,
    pub(super) store: TimedStore<'a>,
    pub(super) params: &'a ExchangeParams,
    /// The store's version, as last seen.
    pub(super) version: Option<Version>,
    /// The unsaved grant that this refresh started with, if it is stored now.
    saved: Option<StoredGrant>,
    guard: Option<GrantGuard>,
    /// What was read first, as long as it was not looked at.
    pub(super) first: Option<Versioned>,
    /// Whether a store that has lost its content was given the held grant.
    pub(super) written_back: bool,
}

impl<'a> StoredExchange<'a> {
    pub(crate) fn new(ports: &'a Ports, store: TimedStore<'a>, params: &'a ExchangeParams) -> Self {
        Self {
            ports,
            store,
            params,
            version: params.version,
            saved: None,
            guard: None,
            first: None,
            written_back: false,
        }
    }

    pub(crate) async fn run(mut self, launched: Launched) -> Report {
        let outcome = self.outcome().await.unwrap_or_else(Outcome::StoreFailed);
        let Self { version, saved, guard, .. } = self;
        Report { saved, guard, ..Report::new(outcome, version, launched) }
    }

    async fn outcome(&mut self) -> Result<Outcome, StoreError> {
        if let Some(unsaved) = &self.params.unsaved {
            let persisted = persist(self.store, &unsaved.received, unsaved.over).await?;
            self.saved = Some(unsaved.received.record.clone());
            match persisted {
                Persisted::Done(version) => {
                    self.version = Some(version);
                    if !unsaved.published {
                        let (received, over) = (unsaved.received.clone(), Some(unsaved.over));
                        let stored = Stored::Done;
                        return Ok(Outcome::Granted(Granted { received, over, stored }));
                    }
                }
                Persisted::Outpaced(stored, version) => {
                    self.version = Some(version);
                    let received = Some(unsaved.received.record.grant.clone());
                    return Ok(Outcome::outpaced(stored, received));
                }
                Persisted::Presented { .. } => return Err(presented_by_another()),
            }
        }
        match self.params.version {
            Some(known) => self.take_turn(known).await,
            None => self.load_first().await,
        }
    }

    /// Reads the store for the first time.
    async fn load_first(&mut self) -> Result<Outcome, StoreError> {
        let content = match self.store.load().await {
            Err(error) if error.is_emptied() => Versioned::EMPTY,
            content => content?,
        };
        let version = content.version;
        self.version = Some(version);
        match (content.grant, &self.params.grant) {
            (Some(stored), _) => Ok(Outcome::Loaded(stored)),
            (None, Some(_)) if self.is_superseded() => Ok(Outcome::Empty { received: None }),
            (None, Some(seed)) => self.store_first(seed, version).await,
            (None, None) if self.ports.settings.needs_grant => {
                Ok(Outcome::Empty { received: None })
            }
            (None, None) => {
                self.first = Some(Versioned { version, grant: None });
                self.take_turn(version).await
            }
        }
    }

    /// Stores the grant that the session was built with.
    async fn store_first(&mut self, seed: &Grant, empty: Version) -> Result<Outcome, StoreError> {
        let record = StoredGrant::new(seed.clone(), self.ports.built_at);
        // Until it is stored, the store counts as unread: the next refresh starts from there.
        self.version = None;
        match self.store.swap(empty, Some(record.clone())).await? {
            Swap::Done(version) => {
                self.version = Some(version);
                Ok(Outcome::Loaded(record))
            }
            Swap::Conflict(now) => {
                self.version = Some(now.version);
                let nothing = Outcome::Empty { received: None };
                Ok(now.grant.map_or(nothing, Outcome::Loaded))
            }
        }
    }

    /// Returns whether a login or a logout has ended the epoch of this refresh.
    fn is_superseded(&self) -> bool {
        self.params.epoch_fence.includes(self.params.flight)
    }

    /// Asks for a grant in place of `before`, whose note of intent is stored at `version`, and stores it.
    pub(super) async fn ask_and_store(
        &mut self,
        turn: &mut LeaseTurn<'_>,
        before: Option<StoredGrant>,
        version: Version,
    ) -> Outcome {
        let grant = before.as_ref().map(|stored| stored.grant.clone());
        let request = ask(self.ports, self.params, grant, self.store.panic);
        let received = match turn.keeping(request).await {
            Ok(received) => received,
            Err(error) => return self.not_granted(version, before, error).await,
        };
        self.guard = Some(GrantGuard::counted_in(&self.params.grants));
        let over = Some(version);
        if self.is_superseded() {
            // An orphan: what a login or a logout has written to the store stays.
            return Outcome::Granted(Granted { received, over, stored: Stored::NotNeeded });
        }
        // A response that came too late for its waiters has time of its own to be stored.
        let store = match self.store.panic.call(|| self.ports.settings.clock.now()) {
            Some(now) if now >= self.params.deadline => self.store.until_later(now),
            Some(_) | None => self.store,
        };
        match persist(store, &received, version).await {
            Ok(Persisted::Done(stored_at)) => {
                self.version = Some(stored_at);
                Outcome::Granted(Granted { received, over, stored: Stored::Done })
            }
            Ok(Persisted::Outpaced(stored, stored_at)) => {
                self.version = Some(stored_at);
                Outcome::outpaced(stored, Some(received.record.grant))
            }
            Ok(Persisted::Presented { .. }) => {
                let stored = Stored::Failed(presented_by_another());
                Outcome::Granted(Granted { received, over, stored })
            }
            Err(error) => {
                Outcome::Granted(Granted { received, over, stored: Stored::Failed(error) })
            }
        }
    }

    /// Handles a request that got no grant. Where the refresh token was not spent, the note of intent
    /// is removed from the store. If that fails, a restart takes the outcome for unknown, which is
    /// safe.
    pub(super) async fn not_granted(
        &mut self,
        version: Version,
        before: Option<StoredGrant>,
        error: RefreshError,
    ) -> Outcome {
        let declined = match error.failure() {
            Failure::Declined => true,
            Failure::Unavailable { .. }
            | Failure::Misconfigured { .. }
            | Failure::Unexplained { .. } => false,
            Failure::Unknown => return Outcome::Failed(error),
        };
        let Some(before) = before else {
            return Outcome::Failed(error);
        };
        let presented = before.grant.clone();
        let content = match self.store.swap(version, Some(before)).await {
            Ok(Swap::Done(version)) => {
                self.version = Some(version);
                return Outcome::Failed(error);
            }
            Ok(Swap::Conflict(content)) if declined => content,
            Ok(Swap::Conflict(_)) | Err(_) => return Outcome::Failed(error),
        };
        // Another holder has written: either a newer grant than the declined one, or its note that it
        // presents the same one. In the latter case the server may have granted the other holder's
        // request.
        self.version = Some(content.version);
        match content.grant {
            Some(stored) if same_credential(&stored.grant, &presented) => Outcome::Failed(
                RefreshError::unavailable(
                    "declined, while another holder presented the same grant",
                )
                .with_source(error),
            ),
            newer => Outcome::outpaced(newer, None),
        }
    }
}

fn presented_by_another() -> StoreError {
    StoreError::unreachable("another process is refreshing this grant")
}
