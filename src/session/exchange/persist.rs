//! Storing a received grant over the one that it renewed, and over nothing else.

use crate::session::exchange::received::{Received, same_credential};
use crate::session::exchange::timed_store::TimedStore;
use crate::store::{StoreError, StoredGrant, Swap, Version};
use crate::time::Timestamp;
use crate::token::Grant;

pub(crate) enum Persisted {
    Done(Version),
    /// Another holder has stored something newer.
    Outpaced(Option<StoredGrant>, Version),
    /// Another holder presents the grant that is to be replaced, until then at most. Rule F3: "What is
    /// received after it was lost MUST be kept, and stored only where nobody has written meanwhile."
    Presented {
        until: Timestamp,
    },
}

/// Stores `received` over the grant that it renews, last seen at version `over`, and over nothing else.
pub(crate) async fn persist(
    store: TimedStore<'_>,
    received: &Received,
    over: Version,
) -> Result<Persisted, StoreError> {
    let mut expected = over;
    // The session's own note of intent may have moved the version; a few rounds get past any.
    for _ in 0..8 {
        match store.swap(expected, Some(received.record.clone())).await? {
            Swap::Done(version) => return Ok(Persisted::Done(version)),
            Swap::Conflict(content) => {
                let is = |grant: &Grant| {
                    content.grant.as_ref().is_some_and(|it| same_credential(&it.grant, grant))
                };
                let noted = content.grant.as_ref().is_some_and(|it| it.intent.is_some());
                if !received.renewed.as_ref().is_some_and(is) {
                    if !is(&received.record.grant) {
                        return Ok(Persisted::Outpaced(content.grant, content.version));
                    }
                    if noted {
                        // It is stored already, and another holder presents it: their note stays.
                        return Ok(Persisted::Done(content.version));
                    }
                } else if let Some(until) =
                    content.grant.as_ref().and_then(|it| store.presented_by_another_until(it))
                {
                    return Ok(Persisted::Presented { until });
                }
                expected = content.version;
            }
        }
    }
    Err(StoreError::unreachable("the store kept changing while the grant was written"))
}
