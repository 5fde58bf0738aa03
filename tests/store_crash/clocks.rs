//! Processes whose wall clocks are a minute apart and more: a file's lock is no matter of time.

use crate::authorization::Rotation;
use crate::child::Halt;
use crate::world::{Watched, World};

// Rules A3, F3, F4.
#[test]
fn processes_with_clocks_two_minutes_apart_make_one_refresh() {
    let world = World::new(Rotation::Strict);
    for round in 1..=4 {
        let programs = [60, -60, 0].map(|skew| {
            let mut program = world.program("strict");
            program.skew = skew;
            Watched::start(&program)
        });
        let tokens = programs.map(|it| it.token().expect("a token"));
        assert!(tokens.iter().all(|token| *token == tokens[0] && world.accepts(token)));
        assert_eq!((world.stats().rotations, world.stats().token_requests), (round, round));
        world.expire();
    }
}

// Rules A3, F4. By the next process's clock the dead one's note is of the future, or two minutes old.
#[test]
fn a_process_that_died_with_a_wrong_clock_is_replaced_at_once() {
    let world = World::new(Rotation::Idempotent);
    for (round, (dead, next)) in [(60, -60), (-60, 60)].into_iter().enumerate() {
        let mut program = world.program("idempotent");
        (program.skew, program.halt) = (dead, Halt::Killed("after the request"));
        let steps = Watched::start(&program).steps();
        assert_eq!(steps.last().map(String::as_str), Some("after the request"));
        assert!(world.content().grant.is_some_and(|it| it.intent.is_some()));
        (program.skew, program.halt) = (next, Halt::Never);
        let token = Watched::start(&program).token().expect("a token");
        assert!(world.accepts(&token));
        assert_eq!(world.stats().rotations, 1 + round as u64);
        world.expire();
    }
}
