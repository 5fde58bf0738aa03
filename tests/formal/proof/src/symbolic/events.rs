//! Every event of the client's machine: its kinds written out one by one, its instants and spans any at all.

use perennial::lifecycle::formal::{Flight, Parts, flight_id, generation};
use perennial::lifecycle::{Event, Failure, FlightId, Novelty, TokenTimes};
use perennial::time::Draw;

use super::states::{COUNT, Choice, NUMBER, SESSION};
use super::sym::{Instant, Length};
use crate::step::Kind;

/// Two draws that need not be alike.
const JITTER: Draw = Draw::new(1);
const DELAY: Draw = Draw::new(2);

/// One below, at, and above each of the identities of a state.
const NUMBERS: [u64; 7] = [0, 1, 2, 4, 5, 7, 8];

/// The ways in which a token can be told of, with whether a lifetime is assumed where none is stated.
fn tokens() -> [(TokenTimes<Instant>, bool); 5] {
    let lifetime = Some(Length::any("lifetime"));
    let refresh_in = Some(Length::any("refresh in"));
    let token = |lifetime, refresh_in| TokenTimes {
        sent: Instant::any("sent at"),
        lifetime,
        refresh_in,
        jitter: JITTER,
    };
    [
        (token(lifetime, None), true),
        (token(lifetime, refresh_in), true),
        (token(None, None), true),
        (token(None, refresh_in), true),
        // Its lifetime is not stated and not assumed: a hint would change nothing.
        (token(None, None), false),
    ]
}

/// Every failure, with how many refusals make a login worth a try.
fn failures() -> Vec<(Failure<Instant>, u32)> {
    let mut all = vec![(Failure::Declined, COUNT), (Failure::Unknown, COUNT)];
    for retry_after in [None, Some(Length::any("retry after"))] {
        all.push((Failure::Unavailable { retry_after }, COUNT));
        all.push((Failure::Misconfigured { retry_after }, COUNT));
        all.push((Failure::Unexplained { retry_after }, COUNT));
    }
    let refused = Failure::Unexplained { retry_after: None };
    all.extend([0, 1, 2, u32::MAX].map(|count| (refused, count)));
    all
}

/// Every identity that differs from the others in its place among those of the state.
fn identities(state: &Parts<Instant>) -> impl Iterator<Item = FlightId> {
    let Parts { started, landed, ended, .. } = *state;
    let place = move |number: u64| (number.cmp(&ended), number.cmp(&landed), number.cmp(&started));
    NUMBERS.into_iter().enumerate().filter_map(move |(index, number)| {
        let known = NUMBERS[..index].iter().any(|&earlier| place(earlier) == place(number));
        (!known).then(|| flight_id(number))
    })
}

/// Every event of a kind that may be told to this state, each with what the policy is to be.
pub fn events(kind: Kind, state: &Parts<Instant>) -> Vec<(Event<Instant>, Choice)> {
    let choice = Choice::of(state);
    let generations =
        [(SESSION, NUMBER), (SESSION, NUMBER - 1), (SESSION, NUMBER + 1), (SESSION + 1, NUMBER)]
            .map(|(session, number)| generation(session, number));
    let mut all = Vec::new();
    match kind {
        Kind::Requested => {
            all.push((Event::Requested { usable_for: Length::any("usable for") }, choice));
        }
        Kind::Refreshed => {
            for flight in identities(state) {
                all.extend(answers(state, flight));
            }
        }
        Kind::RefreshFailed => {
            for flight in identities(state) {
                let newest = flight.number() == state.started && state.flight != Flight::Idle;
                for (failure, unexplained) in failures() {
                    let event = Event::RefreshFailed { flight, failure, draw: DELAY };
                    all.push((event, Choice { unexplained, ..choice }));
                    if !newest {
                        // What does not count is dropped before it is looked at: one will do.
                        break;
                    }
                }
            }
        }
        Kind::Rejected => {
            all.extend(generations.map(|generation| (Event::Rejected { generation }, choice)));
            if state.rejections.spent == 0 {
                let generation = generations[0];
                all.push((Event::Rejected { generation }, Choice { rejections: 0, ..choice }));
            }
        }
        Kind::Accepted => {
            all.extend(generations.map(|generation| (Event::Accepted { generation }, choice)));
        }
        Kind::Recovered => {
            all.extend(generations.map(|generation| (Event::Recovered { generation }, choice)));
        }
        Kind::Installed => {
            for intent in [None, Some(Instant::any("intent"))] {
                all.push((Event::Installed { token: None, intent }, choice));
                for (token, assumes) in tokens() {
                    let event = Event::Installed { token: Some(token), intent };
                    all.push((event, Choice { assumes, ..choice }));
                }
            }
        }
        Kind::Cleared => all.push((Event::Cleared, choice)),
        Kind::TimePassed => all.push((Event::TimePassed { draw: DELAY }, choice)),
    }
    all
}

/// Every answer of this refresh.
fn answers(state: &Parts<Instant>, flight: FlightId) -> Vec<(Event<Instant>, Choice)> {
    let number = flight.number();
    let lands = number > state.landed && number <= state.started;
    let mut all = Vec::new();
    for (token, assumes) in tokens() {
        for novelty in [Novelty::New, Novelty::Same] {
            let event = Event::Refreshed { flight, token, novelty, draw: DELAY };
            all.push((event, Choice { assumes, ..Choice::of(state) }));
        }
    }
    if !lands {
        // What does not count is dropped before it is looked at: one will do.
        all.truncate(1);
    }
    all
}
