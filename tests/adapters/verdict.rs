//! The interceptor's decisions, all of them: every combination of what can be known, against what
//! the rules say in their own order.

use perennial::verdict::{
    Attempt, Body, Challenge, Classification, Credentials, Destination, Feedback, Incoming,
    Outgoing, Preparation, Rejection, ResponseOrigin, Transport, Verdict,
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

fn incoming() -> impl Iterator<Item = Incoming> {
    let classifications =
        [Classification::Accepted, Classification::Rejected, Classification::Silent];
    classifications.into_iter().flat_map(|classification| {
        [ResponseOrigin::SameOrigin, ResponseOrigin::CrossOrigin].into_iter().flat_map(
            move |origin| {
                [Body::Replayable, Body::OneShot].into_iter().flat_map(move |body| {
                    [Attempt::First, Attempt::Second].into_iter().map(move |attempt| Incoming {
                        classification,
                        origin,
                        body,
                        attempt,
                    })
                })
            },
        )
    })
}

// Rules E1, E5.
#[test]
fn a_token_is_attached_where_it_is_known_and_private_and_nobody_elses_is_in_its_place() {
    for credentials in [Credentials::Absent, Credentials::Callers] {
        for destination in [Destination::Known, Destination::Foreign] {
            for transport in [Transport::Private, Transport::Plain] {
                let outgoing = Outgoing { credentials, destination, transport };
                let ours = credentials == Credentials::Absent && destination == Destination::Known;
                let expected = match (ours, transport) {
                    (true, Transport::Private) => Preparation::Attach,
                    (true, Transport::Plain) => Preparation::Refuse,
                    (false, _) => Preparation::LeaveAlone,
                };
                assert_eq!(outgoing.preparation(), expected, "{outgoing:?}");
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
                401 if !useless => Classification::Rejected,
                200..300 => Classification::Accepted,
                _ => Classification::Silent,
            };
            assert_eq!(Classification::of(status, challenge), expected, "{status} {challenge:?}");
        }
    }
}

// Rules E2, E3, E5.
#[test]
fn every_answer_has_the_verdict_that_the_rules_give() {
    let mut replays = 0;
    for incoming in incoming() {
        let verdict = incoming.verdict();
        // Rule E5.
        let expected = if incoming.origin == ResponseOrigin::CrossOrigin {
            Verdict::Deliver(Feedback::Nothing)
        } else {
            match incoming.classification {
                // Rule B9.
                Classification::Accepted if incoming.attempt == Attempt::Second => {
                    Verdict::Deliver(Feedback::Recovered)
                }
                Classification::Accepted => Verdict::Deliver(Feedback::Accepted),
                Classification::Silent => Verdict::Deliver(Feedback::Nothing),
                // Rules E2, E3: a replay's 401 withdraws nothing.
                Classification::Rejected if incoming.attempt == Attempt::Second => {
                    Verdict::Deliver(Feedback::Nothing)
                }
                Classification::Rejected if incoming.body == Body::OneShot => {
                    Verdict::Deliver(Feedback::Rejected)
                }
                Classification::Rejected => Verdict::Replay,
            }
        };
        assert_eq!(verdict, expected, "{incoming:?}");
        replays += usize::from(verdict == Verdict::Replay);
    }
    assert_eq!(replays, 1, "of all combinations one is replayed");
}

// Rules E2, B9.
#[test]
fn a_request_is_replayed_where_the_token_is_another_one_by_then_and_not_where_it_was_kept() {
    assert_eq!(Rejection::Withdrawn.verdict(), Verdict::Replay);
    assert_eq!(Rejection::Stale.verdict(), Verdict::Replay);
    assert_eq!(Rejection::Kept.verdict(), Verdict::Deliver(Feedback::Nothing));
}
