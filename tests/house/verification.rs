//! That the page `src/verification.md` speaks of what is there: its commands, its files, and the
//! figures that the repository itself holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::traceability::citations;

const PAGE: &str = "src/verification.md";

/// What a row says as long as its command has not been run.
const UNMEASURED: &str = "(to be measured)";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The page as a reader sees it: without the names of its figures.
fn page() -> String {
    let page = read(PAGE);
    let mut shown = String::new();
    let mut rest = page.as_str();
    while let Some((before, after)) = rest.split_once("<!-- ") {
        shown += before;
        rest = after.split_once("-->").expect("a comment has an end").1;
    }
    shown + rest
}

/// The figures of the last run of each stage, by `stage.name`, or `stage.full.name` for `.ci/nightly`.
fn figures() -> BTreeMap<String, String> {
    let mut figures = BTreeMap::new();
    for line in read(".ci/figures.jsonl").lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let stage = line["stage"].as_str().expect("each line names its stage");
        let form = if line["full"] == true { ".full" } else { "" };
        for (name, value) in line.as_object().expect("an object") {
            let text = value.as_u64().map_or_else(|| value.to_string(), thousands);
            figures.insert(format!("{stage}{form}.{name}"), text);
        }
    }
    figures
}

/// The page with each figure from `figures`: between `<!-- its name -->` and `<!-- -->`.
fn filled(page: &str, figures: &BTreeMap<String, String>) -> (String, Vec<String>) {
    let (mut filled, mut names) = (String::new(), Vec::new());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("<!-- ") {
        let (name, after) = after.split_once(" -->").expect("the name of a figure has an end");
        let (_, after) = after.split_once("<!-- -->").expect("a figure has an end");
        let figure = figures.get(name).unwrap_or_else(|| panic!("no stage has printed {name}"));
        filled.extend([before, "<!-- ", name, " -->", figure, "<!-- -->"]);
        names.push(name.to_owned());
        rest = after;
    }
    (filled + rest, names)
}

#[test]
fn the_figures_of_the_page_are_those_that_the_stages_printed_last() {
    let (page, (filled, names)) = (read(PAGE), filled(&read(PAGE), &figures()));
    assert!(names.len() > 20, "are they still found? {names:?}");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(root().join(PAGE), &filled).expect("the page can be written");
        return;
    }
    assert_eq!(page, filled, "UPDATE_EXPECT=1 cargo test --test house");
}

/// What stands in backticks on the page, where its row is measured.
fn named() -> BTreeSet<String> {
    let page = page();
    page.lines()
        .filter(|line| !line.contains(UNMEASURED))
        .flat_map(|line| line.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The row of the page that names a command.
fn row(command: &str) -> String {
    let page = page();
    let row = page.lines().find(|line| line.starts_with('|') && line.contains(command));
    row.unwrap_or_else(|| panic!("no row names {command}")).to_owned()
}

/// The scripts that are stages: executable, and not those that run them.
fn stages() -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(".ci")).expect(".ci is there");
    let stages: BTreeSet<_> = entries
        .flatten()
        .filter(|entry| is_executable(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != "run" && name != "nightly")
        .collect();
    assert!(stages.len() > 10, "are they still found? {stages:?}");
    stages
}

fn is_executable(path: &Path) -> bool {
    #[cfg(unix)]
    let set = {
        use std::os::unix::fs::PermissionsExt as _;
        fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o111 != 0)
    };
    #[cfg(not(unix))]
    let set = path.extension().is_none();
    set && path.is_file()
}

#[test]
fn every_script_that_the_page_names_can_be_run_and_every_other_path_exists() {
    let mut missing = Vec::new();
    // `.ci/NAME` stands for all of them.
    for word in named().into_iter().filter(|word| word != ".ci/NAME") {
        let path = root().join(&word);
        let is_path = [".ci/", "src/", "tests/", "benches/", "examples/", "fuzz/"]
            .iter()
            .any(|folder| word.starts_with(folder));
        if is_path && !path.exists() {
            missing.push(format!("{word} does not exist"));
        } else if word.starts_with(".ci/") && !word.contains("-files/") && !is_executable(&path) {
            missing.push(format!("{word} cannot be run"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_test_program_that_the_page_names_is_there() {
    for word in named() {
        let words: Vec<_> = word.split(' ').collect();
        for name in words.windows(2).filter(|pair| pair[0] == "--test").map(|pair| pair[1]) {
            let root = root().join("tests");
            let found = root.join(format!("{name}.rs")).exists()
                || root.join(name).join("main.rs").exists();
            assert!(found, "`{word}`: tests/ has no {name}");
        }
    }
}

#[test]
fn every_stage_is_on_the_page() {
    let page = page();
    let absent: Vec<_> =
        stages().into_iter().filter(|stage| !page.contains(&format!("`.ci/{stage}`"))).collect();
    assert!(absent.is_empty(), "not on the page: {absent:?}");
}

#[test]
fn every_stage_is_run_for_each_change_or_its_head_says_why_it_is_not() {
    let run = read(".ci/run");
    // One after another, or in two lanes beside each other, which also remove folders: `-asan`.
    let lists = run
        .lines()
        .filter_map(|line| line.strip_prefix("stages ").or(line.strip_prefix("  \"")))
        .filter(|line| !line.contains('$'));
    let listed: Vec<_> = lists
        .flat_map(|list| list.split([' ', '"', '\\']))
        .filter(|stage| !stage.is_empty() && !stage.starts_with('-'))
        .collect();
    let twice = listed.len() - listed.iter().collect::<BTreeSet<_>>().len();
    assert!(!listed.is_empty() && twice == 0, "{listed:?}");
    let stages = stages();
    for stage in &listed {
        assert!(stages.contains(*stage), ".ci/run lists {stage}, which cannot be run");
    }
    for stage in &stages {
        let script = read(&format!(".ci/{stage}"));
        let head: Vec<_> = script.lines().take_while(|line| line.starts_with('#')).collect();
        let excused = head.iter().any(|line| line.contains("Not in .ci/run:"));
        assert!(
            listed.contains(&stage.as_str()) != excused,
            ".ci/{stage}: either .ci/run lists it, or its head says `Not in .ci/run:` and why"
        );
        let budgeted = head.iter().any(|line| line.contains("Budget: "));
        assert!(budgeted, ".ci/{stage}: its head says what time it may take, as `Budget: 60 s`");
    }
}

#[test]
fn the_figures_that_the_repository_holds_are_the_pages_figures() {
    let loom = read("tests/loom/README.md");
    let models: Vec<Vec<_>> = loom
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let executions: u64 = models.iter().filter_map(|model| model[3].parse::<u64>().ok()).sum();
    let unbounded = models.iter().filter(|model| model[2] == "any").count();
    let names: BTreeSet<_> = models.iter().map(|model| model[1]).collect();
    let said = row("`.ci/loom`");
    for figure in [
        format!("{} models", names.len()),
        format!("{unbounded} explorations without any bound"),
        format!("{} executions", thousands(executions)),
    ] {
        assert!(said.contains(&figure), "{figure} is not in: {said}");
    }

    let planted = fs::read_dir(root().join("tests/loom/planted")).expect("patches").flatten();
    let caught = planted
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .filter(|patch| !patch.contains("caught-by: none"))
        .count();
    let said = row("`.ci/planted-bugs`");
    assert!(said.contains(&format!("| {caught} caught, 0 survived |")), "{caught} patches: {said}");

    let rules = citations::rules(&read("src/spec.md")).len();
    let said = row("--test house`");
    assert!(said.contains(&format!("| {rules} rules |")), "{rules} rules: {said}");
}

#[test]
fn the_readme_is_short_and_its_figures_are_those_of_the_page() {
    let readme = read("README.md");
    let (lines, words) = (readme.lines().count(), readme.split_whitespace().count());
    assert!(lines <= 120 && words <= 1_000, "{lines} lines, {words} words");
    let page = read("src/figures.md");
    let rows: Vec<_> = readme.lines().filter(|line| line.contains("`cargo bench")).collect();
    assert_eq!(rows.len(), 5, "{rows:#?}");
    for row in rows {
        let [_, figures, command, _] = row.split('|').collect::<Vec<_>>()[..] else {
            panic!("{row}");
        };
        let stated = page.lines().find(|line| line.contains(command.trim()));
        let stated = stated.unwrap_or_else(|| panic!("src/figures.md has no {command}"));
        let words = figures.split(|c: char| c.is_whitespace() || "();".contains(c));
        let figures: Vec<_> =
            words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit())).collect();
        assert!(!figures.is_empty(), "{row}");
        for figure in figures {
            assert!(stated.contains(figure), "{figure} is not in: {stated}");
        }
    }
}

#[test]
fn every_stage_is_explained_to_contributors() {
    let page = read("CONTRIBUTING.md");
    let absent: Vec<_> =
        stages().into_iter().filter(|stage| !page.contains(&format!("`{stage}`"))).collect();
    assert!(absent.is_empty(), "not in CONTRIBUTING.md: {absent:?}");
}

/// With a comma after each three digits.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
