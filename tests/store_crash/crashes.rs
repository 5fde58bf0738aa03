//! A process is killed at each step of a refresh, and anywhere between two steps: the next process renews
//! the grant, at once where a file's lock has ended with the dead one, and else once its lease is over.

use std::env;
use std::fs;
use std::time::Duration;

use perennial::clock::{Clock, StandardClock};
use perennial::time::Span;

use crate::authorization::Rotation;
use crate::child::{Halt, STEPS};
use crate::shared::Kind;
use crate::world::{WATCHDOG, Watched, World, refresh_token};

/// Kills over files; `.ci/crash` makes more.
const CRASHES: usize = 40;

/// Kills over each kind of server.
#[cfg(any(feature = "redis", feature = "postgres"))]
const CRASHES_ON_SERVERS: usize = 2 * STEPS.len();

/// Kills a program at a step, or after that: a while that differs each time. Returns whether it was killed
/// before it had ended by itself.
fn kill(world: &World, step: &'static str, random: Option<u64>) -> bool {
    let mut program = world.program("idempotent");
    let Some(random) = random else {
        program.halt = Halt::Killed(step);
        let steps = Watched::start(&program).steps();
        assert_eq!(steps.last().map(String::as_str), Some(step), "{steps:?}");
        return true;
    };
    let mut watched = Watched::start(&program);
    watched.says(&format!("at {step}")).expect("it comes to each step");
    for _ in 0..random % 1_500 {
        let _ = fs::metadata(env!("CARGO_MANIFEST_DIR"));
    }
    watched.child.kill().expect("a kill");
    let status = watched.child.wait().expect("a killed child");
    !status.success()
}

/// Kills so many programs, one after another. The server is idempotent.
fn kill_many(kind: Kind, crashes: usize) {
    let Some(world) = World::on(kind, Rotation::Idempotent) else { return };
    let (mut kills, mut noted, mut torn, mut lost) = (0, 0, Vec::new(), Vec::new());
    let mut random = 1_u64;
    for crash in 0..crashes {
        // What takes time comes after the steps before something.
        let before: Vec<_> = STEPS.into_iter().filter(|it| it.starts_with("before")).collect();
        let aimed = crash % 2 == 0;
        let step = if aimed {
            STEPS[(crash / 2) % STEPS.len()]
        } else {
            before[(crash / 2) % before.len()]
        };
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let before = refresh_token(&world.content()).expect("a grant");
        let rotations = world.stats().rotations;
        kills += usize::from(kill(&world, step, (!aimed).then_some(random >> 33)));

        let left = world.content();
        let found = refresh_token(&left);
        if let Some(intent) = left.grant.and_then(|it| it.intent) {
            let until = intent.until.expect("its deadline");
            let limit = StandardClock::new().wall().saturating_add(Span::from(WATCHDOG));
            // Whoever went by the note would have to wait for longer than the watchdog lets it.
            assert!(!kind.is_lock() || until > limit);
            noted += 1;
        }
        let told = Watched::start(&world.program("idempotent")).token();
        let after = refresh_token(&world.content());
        let context = format!("crash {crash}, {step}, aimed: {aimed}: {told:?}");
        if found.as_ref() != Some(&before) && found != after {
            torn.push(context.clone());
        }
        let stats = world.stats();
        let good = told.as_ref().is_ok_and(|token| world.accepts(token))
            && world.content().grant.is_some_and(|it| it.intent.is_none())
            && after.is_some_and(|after| after != before)
            && stats.rotations == rotations + 1
            && (stats.invalid_grant, stats.family_revocations) == (0, 0);
        if !good {
            lost.push(format!("{context} {stats:?}"));
            break;
        }
        world.expire();
    }
    let store = kind.name();
    println!(
        "CRASHES {{\"store\":\"{store}\",\"kills\":{kills},\"torn\":{},\"lost\":{}}}",
        torn.len(),
        lost.len()
    );
    assert!(torn.is_empty() && lost.is_empty(), "{}\n{}", torn.join("\n"), lost.join("\n"));
    // Else the kills have shown nothing.
    assert!(kills >= crashes / 2 && noted >= crashes / 10, "{kills} kills, {noted} with a note");
}

fn count(name: &str, default: usize) -> usize {
    env::var(name).map_or(default, |it| it.parse().expect("a number"))
}

// Rules F1, F2, F3, F4. Under strict rotation, what was rotated and not stored is lost with its process: see
// the page of faults.
#[test]
fn after_a_kill_at_any_step_the_next_process_renews_the_grant_and_waits_for_nobody() {
    kill_many(Kind::File, count("CRASHES", CRASHES));
}

// Rules F1, F2, F3, F4.
#[cfg(feature = "redis")]
#[test]
fn after_a_kill_at_any_step_over_redis_the_next_process_renews_the_grant_once_the_lease_is_over() {
    kill_many(Kind::Redis, count("CRASHES_ON_SERVERS", CRASHES_ON_SERVERS));
}

// Rules F1, F2, F3, F4.
#[cfg(feature = "postgres")]
#[test]
fn after_a_kill_at_any_step_over_postgres_the_next_process_renews_the_grant_once_the_lease_is_over()
{
    kill_many(Kind::Postgres, count("CRASHES_ON_SERVERS", CRASHES_ON_SERVERS));
}

/// Steps at which the server has rotated the refresh token, and its successor is known to one process alone.
const NOT_STORED: [&str; 2] = ["after the request", "before persisting"];

// Rules D3, F2, F4. The page of faults says no to these two, and yes where nothing was sent or all is stored.
#[test]
fn under_strict_rotation_a_kill_costs_the_login_exactly_where_the_response_is_not_stored_yet() {
    for kind in Kind::ALL {
        let Some(world) = World::on(*kind, Rotation::Strict) else { continue };
        for step in STEPS {
            let before = world.stats();
            let mut program = world.program("strict");
            (program.deadline, program.halt) = (Duration::from_millis(250), Halt::Killed(step));
            let steps = Watched::start(&program).steps();
            assert_eq!(steps.last().map(String::as_str), Some(step), "{steps:?}");
            program.halt = Halt::Never;
            program.patience = WATCHDOG * 4 / 5;
            let told = Watched::start(&program).token();
            let after = world.stats();
            let revoked = after.family_revocations - before.family_revocations;
            let context = format!("{kind:?}, {step}: {told:?}");
            assert_eq!(after.rotations - before.rotations, 1, "{context}");
            if NOT_STORED.contains(&step) {
                assert_eq!(revoked, 1, "{context}");
                assert!(told.is_err_and(|it| it.contains("failed login")), "{context}");
                world.log_in();
            } else {
                assert_eq!(revoked, 0, "{context}");
                assert!(world.accepts(&told.unwrap_or_else(|_| panic!("{context}"))));
                world.expire();
            }
        }
    }
}
