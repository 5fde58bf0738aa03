//! A handle that keeps the token at hand.

use core::fmt;
use std::sync::Arc;

use crate::session::error::Error;
use crate::session::handle::session::Session;
use crate::session::shared::snapshot::Snapshot;
use crate::token::AccessToken;

impl Session {
    /// Returns a handle for one hot loop, which keeps the token at hand.
    pub fn reader(&self) -> Reader {
        Reader::new(self.clone())
    }
}

/// A handle for one hot loop: it keeps the last snapshot, and loads another only once the session has
/// published one. It is the cheapest way to read a token.
///
/// Created by [`Session::reader`]. Each thread or task owns its own; cloning creates another. It keeps
/// one replaced token in memory until its next use.
#[derive(Clone)]
pub struct Reader {
    session: Session,
    version: u64,
    kept: Option<Arc<Snapshot>>,
    /// The token lent last, where the session had published none that is handed out as it is.
    asked: Option<AccessToken>,
}

impl Reader {
    pub(crate) fn new(session: Session) -> Self {
        let version = session.shared.slot.version();
        let kept = session.shared.slot.latest();
        Self { session, version, kept, asked: None }
    }

    /// Lends the token, if there is one to hand out without waiting, as [`Session::try_token`] does.
    ///
    /// # Errors
    /// As for [`Session::try_token`].
    #[inline]
    pub fn token(&mut self) -> Result<&AccessToken, Error> {
        let slot = &self.session.shared.slot;
        let now = slot.clock.now();
        let version = slot.version();
        if version != self.version {
            self.kept = slot.latest();
            self.version = version;
        }
        match &self.kept {
            Some(snapshot) if snapshot.holds_at(now) => Ok(&snapshot.token),
            Some(_) | None => Ok(self.asked.insert(self.session.try_token()?)),
        }
    }

    /// Returns the session that this reads.
    pub fn session(&self) -> &Session {
        &self.session
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Reader").field("session", &self.session).finish_non_exhaustive()
    }
}
