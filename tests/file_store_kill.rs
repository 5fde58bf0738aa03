//! The file store between processes: writers that are killed, and writers that race.
//!
//! The writers are this very program, run again for `child_writer` alone. What a kill of a process
//! cannot show is what a power cut leaves; nothing here proves the syncs.
#![cfg(unix)]

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::store::{Store, StoredGrant, Swap, Version, Versioned};
use perennial::time::Timestamp;
use perennial::token::Grant;

const KILLS: usize = 300;
const PATH: &str = "PERENNIAL_TEST_PATH";
const SWAPS: &str = "PERENNIAL_TEST_SWAPS";

/// The grant that is written as `version`: big, and known in every byte.
fn grant_of(version: Version) -> StoredGrant {
    let number = version.number();
    let text = |name: &str| format!("{name}-{number}-").repeat(600);
    let grant = Grant::new(text("at"), text("rt"), Duration::from_secs(number))
        .with_field("id_token", text("id"));
    StoredGrant::new(grant, Timestamp::from_millis(i64::try_from(number).expect("a small number")))
}

fn load(store: &FileStore) -> Versioned {
    block_on(store.load()).expect("a store that can be read")
}

/// A writer in a process of its own: as fast as it can, it tells each version that was written.
#[test]
fn child_writer() {
    let Some(path) = env::var_os(PATH) else { return };
    let swaps = env::var(SWAPS).map_or(usize::MAX, |swaps| swaps.parse().expect("a number"));
    let store = FileStore::open(path).expect("a store");
    let mut found = load(&store).version;
    for _ in 0..swaps {
        loop {
            match block_on(store.swap(found, Some(grant_of(found.next())))).expect("a swap") {
                Swap::Done(version) => break found = version,
                Swap::Conflict(content) => found = content.version,
            }
        }
        writeln!(io::stderr(), "{}", found.number()).expect("somebody who listens");
    }
}

fn spawn_writer(path: &Path, swaps: usize) -> Child {
    Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "child_writer"])
        .env(PATH, path)
        .env(SWAPS, swaps.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// The versions in what a writer told; a kill may have cut the last line short.
fn told(text: &str) -> impl Iterator<Item = u64> {
    text.split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .map(|line| line.trim_end().parse().unwrap_or_else(|_| panic!("the writer says {line}")))
}

/// The temporary files in a directory.
fn temporary(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).expect("a directory");
    let hidden = |name: &str| name.starts_with(".grant.json.");
    entries
        .filter(|entry| {
            let name = entry.as_ref().expect("an entry").file_name();
            hidden(name.to_str().expect("a plain name"))
        })
        .count()
}

// Rule F1.
#[test]
fn a_writer_killed_at_any_moment_leaves_the_old_grant_or_the_new_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("grant.json");
    let store = FileStore::open(&path).expect("a store");
    let (mut last, mut random, mut cut_short) = (0, 1_u64, 0);
    for kill in 0..KILLS {
        let mut child = spawn_writer(&path, usize::MAX);
        let mut says = BufReader::new(child.stderr.take().expect("what it says"));
        // It has written once at least; then it goes on for a while that differs each time. Every
        // other kill is aimed: it waits for a temporary file first, and comes soon after.
        let mut text = String::new();
        says.read_line(&mut text).expect("a version");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let aimed = kill % 2 == 1;
        let seen = aimed && (0..4_000).any(|_| temporary(directory.path()) > 0);
        for _ in 0..(random >> 33) % if seen { 100 } else { 4_000 } {
            let _ = fs::metadata(&path);
        }
        child.kill().expect("a kill");
        child.wait().expect("a killed child");
        says.read_to_string(&mut text).expect("what it said before");

        let confirmed = told(&text).last().unwrap_or_else(|| panic!("kill {kill}: {text}"));
        assert!(confirmed > last, "kill {kill}: {confirmed} after {last}");
        let Versioned { version, grant } = load(&store);
        last = version.number();
        // The last that was confirmed, or the one under way.
        assert!(last == confirmed || last == confirmed + 1, "kill {kill}: {confirmed}, {last}");
        assert!(grant == Some(grant_of(version)), "kill {kill}: the grant is not whole");
        let left = temporary(directory.path());
        assert!(left <= 1, "kill {kill}: {left} temporary files");
        cut_short += left;
    }
    // Else the kills all came between two writes, and have shown nothing.
    assert!(cut_short >= KILLS / 10, "only {cut_short} kills hit a write");
    println!("{cut_short} of {KILLS} kills hit a write; {last} versions were written");

    let version = Version::new(last);
    let next = grant_of(version.next());
    let swapped = block_on(store.swap(version, Some(next))).expect("a swap after all that");
    assert_eq!(swapped, Swap::Done(version.next()));
    assert_eq!(temporary(directory.path()), 0);
}

// Rule F1.
#[test]
fn of_the_swaps_of_several_processes_none_is_lost_and_none_is_confirmed_twice() {
    const PROCESSES: usize = 4;
    const EACH: usize = 30;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("grant.json");
    let children: Vec<Child> = (0..PROCESSES).map(|_| spawn_writer(&path, EACH)).collect();
    let mut confirmed = Vec::new();
    for child in children {
        let output = child.wait_with_output().expect("a child that ends");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        confirmed.extend(told(&String::from_utf8_lossy(&output.stderr)));
    }
    confirmed.sort_unstable();
    let all = PROCESSES * EACH;
    assert!(confirmed.iter().copied().eq(1..=all as u64), "{confirmed:?}");
    let store = FileStore::open(&path).expect("a store");
    let last = Version::new(all as u64);
    assert!(load(&store) == Versioned { version: last, grant: Some(grant_of(last)) });
}
