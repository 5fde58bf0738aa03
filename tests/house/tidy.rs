//! The house rules that a compiler does not hold: file sizes, and that every rule of
//! `src/spec.md` is quoted, word for word, by the code that keeps it, and cited by a test that
//! defends it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::traceability::book::{Book, files};

/// The longest that a source file may grow.
const LINES: usize = 400;

#[test]
fn no_source_file_is_longer_than_a_room_should_be() {
    let long: Vec<_> = sources("src")
        .into_iter()
        .map(|file| (read(&file).lines().count(), file))
        .filter(|(lines, _)| *lines > LINES)
        .map(|(lines, file)| format!("{}: {lines} lines", file.display()))
        .collect();
    assert!(long.is_empty(), "files over {LINES} lines:\n{}", long.join("\n"));
}

#[test]
fn every_rule_is_quoted_by_code_and_cited_by_a_test_and_no_other_is() {
    let book = Book::of_repository(&root());
    assert!(book.rules.len() > 20, "is the form of src/spec.md still read?");
    let faults = book.faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn only_the_clock_reads_the_time() {
    let wrong: Vec<_> = sources("src")
        .into_iter()
        .filter(|file| !file.ends_with("src/clock.rs"))
        .flat_map(|file| {
            code_lines(&file)
                .into_iter()
                .filter(|(_, line)| {
                    line.contains("Instant::now") || line.contains("SystemTime::now")
                })
                .map(|(number, _)| format!("{}:{number}", file.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(wrong.is_empty(), "clocks read outside src/clock.rs:\n{}", wrong.join("\n"));
}

/// The lines of a file that are no comments, with their numbers.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    read(file)
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line.to_owned()))
        .collect()
}

fn sources(folder: &str) -> Vec<PathBuf> {
    files(&root(), folder, &["rs"]).into_iter().map(|file| root().join(file)).collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
