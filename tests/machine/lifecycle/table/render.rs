//! Writes what was explored as a table for people, and as a state diagram.

use std::collections::BTreeMap;
use std::fmt::Write;

use perennial::lifecycle::{Meanwhile, Remedy, State};

use super::explore::{EVENTS, Explored, Outcome, Shape};

const STATES: [(State, char, &str); 8] = [
    (State::Valid, 'V', "Valid"),
    (State::Expiring, 'E', "Expiring"),
    (State::Refreshing(Meanwhile::UseOld), 'U', "Refreshing, the old token works"),
    (State::Refreshing(Meanwhile::Wait), 'W', "Refreshing, callers wait"),
    (State::Expired(Remedy::Refresh), 'R', "Expired, a refresh may help"),
    (State::Expired(Remedy::Reconfigure), 'C', "Expired, the configuration must be corrected"),
    (State::Expired(Remedy::TryLogIn), 'T', "Expired, a login may help"),
    (State::Expired(Remedy::LogIn), 'L', "Expired, only a login can help"),
];

const LEGEND: &str = "\
# What the client machine does

Generated from `apply` by tests/machine/lifecycle/table; UPDATE_EXPECT=1 rewrites it.

Each shape is what callers can see: a state, what a caller is told, what one is told who wants a token
that lives longer than the one that is held, and what would become of an answer to the newest refresh.
Letters: V valid, E expiring, U refreshing while the old token works, W refreshing while callers wait,
R expired and a refresh may help, C expired and the configuration must be corrected, T expired and a
login may help, L expired and only a login can help.

Under each shape: every event, what the shell is told to do (- is nothing), and the shape that is left
(= is the same one). Two lines for one event mean that what cannot be seen decides: how much of the
budget and of the allowance is left, what was last rejected, how far a doubt has gone. An event is
missing where nothing of its kind exists yet, such as an answer before the first refresh.

`time passes` lets time go on to `poll_timeout`, and tells `TimePassed`. `the same token` lives no
longer than the one that is held. `an older token`, `an older refresh` are those before the newest.
";

const TRANSITIONS: &str = "\
## Transitions

Generated from [`apply`] by a test; `UPDATE_EXPECT=1` rewrites it.

[`apply`]: lifecycle/transition.rs

| from | to | by |
|---|---|---|
";

/// The short names of the shapes: their state's letter, and a number.
pub(crate) struct Names(Vec<(Shape, String)>);

impl Names {
    /// Numbers the shapes of all of `tables`, state by state, in the order of meeting.
    pub(crate) fn of(tables: &[&Explored]) -> Self {
        let mut names: Vec<(Shape, String)> = Vec::new();
        for (state, letter, _) in STATES {
            let mut number = 0;
            for shape in tables.iter().flat_map(|table| &table.shapes) {
                if shape.state == state && !names.iter().any(|(known, _)| known == shape) {
                    number += 1;
                    names.push((*shape, format!("{letter}{number}")));
                }
            }
        }
        Self(names)
    }

    fn get(&self, shape: &Shape) -> &str {
        let found = self.0.iter().find(|(known, _)| known == shape);
        &found.expect("every shape has a name").1
    }
}

/// One event's outcomes, by the names of the shapes.
fn rows<'a>(
    table: &'a Explored,
    names: &'a Names,
    from: &Shape,
) -> Vec<(usize, Vec<(&'static str, &'a str)>)> {
    let Some(at) = table.shapes.iter().position(|shape| shape == from) else {
        return Vec::new();
    };
    let outcome = |&(effect, to): &Outcome| (effect, names.get(&table.shapes[to]));
    (0..EVENTS.len())
        .filter_map(|event| {
            let outcomes = table.outcomes.get(&(at, event))?;
            let mut outcomes: Vec<_> = outcomes.iter().map(outcome).collect();
            outcomes.sort_unstable();
            Some((event, outcomes))
        })
        .collect()
}

fn write_row(text: &mut String, name: &str, event: usize, outcomes: &[(&str, &str)]) {
    for (line, (effect, to)) in outcomes.iter().enumerate() {
        let event = if line == 0 { EVENTS[event] } else { "" };
        let to = if *to == name { "=" } else { to };
        writeln!(text, "    {event:<31} {effect:<24} {to}").expect("a string takes all");
    }
}

/// The whole table of `main`, and of each of the `others` what differs from it.
pub(crate) fn table(main: &Explored, others: &[(&str, &Explored)], names: &Names) -> String {
    let mut text = String::from(LEGEND);
    for (state, _, title) in STATES {
        write!(text, "\n## {title}\n").expect("a string takes all");
        for (shape, name) in names.0.iter().filter(|(shape, _)| shape.state == state) {
            let rows = rows(main, names, shape);
            if rows.is_empty() {
                continue;
            }
            let Shape { answer, longer, newest, .. } = shape;
            write!(
                text,
                "\n{name}: a caller: {answer}; for longer: {longer}; the newest refresh: {newest}\n"
            )
            .expect("a string takes all");
            for (event, outcomes) in rows {
                write_row(&mut text, name, event, &outcomes);
            }
        }
    }
    for (title, other) in others {
        write!(text, "\n## {title}: what differs\n").expect("a string takes all");
        for (shape, name) in &names.0 {
            let usual: BTreeMap<_, _> = rows(main, names, shape).into_iter().collect();
            let mut differing = String::new();
            for (event, outcomes) in rows(other, names, shape) {
                if usual.get(&event) != Some(&outcomes) {
                    write_row(&mut differing, name, event, &outcomes);
                }
            }
            if !differing.is_empty() {
                write!(text, "\n{name}\n{differing}").expect("a string takes all");
            }
        }
    }
    text
}

/// One of the four states of the public view, without what it says more closely.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Valid,
    Expiring,
    Refreshing,
    Expired,
}

impl Group {
    fn of(state: State) -> Self {
        match state {
            State::Valid => Self::Valid,
            State::Expiring => Self::Expiring,
            State::Refreshing(Meanwhile::UseOld | Meanwhile::Wait) => Self::Refreshing,
            State::Expired(
                Remedy::Refresh | Remedy::Reconfigure | Remedy::TryLogIn | Remedy::LogIn,
            ) => Self::Expired,
        }
    }
}

/// What leads from one state to another one.
pub(crate) struct Transition {
    from: State,
    to: State,
    /// The kinds of the events, each with the number of one of them.
    pub(crate) kinds: Vec<(usize, &'static str)>,
}

impl Transition {
    pub(crate) fn groups(&self) -> (Group, Group) {
        (Group::of(self.from), Group::of(self.to))
    }
}

/// The kind of an event: its name up to where it is told more closely.
fn kind(event: usize) -> &'static str {
    let name = EVENTS[event];
    match name.split_once([':', ' ']) {
        Some(("time", _)) | None => name,
        Some((kind, _)) => kind,
    }
}

/// Every transition between two states that any of `tables` shows.
pub(crate) fn transitions(tables: &[&Explored]) -> Vec<Transition> {
    let mut transitions = Vec::new();
    for (from, _, _) in STATES {
        for (to, _, _) in STATES {
            let mut kinds = Vec::new();
            for table in tables {
                for ((at, event), outcomes) in &table.outcomes {
                    let leads = outcomes.iter().any(|(_, left)| table.shapes[*left].state == to);
                    if table.shapes[*at].state == from && leads {
                        kinds.push((*event, kind(*event)));
                    }
                }
            }
            kinds.sort_unstable();
            kinds.dedup_by_key(|(_, kind)| *kind);
            if from != to && !kinds.is_empty() {
                transitions.push(Transition { from, to, kinds });
            }
        }
    }
    transitions
}

/// The transitions as a table of the documentation.
pub(crate) fn listed(transitions: &[Transition]) -> String {
    let title = |state| STATES.iter().find(|(known, _, _)| *known == state).expect("all").2;
    let mut text = String::from(TRANSITIONS);
    for Transition { from, to, kinds } in transitions {
        let kinds: Vec<_> = kinds.iter().map(|(_, kind)| *kind).collect();
        let (from, to) = (title(*from), title(*to));
        writeln!(text, "| {from} | {to} | {} |", kinds.join(", ")).expect("a string takes all");
    }
    text
}
