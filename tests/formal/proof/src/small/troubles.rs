//! More families: what follows where a refresh failed, and what resource servers say.

use perennial::lifecycle::formal::{
    Credential, Flight, Holding, Pause, Trouble, flight_id, generation,
};
use perennial::lifecycle::{Event, Failure, Reuse};

use super::Count;
use super::any::{
    ATTEMPTS, Any, Case, IDENTITIES, NUMBER, SESSION, consistent, credentials, holdings, pauses,
    reuses, troubles,
};
use super::tick::{draw, instants, spans};

/// Every token whose grant is in doubt, whatever its late answer and its backoff.
pub(super) fn doubted(count: &mut Count, any: &mut Any) {
    for holding in holdings() {
        for open in pauses() {
            for now in instants() {
                for usable_for in spans() {
                    let mut policy = any.policy();
                    policy.reuse = any.one(&[Reuse::Strict, Reuse::Idempotent(3)]);
                    let mut before = any.state(&policy);
                    let attempt = any.one(&ATTEMPTS);
                    before.flight = Flight::Overdue { attempt, open };
                    before.credential = Credential::InDoubt;
                    before.superseded = if usable_for & 2 == 0 { Pause::Over } else { any.pause() };
                    before.holding = any.dated(holding);
                    before.pause = if usable_for & 1 == 0 { Pause::Over } else { before.pause };
                    (before.ended, before.landed, before.started) = IDENTITIES[1];
                    consistent(&policy, &mut before);
                    let event = Event::Requested { usable_for };
                    count.step(&Case { policy, before, event, now });
                }
            }
        }
    }
}

/// Every window, open when a refresh fails or opened by that, under every backoff.
pub(super) fn windows(count: &mut Count, any: &mut Any) {
    for until in instants() {
        for now in instants() {
            for base in spans() {
                for cap in spans() {
                    for share in spans() {
                        for sent in instants() {
                            let mut policy = any.policy();
                            (policy.backoff_base, policy.backoff_cap) = (base, cap);
                            let window = any.span();
                            policy.reuse = any.one(&[
                                Reuse::OverlapAccessOnly(window),
                                Reuse::OverlapSuccessors(window),
                                Reuse::Idempotent(window),
                            ]);
                            let mut before = any.state(&policy);
                            before.credential =
                                any.one(&[Credential::Ready, Credential::InDoubtUntil(until)]);
                            let (deadline, attempt) = (any.instant(), any.one(&ATTEMPTS));
                            before.flight = Flight::Out { sent, deadline, attempt };
                            (before.ended, before.landed, before.started) = IDENTITIES[1];
                            before.pause = any.one(&[Pause::Over, before.pause]);
                            let superseded = any.pause();
                            before.superseded = any.one(&[Pause::Over, superseded]);
                            consistent(&policy, &mut before);
                            let retry_after = (base & 1 == 0).then(|| any.span());
                            let failure = any.one(&[
                                Failure::Unknown,
                                Failure::Unavailable { retry_after },
                                Failure::Unexplained { retry_after },
                            ]);
                            let (flight, draw) = (flight_id(before.started), draw(share));
                            let event = Event::RefreshFailed { flight, failure, draw };
                            count.step(&Case { policy, before, event, now });
                            count.step(&Case {
                                policy,
                                before,
                                event: Event::TimePassed { draw },
                                now,
                            });
                        }
                    }
                }
            }
        }
    }
}

/// However the last refresh failed, what the next failure or request makes of it, for every grant and
/// server.
pub(super) fn troubled(count: &mut Count, any: &mut Any) {
    let (credentials, reuses) = (credentials(), reuses());
    for trouble in troubles() {
        for &credential in &credentials {
            for &reuse in &reuses {
                for now in instants() {
                    let mut policy = any.policy();
                    policy.reuse = reuse;
                    let mut before = any.state(&policy);
                    (before.trouble, before.credential) = (trouble, credential);
                    consistent(&policy, &mut before);
                    let retry_after = any.one(&[None, Some(1), Some(5)]);
                    let (draw, flight) = (draw(any.span()), flight_id(before.started));
                    let failed = |failure| Event::RefreshFailed { flight, failure, draw };
                    let held = generation(SESSION, NUMBER);
                    for event in [
                        failed(Failure::Declined),
                        failed(Failure::Unknown),
                        failed(Failure::Unavailable { retry_after }),
                        failed(Failure::Misconfigured { retry_after }),
                        failed(Failure::Unexplained { retry_after }),
                        Event::TimePassed { draw },
                        Event::Requested { usable_for: 0 },
                        Event::Requested { usable_for: any.span() },
                        Event::Rejected { generation: held },
                    ] {
                        count.step(&Case { policy, before, event, now });
                    }
                    // A request once more, where nothing is out.
                    before.flight = Flight::Idle;
                    before.trouble = if before.failures == 0 { Trouble::None } else { trouble };
                    consistent(&policy, &mut before);
                    let event = Event::Requested { usable_for: 0 };
                    count.step(&Case { policy, before, event, now });
                }
            }
        }
    }
}

/// Every token, and whatever is left of the allowance, meets all that resource servers say.
pub(super) fn said(count: &mut Count, any: &mut Any) {
    for holding in holdings() {
        for now in instants() {
            for window in spans() {
                for interval in spans() {
                    let mut policy = any.policy();
                    (policy.rejections_window, policy.rejections_interval) = (window, interval);
                    let mut before = any.state(&policy);
                    before.holding = any.dated(holding);
                    if before.credential == Credential::Absent {
                        before.credential = Credential::Ready;
                        before.rejections = any.rejections(&policy);
                        before.failures = 1;
                    }
                    if holding == Holding::Nothing || window & 1 == 0 {
                        before.flight = Flight::Idle;
                    }
                    for (session, number) in [
                        (SESSION, NUMBER),
                        (SESSION, 1 + u64::from(any.span())),
                        (SESSION + 1, NUMBER),
                    ] {
                        let generation = generation(session, number);
                        for event in [
                            Event::Rejected { generation },
                            Event::Accepted { generation },
                            Event::Recovered { generation },
                        ] {
                            count.step(&Case { policy, before, event, now });
                        }
                    }
                }
            }
        }
    }
}
