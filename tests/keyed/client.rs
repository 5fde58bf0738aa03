//! A server that does not accept the client of all keys.

use std::sync::{Arc, Mutex};

use perennial::clock::Clock as _;
use perennial::keyed::Sessions;
use perennial::refresh::{RefreshError, Request};
use perennial::testing::VirtualTime;
use perennial::time::{Span, Timestamp};

use crate::grant;
use crate::session_support::{HOUR, SECOND, START};

const KEYS: u64 = 1000;

// Rule B6. Case X3. Each key's user comes once a minute while a secret is being changed, for half an hour.
#[test]
fn of_a_thousand_keys_one_asks_in_each_backoff_of_a_client_that_is_refused() {
    let (time, asked) = (VirtualTime::at(START), Arc::new(Mutex::new(Vec::<Timestamp>::new())));
    let (clock, noted) = (time.clone(), Arc::clone(&asked));
    let good_from = START.saturating_add((HOUR + HOUR / 2).into());
    let sessions = Sessions::builder(move |key: &u64, _: Request| {
        let now = clock.now();
        noted.lock().expect("no panic").push(now);
        let refused = RefreshError::misconfigured("invalid_client");
        let answer = if now < good_from { Err(refused) } else { Ok(grant(*key, 2)) };
        async move { answer }
    });
    let sessions = sessions.clock(time.clone()).random(|| 1 << 31).build();
    for key in 0..KEYS {
        sessions.install_blocking(&key, grant(key, 1)).expect("sendable");
    }
    time.advance(HOUR);
    for second in 0..1800 {
        for key in (second % 61..KEYS).step_by(61) {
            let error = sessions.token_blocking(&key).expect_err("refused");
            assert!(
                error.is_misconfigured() && !error.may_need_login(),
                "{key} {second}: {error:?}"
            );
        }
        time.advance(SECOND);
    }
    let tries = asked.lock().expect("no panic").clone();
    for pair in tries.windows(2) {
        assert!(pair[1] >= pair[0].saturating_add(Span::from_secs(30)), "{pair:?}");
    }
    assert!(tries.len() > 5, "they recover, should it be good again");
    for _ in 0..=20 {
        time.advance(30 * SECOND);
        for key in 0..KEYS {
            let _ = sessions.token_blocking(&key);
        }
    }
    assert!((0..KEYS).all(|key| sessions.token_blocking(&key).is_ok()));
}
