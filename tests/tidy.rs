//! The house rules that a compiler does not hold: floors, file sizes, and that every rule of
//! `src/spec.md` is cited by the code that keeps it and by a test that defends it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module's floor. Imports point down only: to a lower floor, or within the module itself.
const FLOORS: [(&str, u32); 13] = [
    ("primitives", 0),
    ("time", 0),
    ("lifecycle", 1),
    ("token", 2),
    ("offload", 2),
    ("refresh", 3),
    ("clock", 4),
    ("store", 4),
    ("session", 5),
    ("wire", 5),
    ("keyed", 6),
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
            panic!("{}: the module `{module}` has no floor in tests/tidy.rs", file.display())
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
fn every_rule_is_cited_by_code_and_by_a_test_and_no_other_is() {
    let rules = rules();
    let known: BTreeSet<_> = rules.iter().cloned().collect();
    assert_eq!(known.len(), rules.len(), "a rule is stated twice in src/spec.md");
    let code = cited(&sources("src"), &["//", "///", "//!"]);
    let tests = cited(&[sources("tests"), sources("examples")].concat(), &["// Rule"]);
    let mut wrong = Vec::new();
    for rule in &known {
        if !code.contains_key(rule) {
            wrong.push(format!("rule {rule} is cited by no code under src/"));
        }
        if !tests.contains_key(rule) {
            wrong.push(format!("rule {rule} is cited by no test (a comment `// Rule {rule}.`)"));
        }
    }
    for (rule, place) in code.iter().chain(&tests) {
        if !known.contains(rule) {
            wrong.push(format!("{place} cites rule {rule}, which src/spec.md does not state"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

/// The rules of `src/spec.md`, by the bold identifiers that begin them.
fn rules() -> Vec<String> {
    let spec = read(&root().join("src/spec.md"));
    let rules: Vec<_> = spec
        .lines()
        .filter_map(|line| line.strip_prefix("- **")?.split_once("**").map(|(id, _)| id.to_owned()))
        .collect();
    assert!(rules.len() > 20, "src/spec.md states {} rules: is its form still read?", rules.len());
    rules
}

/// Every rule cited in a comment that begins with one of `openings`, and the first place.
fn cited(files: &[PathBuf], openings: &[&str]) -> BTreeMap<String, String> {
    let mut cited = BTreeMap::new();
    for file in files {
        for (number, line) in read(file).lines().enumerate() {
            let Some(at) = line.find("//") else { continue };
            let comment = &line[at..];
            let speaks = openings.iter().any(|opening| comment.starts_with(opening));
            if !speaks || !comment.to_lowercase().contains("rule") {
                continue;
            }
            for id in comment.split(|c: char| !c.is_ascii_alphanumeric()).filter(|id| is_rule(id)) {
                let place = format!("{}:{}", file.display(), number + 1);
                cited.entry(id.to_owned()).or_insert(place);
            }
        }
    }
    cited
}

fn is_rule(word: &str) -> bool {
    let mut letters = word.chars();
    letters.next().is_some_and(|letter| ('A'..='G').contains(&letter))
        && word.len() > 1
        && letters.all(|digit| digit.is_ascii_digit())
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
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
