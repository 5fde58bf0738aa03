//! Any policy × lifetime × now: the deadlines lie in order and where the rule puts them, and a token
//! is handed out before `unusable_from` and never from there on. Rules A1, A5, B1, B2, B12.
#![cfg_attr(not(test), no_main)]

use perennial::lifecycle::{Lifecycle, Policy, Requested, Schedule};
use perennial::time::{Span, Timestamp};
use perennial_fuzz::Draws;

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub(crate) fn property(bytes: &[u8]) {
    let mut draws = Draws::new(bytes);
    let (raw, sent) = (draws.policy(), draws.instant(&[]));
    let token = draws.token(Timestamp::from_millis(sent));
    let ends = sent.saturating_add_unsigned(token.lifetime.map_or(0, Span::as_millis));
    let received = Timestamp::from_millis(draws.instant(&[sent, ends]));
    let (policy, mut lifecycle) = (Policy::from(raw), Lifecycle::new(1));
    let _ = lifecycle.handle_installed(&policy, Some(token), None, received);
    let Some(Schedule::Timed(life)) = lifecycle.schedule() else { return };

    let (sent, end) = (token.sent.min(received), life.expires_at);
    let [half, eighth] = [2, 8].map(|by| Span::from_millis(end.since(sent).as_millis() / by));
    assert_eq!(life.unusable_from, end.saturating_sub(raw.margin.min(eighth)));
    let before_the_end = end.saturating_sub(raw.refresh_window);
    let wish = token.refresh_in.map_or(before_the_end, |hint| sent.saturating_add(hint));
    let clamped = |wish: Timestamp| wish.max(sent.saturating_add(half)).min(life.unusable_from);
    assert!(clamped(wish.saturating_sub(eighth)) <= life.refresh_after);
    assert!(sent <= life.refresh_after && life.refresh_after <= clamped(wish));

    // What was seen once stays seen (rule A5): asking cannot go back behind the receipt.
    let near = [life.refresh_after, life.unusable_from, end, received].map(Timestamp::as_millis);
    let asked = Timestamp::from_millis(draws.instant(&near)).max(received);
    assert!(lifecycle.poll_timeout(&policy, asked).is_none_or(|next| next.at > asked));
    let requested = lifecycle.handle_requested(&policy, asked);
    assert_eq!(requested.hands_out(), asked < life.unusable_from);
    assert_eq!(requested == Requested::Use, asked < life.refresh_after);
    let again = lifecycle.handle_requested(&policy, Timestamp::from_millis(draws.instant(&near)));
    assert!(asked < life.unusable_from || !again.hands_out());
}
