//! The whole table of the lease machine, as a text that a person can read.

use std::fmt::Write as _;

use expect_test::expect_file;
use perennial::lease::{Effect, Event, Found, Term, Turn, apply};
use perennial::time::{Span, Timestamp};

use super::support::policy;

type Told = (Event<Timestamp>, i64);

const NOW: i64 = 100;

const fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

const fn span(millis: u64) -> Span {
    Span::from_millis(millis)
}

const fn timed(millis: u64) -> Term<Timestamp> {
    Term::For(span(millis))
}

const fn started(millis: i64) -> Told {
    (Event::Started { deadline: at(millis + 30) }, millis)
}

const fn acquired(term: Term<Timestamp>, millis: i64) -> Told {
    (Event::Acquired { fence: 5, term, found: Found::Unchanged }, millis)
}

const fn busy(millis: i64) -> Told {
    (Event::Busy { remaining: Some(span(40)) }, millis)
}

const fn prepared(millis: i64) -> Told {
    (Event::Prepared { version: 6 }, millis)
}

/// The store renews the lease for less than was asked for.
const fn renewed(millis: i64) -> Told {
    (Event::Renewed { term: timed(3), version: 6 }, millis)
}

const fn passed(millis: i64) -> Told {
    (Event::TimePassed, millis)
}

/// How a turn is led into each of its shapes, by what it is told when, in milliseconds. A term is 50
/// ms, the margin and the refresh deadline 30 ms, the wait limit 20 ms.
const SHAPES: [(&str, &[Told]); 23] = [
    ("not begun", &[]),
    ("asking", &[started(100)]),
    ("asking, the wait limit over", &[started(80)]),
    ("asking again, the wait limit over", &[started(80), busy(80), (Event::Changed, 99)]),
    ("waiting", &[started(99), busy(99)]),
    ("waiting, time to ask", &[started(98), busy(98)]),
    ("waiting, the wait limit over", &[started(80), busy(80)]),
    ("held", &[started(100), acquired(timed(50), 100)]),
    ("held, the renewal due", &[started(75), acquired(timed(50), 75)]),
    ("held, its renewal asked for", &[started(75), acquired(timed(50), 75), passed(100)]),
    ("held, sent once renewed", &[started(75), acquired(timed(50), 75), prepared(99)]),
    ("held, the term over", &[started(72), acquired(timed(50), 72), passed(97), renewed(97)]),
    ("held, the deadline over", &[started(70), acquired(timed(50), 70)]),
    ("held as a lock", &[started(100), acquired(Term::WhileHeld, 100)]),
    ("sent", &[started(100), acquired(timed(50), 100), prepared(100)]),
    ("sent, the renewal due", &[started(75), acquired(timed(50), 75), prepared(75)]),
    (
        "sent, its renewal asked for",
        &[started(75), acquired(timed(50), 75), prepared(75), passed(100)],
    ),
    (
        "sent, the term over",
        &[started(72), acquired(timed(50), 72), prepared(72), passed(97), renewed(97)],
    ),
    ("sent, the deadline over", &[started(70), acquired(timed(50), 70), prepared(70)]),
    ("sent under a lock", &[started(100), acquired(Term::WhileHeld, 100), prepared(100)]),
    (
        "sent, the lease lost",
        &[started(90), acquired(timed(50), 90), prepared(90), (Event::Outpaced, 95)],
    ),
    (
        "sent, the lease released",
        &[started(60), acquired(Term::WhileHeld, 60), prepared(60), passed(90)],
    ),
    ("over", &[started(90), (Event::Failed, 95)]),
];

/// What it is told then, at 100 ms.
const EVENTS: [(&str, Event<Timestamp>); 26] = [
    ("started", Event::Started { deadline: at(130) }),
    ("acquired at 5", Event::Acquired { fence: 5, term: timed(50), found: Found::Unchanged }),
    ("acquired at 7", Event::Acquired { fence: 7, term: timed(50), found: Found::Unchanged }),
    (
        "acquired at 0, a lock",
        Event::Acquired { fence: 0, term: Term::WhileHeld, found: Found::Unchanged },
    ),
    (
        "acquired, a short term",
        Event::Acquired { fence: 7, term: timed(29), found: Found::Unchanged },
    ),
    (
        "acquired, a note",
        Event::Acquired { fence: 7, term: timed(50), found: Found::Note { sent: at(90) } },
    ),
    ("acquired, newer", Event::Acquired { fence: 7, term: timed(50), found: Found::Newer }),
    ("busy", Event::Busy { remaining: None }),
    ("busy for 1 ms", Event::Busy { remaining: Some(span(1)) }),
    ("a note at 7", Event::NoteFound { version: 7, sent: at(90), until: Some(at(140)) }),
    ("a note, over", Event::NoteFound { version: 7, sent: at(50), until: Some(at(100)) }),
    ("a note without an end", Event::NoteFound { version: 7, sent: at(71), until: None }),
    ("the same, over", Event::NoteFound { version: 7, sent: at(70), until: None }),
    ("a newer grant", Event::NewerFound),
    ("changed", Event::Changed),
    ("prepared at 4", Event::Prepared { version: 4 }),
    ("prepared at 6", Event::Prepared { version: 6 }),
    ("renewed", Event::Renewed { term: timed(50), version: 6 }),
    ("renewed, a short term", Event::Renewed { term: timed(29), version: 6 }),
    ("renewed, at version 4", Event::Renewed { term: timed(50), version: 4 }),
    ("renewed as a lock", Event::Renewed { term: Term::WhileHeld, version: 6 }),
    ("outpaced", Event::Outpaced),
    ("failed", Event::Failed),
    ("answered", Event::Answered),
    ("finished", Event::Finished),
    ("time passed", Event::TimePassed),
];

fn word(effect: Effect<Timestamp>) -> String {
    match effect {
        Effect::Nothing => "-".to_owned(),
        Effect::Acquire { .. } => "acquire".to_owned(),
        Effect::Wait { until } => format!("wait until {}", until.as_millis()),
        Effect::TakeOver { after, .. } => format!("take over {after}"),
        Effect::Adopt => "adopt".to_owned(),
        Effect::Prepare { intent: None } => "prepare".to_owned(),
        Effect::Prepare { intent: Some(sent) } => {
            format!("prepare, in doubt since {}", sent.as_millis())
        }
        Effect::Renew { fence, .. } => format!("renew {fence}"),
        Effect::Send => "SEND".to_owned(),
        Effect::Store { after } => format!("store after {after}"),
        Effect::Lost => "lost".to_owned(),
        Effect::StoreUnlessOutpaced { after } => format!("store if still at {after}"),
        Effect::Release { fence } => format!("release {fence}"),
        Effect::GiveUp(reason) => format!("give up: {reason:?}")
            .replace("Some(Timestamp(", "")
            .replace("))", "")
            .to_lowercase(),
    }
}

// Rules F3, F4.
#[test]
fn every_event_in_every_shape_does_what_the_committed_table_says() {
    let (policy, now) = (policy(), at(NOW));
    let mut table = String::new();
    for (shape, history) in SHAPES {
        let turn = history
            .iter()
            .fold(Turn::new(), |turn, told| apply(&policy, turn, told.0, at(told.1)).0);
        let state = turn.state(now);
        let next = turn.poll_timeout(&policy, now).map_or("-".to_owned(), |timeout| {
            format!("{:?} at {}", timeout.reason, timeout.at.as_millis())
        });
        writeln!(table, "{shape}: {state:?}, next {next}").expect("a string");
        for (told, event) in EVENTS {
            let (after, effect) = apply(&policy, turn, event, now);
            let then = after.state(now);
            writeln!(table, "  {told:<23} {:<32} {then:?}", word(effect)).expect("a string");
        }
    }
    expect_file!["../../snapshots/lease_table.txt"].assert_eq(&table);
}
