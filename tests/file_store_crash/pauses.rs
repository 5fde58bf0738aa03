//! A process that is paused at the worst moment: its lease is checked, and its request is not sent yet.

use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::authorization::{Counters, Rotation};
use crate::child::Halt;
use crate::world::{Watched, World};

const SECOND: Duration = Duration::from_secs(1);

fn pid(watched: &Watched) -> Pid {
    Pid::from_raw(watched.child.id().try_into().expect("a process")).expect("not zero")
}

/// Starts a program that is paused before its request, for a refresh that may take a second.
fn paused(world: &World, reuse: &'static str) -> Watched {
    let mut program = world.program(reuse);
    (program.deadline, program.halt) = (SECOND, Halt::Paused("before the request"));
    let mut watched = Watched::start(&program);
    watched.says("at before the request").expect("it comes there");
    let stat = format!("/proc/{}/stat", watched.child.id());
    // The name of the program has no brackets.
    while !fs::read_to_string(&stat).expect("it lives").contains(") T ") {
        thread::yield_now();
    }
    watched
}

/// The program goes on, up to its request.
fn continue_it(watched: &Watched) {
    kill_process(pid(watched), Signal::CONT).expect("it is there");
}

/// The program sends its request.
fn send_it(watched: &mut Watched) {
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

/// A process is paused between its last look at the lease and its request. It goes on once its lease is
/// over, and another process has refreshed before the request is sent at last.
fn outlasts_its_lease(
    rotation: Rotation,
    reuse: &'static str,
) -> (World, Result<String, String>, Counters) {
    let world = World::new(rotation);
    let mut holder = paused(&world, reuse);
    continue_it(&holder);
    // Its session or the lease's own thread ends the turn, as the deadline has passed.
    let other = another(&world, reuse, None).expect("the lease ends");
    assert!(world.accepts(&other));
    assert_eq!((world.stats().token_requests, world.stats().rotations), (1, 1));
    send_it(&mut holder);
    let result = holder.line("then ");
    let stats = world.stats();
    assert_eq!(stats.token_requests, 2, "{result:?}");
    (world, result, stats)
}

// Rules F3, F4. A lock of the operating system is kept by a process that is stopped: nobody else gets it, and
// nobody sends.
#[test]
fn while_a_process_is_stopped_with_the_lease_the_others_get_an_error_and_nothing_is_lost() {
    for (rotation, reuse) in [(Rotation::Strict, "strict"), (Rotation::Idempotent, "idempotent")] {
        let world = World::new(rotation);
        let mut holder = paused(&world, reuse);
        let busy = another(&world, reuse, Some(SECOND)).expect_err("the other one has the lease");
        assert!(busy.contains("failed unavailable"), "{busy}");
        assert_eq!(world.stats().token_requests, 0);
        continue_it(&holder);
        send_it(&mut holder);
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
    let (world, _, stats) = outlasts_its_lease(Rotation::Idempotent, "idempotent");
    assert_eq!((stats.rotations, stats.invalid_grant, stats.family_revocations), (1, 0, 0));
    world.expire();
    let token = another(&world, "idempotent", None).expect("the grant works");
    assert!(world.accepts(&token));
    assert_eq!(world.stats().rotations, 2);
}

// Rules D3, F3. The page of faults says no here. No check before the request can see a pause after it.
#[test]
fn under_strict_rotation_a_process_paused_beyond_its_lease_presents_a_spent_token_and_costs_the_login()
 {
    let (world, result, stats) = outlasts_its_lease(Rotation::Strict, "strict");
    assert_eq!(
        (stats.rotations, stats.invalid_grant, stats.family_revocations),
        (1, 1, 1),
        "{result:?}"
    );
    world.expire();
    let told = another(&world, "strict", None).expect_err("the server has revoked the family");
    assert!(told.contains("failed login"), "{told}");
}
