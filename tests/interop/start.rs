//! Programs that are not ours, as `tests/interop/start` starts them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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

/// The server of that name, which serves until its standard input is closed, and the line of JSON
/// that it prints when it does; none where it is skipped.
pub(crate) fn serving(name: &str, command: &mut Command) -> Option<(Child, Value)> {
    let noise = File::create(folder().join(format!("{name}.log"))).expect("a log");
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(noise);
    let mut child = command.spawn().expect("it starts");
    let mut line = String::new();
    let output = child.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("a line");
    if is_skipped(&line) {
        child.wait().expect("it has ended");
        return None;
    }
    let told = serde_json::from_str(&line).unwrap_or_else(|error| {
        panic!("{name} said {line:?}: {error}; see {name}.log in {}", folder().display())
    });
    Some((child, told))
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
