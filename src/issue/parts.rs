//! Store, keys and settings of an issuer, shared by its handles.

use std::collections::BTreeSet;
use std::prelude::rust_2024::*;
use std::sync::{Arc, PoisonError, RwLock};

use super::error::GrantError;
use super::issued::{Issued, Login};
use super::keys::Keys;
use super::ports::{AccessTokens, FamilyId};
use crate::clock::Clock;
use crate::events::{Event, EventKind, IssuerEvent, IssuerOutcome, Sink};
use crate::primitives::contained;
use crate::rotation::Policy;
use crate::time::Span;

/// Store, keys and settings of an issuer.
pub(super) struct IssuerParts<S> {
    pub(super) store: S,
    pub(super) keys: Keys,
    pub(super) tokens: Box<dyn AccessTokens>,
    pub(super) policy: Policy,
    pub(super) access_lifetime: Span,
    pub(super) renewal_window: Span,
    pub(super) leeway: Span,
    /// The ids of clients, which are no subjects of logins.
    pub(super) clients: RwLock<BTreeSet<String>>,
    pub(super) clock: Box<dyn Clock>,
    pub(super) events: Option<Arc<Sink>>,
}

impl<S> IssuerParts<S> {
    /// Returns whether the subject of a login is a client. Rule D11: "No login MUST have the id of a client as its
    /// subject".
    pub(super) fn is_client(&self, login: &Login) -> bool {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        login.subject == login.client || clients.contains(&login.subject)
    }

    /// Reports the result of a grant, and returns the result for the client.
    pub(super) fn report(
        &self,
        client: &str,
        family: Option<FamilyId>,
        number: Option<u64>,
        grant: Result<(Issued, IssuerOutcome), GrantError>,
    ) -> Result<Issued, GrantError> {
        match grant {
            Ok((issued, outcome)) => {
                self.notify(client, Some(issued.family), number, outcome);
                Ok(issued)
            }
            Err(denied) => {
                self.notify(client, family, number, IssuerOutcome::Denied((&denied).into()));
                Err(denied)
            }
        }
    }

    /// Reports an event, if there is a hook.
    pub(super) fn notify(
        &self,
        client: &str,
        family: Option<FamilyId>,
        number: Option<u64>,
        outcome: IssuerOutcome,
    ) {
        self.tell(|| IssuerEvent { client: client.into(), family, number, peer: None, outcome });
    }

    /// Reports the event that `make` returns, if there is a hook.
    pub(super) fn tell(&self, make: impl FnOnce() -> IssuerEvent) {
        if let Some(sink) = &self.events {
            let event = make();
            let kind = EventKind::Issuer(event);
            // What has rotated is answered, also where the clock panics.
            let Ok(at) = contained(|| self.clock.now()) else { return };
            sink.report(&Event { at, name: None, session: None, kind });
        }
    }
}
