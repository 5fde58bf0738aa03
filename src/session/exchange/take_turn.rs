//! The way to a request in a session with a store: this holder's turn is waited for; what the store
//! holds is read in it, adopted where that is newer, and otherwise noted as being presented.

use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::lease::{Found, GiveUpReason};
use crate::lifecycle::Reuse;
use crate::session::exchange::ask::not_sent;
use crate::session::exchange::lease_turn::{LeaseTurn, Step};
use crate::session::exchange::received::{Outcome, is_usable, same_credential};
use crate::session::exchange::stored::StoredExchange;
use crate::store::{
    Acquired, Intent, Lease, StoreError, StoredGrant, Swap, Version, Versioned, on_timeline,
};
use crate::time::Timestamp;

/// What was found in the store.
enum Look {
    /// Nothing is to be sent.
    Land(Outcome),
    /// This step is next, to renew the grant that is stored at this version, if there is one.
    Next(Step, Option<StoredGrant>, Version),
}

/// The result of writing the note of intent.
enum Noted {
    At(Version),
    /// Somebody else has written this.
    Conflict(Versioned),
}

impl StoredExchange<'_> {
    /// Waits for this holder's turn, and asks for a grant in it. `known` is the version at which the
    /// session last saw the store.
    pub(super) async fn take_turn(&mut self, known: Version) -> Result<Outcome, StoreError> {
        let (mut turn, step) = LeaseTurn::start(self.store);
        let outcome = self.in_turn(&mut turn, step, known).await;
        turn.finish().await;
        outcome
    }

    async fn in_turn(
        &mut self,
        turn: &mut LeaseTurn<'_>,
        mut step: Step,
        known: Version,
    ) -> Result<Outcome, StoreError> {
        let (mut before, mut version) = (None, known);
        loop {
            let look = match step {
                Step::Prepare => break,
                Step::GiveUp(reason) => return Ok(self.given_up(reason)),
                Step::Wait(until) => {
                    step = turn.wait(until).await;
                    continue;
                }
                Step::Acquire => {
                    if let Some(lease) = turn.lease().cloned() {
                        self.acquire(turn, &lease, known).await?
                    } else {
                        let content = self.read(known).await?;
                        self.consider(turn, content)
                    }
                }
                Step::TakeOver if self.is_too_late() => {
                    return Ok(self.given_up(GiveUpReason::Overdue));
                }
                // The note is the lease.
                Step::TakeOver => match self.note(before.as_ref(), version).await? {
                    Noted::At(noted) => {
                        Look::Next(turn.acquired(noted, Found::Unchanged), before, noted)
                    }
                    Noted::Conflict(content) => match turn.outpaced() {
                        Step::Acquire => self.consider(turn, content),
                        next @ (Step::Wait(_)
                        | Step::TakeOver
                        | Step::Prepare
                        | Step::GiveUp(_)) => Look::Next(next, before, version),
                    },
                },
            };
            match look {
                Look::Land(outcome) => return Ok(outcome),
                Look::Next(next, grant, at) => (step, before, version) = (next, grant, at),
            }
        }
        if turn.lease().is_some() {
            if self.is_too_late() {
                return Ok(self.given_up(GiveUpReason::Overdue));
            }
            match self.note(before.as_ref(), version).await? {
                Noted::At(noted) => version = noted,
                // A login or a logout, which wait for no lease.
                Noted::Conflict(content) => {
                    self.version = Some(content.version);
                    return Ok(Outcome::outpaced(content.grant, None));
                }
            }
        }
        if turn.prepared(version).await.is_err() {
            let error = not_sent("the lease on the grant was lost, or its store is too slow");
            return Ok(self.not_granted(version, before, error).await);
        }
        Ok(self.ask_and_store(turn, before, version).await)
    }

    /// Asks a store with a lease for it.
    async fn acquire(
        &mut self,
        turn: &mut LeaseTurn<'_>,
        lease: &Arc<dyn Lease>,
        known: Version,
    ) -> Result<Look, StoreError> {
        let content = match self.store.acquire(&**lease, turn.term()).await {
            Ok(Acquired::Held(content)) => content,
            Ok(Acquired::Busy { remaining }) => {
                // What the other holder has stored is of use before it has released the lease.
                let content = self.store.load().await?;
                let version = content.version;
                return Ok(match self.judge(content) {
                    Judged::Land(outcome) => {
                        self.version = Some(version);
                        turn.newer_found();
                        Look::Land(outcome)
                    }
                    Judged::Ask(before) => {
                        Look::Next(turn.busy(remaining.map(Into::into)), before, version)
                    }
                });
            }
            Err(error) => return self.write_back(known, error).await,
        };
        let version = content.version;
        self.version = Some(version);
        Ok(match self.judge(content) {
            Judged::Land(outcome) => {
                // Nothing is sent, whatever the step says.
                let _ = turn.acquired(version, Found::Newer);
                Look::Land(outcome)
            }
            Judged::Ask(Some(stored)) if self.is_news_of_doubt(&stored) => {
                let sent = self.sent(stored.intent.map_or(stored.acquired_at, |it| it.since));
                let _ = turn.acquired(version, Found::Note { sent });
                Look::Land(Outcome::InDoubt(stored))
            }
            Judged::Ask(before) => {
                Look::Next(turn.acquired(version, Found::Unchanged), before, version)
            }
        })
    }

    /// Writes the held grant back to a store that has lost its content: an empty store means a logout
    /// only where somebody has written that.
    async fn write_back(&mut self, known: Version, error: StoreError) -> Result<Look, StoreError> {
        let held = match &self.params.grant {
            Some(held) if error.is_emptied() && !self.written_back => held.clone(),
            Some(_) | None => return Err(error),
        };
        self.written_back = true;
        let record = StoredGrant::over(held, self.ports.settings.clock.wall());
        let version = self.version.unwrap_or(known);
        // Whatever is there now is read next.
        let _ = self.store.swap(version, Some(record)).await?;
        Ok(Look::Next(Step::Acquire, None, version))
    }

    /// Reads a store that has no lease.
    async fn read(&mut self, known: Version) -> Result<Versioned, StoreError> {
        if let Some(first) = self.first.take() {
            return Ok(first);
        }
        match (self.store.load().await, &self.params.grant) {
            (Err(error), Some(held)) if error.is_emptied() => {
                let grant = StoredGrant::over(held.clone(), self.ports.settings.clock.wall());
                Ok(Versioned { version: self.version.unwrap_or(known), grant: Some(grant) })
            }
            (Err(error), None) if error.is_emptied() => Ok(Versioned::EMPTY),
            (content, _) => content,
        }
    }

    /// Returns what follows from what a store holds that has no lease.
    fn consider(&mut self, turn: &mut LeaseTurn<'_>, content: Versioned) -> Look {
        let version = content.version;
        self.version = Some(version);
        let before = match self.judge(content) {
            Judged::Land(outcome) => {
                turn.newer_found();
                return Look::Land(outcome);
            }
            Judged::Ask(before) => before,
        };
        let Some((stored, note)) =
            before.as_ref().and_then(|it| Some((it, self.store.foreign_note(it)?)))
        else {
            return Look::Next(Step::TakeOver, before, version);
        };
        let longest = self.ports.settings.longest();
        let until = self.sent(note.until.unwrap_or(note.since.saturating_add(longest)));
        let first = self.params.seen_note.found(version, self.ports.settings.clock.now());
        let until = until.min(first.saturating_add(turn.longest()));
        let next = turn.note_found(version, self.sent(note.since), Some(until));
        if matches!(next, Step::TakeOver) && self.is_news_of_doubt(stored) {
            return Look::Land(Outcome::InDoubt(stored.clone()));
        }
        Look::Next(next, before, version)
    }

    /// Returns what follows from what the store holds, read after the session has seen it before.
    fn judge(&self, content: Versioned) -> Judged {
        match (content.grant, &self.params.grant) {
            (None, _) if self.ports.settings.needs_grant => {
                Judged::Land(Outcome::Empty { received: None })
            }
            (None, _) => Judged::Ask(None),
            (Some(stored), held) => {
                let newer = held.as_ref().is_none_or(|held| !same_credential(&stored.grant, held));
                // A grant whose access token cannot be used any more is renewed at once.
                if newer && self.is_usable(&stored) {
                    Judged::Land(Outcome::Adopted { stored, received: None })
                } else {
                    Judged::Ask(Some(stored))
                }
            }
        }
    }

    /// Returns whether the access token of `stored` can be handed out at this moment.
    fn is_usable(&self, stored: &StoredGrant) -> bool {
        let settings = &self.ports.settings;
        is_usable(stored, &settings.policy, settings.clock.now(), settings.clock.wall())
    }

    /// Returns whether another holder's note says more than this session knows: that the refresh token
    /// may be spent. Rule F3: "a note of intent that is found then MUST be taken over as a request of
    /// unknown outcome".
    fn is_news_of_doubt(&self, stored: &StoredGrant) -> bool {
        match self.ports.settings.policy.reuse() {
            // A refresh token that may be presented again at any time is never in doubt.
            Reuse::ConfirmByUse | Reuse::Unrotated => return false,
            Reuse::Strict
            | Reuse::OverlapAccessOnly(_)
            | Reuse::OverlapSuccessors(_)
            | Reuse::Idempotent(_) => {}
        }
        let held = self.params.grant.as_ref();
        let known =
            self.params.in_doubt && held.is_some_and(|it| same_credential(it, &stored.grant));
        self.store.foreign_note(stored).is_some() && !known
    }

    /// Converts an instant of the wall clock to the session's timeline.
    fn sent(&self, wall: Timestamp) -> Timestamp {
        let clock = &self.ports.settings.clock;
        on_timeline(wall, clock.now(), clock.wall())
    }

    /// Notes in the store that the refresh token of `before` is about to be sent.
    async fn note(
        &mut self,
        before: Option<&StoredGrant>,
        version: Version,
    ) -> Result<Noted, StoreError> {
        let Some(before) = before else {
            return Ok(Noted::At(version));
        };
        let clock = &self.ports.settings.clock;
        let (now, wall) = (clock.now(), clock.wall());
        let note = Intent {
            // An earlier request of unknown outcome still counts: the window runs from the first.
            since: before.intent.map_or(wall, |earlier| earlier.since),
            until: Some(wall.saturating_add(self.params.deadline.since(now))),
            holder: Some(self.ports.holder),
        };
        let noted = StoredGrant { intent: Some(note), ..before.clone() };
        Ok(match self.store.swap(version, Some(noted)).await? {
            Swap::Done(noted) => {
                self.version = Some(noted);
                Noted::At(noted)
            }
            Swap::Conflict(content) => Noted::Conflict(content),
        })
    }

    /// Returns whether nothing can be sent any more, so that nothing is noted either (rule B6).
    fn is_too_late(&self) -> bool {
        self.params.is_too_late(self.ports.settings.clock.now())
    }

    /// Returns the outcome of a turn in which nothing was sent.
    fn given_up(&self, reason: GiveUpReason<Timestamp>) -> Outcome {
        let error = match reason {
            GiveUpReason::Busy { until } => {
                let now = self.ports.settings.clock.now();
                return Outcome::Busy(until.map(|until| until.since(now)));
            }
            GiveUpReason::Unreachable => not_sent("the store was not heard from"),
            GiveUpReason::Lost => not_sent("the lease on the grant was lost"),
            GiveUpReason::Overdue => not_sent("too little time was left when its turn came"),
            GiveUpReason::TermTooShort => not_sent("the store grants too short a lease"),
            GiveUpReason::WentBack => {
                not_sent("the store has gone back to an earlier version: is it a replica?")
            }
        };
        Outcome::Failed(error)
    }
}

/// What follows from the content of the store.
enum Judged {
    /// Nothing is to be sent.
    Land(Outcome),
    /// Ask for a grant, to renew the one that is stored, if there is one.
    Ask(Option<StoredGrant>),
}
