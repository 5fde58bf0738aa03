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

/// The name of a state within the diagram.
fn node(state: State) -> &'static str {
    match state {
        State::Valid => "Valid",
        State::Expiring => "Expiring",
        State::Refreshing(Meanwhile::UseOld) => "UseOld",
        State::Refreshing(Meanwhile::Wait) => "Wait",
        State::Expired(Remedy::Refresh) => "Refresh",
        State::Expired(Remedy::Reconfigure) => "Reconfigure",
        State::Expired(Remedy::TryLogIn) => "TryLogIn",
        State::Expired(Remedy::LogIn) => "LogIn",
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

/// Every transition between two states that any of `tables` shows, as a mermaid diagram.
pub(crate) fn diagram(tables: &[&Explored]) -> String {
    let mut text = String::from(
        "```mermaid\nstateDiagram-v2\n    \
         state Refreshing {\n        UseOld: the old token works\n        Wait: callers wait\n    }\n    \
         state Expired {\n        Refresh: a refresh may help\n        Reconfigure: the configuration must be corrected\n        TryLogIn: a login may help\n        LogIn: only a login can help\n    }\n    \
         [*] --> LogIn\n",
    );
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
            let mut kinds: Vec<_> = kinds.into_iter().map(|(_, kind)| kind).collect();
            kinds.dedup();
            if from != to && !kinds.is_empty() {
                let (from, to) = (node(from), node(to));
                let kinds = kinds.join(", ");
                writeln!(text, "    {from} --> {to}: {kinds}").expect("a string takes all");
            }
        }
    }
    text.push_str("```\n");
    text
}
