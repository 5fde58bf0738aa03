//! Any lifetime, at any time, under the default policy: the deadlines lie in order, and a token is
//! handed out before `unusable_from` and never from there on. Rules A1, B1, B2.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perennial::lifecycle::{Effect, Lifecycle, Policy, Schedule, TokenTimes};
use perennial::time::{Draw, Span, Timestamp};

fuzz_target!(|input: (i64, i64, i64, Option<u64>, Option<u64>, u32)| {
    let (sent, received, asked, lifetime, hint, jitter) = input;
    let policy = Policy::default();
    let sent = Timestamp::from_millis(sent);
    let token = TokenTimes {
        sent,
        lifetime: lifetime.map(Span::from_millis),
        refresh_in: hint.map(Span::from_millis),
        jitter: Draw::new(jitter),
    };
    let (received, asked) = (Timestamp::from_millis(received), Timestamp::from_millis(asked));
    let mut lifecycle = Lifecycle::new(1);
    let _ = lifecycle.handle_installed(&policy, Some(token), received);
    let Some(Schedule::Timed(deadlines)) = lifecycle.schedule() else { return };
    assert!(sent.min(received) <= deadlines.refresh_after);
    assert!(deadlines.refresh_after <= deadlines.unusable_from);
    assert!(deadlines.unusable_from <= deadlines.expires_at);
    // What was seen once stays seen (rule A5): asking cannot go back behind the receipt.
    let asked = asked.max(received);
    let effect = lifecycle.handle_requested(&policy, asked);
    assert_eq!(effect.hands_out(), asked < deadlines.unusable_from);
    assert_eq!(effect == Effect::Use, asked < deadlines.refresh_after);
});
