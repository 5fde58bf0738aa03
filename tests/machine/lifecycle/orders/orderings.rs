//! Every ordering of `now` against the instants that matter: before each, at it, after it.

use std::time::Duration;

use perennial::lifecycle::{
    Cause, Delay, Effect, Ending, Failure, FlightId, Meanwhile, Policy, Remedy, Reuse, Start, State,
};
use perennial::time::{Draw, Span, Timestamp};

use crate::lifecycle::support::{Rig, UNAVAILABLE, at, built, lives, started, unavailable_for};

/// The instant at which everything is asked.
const NOW: i64 = 0;
const LIFETIME: u64 = 200;
/// How long a refresh may take, how long the server answers again, and the only interval and the
/// window of a budget of one, in milliseconds.
const DEADLINE: i64 = 10;
const WINDOW: i64 = 60;
const BUDGET: i64 = 20;

/// An instant one millisecond after now, at now, one before now, or none at all.
const PLACES: [Option<i64>; 4] = [None, Some(1), Some(0), Some(-1)];

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Rejected {
    No,
    Untried,
    AfterItWorked,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Trust {
    Full,
    /// The window closes so long after now.
    Window(i64),
    Doubt,
    Declined,
}

/// Where everything lies, relative to now.
#[derive(Copy, Clone, Debug)]
struct Places {
    refresh_after: i64,
    unusable_from: i64,
    expires_at: i64,
    rejected: Rejected,
    trust: Trust,
    pause: Option<i64>,
    budget: Option<i64>,
    flight: Option<i64>,
}

fn policy(margin: u64, window: u64, reuse: Reuse) -> Policy {
    let millis = Duration::from_millis;
    built(
        Policy::builder()
            .margin(millis(margin))
            .refresh_window(millis(window))
            .backoff(millis(1), millis(1))
            .budget(1, millis(BUDGET.unsigned_abs()))
            .refresh_deadline(millis(DEADLINE.unsigned_abs()))
            .reuse(reuse),
    )
}

/// Leads a machine to where the places say, by events alone. Every event but the last comes while
/// the token is fresh.
fn led(places: Places, margin: u64, window: u64) -> Rig {
    let reuse = match places.trust {
        Trust::Doubt => Reuse::Strict,
        Trust::Full | Trust::Window(_) | Trust::Declined => {
            Reuse::overlap_successors(Duration::from_millis(WINDOW.unsigned_abs()))
        }
    };
    let mut rig = Rig::empty(policy(margin, window, reuse));
    let sent = at(places.expires_at).saturating_sub(Span::from_millis(LIFETIME));
    let _ = rig.install(Some(lives(sent, LIFETIME)), None, sent);
    let first = match places.trust {
        Trust::Window(closes) => Some((closes - WINDOW, Failure::Unknown)),
        Trust::Doubt => Some((NOW - WINDOW, Failure::Unknown)),
        Trust::Full | Trust::Declined => None,
    };
    if let Some((when, failure)) = first {
        let flight = rig.start_early(at(when)).flight;
        let _ = rig.fail(flight, failure, Draw::NONE, at(when));
    }
    if places.trust != Trust::Doubt && (places.budget.is_some() || places.pause.is_some()) {
        // What is spent now is whole again after twenty milliseconds.
        let charged = places.budget.unwrap_or(-BUDGET + 1) - BUDGET;
        let flight = rig.start_early(at(charged)).flight;
        let delay = places.pause.map(|pause| pause - charged);
        let failure = delay
            .map_or(UNAVAILABLE, |delay| unavailable_for(Span::from_millis(delay.unsigned_abs())));
        let _ = rig.fail(flight, failure, Draw::NONE, at(charged));
    }
    if places.rejected == Rejected::AfterItWorked {
        let _ = rig.accept(at(NOW - 19));
    }
    let out = places.flight.map(|deadline| rig.start_early(at(deadline - DEADLINE)));
    if places.rejected != Rejected::No {
        let _ = rig.reject(at(NOW - 8));
    }
    if places.trust == Trust::Declined {
        let flight = started(rig.request_for(u64::MAX, at(NOW - 8))).flight;
        let _ = rig.fail(flight, Failure::Declined, Draw::NONE, at(NOW - 8));
    }
    assert_eq!(out.is_some(), places.flight.is_some());
    rig
}

impl Places {
    /// Whether the rejection withdrew the token. Rule B9: where it never worked it is paid from the
    /// budget, which is spent just then wherever it matters now; but a refresh that is out is joined.
    /// No backoff lasts for longer than a refresh may take.
    fn is_withdrawn(&self) -> bool {
        match self.rejected {
            Rejected::No => false,
            Rejected::Untried => self.flight.is_some() || self.budget.is_none(),
            Rejected::AfterItWorked => true,
        }
    }

    /// Rule B2.
    fn is_usable(&self) -> bool {
        !self.is_withdrawn() && NOW < self.unusable_from
    }
}

/// What the rules say of a caller who asks now.
fn expected(places: Places, longer: bool, flights: u64) -> Effect<Timestamp> {
    let usable = places.is_usable();
    let last_chance = places.unusable_from - DEADLINE;
    let due = NOW >= places.refresh_after;
    let served = usable && !longer;
    if served && !due {
        return Effect::Use;
    }
    // Rules B3, B8.
    if let Some(deadline) = places.flight {
        return if served { Effect::Use } else { Effect::Wait { until: at(deadline) } };
    }
    let refused = |effect| if served { Effect::Use } else { effect };
    let later = |until, reason| refused(Effect::BackOff { until, reason });
    // Rule B6.
    let open = match places.trust {
        Trust::Declined => return refused(Effect::LogIn(Ending::Declined)),
        Trust::Full => None,
        Trust::Window(closes) if NOW < closes => Some(at(closes)),
        Trust::Window(_) | Trust::Doubt if usable && NOW < last_chance => {
            return later(at(last_chance), Delay::Doubt);
        }
        Trust::Window(_) | Trust::Doubt => None,
    };
    // Rule B7.
    if let Some(pause) = places.pause.filter(|pause| NOW < *pause) {
        return later(at(pause), Delay::Failure);
    }
    // Rule B9.
    let free = due || places.is_withdrawn();
    if let Some(budget) = places.budget.filter(|budget| NOW < *budget && !free) {
        return later(at(budget), Delay::Budget);
    }
    let cause = match places.is_withdrawn() {
        true => Cause::Rejected,
        false if NOW >= places.unusable_from => Cause::Lapsed,
        false if longer => Cause::TooBrief,
        false => Cause::Due,
    };
    // Rules B6, B13.
    let whole = at(NOW + DEADLINE);
    let deadline = open.map_or(whole, |closes| closes.min(whole));
    let start = |flight| Start { flight, deadline, cause };
    let flight = flight_id(flights + 1);
    if served {
        Effect::UseAndStartRefresh(start(flight))
    } else {
        Effect::StartRefresh(start(flight))
    }
}

/// The identity that the flight of that number has.
fn flight_id(number: u64) -> FlightId {
    let mut rig = Rig::empty(Policy::default());
    let mut start = || {
        let _ = rig.install(None, None, at(0));
        rig.start(at(0)).flight
    };
    for _ in 1..number {
        start();
    }
    start()
}

/// What the rules say of the public view.
fn expected_state(places: Places) -> State {
    match (places.flight, places.is_usable()) {
        (Some(_), true) => State::Refreshing(Meanwhile::UseOld),
        (Some(_), false) => State::Refreshing(Meanwhile::Wait),
        (None, true) if NOW < places.refresh_after => State::Valid,
        (None, true) => State::Expiring,
        (None, false) if places.trust == Trust::Declined => State::Expired(Remedy::LogIn),
        (None, false) => State::Expired(Remedy::Refresh),
    }
}

/// How many flights were started on the way there.
fn flights(places: Places) -> u64 {
    let first = matches!(places.trust, Trust::Window(_) | Trust::Doubt);
    let second = places.trust != Trust::Doubt && (places.budget.or(places.pause)).is_some();
    u64::from(first) + u64::from(second) + u64::from(places.flight.is_some())
}

/// Every place of now among the deadlines of a token: before, between, at and after them; and around
/// the last chance to replace it before it lapses.
fn lives_around_now(margin: i64, window: i64) -> impl Iterator<Item = [i64; 3]> {
    let last_chance = margin + DEADLINE;
    let lefts = (-1..=window + 1).chain(last_chance - 1..=last_chance + 1);
    lefts.map(move |left| [left - window, left - margin, left])
}

const TRUSTS: [Trust; 5] =
    [Trust::Full, Trust::Window(1), Trust::Window(0), Trust::Window(-1), Trust::Doubt];

fn check(places: Places, margin: i64, window: i64) {
    let rig = led(places, margin.unsigned_abs(), window.unsigned_abs());
    assert_eq!(rig.state(at(NOW)), expected_state(places), "{places:?}");
    for (longer, usable_for) in [(false, 0), (true, u64::MAX)] {
        let mut rig = Rig { policy: rig.policy, machine: rig.machine };
        let found = rig.request_for(usable_for, at(NOW));
        let expected = expected(places, longer, flights(places));
        assert_eq!(found, expected, "longer: {longer}; {places:?}");
    }
}

// Rules B1, B2, B5, B6, B7, B8, B9, B13.
#[test]
fn every_order_of_now_and_the_deadlines_has_the_answer_that_the_rules_give() {
    let mut orders = 0;
    // Distinct deadlines, and such as fall together.
    for (margin, window) in [(2, 4), (2, 2), (0, 4), (0, 0)] {
        for [refresh_after, unusable_from, expires_at] in lives_around_now(margin, window) {
            let token = Places {
                refresh_after,
                unusable_from,
                expires_at,
                rejected: Rejected::No,
                trust: Trust::Full,
                pause: None,
                budget: None,
                flight: None,
            };
            for rejected in [Rejected::No, Rejected::Untried, Rejected::AfterItWorked] {
                let token = Places { rejected, ..token };
                for trust in TRUSTS {
                    for (pause, budget) in PLACES
                        .iter()
                        .flat_map(|pause| PLACES.iter().map(move |budget| (*pause, *budget)))
                    {
                        // In doubt nothing else can have been sent.
                        if trust == Trust::Doubt && (pause.is_some() || budget.is_some()) {
                            continue;
                        }
                        let places = Places { trust, pause, budget, ..token };
                        check(places, margin, window);
                        orders += 1;
                    }
                }
                for flight in [Some(1), Some(0), Some(-1)] {
                    check(Places { flight, ..token }, margin, window);
                    orders += 1;
                }
                let trust = Trust::Declined;
                check(Places { trust, ..token }, margin, window);
                orders += 1;
            }
        }
    }
    println!("{orders} orders");
    assert!(orders > 4000, "only {orders} orders");
}
