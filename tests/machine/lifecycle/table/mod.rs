//! The whole table of the client machine, state by event, as a text that a person can read, and the
//! state diagram of the documentation, both generated from `apply`.

mod draw;
mod explore;
mod render;

use std::sync::LazyLock;
use std::time::Duration;

use expect_test::expect_file;
use perennial::lifecycle::{Meanwhile, Remedy, Reuse, State};

use explore::{EVENTS, Explored, explored};
use render::{Names, listed, table, transitions};

/// Explored once, with the times a few milliseconds, for four kinds of server.
static ALL: LazyLock<[Explored; 4]> = LazyLock::new(|| {
    let window = Duration::from_millis(10);
    [Reuse::Strict, Reuse::overlap_successors(window), Reuse::ConfirmByUse, Reuse::Unrotated]
        .map(explored)
});

// Rules B2, B3, B4, B5, B6, B8, B11, B12, B14.
#[test]
fn every_event_in_every_shape_does_what_the_committed_table_says() {
    let [strict, overlap, confirm, unrotated] = &*ALL;
    let names = Names::of(&[strict, overlap, confirm, unrotated]);
    let others = [
        ("A server that answers again for a while", overlap),
        ("A server that waits for the successor's use", confirm),
        ("A server that does not rotate", unrotated),
    ];
    expect_file!["../../../snapshots/lifecycle_table.txt"]
        .assert_eq(&table(strict, &others, &names));
}

// Rule B12.
#[test]
fn every_shape_is_told_of_every_kind_of_event_that_can_come_to_it() {
    for explored in &*ALL {
        for state in [
            State::Valid,
            State::Expiring,
            State::Refreshing(Meanwhile::UseOld),
            State::Refreshing(Meanwhile::Wait),
            State::Expired(Remedy::Refresh),
            State::Expired(Remedy::Reconfigure),
            State::Expired(Remedy::TryLogIn),
            State::Expired(Remedy::LogIn),
        ] {
            assert!(explored.shapes.iter().any(|shape| shape.state == state), "{state:?}");
            // Time alone changes nothing where only a login can help.
            let last = EVENTS.len() - usize::from(state == State::Expired(Remedy::LogIn));
            for (event, name) in EVENTS.iter().enumerate().take(last) {
                let told = explored
                    .outcomes
                    .keys()
                    .any(|(shape, told)| explored.shapes[*shape].state == state && *told == event);
                assert!(told, "{state:?} was never told of: {name}");
            }
        }
        for (shape, seen) in explored.shapes.iter().enumerate() {
            for event in [0, 1, 17, 18, 19, 20, 21] {
                let told = explored.outcomes.contains_key(&(shape, event));
                assert!(told, "{seen:?} was never told of: {}", EVENTS[event]);
            }
        }
    }
}

// Rules B3, B12.
#[test]
fn the_diagram_in_the_documentation_is_the_one_that_the_machine_draws() {
    let [strict, overlap, confirm, unrotated] = &*ALL;
    let transitions = transitions(&[strict, overlap, confirm, unrotated]);
    expect_file!["../../../../src/states.svg"].assert_eq(&draw::svg(&transitions));
    expect_file!["../../../../src/transitions.md"].assert_eq(&listed(&transitions));
}
