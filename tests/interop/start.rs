//! Programs that are not ours, as `tests/interop/start` starts them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// Where their packages and their logs are.
pub(crate) fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("interop");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// The program of that name.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/start"));
    command.arg(name).env("INTEROP_DIR", folder());
    command
}

/// The line of JSON that `command` prints before it ends; none where it is skipped.
pub(crate) fn told_by(command: &mut Command) -> Option<Value> {
    let output = command.output().expect("it starts");
    let (line, noise) = (&output.stdout, String::from_utf8_lossy(&output.stderr));
    let line = String::from_utf8_lossy(line);
    assert!(output.status.success(), "{line}{noise}");
    if is_skipped(&line) {
        return None;
    }
    let told = serde_json::from_str(&line);
    Some(told.unwrap_or_else(|error| panic!("{error}: {line:?} {noise}")))
}

/// Whether `line` says that something is skipped; if so, it is shown past the capture of a test's
/// output: a skipped test is to be seen.
pub(crate) fn is_skipped(line: &str) -> bool {
    let skipped = line.starts_with("SKIPPED");
    if skipped {
        writeln!(std::io::stderr(), "\n{}", line.trim_end()).expect("standard error");
    }
    skipped
}
