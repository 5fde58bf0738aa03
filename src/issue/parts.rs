//! Store, keys and settings of an issuer, shared by its handles.

use std::boxed::Box;

use super::error::GrantError;
use super::issued::Issued;
use super::keys::Keys;
use super::notice::{Notice, NoticeHook, Outcome};
use super::ports::{AccessTokens, FamilyId};
use crate::clock::Clock;
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
    pub(super) on_notice: Option<NoticeHook>,
}

impl<S> IssuerParts<S> {
    /// Notifies the hook of the result of a grant, and returns the result for the client.
    pub(super) fn report(
        &self,
        client: &str,
        family: Option<FamilyId>,
        number: Option<u64>,
        grant: Result<(Issued, Outcome<'_>), GrantError>,
    ) -> Result<Issued, GrantError> {
        match grant {
            Ok((issued, outcome)) => {
                self.notify(client, Some(issued.family), number, outcome);
                Ok(issued)
            }
            Err(denied) => {
                self.notify(client, family, number, Outcome::Denied(&denied));
                Err(denied)
            }
        }
    }

    /// Calls the hook, if there is one.
    pub(super) fn notify(
        &self,
        client: &str,
        family: Option<FamilyId>,
        number: Option<u64>,
        outcome: Outcome<'_>,
    ) {
        if let Some(hook) = &self.on_notice {
            let notice = Notice { at: self.clock.now(), client, family, number, outcome };
            // A hook that panics must not lose a rotated token.
            let _ = contained(|| hook(&notice));
        }
    }
}
