//! A process that is paused at the worst moment: its lease is checked, and its request is not sent yet.

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::authorization::{Counters, Rotation};
use crate::child::Halt;
use crate::shared::Kind;
use crate::world::{Watched, World, refresh_token};

const SECOND: Duration = Duration::from_secs(1);

fn pid(watched: &Watched) -> Pid {
    Pid::from_raw(watched.child.id().try_into().expect("a process")).expect("not zero")
}

/// Where a program is paused: its lease is checked, and nothing is sent.
const BEFORE_THE_REQUEST: &str = "before the request";

/// Starts a program that is stopped at this step of a refresh, which may take a second.
fn paused(world: &World, reuse: &'static str, step: &'static str) -> Watched {
    let mut program = world.program(reuse);
    (program.deadline, program.halt) = (SECOND, Halt::Paused(step));
    let mut watched = Watched::start(&program);
    watched.says(&format!("at {step}")).expect("it comes there");
    let stat = format!("/proc/{}/stat", watched.child.id());
    // The name of the program has no brackets.
    while !fs::read_to_string(&stat).expect("it lives").contains(") T ") {
        thread::yield_now();
    }
    watched
}

/// The program goes on, up to where it waits for a line.
fn continue_it(watched: &Watched) {
    kill_process(pid(watched), Signal::CONT).expect("it is there");
}

/// The program does what comes next.
fn let_go(watched: &mut Watched) {
    watched.child.stdin.take().expect("a pipe").write_all(b"\n").expect("it listens");
}

/// Another program asks for a token, with the default deadline where it has none.
fn another(
    world: &World,
    reuse: &'static str,
    deadline: Option<Duration>,
) -> Result<String, String> {
    let mut program = world.program(reuse);
    program.deadline = deadline.unwrap_or(program.deadline);
    Watched::start(&program).token()
}

/// A process is stopped between its last look at the lease and its request. It goes on once its lease is
/// over, and another process has refreshed before the request is sent at last. `None` where there is no such
/// store.
fn outlasts_its_lease(
    kind: Kind,
    rotation: Rotation,
    reuse: &'static str,
) -> Option<(World, Result<String, String>, Counters)> {
    let world = World::on(kind, rotation)?;
    let mut holder = paused(&world, reuse, BEFORE_THE_REQUEST);
    if kind.is_lock() {
        // Its session or the lease's own thread ends the turn, as the deadline has passed.
        continue_it(&holder);
    }
    let deadline = (!kind.is_lock()).then_some(SECOND);
    let other = another(&world, reuse, deadline).expect("the lease ends");
    assert!(world.accepts(&other));
    assert_eq!((world.stats().token_requests, world.stats().rotations), (1, 1));
    let stored = world.content();
    if !kind.is_lock() {
        continue_it(&holder);
    }
    let_go(&mut holder);
    let result = holder.line("then ");
    let stats = world.stats();
    assert_eq!(stats.token_requests, 2, "{kind:?} {result:?}");
    let found = world.content();
    assert_eq!(refresh_token(&found), refresh_token(&stored), "{kind:?}: it is written over");
    Some((world, result, stats))
}

// Rules F3, F4. A lock of the operating system is kept by a process that is stopped: nobody else gets it, and
// nobody sends.
#[test]
fn while_a_process_is_stopped_with_the_lease_the_others_get_an_error_and_nothing_is_lost() {
    for (rotation, reuse) in [(Rotation::Strict, "strict"), (Rotation::Idempotent, "idempotent")] {
        let world = World::new(rotation);
        let mut holder = paused(&world, reuse, BEFORE_THE_REQUEST);
        let busy = another(&world, reuse, Some(SECOND)).expect_err("the other one has the lease");
        assert!(busy.contains("failed unavailable"), "{busy}");
        assert_eq!(world.stats().token_requests, 0);
        continue_it(&holder);
        let_go(&mut holder);
        // It is late, and its response is stored all the same: nobody has written meanwhile.
        let late = holder.line("then ");
        let token =
            another(&world, reuse, None).unwrap_or_else(|said| panic!("{reuse}: {late:?}: {said}"));
        assert!(world.accepts(&token));
        let stats = world.stats();
        assert_eq!(
            (stats.rotations, stats.token_requests, stats.family_revocations),
            (1, 1, 0),
            "{late:?}"
        );
    }
}

// Rules D2, F3. Case X35. As the page of faults says of a request that arrives after its lease is over.
#[test]
fn under_idempotent_rotation_a_process_paused_beyond_its_lease_loses_nothing() {
    for kind in Kind::ALL {
        let paused = outlasts_its_lease(*kind, Rotation::Idempotent, "idempotent");
        let Some((world, _, stats)) = paused else { continue };
        assert_eq!((stats.rotations, stats.invalid_grant, stats.family_revocations), (1, 0, 0));
        world.expire();
        let token = another(&world, "idempotent", None).expect("the grant works");
        assert!(world.accepts(&token));
        assert_eq!(world.stats().rotations, 2);
    }
}

// Rules D3, F3. The page of faults says no here. No check before the request can see a pause after it.
#[test]
fn under_strict_rotation_a_process_paused_beyond_its_lease_presents_a_spent_token_and_costs_the_login()
 {
    for kind in Kind::ALL {
        let paused = outlasts_its_lease(*kind, Rotation::Strict, "strict");
        let Some((world, result, stats)) = paused else { continue };
        assert_eq!(
            (stats.rotations, stats.invalid_grant, stats.family_revocations),
            (1, 1, 1),
            "{kind:?} {result:?}"
        );
        world.expire();
        let told = another(&world, "strict", None).expect_err("the server has revoked the family");
        assert!(told.contains("failed login"), "{kind:?} {told}");
    }
}

// Rules F2, F3. What the fencing number saves: two refreshes later the store still has the newest grant. The
// lock of a file is no such case: it lasts as long as the process is stopped.
#[test]
fn a_process_paused_with_its_response_in_hand_writes_over_nothing_that_came_after_its_lease() {
    for kind in Kind::ALL.iter().filter(|it| !it.is_lock()) {
        let Some(world) = World::on(*kind, Rotation::Idempotent) else { continue };
        let mut holder = paused(&world, "idempotent", "before persisting");
        assert_eq!(world.stats().rotations, 1);
        for rotations in [1, 2] {
            let token = another(&world, "idempotent", Some(SECOND)).expect("the lease ends");
            assert!(world.accepts(&token));
            assert_eq!(world.stats().rotations, rotations, "{kind:?}");
            if rotations == 1 {
                world.expire();
            }
        }
        let newest = world.content();
        continue_it(&holder);
        let_go(&mut holder);
        let late = holder.line("then ");
        let found = world.content();
        assert_eq!(refresh_token(&found), refresh_token(&newest), "{kind:?} {late:?}");
        world.expire();
        let token = another(&world, "idempotent", None).expect("the grant works");
        assert!(world.accepts(&token));
        let stats = world.stats();
        assert_eq!((stats.rotations, stats.family_revocations), (3, 0), "{kind:?} {late:?}");
    }
}
