//! Store, keys and settings of an issuer, shared by its handles.

use std::boxed::Box;
use std::sync::Arc;

use super::error::GrantError;
use super::issued::Issued;
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
    pub(super) clock: Box<dyn Clock>,
    pub(super) events: Option<Arc<Sink>>,
}

impl<S> IssuerParts<S> {
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
        if let Some(sink) = &self.events {
            let event = IssuerEvent { client: client.into(), family, number, outcome };
            let kind = EventKind::Issuer(event);
            // What has rotated is answered, also where the clock panics.
            let Ok(at) = contained(|| self.clock.now()) else { return };
            sink.report(&Event { at, name: None, session: None, kind });
        }
    }
}
