//! A refresh of a session with a store. Publishing the grant is left to the shared state.

use std::prelude::rust_2024::*;

use crate::lifecycle::{Failure, Freshness, Schedule};
use crate::refresh::RefreshError;
use crate::session::exchange::answers::AnswerGuard;
use crate::session::exchange::ask::ask;
use crate::session::exchange::params::ExchangeParams;
use crate::session::exchange::persist::{Persisted, persist};
use crate::session::exchange::received::{Granted, Outcome, Report, Stored, same_credential};
use crate::session::exchange::timed_store::TimedStore;
use crate::session::ports::{Launched, Ports};
use crate::store::{Intent, StoreError, StoredGrant, Swap, Version, Versioned};
use crate::time::Draw;
use crate::token::Grant;

/// One refresh, and what it has seen of the store so far. Rule F2: "The order MUST be intent, exchange,
/// persist, publish."
pub(crate) struct StoredExchange<'a> {
    ports: &'a Ports,
    store: TimedStore<'a>,
    params: &'a ExchangeParams,
    /// The store's version, as last seen.
    version: Option<Version>,
    /// The unsaved grant that this refresh started with, if it is stored now.
    saved: Option<StoredGrant>,
    answer: Option<AnswerGuard>,
}

/// What to do after the store was read, before anything is sent.
enum Ready {
    Land(Outcome),
    /// Ask for a grant, to renew the one stored at this version, if there is one.
    Ask(Option<StoredGrant>, Version),
}

impl<'a> StoredExchange<'a> {
    pub(crate) fn new(ports: &'a Ports, store: TimedStore<'a>, params: &'a ExchangeParams) -> Self {
        Self { ports, store, params, version: params.version, saved: None, answer: None }
    }

    pub(crate) async fn run(mut self, launched: Launched) -> Report {
        let outcome = match self.prepare().await {
            Ok(Ready::Land(outcome)) => outcome,
            Ok(Ready::Ask(before, version)) => self.ask_and_store(before, version).await,
            Err(error) => Outcome::StoreFailed(error),
        };
        let Self { version, saved, answer, .. } = self;
        Report { saved, answer, ..Report::new(outcome, version, launched) }
    }

    /// Stores what is unsaved, reads the store, and adopts its grant where that is newer.
    async fn prepare(&mut self) -> Result<Ready, StoreError> {
        if let Some(unsaved) = &self.params.unsaved {
            let persisted = persist(self.store, &unsaved.received, unsaved.over).await?;
            self.saved = Some(unsaved.received.record.clone());
            match persisted {
                Persisted::Done(version) => {
                    self.version = Some(version);
                    if !unsaved.published {
                        let (received, over) = (unsaved.received.clone(), Some(unsaved.over));
                        let stored = Stored::Done;
                        return Ok(Ready::Land(Outcome::Granted(Granted {
                            received,
                            over,
                            stored,
                        })));
                    }
                }
                Persisted::Outpaced(stored, version) => {
                    self.version = Some(version);
                    let received = Some(unsaved.received.record.grant.clone());
                    return Ok(Ready::Land(Outcome::outpaced(stored, received)));
                }
            }
        }
        let known = self.params.version;
        let content = match (self.store.load().await, known, &self.params.grant) {
            // An empty store means a logout only where somebody has written that: this grant was lost,
            // and is written back.
            (Err(error), Some(version), Some(held)) if error.is_emptied() => {
                let record = StoredGrant::over(held.clone(), self.ports.settings.clock.wall());
                return Ok(Ready::Ask(Some(record), self.version.unwrap_or(version)));
            }
            (Err(error), _, _) if error.is_emptied() => Versioned::EMPTY,
            (content, _, _) => content?,
        };
        let version = content.version;
        self.version = Some(version);
        match (known, content.grant, &self.params.grant) {
            (None, Some(stored), _) => Ok(Ready::Land(Outcome::Loaded(stored))),
            (None, None, Some(_)) if self.is_superseded() => {
                Ok(Ready::Land(Outcome::Empty { received: None }))
            }
            (None, None, Some(seed)) => self.store_first(seed, version).await.map(Ready::Land),
            (_, None, _) if self.ports.settings.needs_grant => {
                Ok(Ready::Land(Outcome::Empty { received: None }))
            }
            (_, None, _) => Ok(Ready::Ask(None, version)),
            (Some(_), Some(stored), held) => {
                let newer = held.as_ref().is_none_or(|held| !same_credential(&stored.grant, held));
                // A grant whose access token cannot be used any more is renewed at once.
                if newer && self.is_usable(&stored) {
                    Ok(Ready::Land(Outcome::Adopted { stored, received: None }))
                } else {
                    Ok(Ready::Ask(Some(stored), version))
                }
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

    /// Returns whether the access token of `stored` can be handed out at this moment.
    fn is_usable(&self, stored: &StoredGrant) -> bool {
        let settings = &self.ports.settings;
        let (now, wall) = (settings.clock.now(), settings.clock.wall());
        stored.times(now, wall, Draw::NONE).is_some_and(|times| {
            Schedule::of(&settings.policy, times, now).freshness(now) != Freshness::Lapsed
        })
    }

    /// Returns the note that the refresh token of `before` is about to be sent.
    fn intent(&self, before: &StoredGrant) -> Intent {
        let clock = &self.ports.settings.clock;
        let (now, wall) = (clock.now(), clock.wall());
        // An earlier request of unknown outcome still counts: the window runs from the first.
        let since = before.intent.map_or(wall, |earlier| earlier.since);
        Intent { since, until: Some(wall.saturating_add(self.params.deadline.since(now))) }
    }

    async fn ask_and_store(
        &mut self,
        before: Option<StoredGrant>,
        mut version: Version,
    ) -> Outcome {
        if let Some(before) = &before {
            let noted = StoredGrant { intent: Some(self.intent(before)), ..before.clone() };
            match self.store.swap(version, Some(noted)).await {
                Ok(Swap::Done(noted)) => version = noted,
                Ok(Swap::Conflict(content)) => {
                    self.version = Some(content.version);
                    return match content.grant {
                        // Another holder has noted that it is about to present the same grant.
                        Some(stored) if stored.grant == before.grant => Outcome::Failed(
                            RefreshError::unavailable("another holder presents the same grant"),
                        ),
                        newer => Outcome::outpaced(newer, None),
                    };
                }
                Err(error) => return Outcome::StoreFailed(error),
            }
            self.version = Some(version);
        }
        let grant = before.as_ref().map(|stored| stored.grant.clone());
        let received = match ask(self.ports, self.params, grant, self.store.panic).await {
            Ok(received) => received,
            Err(error) => return self.not_granted(version, before, error).await,
        };
        self.answer = Some(AnswerGuard::counted_in(&self.params.answers));
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
            Err(error) => {
                Outcome::Granted(Granted { received, over, stored: Stored::Failed(error) })
            }
        }
    }

    /// Handles a request that got no grant. Where the refresh token was not spent, the note of intent
    /// is removed from the store. If that fails, a restart takes the outcome for unknown, which is
    /// safe.
    async fn not_granted(
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
