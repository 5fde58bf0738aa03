//! Revoking a grant that belongs to nobody.

use core::future::poll_fn;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::primitives::{contained, discard};
use crate::session::alarm::Alarm;
use crate::session::ports::Ports;
use crate::time::Timestamp;
use crate::token::Grant;

/// Revokes a grant that belongs to nobody. Rings at `deadline`, where there is a timer: whoever polls
/// this then lets go of it.
pub(crate) async fn revoke(ports: Arc<Ports>, grant: Grant, mut deadline: Timestamp) {
    let mut revocation = ports.refresher.revoke(grant);
    let mut alarm = Alarm::new(ports.settings.timer.clone());
    poll_fn(|cx| {
        let polled = revocation.as_mut().poll(cx);
        if polled.is_pending() {
            // A timer or a clock that panics rings for nobody, and harms nobody.
            let _ = contained(|| {
                let now = ports.settings.clock.now();
                // Where the clock went back since, no more than a refresh may take (rule A5).
                deadline = deadline.min(now.saturating_add(ports.settings.longest()));
                // Once more where it rang early.
                let _ = alarm.is_due(deadline, now, cx.waker())
                    && alarm.is_due(deadline, now, cx.waker());
            });
        }
        polled
    })
    .await;
    discard([revocation]);
}
