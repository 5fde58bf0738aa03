//! Edges: one millisecond before, at and after; counts at their limit; clocks that go back.

use std::time::Duration;

use perennial::lease::{
    Effect, Event, Found, GiveUpReason, Policy, RawPolicy, State, Term, Timeout, TimeoutReason,
};
use perennial::time::{Span, Timestamp};

use super::support::{
    DEADLINE, MARGIN, POLL, POLL_CAP, Rig, TERM, WAIT, acquire, at, renew, span, timed,
};

fn gave_up(reason: GiveUpReason<Timestamp>) -> Effect<Timestamp> {
    Effect::GiveUp(reason)
}

// Rule F3.
#[test]
fn the_request_is_sent_with_exactly_the_margin_left_and_with_a_millisecond_less_it_is_not() {
    for (millis, effect, state) in [
        (TERM - MARGIN - 1, Effect::Send, State::Sent),
        (TERM - MARGIN, Effect::Send, State::Sent),
        (TERM - MARGIN + 1, renew(5), State::Held),
    ] {
        let mut rig = Rig::held();
        assert_eq!(rig.prepared(6, millis), effect, "{millis}");
        assert_eq!(rig.state(millis), state, "{millis}");
    }
}

// Rule F3.
#[test]
fn a_term_is_counted_from_when_it_was_asked_for() {
    let mut rig = Rig::started();
    // The store took its time.
    let late = TERM - MARGIN + 1;
    assert_eq!(rig.acquired(5, timed(TERM), late), Effect::Prepare { intent: None });
    assert_eq!(rig.prepared(6, late), renew(5));
    // The renewal took its time as well: what is left is counted from when that was asked for.
    assert_eq!(rig.renewed(TERM, late + 1), Effect::Send);
    let half = late + TERM / 2;
    assert_eq!(rig.passed(DEADLINE - 1), Effect::Nothing);
    assert!(half > DEADLINE, "the deadline comes first");
    assert_eq!(rig.passed(DEADLINE), Effect::Release { fence: 5 });
    // A store that takes longer than the term grants nothing.
    let mut rig = Rig::started();
    assert_eq!(rig.acquired(5, timed(MARGIN), WAIT), Effect::Prepare { intent: None });
    assert_eq!(rig.acquired(5, timed(MARGIN), MARGIN), Effect::Nothing, "it is said twice");
    assert_eq!(rig.prepared(6, MARGIN), gave_up(GiveUpReason::Lost));
}

// Rule F3.
#[test]
fn a_lease_that_is_renewed_for_less_than_the_margin_sends_nothing_and_is_not_renewed_for_ever() {
    let mut rig = Rig::held();
    assert_eq!(rig.prepared(6, 25), renew(5));
    assert_eq!(rig.prepared(6, 25), Effect::Nothing, "its renewal is out");
    assert_eq!(rig.renewed(MARGIN - 1, 26), gave_up(GiveUpReason::TermTooShort));
    assert_eq!(rig.prepared(6, 26), gave_up(GiveUpReason::Lost));
    assert_eq!(rig.renewed(TERM, 27), Effect::Nothing);
    assert_eq!(rig.tell(Event::Finished, 27), Effect::Release { fence: 5 });
    assert_eq!(rig.state(27), State::Over);
}

// Rule F3.
#[test]
fn a_store_that_grants_less_than_the_margin_is_told_so_at_once() {
    let mut rig = Rig::started();
    assert_eq!(rig.acquired(5, timed(MARGIN - 1), 0), gave_up(GiveUpReason::TermTooShort));
    assert_eq!(rig.tell(Event::Finished, 0), Effect::Release { fence: 5 });
    // A newer grant can be adopted all the same.
    let mut rig = Rig::started();
    let newer = Event::Acquired { fence: 5, term: timed(1), found: Found::Newer };
    assert_eq!(rig.tell(newer, 0), Effect::Adopt);
}

// Rule F3.
#[test]
fn a_lease_is_renewed_at_half_of_its_term_while_the_request_is_out_and_before() {
    for mut rig in [Rig::held(), Rig::sent()] {
        let half = TERM / 2;
        assert_eq!(rig.next(0), Some(half));
        assert_eq!(rig.passed(half - 1), Effect::Nothing);
        assert_eq!(rig.passed(half), renew(5));
        assert_eq!(rig.passed(half), Effect::Nothing, "it is asked for once");
        assert_eq!(rig.renewed(TERM, half + 1), Effect::Nothing);
        let lease = rig.turn.poll_timeout(&rig.policy, at(half + 1));
        let deadline = Timeout { at: at(DEADLINE), reason: TimeoutReason::RefreshDeadline };
        assert_eq!(lease, Some(deadline));
    }
}

// Rule F3.
#[test]
fn a_renewal_that_fails_is_asked_for_again_after_half_of_what_is_left_until_the_term_ends() {
    // Longer than usual, so that the term ends before the deadline.
    let policy = Policy::from(RawPolicy {
        refresh_deadline: span(1000),
        term: span(1000),
        margin: span(0),
        wait_limit: span(WAIT),
        poll_base: span(POLL),
        poll_cap: span(POLL_CAP),
    });
    let mut rig = Rig { policy, ..Rig::new() };
    let _ = rig.tell(Event::Started { deadline: at(1000) }, 0);
    let _ = rig.acquired(5, timed(1000), 0);
    assert_eq!(rig.prepared(6, 0), Effect::Send);
    assert_eq!(rig.passed(500), Effect::Renew { fence: 5, term: span(1000) });
    assert_eq!(rig.renewed(64, 500), Effect::Nothing);
    // 32 left, then 16, 8, 4, 2, 1.
    for then in [532, 548, 556, 560, 562, 563] {
        assert_eq!(rig.next(then - 1), Some(then));
        assert_eq!(rig.passed(then), Effect::Renew { fence: 5, term: span(1000) }, "{then}");
        assert_eq!(rig.tell(Event::Failed, then), Effect::Nothing);
    }
    assert_eq!(rig.next(563), Some(564));
    assert_eq!(rig.passed(563), Effect::Nothing, "too little is left");
    assert_eq!(rig.passed(564), Effect::Lost);
    assert_eq!(rig.tell(Event::Answered, 565), Effect::StoreUnlessOutpaced { after: 6 });
}

// Rules F3, F4.
#[test]
fn a_renewal_that_fails_before_the_request_is_sent_leaves_it_unsent() {
    let mut rig = Rig::held();
    assert_eq!(rig.prepared(6, 25), renew(5));
    assert_eq!(rig.tell(Event::Failed, 25), gave_up(GiveUpReason::Unreachable));
    assert_eq!(rig.renewed(TERM, 25), Effect::Nothing, "too late");
    assert_eq!(rig.tell(Event::Finished, 25), Effect::Release { fence: 5 });
}

// Rule F3.
#[test]
fn a_lost_lease_sends_nothing_and_loses_no_response() {
    let mut rig = Rig::held();
    assert_eq!(rig.tell(Event::Outpaced, 1), gave_up(GiveUpReason::Lost));
    assert_eq!(rig.prepared(6, 1), gave_up(GiveUpReason::Lost));
    let mut rig = Rig::sent();
    assert_eq!(rig.tell(Event::Outpaced, 1), Effect::Lost);
    assert_eq!(rig.state(1), State::Lost);
    assert_eq!(rig.next(1), None);
    assert_eq!(rig.prepared(7, 1), gave_up(GiveUpReason::Lost), "it is not sent again");
    assert_eq!(rig.renewed(TERM, 1), Effect::Release { fence: 5 }, "once lost, not held again");
    assert_eq!(rig.tell(Event::Answered, 2), Effect::StoreUnlessOutpaced { after: 6 });
    assert_eq!(rig.tell(Event::Finished, 2), Effect::Release { fence: 5 });
}

// Rule F3.
#[test]
fn a_response_is_stored_after_the_note_of_intent_while_the_lease_is_held() {
    let mut rig = Rig::sent();
    assert_eq!(rig.tell(Event::Answered, 1), Effect::Store { after: 6 });
    assert_eq!(rig.tell(Event::Finished, 1), Effect::Release { fence: 5 });
    assert_eq!(rig.tell(Event::Finished, 1), Effect::Nothing);
}

// Rule F3.
#[test]
fn a_lock_has_no_end_but_the_refreshs_deadline() {
    let mut rig = Rig::started();
    let _ = rig.acquired(5, Term::WhileHeld, 0);
    assert_eq!(rig.prepared(6, DEADLINE - 1), Effect::Send);
    assert_eq!(rig.next(DEADLINE - 1), Some(DEADLINE));
    assert_eq!(rig.passed(DEADLINE - 1), Effect::Nothing);
    assert_eq!(rig.passed(DEADLINE), Effect::Release { fence: 5 });
    assert_eq!(rig.tell(Event::Answered, DEADLINE), Effect::StoreUnlessOutpaced { after: 6 });
    assert_eq!(rig.tell(Event::Finished, DEADLINE), Effect::Nothing, "it is released");
    // What is not sent by then is not sent.
    let mut rig = Rig::started();
    let _ = rig.acquired(5, Term::WhileHeld, 0);
    assert_eq!(rig.prepared(6, DEADLINE), gave_up(GiveUpReason::Overdue));
}

// Rule F3.
#[test]
fn a_request_is_sent_once_in_a_turn() {
    let mut rig = Rig::sent();
    assert_eq!(rig.prepared(6, 0), Effect::Nothing);
    assert_eq!(rig.prepared(7, 1), Effect::Nothing);
    assert_eq!(rig.tell(Event::Started { deadline: at(DEADLINE) }, 1), Effect::Nothing);
    assert_eq!(rig.tell(Event::NewerFound, 1), Effect::Nothing, "its response is waited for");
}

// Rule F3.
#[test]
fn a_version_that_went_back_is_never_written_over() {
    let mut rig = Rig::held();
    assert_eq!(rig.prepared(4, 0), gave_up(GiveUpReason::WentBack));
    let mut rig = Rig::sent();
    let _ = rig.tell(Event::Finished, 1);
    rig.turn = rig.turn.next_turn();
    let _ = rig.tell(Event::Started { deadline: at(100) }, 70);
    // The note of the last turn is at 6.
    assert_eq!(rig.acquired(5, timed(TERM), 70), gave_up(GiveUpReason::WentBack));
    assert_eq!(rig.turn.version(), 6);
    assert_eq!(rig.tell(Event::Finished, 70), Effect::Release { fence: 5 });
    rig.turn = rig.turn.next_turn();
    let _ = rig.tell(Event::Started { deadline: at(100) }, 70);
    assert_eq!(rig.note(5, 0, None, 70), gave_up(GiveUpReason::WentBack));
}

// Rule F3.
#[test]
fn the_note_of_a_holder_that_died_is_taken_over_at_once_where_the_lease_is_free() {
    let mut rig = Rig::started();
    let found = Found::Note { sent: at(-5) };
    let told = Event::Acquired { fence: 5, term: Term::WhileHeld, found };
    assert_eq!(rig.tell(told, 0), Effect::Prepare { intent: Some(at(-5)) });
    // By a clock that is ahead, it is sent now at the latest.
    let mut rig = Rig::started();
    let found = Found::Note { sent: at(99) };
    let told = Event::Acquired { fence: 5, term: Term::WhileHeld, found };
    assert_eq!(rig.tell(told, 0), Effect::Prepare { intent: Some(at(0)) });
}

// Rule F3.
#[test]
fn where_a_store_has_no_leases_a_note_is_one_until_the_instant_that_it_states() {
    let mut rig = Rig::started();
    assert_eq!(rig.note(7, 0, Some(10), 9), Effect::Wait { until: at(10) });
    assert_eq!(rig.passed(10), acquire());
    assert_eq!(rig.note(7, 0, Some(10), 10), Effect::TakeOver { after: 7, term: span(TERM) });
    // Or, where it states none, for a refresh deadline.
    let mut rig = Rig::started();
    let sent = 5 - DEADLINE;
    assert_eq!(rig.note(7, sent, None, 4), Effect::Wait { until: at(5) });
    assert_eq!(rig.passed(5), acquire());
    assert_eq!(rig.note(7, sent, None, 5), Effect::TakeOver { after: 7, term: span(TERM) });
    // The own note, once it is written, is the lease.
    let found = Found::Note { sent: at(sent) };
    let told = Event::Acquired { fence: 8, term: timed(TERM), found };
    assert_eq!(rig.tell(told, 6), Effect::Prepare { intent: Some(at(sent)) });
    assert_eq!(rig.prepared(8, 6), Effect::Send);
}

// Rule F3.
#[test]
fn a_holder_does_not_wait_for_its_own_note() {
    let mut rig = Rig::sent();
    let _ = rig.tell(Event::Finished, 1);
    rig.turn = rig.turn.next_turn();
    let _ = rig.tell(Event::Started { deadline: at(30) }, 2);
    assert_eq!(rig.note(6, 0, Some(50), 2), Effect::TakeOver { after: 6, term: span(TERM) });
}

// Rules A5, F4.
#[test]
fn a_note_of_a_clock_that_is_far_ahead_is_a_lease_for_one_term_and_no_longer() {
    let mut rig = Rig::new();
    let mut now = 0;
    let mut waited = 0;
    // Turn after turn finds the same note.
    loop {
        rig.turn = rig.turn.next_turn();
        let _ = rig.tell(Event::Started { deadline: at(now + DEADLINE) }, now);
        let mut effect = rig.note(7, i64::MAX - 5, Some(i64::MAX), now);
        while let Effect::Wait { until } = effect {
            now = until.as_millis();
            waited += 1;
            effect = rig.passed(now);
            if effect == acquire() {
                effect = rig.note(7, i64::MAX - 5, Some(i64::MAX), now);
            }
        }
        if effect == (Effect::TakeOver { after: 7, term: span(TERM) }) {
            break;
        }
        assert_eq!(effect, gave_up(GiveUpReason::Busy { until: Some(at(TERM)) }));
        assert!(waited < 1000);
    }
    assert_eq!(now, TERM);
}

// Rule F4.
#[test]
fn another_holder_is_asked_for_after_2_4_and_8_milliseconds_and_given_up_at_the_limit() {
    let mut rig = Rig::started();
    let mut now = 0;
    for wait in [2, 4, 8] {
        assert_eq!(rig.busy(None, now), Effect::Wait { until: at(now + wait) });
        assert_eq!(rig.next(now), Some(now + wait));
        assert_eq!(rig.passed(now + wait - 1), Effect::Nothing);
        now += wait;
        assert_eq!(rig.passed(now), acquire());
        assert_eq!(rig.state(now), State::Asking);
    }
    // No later than the limit.
    assert_eq!(now, 14);
    assert_eq!(rig.busy(Some(100), now), Effect::Wait { until: at(WAIT) });
    assert_eq!(rig.passed(WAIT - 1), Effect::Nothing);
    let busy = GiveUpReason::Busy { until: Some(at(now + 100)) };
    assert_eq!(rig.passed(WAIT), gave_up(busy));
    assert_eq!(rig.acquired(9, timed(TERM), WAIT), Effect::Release { fence: 9 });
}

// Rule F4.
#[test]
fn the_wait_ends_with_the_refreshs_deadline_where_that_is_sooner() {
    let mut rig = Rig::new();
    let _ = rig.tell(Event::Started { deadline: at(3) }, 0);
    let _ = rig.busy(None, 0);
    let _ = rig.passed(2);
    assert_eq!(rig.busy(None, 2), Effect::Wait { until: at(3) });
    assert_eq!(rig.passed(3), gave_up(GiveUpReason::Busy { until: None }));
}

// Rule F4.
#[test]
fn a_lease_that_ends_before_the_next_poll_is_asked_for_as_it_ends() {
    let mut rig = Rig::started();
    assert_eq!(rig.busy(Some(1), 0), Effect::Wait { until: at(1) });
    // A store that says 0 has rounded down.
    let mut rig = Rig::started();
    assert_eq!(rig.busy(Some(0), 0), Effect::Wait { until: at(POLL) });
}

// Rule F4.
#[test]
fn a_change_has_the_store_asked_at_once() {
    let mut rig = Rig::started();
    assert_eq!(rig.tell(Event::Changed, 0), Effect::Nothing, "it is asked already");
    let _ = rig.busy(None, 0);
    assert_eq!(rig.tell(Event::Changed, 1), acquire());
    assert_eq!(rig.acquired(8, timed(TERM), 1), Effect::Prepare { intent: None });
    assert_eq!(rig.tell(Event::Changed, 1), Effect::Nothing);
}

// Rule F4.
#[test]
fn who_waits_adopts_what_the_other_holder_stored() {
    let mut rig = Rig::started();
    let _ = rig.busy(None, 0);
    assert_eq!(rig.tell(Event::NewerFound, 1), Effect::Adopt);
    assert_eq!(rig.state(1), State::Over);
    assert_eq!(rig.tell(Event::Finished, 1), Effect::Nothing);
    let mut rig = Rig::started();
    let newer = Event::Acquired { fence: 9, term: timed(TERM), found: Found::Newer };
    assert_eq!(rig.tell(newer, 1), Effect::Adopt);
    assert_eq!(rig.prepared(9, 1), gave_up(GiveUpReason::Lost), "nothing is sent any more");
    assert_eq!(rig.tell(Event::Finished, 1), Effect::Release { fence: 9 });
}

// Rule F4.
#[test]
fn a_store_that_cannot_be_asked_is_not_taken_for_a_busy_holder() {
    let mut rig = Rig::started();
    assert_eq!(rig.tell(Event::Failed, 1), gave_up(GiveUpReason::Unreachable));
    let mut rig = Rig::started();
    assert_eq!(rig.passed(WAIT), gave_up(GiveUpReason::Unreachable), "nor one that is silent");
    let mut rig = Rig::started();
    let _ = rig.busy(None, 0);
    assert_eq!(rig.tell(Event::Failed, 0), Effect::Nothing, "nobody has asked");
    assert_eq!(rig.passed(POLL), acquire());
    assert_eq!(rig.passed(WAIT), gave_up(GiveUpReason::Busy { until: None }));
}

// Rule F4.
#[test]
fn of_two_that_write_their_note_at_once_the_second_asks_again() {
    let mut rig = Rig::started();
    assert_eq!(rig.tell(Event::Outpaced, 1), acquire());
    assert_eq!(rig.note(8, 1, Some(1 + TERM), 1), Effect::Wait { until: at(1 + POLL) });
}

// Rule A5.
#[test]
fn what_a_now_has_shown_to_be_over_stays_so_when_the_clock_goes_back() {
    let mut rig = Rig::sent();
    let _ = rig.tell(Event::Changed, TERM);
    assert_eq!(rig.passed(0), Effect::Lost);
    let mut rig = Rig::held();
    let _ = rig.tell(Event::Changed, TERM);
    assert_eq!(rig.state(0), State::Over);
    assert_eq!(rig.prepared(6, 0), gave_up(GiveUpReason::Lost));
    let mut rig = Rig::started();
    let _ = rig.tell(Event::Changed, WAIT);
    assert_eq!(rig.busy(None, 0), gave_up(GiveUpReason::Busy { until: None }));
}

// Rule A5.
#[test]
fn an_instant_further_ahead_than_it_can_be_is_pulled_in() {
    let far = 1_000_000;
    let mut rig = Rig::new();
    let _ = rig.tell(Event::Started { deadline: at(far * 2) }, far);
    let _ = rig.busy(Some(far), far);
    // The clock goes back: what is left is one interval, one limit, one term.
    assert_eq!(rig.next(0), Some(POLL));
    assert_eq!(rig.passed(0), Effect::Nothing);
    assert_eq!(rig.passed(POLL), acquire());
    let _ = rig.acquired(5, timed(TERM), POLL);
    assert_eq!(rig.prepared(6, POLL), Effect::Send);
    assert_eq!(rig.next(-far), Some(TERM / 2 - far));
    let _ = rig.tell(Event::Changed, -far);
    assert_eq!(rig.next(-far), Some(TERM / 2 - far));
    assert_eq!(rig.passed(DEADLINE - far), Effect::Release { fence: 5 });
}

// Rules A1, A5.
#[test]
fn no_instant_and_no_number_overflows() {
    let events = |now: i64| {
        [
            Event::Started { deadline: Timestamp::MAX },
            Event::Busy { remaining: Some(Span::MAX) },
            Event::Changed,
            Event::NoteFound { version: u64::MAX, sent: Timestamp::MIN, until: Some(at(now)) },
            Event::Acquired {
                fence: u64::MAX,
                term: Term::For(Span::MAX),
                found: Found::Unchanged,
            },
            Event::Prepared { version: u64::MAX },
            Event::TimePassed,
            Event::Renewed { term: Term::For(Span::MAX), version: u64::MAX },
            Event::Failed,
            Event::Answered,
            Event::Finished,
        ]
    };
    for policy in [Policy::default(), Policy::new(Duration::MAX).lease_term(Duration::MAX)] {
        for first in [i64::MIN, 0, i64::MAX] {
            for second in [i64::MIN, 0, i64::MAX] {
                let mut rig = Rig { policy, ..Rig::new() };
                for event in events(first) {
                    let _ = rig.tell(event, first);
                    let next = rig.next(second);
                    assert!(next.is_none_or(|next| next > second), "{event:?}: {next:?}");
                }
            }
        }
    }
}

// Rule F3.
#[test]
fn a_margin_below_the_refresh_deadline_and_a_term_below_the_margin_are_raised() {
    let second = Duration::from_secs;
    let policy = Policy::new(second(30)).margin(second(1)).lease_term(second(2));
    assert_eq!(policy.term().to_duration(), second(30));
    assert_eq!(Policy::new(second(30)).margin(second(90)).term().to_duration(), second(90));
    assert_eq!(Policy::default().term().to_duration(), second(60));
    let raised = Policy::new(second(30)).poll(Duration::ZERO, Duration::ZERO);
    assert_eq!(raised, Policy::new(second(30)).poll(Duration::from_millis(1), Duration::ZERO));
}
