//! The interceptor's decisions, all of them: every combination of what can be known, against what
//! the rules say in their own order.

use perennial::verdict::{
    Arrival, Attempt, Body, Challenge, Credentials, Departure, Destination, Finding, Place,
    Preparation, Rejection, Tell, Transport, Verdict,
};

const CHALLENGES: [Challenge; 7] = [
    Challenge::Absent,
    Challenge::Bearer,
    Challenge::InsufficientScope,
    Challenge::InsufficientUserAuthentication,
    Challenge::DpopNonce,
    Challenge::OtherScheme,
    Challenge::Unreadable,
];

fn arrivals() -> impl Iterator<Item = Arrival> {
    let findings = [Finding::Accepted, Finding::Rejected, Finding::Silent];
    findings.into_iter().flat_map(|finding| {
        [Place::Home, Place::Elsewhere].into_iter().flat_map(move |place| {
            [Body::Again, Body::Once].into_iter().flat_map(move |body| {
                [Attempt::First, Attempt::Second].into_iter().map(move |attempt| Arrival {
                    finding,
                    place,
                    body,
                    attempt,
                })
            })
        })
    })
}

// Rules E1, E5.
#[test]
fn a_token_is_attached_where_it_is_known_and_private_and_nobody_elses_is_in_its_place() {
    for credentials in [Credentials::Absent, Credentials::Callers] {
        for destination in [Destination::Known, Destination::Foreign] {
            for transport in [Transport::Private, Transport::Plain] {
                let departure = Departure { credentials, destination, transport };
                let ours = credentials == Credentials::Absent && destination == Destination::Known;
                let expected = match (ours, transport) {
                    (true, Transport::Private) => Preparation::Attach,
                    (true, Transport::Plain) => Preparation::Refuse,
                    (false, _) => Preparation::LeaveAlone,
                };
                assert_eq!(departure.preparation(), expected, "{departure:?}");
            }
        }
    }
}

// Rules E4, B9.
#[test]
fn any_401_rejects_but_one_that_says_that_another_token_would_not_help_and_only_a_2xx_accepts() {
    for status in 100..1000 {
        for challenge in CHALLENGES {
            let useless = matches!(
                challenge,
                Challenge::InsufficientScope
                    | Challenge::InsufficientUserAuthentication
                    | Challenge::DpopNonce
            );
            let expected = match status {
                401 if !useless => Finding::Rejected,
                200..300 => Finding::Accepted,
                _ => Finding::Silent,
            };
            assert_eq!(Finding::of(status, challenge), expected, "{status} {challenge:?}");
        }
    }
}

// Rules E2, E3, E5.
#[test]
fn every_answer_has_the_verdict_that_the_rules_give() {
    let mut replays = 0;
    for arrival in arrivals() {
        let verdict = arrival.verdict();
        // Rule E5.
        let expected = if arrival.place == Place::Elsewhere {
            Verdict::Deliver(Tell::Nothing)
        } else {
            match arrival.finding {
                // Rule B9.
                Finding::Accepted if arrival.attempt == Attempt::Second => {
                    Verdict::Deliver(Tell::Recovered)
                }
                Finding::Accepted => Verdict::Deliver(Tell::Accepted),
                Finding::Silent => Verdict::Deliver(Tell::Nothing),
                // Rules E2, E3: a replay's 401 withdraws nothing.
                Finding::Rejected if arrival.attempt == Attempt::Second => {
                    Verdict::Deliver(Tell::Nothing)
                }
                Finding::Rejected if arrival.body == Body::Once => Verdict::Deliver(Tell::Rejected),
                Finding::Rejected => Verdict::Replay,
            }
        };
        assert_eq!(verdict, expected, "{arrival:?}");
        replays += usize::from(verdict == Verdict::Replay);
    }
    assert_eq!(replays, 1, "of all combinations one is replayed");
}

// Rules E2, B9.
#[test]
fn a_request_is_replayed_where_the_token_is_another_one_by_then_and_not_where_it_was_kept() {
    assert_eq!(Rejection::Withdrawn.verdict(), Verdict::Replay);
    assert_eq!(Rejection::Stale.verdict(), Verdict::Replay);
    assert_eq!(Rejection::Kept.verdict(), Verdict::Deliver(Tell::Nothing));
}
