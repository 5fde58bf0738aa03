//! A session whose token endpoint fails for a minute, as the other tests observe it.

use std::time::Duration;

use perennial::refresh::RefreshError;
use perennial::session::{Builder, Session};
use perennial::testing::{Response, Scripted, VirtualTime};

use crate::session_support::{HOUR, START, builder};

/// How many refreshes fail.
pub(crate) const FAILURES: u32 = 6;

/// Runs a session through an outage of a minute, to the success after it. `at_the_end` is called while it
/// still lasts.
pub(crate) fn outage(observe: impl FnOnce(Builder) -> Builder, while_it_lasts: impl FnOnce()) {
    let mut script = Scripted::new();
    for _ in 0..FAILURES {
        let error = RefreshError::unavailable("the token endpoint answered 503").with_status(503);
        script = script.then(Response::Fail(error));
    }
    let time = VirtualTime::at(START);
    let session = observe(builder(&script, &time)).build().expect("the grant can be sent");
    time.advance(HOUR);
    for _ in 0..FAILURES {
        assert!(session.token_blocking().is_err());
        time.advance(Duration::from_secs(10));
    }
    assert_eq!(script.requests(), usize::try_from(FAILURES).expect("few"), "all have failed");
    while_it_lasts();
    recovers(&session, &time);
}

fn recovers(session: &Session, time: &VirtualTime) {
    // The backoff doubles with each failure.
    time.advance(Duration::from_secs(60));
    session.token_blocking().expect("the server is back");
}
