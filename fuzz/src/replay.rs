//! Every target holds on every file of its corpus, without a fuzzer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz_targets/events.rs"]
mod events;
#[path = "../fuzz_targets/expiry.rs"]
mod expiry;
#[path = "../fuzz_targets/numeric_date.rs"]
mod numeric_date;
#[path = "../fuzz_targets/refresh_token.rs"]
mod refresh_token;
#[path = "../fuzz_targets/session_schedule.rs"]
mod session_schedule;
#[path = "../fuzz_targets/stored_grant.rs"]
mod stored_grant;
#[path = "../fuzz_targets/token_request.rs"]
mod token_request;
#[path = "../fuzz_targets/token_response.rs"]
mod token_response;

/// Names each target's replay, and all targets.
macro_rules! replays {
    ($($replay:ident: $target:ident,)*) => {
        const TARGETS: &[&str] = &[$(stringify!($target)),*];

        $(#[test]
        fn $replay() {
            replay(stringify!($target), $target::property);
        })*
    };
}

replays! {
    events_holds_on_its_corpus: events,
    expiry_holds_on_its_corpus: expiry,
    numeric_date_holds_on_its_corpus: numeric_date,
    refresh_token_holds_on_its_corpus: refresh_token,
    session_schedule_holds_on_its_corpus: session_schedule,
    stored_grant_holds_on_its_corpus: stored_grant,
    token_request_holds_on_its_corpus: token_request,
    token_response_holds_on_its_corpus: token_response,
}

#[test]
fn every_target_has_a_replay_and_every_corpus_a_target() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|name| (*name).to_owned()).collect();
    let names = |folder: &str| -> BTreeSet<String> {
        let stem =
            |path: &PathBuf| path.file_stem().map(|name| name.to_string_lossy().into_owned());
        entries(&root().join(folder)).iter().filter_map(stem).collect()
    };
    assert_eq!(names("fuzz_targets"), targets);
    assert_eq!(names("corpus"), targets);
    assert_eq!(names("dictionaries"), targets);
}

/// Runs `property` on each file, and says which it was on.
fn replay(target: &str, property: fn(&[u8])) {
    let files = entries(&root().join("corpus").join(target));
    assert!(!files.is_empty(), "the corpus of {target} is empty");
    for file in &files {
        let bytes = fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        println!("{}", file.display());
        property(&bytes);
    }
    println!("REPLAYED {target} {}", files.len());
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let found =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found: Vec<_> = found.flatten().map(|entry| entry.path()).collect();
    found.sort();
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
