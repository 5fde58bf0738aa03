//! Storing a grant over the one that it renewed, and over nothing else.

use crate::session::exchange::received::{Unsaved, same_credential};
use crate::session::exchange::timed_store::TimedStore;
use crate::store::{StoreError, StoredGrant, Swap, Version};
use crate::token::Grant;

pub(crate) enum Persisted {
    Done(Version),
    /// Somebody else has stored something newer.
    Outpaced(Option<StoredGrant>, Version),
}

/// Stores `unsaved`, over the grant that it renewed and over nothing else.
pub(crate) async fn persist(
    store: TimedStore<'_>,
    unsaved: &Unsaved,
) -> Result<Persisted, StoreError> {
    let mut expected = unsaved.version;
    // A note of intent of one's own may have moved the version; a few rounds see past any.
    for _ in 0..8 {
        match store.swap(expected, Some(unsaved.stored.clone())).await? {
            Swap::Done(version) => return Ok(Persisted::Done(version)),
            Swap::Conflict(content) => {
                let is = |grant: &Grant| {
                    content.grant.as_ref().is_some_and(|it| same_credential(&it.grant, grant))
                };
                let noted = content.grant.as_ref().is_some_and(|it| it.intent.is_some());
                if !unsaved.renewed.as_ref().is_some_and(is) {
                    if !is(&unsaved.stored.grant) {
                        return Ok(Persisted::Outpaced(content.grant, content.version));
                    }
                    if noted {
                        // Safe already, and being presented: the note of that stays.
                        return Ok(Persisted::Done(content.version));
                    }
                }
                expected = content.version;
            }
        }
    }
    Err(StoreError::unreachable("the store kept changing while the grant was written"))
}
