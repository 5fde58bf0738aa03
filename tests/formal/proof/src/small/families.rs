//! What is gone through: in each family every combination of the parts that meet in one decision.

use perennial::lifecycle::formal::{Credential, Flight, Parts, Pause, flight_id, generation};
use perennial::lifecycle::{Event, Failure, MissingLifetime, Novelty, RawPolicy, TokenTimes};

use super::Count;
use super::any::{
    ATTEMPTS, Any, Case, FAILURES, IDENTITIES, NUMBER, SESSION, budgets, consistent, credentials,
    flights, holdings, pauses, reuses,
};
use super::holds::{held, queued};
use super::tick::{Tick, draw, instants, spans};
use super::troubles::{doubted, said, troubled, windows};
use super::turns::{outlived, tolerated};
use crate::step::{Kind, Look};

type Family = fn(&mut Count, &mut Any);

/// Every family under its name, but for the one that draws everything.
pub const FAMILIES: [(&str, Family); 15] = [
    ("token x grant x flight x budget, requested", requested),
    ("budget x policy x token, requested", budget),
    ("answer x policy, refreshed and installed", answers),
    ("token x answer, refreshed", replaced),
    ("backoff x policy x failure", failures),
    ("grant x flight x server, failed and overdue and installed", doubts),
    ("doubt x token x late answer x backoff, requested", doubted),
    ("window x backoff x failure", windows),
    ("trouble x grant x server x failure", troubled),
    ("token x allowance x what resource servers say", said),
    ("token x now x then, looked at", looks),
    ("server: tolerance x policy x event", tolerated),
    ("server: lifetimes x event", outlived),
    ("lease: term x renewal x stage x event", held),
    ("lease: limit x note x another's term x event", queued),
];

/// Every token, grant, kind of flight and budget meets every request.
fn requested(count: &mut Count, any: &mut Any) {
    for holding in holdings() {
        for credential in credentials() {
            for budget in budgets() {
                for kind in 0..3 {
                    let policy = any.policy();
                    let mut before = any.state(&policy);
                    (before.holding, before.credential, before.budget) =
                        (any.dated(holding), credential, budget);
                    if (kind == 0) != (before.flight == Flight::Idle) {
                        before = with_flight(before, kind, any);
                    }
                    consistent(&policy, &mut before);
                    for now in instants() {
                        for usable_for in spans() {
                            let event = Event::Requested { usable_for };
                            count.step(&Case { policy, before, event, now });
                        }
                    }
                }
            }
        }
    }
}

/// The state with no flight, one that is out, or one that is overdue.
fn with_flight(mut state: Parts<Tick>, kind: u8, any: &mut Any) -> Parts<Tick> {
    let attempt = ATTEMPTS[usize::from(any.span() & 1)];
    state.flight = match kind {
        0 => Flight::Idle,
        1 => Flight::Out { sent: any.instant(), deadline: any.instant(), attempt },
        _ => Flight::Overdue { attempt, open: any.pause() },
    };
    (state.ended, state.landed, state.started) = IDENTITIES[1];
    state
}

/// Every budget meets every interval and window, for every kind of token.
fn budget(count: &mut Count, any: &mut Any) {
    for holding in holdings() {
        for budget in budgets() {
            for interval in spans() {
                for window in spans() {
                    for now in instants() {
                        let mut policy = any.policy();
                        let mut before = any.state(&policy);
                        (before.holding, before.budget) = (any.dated(holding), budget);
                        (before.credential, before.pause) = (Credential::Ready, Pause::Over);
                        before.flight = Flight::Idle;
                        (policy.budget_interval, policy.budget_window) = (interval, window);
                        let event = Event::Requested { usable_for: any.span() };
                        count.step(&Case { policy, before, event, now });
                    }
                }
            }
        }
    }
}

/// Every answer at every now, under every policy on lifetimes.
fn answers(count: &mut Count, any: &mut Any) {
    let perhaps = || [None].into_iter().chain(spans().map(Some));
    for sent in instants() {
        for lifetime in perhaps() {
            for refresh_in in perhaps() {
                for share in spans() {
                    let jitter = draw(share);
                    let token = TokenTimes { sent, lifetime, refresh_in, jitter };
                    for now in instants() {
                        for margin in spans() {
                            for refresh_window in spans() {
                                for missing in perhaps() {
                                    let mut policy = any.policy();
                                    (policy.margin, policy.refresh_window) =
                                        (margin, refresh_window);
                                    policy.missing_lifetime = missing.map_or(
                                        MissingLifetime::UntilRejected,
                                        MissingLifetime::Assume,
                                    );
                                    answer(count, any, policy, token, now);
                                    if lifetime.is_some() {
                                        // What is missing is not asked for.
                                        break;
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// This answer to some refresh, and by way of a login.
fn answer(
    count: &mut Count,
    any: &mut Any,
    policy: RawPolicy<Tick>,
    token: TokenTimes<Tick>,
    now: Tick,
) {
    let before = any.state(&policy);
    let coin = any.span();
    let novelty = if coin & 1 == 0 { Novelty::New } else { Novelty::Same };
    let draw = draw(coin);
    let flight = flight_id(before.started - u64::from(coin & 2) / 2);
    let event = Event::Refreshed { flight, token, novelty, draw };
    count.step(&Case { policy, before, event, now });
    let intent = (coin & 4 == 0).then(|| any.instant());
    let event = Event::Installed { token: Some(token), intent };
    count.step(&Case { policy, before, event, now });
}

/// Every answer to every token, new and the same.
fn replaced(count: &mut Count, any: &mut Any) {
    for holding in holdings() {
        for sent in instants() {
            for lifetime in spans() {
                for now in instants() {
                    for novelty in [Novelty::New, Novelty::Same] {
                        for identities in [IDENTITIES[1], IDENTITIES[3]] {
                            let policy = any.policy();
                            let mut before = any.state(&policy);
                            (before.ended, before.landed, before.started) = identities;
                            before.holding = any.dated(holding);
                            let mut token = any.token();
                            (token.sent, token.lifetime) = (sent, Some(lifetime));
                            let flight = flight_id(before.started - u64::from(any.span() & 1));
                            let draw = draw(any.span());
                            let event = Event::Refreshed { flight, token, novelty, draw };
                            count.step(&Case { policy, before, event, now });
                        }
                    }
                }
            }
        }
    }
}

/// Every backoff meets every failure, at every count and under every policy on delays.
fn failures(count: &mut Count, any: &mut Any) {
    for pause in pauses() {
        for failures in FAILURES {
            for now in instants() {
                for base in spans() {
                    for cap in spans() {
                        for share in spans() {
                            for asked in [None].into_iter().chain(spans().map(Some)) {
                                let mut policy = any.policy();
                                (policy.backoff_base, policy.backoff_cap) = (base, cap);
                                (policy.misconfigured_base, policy.misconfigured_cap) = (base, cap);
                                let mut before = with_flight(any.state(&policy), 1, any);
                                (before.pause, before.failures) = (pause, failures);
                                consistent(&policy, &mut before);
                                let flight = flight_id(before.started);
                                let retry_after = asked;
                                let failure = match any.span() {
                                    0..4 => Failure::Unavailable { retry_after },
                                    4..6 => Failure::Misconfigured { retry_after },
                                    _ => Failure::Unexplained { retry_after },
                                };
                                let draw = draw(share);
                                let event = Event::RefreshFailed { flight, failure, draw };
                                count.step(&Case { policy, before, event, now });
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Every grant and every flight, under every server, where a deadline passes, an outcome is unknown or
/// the server declines, and where a login brings an unfinished refresh.
fn doubts(count: &mut Count, any: &mut Any) {
    let (flights, reuses) = (flights(), reuses());
    for credential in credentials() {
        for &flight in &flights {
            for &reuse in &reuses {
                for refresh_deadline in spans() {
                    for now in instants() {
                        let mut policy = any.policy();
                        (policy.reuse, policy.refresh_deadline) = (reuse, refresh_deadline);
                        let mut before = any.state(&policy);
                        if flight != Flight::Idle {
                            (before.ended, before.landed, before.started) = IDENTITIES[1];
                        }
                        (before.credential, before.flight) = (credential, flight);
                        consistent(&policy, &mut before);
                        let newest = flight_id(before.started);
                        let draw = draw(any.span());
                        let failed =
                            |failure| Event::RefreshFailed { flight: newest, failure, draw };
                        let (token, intent) = (Some(any.token()), Some(any.instant()));
                        for event in [
                            Event::TimePassed { draw },
                            failed(Failure::Unknown),
                            failed(Failure::Declined),
                            Event::Installed { token, intent },
                            Event::Requested { usable_for: any.span() },
                            Event::Rejected { generation: generation(SESSION + 1, NUMBER) },
                        ] {
                            count.step(&Case { policy, before, event, now });
                        }
                    }
                }
            }
        }
    }
}

/// Every token and grant, looked at from every now at every then.
fn looks(count: &mut Count, any: &mut Any) {
    for holding in holdings() {
        for credential in credentials() {
            for now in instants() {
                for then in instants() {
                    let policy = any.policy();
                    let mut machine = any.state(&policy);
                    (machine.holding, machine.credential) = (any.dated(holding), credential);
                    consistent(&policy, &mut machine);
                    count.look(&Look { policy, machine, now, then });
                }
            }
        }
    }
}

/// Everything drawn, until there are `transitions` in all.
pub fn everything(count: &mut Count, any: &mut Any, transitions: u64) {
    while count.transitions + count.looks < transitions {
        let policy = any.policy();
        let before = any.state(&policy);
        for now in instants() {
            for kind in Kind::ALL {
                let event = any.event(kind);
                count.step(&Case { policy, before, event, now });
            }
        }
        let (now, then) = (any.instant(), any.instant());
        count.look(&Look { policy, machine: before, now, then });
    }
}
