//! Revoking a grant that belongs to nobody, and the deadline of what brings no report.

use core::future::poll_fn;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::primitives::{contained, discard};
use crate::refresh::BoxFuture;
use crate::session::alarm::Alarm;
use crate::session::ports::Ports;
use crate::time::Timestamp;
use crate::token::Grant;

/// Revokes a grant that belongs to nobody. Where there is a timer, its poller is woken at `deadline`,
/// and drops it then.
pub(crate) async fn revoke(ports: Arc<Ports>, grant: Grant, deadline: Timestamp) {
    let revocation = ports.refresher.revoke(grant);
    woken_at(deadline, ports, revocation).await;
}

/// Waits for a job that brings no report. Where there is a timer, its poller is woken at `deadline`.
pub(crate) async fn woken_at(mut deadline: Timestamp, ports: Arc<Ports>, mut job: BoxFuture<()>) {
    let mut alarm = Alarm::new(ports.settings.timer.clone());
    poll_fn(|cx| {
        let polled = job.as_mut().poll(cx);
        if polled.is_pending() {
            // A timer or a clock that panics wakes nobody, and does no other harm.
            let _ = contained(|| {
                let now = ports.settings.clock.now();
                // If the clock went back since, the time left is at most what a refresh may take (rule
                // A5).
                deadline = deadline.min(now.saturating_add(ports.settings.longest()));
                // Polled again in case it fired early.
                let _ = alarm.is_due(deadline, now, cx.waker())
                    && alarm.is_due(deadline, now, cx.waker());
            });
        }
        polled
    })
    .await;
    discard([job]);
}
