//! The house rules that a compiler does not hold: floors, file sizes, and that every rule of
//! `src/spec.md` is quoted, word for word, by the code that keeps it, and cited by a test that
//! defends it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::traceability::book::{Book, files};

/// Each module's floor. Imports point down only: to a lower floor, or within the module itself.
const FLOORS: [(&str, u32); 19] = [
    ("primitives", 0),
    ("time", 0),
    ("lifecycle", 1),
    ("rotation", 1),
    ("verdict", 1),
    ("provider", 2),
    ("token", 2),
    ("offload", 2),
    ("refresh", 3),
    ("clock", 4),
    ("store", 4),
    ("issue", 5),
    ("session", 5),
    ("thread_timer", 5),
    ("wire", 5),
    ("keyed", 6),
    ("interceptor", 6),
    ("testing", 6),
    ("adapters", 7),
];

/// The longest that a source file may grow.
const LINES: usize = 400;

#[test]
fn imports_point_down_only() {
    let floors: BTreeMap<_, _> = FLOORS.into_iter().collect();
    let mut wrong = Vec::new();
    for file in sources("src") {
        let Some((module, adapter)) = module_of(&file) else { continue };
        let floor = floors.get(module.as_str()).unwrap_or_else(|| {
            panic!("{}: the module `{module}` has no floor in tests/house/tidy.rs", file.display())
        });
        for (number, line) in code_lines(&file) {
            for path in line.split("crate::").skip(1) {
                let target = identifier(path);
                let Some(below) = floors.get(target) else {
                    wrong.push(format!(
                        "{}:{number}: `crate::{target}` has no floor",
                        file.display()
                    ));
                    continue;
                };
                let sibling = path.strip_prefix("adapters::").map(identifier);
                let within = target == module && sibling.is_none_or(|sibling| sibling == adapter);
                if below >= floor && !within {
                    wrong.push(format!(
                        "{}:{number}: `{module}` (floor {floor}) names `{target}` (floor {below})",
                        file.display()
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports that do not point down:\n{}", wrong.join("\n"));
}

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

/// The top module of a file under `src/`, and its adapter if it is one.
fn module_of(file: &Path) -> Option<(String, String)> {
    let inside = file.strip_prefix(root().join("src")).ok()?;
    let mut parts = inside.iter().map(|part| part.to_string_lossy().replace(".rs", ""));
    let module = parts.next()?;
    if module == "lib" { None } else { Some((module, parts.next().unwrap_or_default())) }
}

fn identifier(path: &str) -> &str {
    path.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
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
