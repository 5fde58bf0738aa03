//! One refresh, with or without a store.

use core::any::Any;
use std::prelude::rust_2024::*;
use std::sync::Arc;

use crate::refresh::RefreshError;
use crate::session::exchange::ask::{ask, describe_panic, outrun};
use crate::session::exchange::grant_count::GrantGuard;
use crate::session::exchange::params::ExchangeParams;
use crate::session::exchange::received::{Granted, Outcome, Report, Stored};
use crate::session::exchange::stage::Stage;
use crate::session::exchange::stored::StoredExchange;
use crate::session::exchange::timed_store::TimedStore;
use crate::session::panics::FirstPanic;
use crate::session::ports::{Launched, Ports};

/// Runs one refresh. It never panics by itself, and drops no received grant.
pub(crate) async fn run(ports: Arc<Ports>, params: ExchangeParams) -> Report {
    let clock = &ports.settings.clock;
    let launched = Launched { now: clock.now(), wall: clock.wall() };
    if params.is_outrun() {
        // Writing a note of intent would be in vain as well.
        return Report::new(Outcome::Failed(outrun()), params.version, launched);
    }
    let panic = FirstPanic::default();
    let report = if let Some(store) = &ports.store {
        let (store, deadline) = (&**store, params.deadline);
        let store = TimedStore { store, ports: &ports, deadline, panic: &panic };
        StoredExchange::new(&ports, store, &params).run(launched).await
    } else {
        let (outcome, guard) = unstored(&ports, &params, &panic).await;
        Report { guard, ..Report::new(outcome, params.version, launched) }
    };
    Report { panic: panic.take(), ..report }
}

/// Runs a refresh of a session without a store.
async fn unstored(
    ports: &Ports,
    params: &ExchangeParams,
    panic: &FirstPanic,
) -> (Outcome, Option<GrantGuard>) {
    if params.grant.is_none() && ports.settings.needs_grant {
        return (Outcome::Empty { received: None }, None);
    }
    match ask(ports, params, params.grant.clone(), panic).await {
        Ok(received) => {
            let guard = GrantGuard::counted_in(&params.grants);
            (
                Outcome::Granted(Granted { received, over: None, stored: Stored::NotNeeded }),
                Some(guard),
            )
        }
        Err(error) => (Outcome::Failed(error), None),
    }
}

/// Returns the report of a refresh whose future panicked. Rule C5: "A panicking refresher MUST harm
/// only its own flight."
pub(crate) fn panicked(stage: &Stage, launched: Launched, panic: &(dyn Any + Send)) -> Report {
    // The refresher is called only after `send`.
    let error = if stage.call_off() {
        RefreshError::unavailable("the refresh was not sent: the store or the clock panicked")
    } else {
        RefreshError::unknown(describe_panic(panic))
    };
    Report::new(Outcome::Failed(error), None, launched)
}
