//! All citations of the repository: by code, and by the tests of each engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::citations::{Citation, Rule, Voice, citations, folded, rules};
use super::items::item_of;

/// What runs a test.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Engine {
    Unit,
    Proptest,
    SmallWidth,
    Proof,
    Stateright,
    Spin,
    Loom,
    Shuttle,
    Threads,
    Simulation,
    Fuzz,
}

/// Where each engine's tests are. What is not named here is run by `cargo test` alone.
const PLACES: [(&str, &[Engine]); 13] = [
    ("src/session/models.rs", &[Engine::Loom]),
    ("src/lifecycle/formal", &[Engine::SmallWidth, Engine::Proof]),
    ("tests/formal/proof/", &[Engine::SmallWidth, Engine::Proof]),
    ("tests/formal/small_width/", &[Engine::SmallWidth]),
    ("tests/formal/model/", &[Engine::Stateright]),
    ("tests/formal/spin/", &[Engine::Spin]),
    ("tests/machine/lifecycle/orders/exhaustive.rs", &[Engine::SmallWidth]),
    ("tests/loom/", &[Engine::Loom]),
    ("tests/shuttle/", &[Engine::Shuttle]),
    ("tests/stress.rs", &[Engine::Threads]),
    ("tests/simulation", &[Engine::Simulation]),
    ("fuzz/", &[Engine::Fuzz]),
    ("tests/formal/", &[Engine::Unit]),
];

/// Where a property need not be a `#[test]`: an invariant that is looked at after each step, a
/// binary, a model of its own.
const PROPERTIES: [&str; 3] = ["tests/formal/", "tests/simulation", "fuzz/"];

/// What holds citations that only show what citations are.
const EXAMPLES: &str = "tests/house/traceability";

/// A citation and where it stands.
pub(crate) struct Entry {
    pub(crate) file: String,
    /// Empty for the file as a whole.
    pub(crate) item: String,
    /// None for the code that keeps the rule.
    pub(crate) engines: Vec<Engine>,
    pub(crate) citation: Citation,
}

pub(crate) struct Book {
    pub(crate) rules: Vec<Rule>,
    pub(crate) code: Vec<Entry>,
    pub(crate) tests: Vec<Entry>,
    /// What stands in tests, and is none of them.
    beside: Vec<Entry>,
}

impl Book {
    /// Of the repository at `root`.
    pub(crate) fn of_repository(root: &Path) -> Self {
        let files: Vec<_> = ["src", "tests", "examples", "fuzz"]
            .into_iter()
            .flat_map(|folder| files(root, folder, &["rs", "pml"]))
            .filter(|file| !file.starts_with(EXAMPLES))
            .map(|file| (read(root, &file), file))
            .collect();
        let texts: Vec<_> =
            files.iter().map(|(text, file)| (file.as_str(), text.as_str())).collect();
        Self::of_texts(&read(root, "src/spec.md"), &texts)
    }

    /// Of these files, each with its path.
    pub(crate) fn of_texts(spec: &str, files: &[(&str, &str)]) -> Self {
        let mut book = Self { rules: rules(spec), code: vec![], tests: vec![], beside: vec![] };
        for (file, text) in files {
            for citation in citations(text) {
                let item = item_of(text, &citation);
                let place = PLACES.iter().find(|(place, _)| file.starts_with(place));
                let is_test = item.is_test || is_property(file, &citation);
                let is_code = file.starts_with("src/") && place.is_none() && !is_test;
                let engines = match place {
                    _ if is_code => vec![],
                    Some((_, engines)) => engines.to_vec(),
                    None if item.of_proptest => vec![Engine::Proptest],
                    None => vec![Engine::Unit],
                };
                let entry = Entry { file: (*file).into(), item: item.path, engines, citation };
                if is_code {
                    book.code.push(entry);
                } else if is_test {
                    book.tests.push(entry);
                } else {
                    book.beside.push(entry);
                }
            }
        }
        book
    }

    /// The entries of `all` that cite a rule.
    pub(crate) fn citing<'a>(all: &'a [Entry], rule: &str) -> impl Iterator<Item = &'a Entry> {
        all.iter().filter(move |entry| entry.citation.rule == rule)
    }

    /// What the house rules forbid.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let known: BTreeMap<_, _> =
            self.rules.iter().map(|rule| (rule.name.as_str(), rule)).collect();
        if known.len() < self.rules.len() {
            faults.push("src/spec.md states a rule twice".into());
        }
        for name in self.rules.iter().map(|rule| &rule.name) {
            let quoted = |entry: &Entry| !entry.citation.quotations.is_empty();
            if Self::citing(&self.code, name).next().is_none() {
                faults.push(format!("no code cites rule {name}"));
            } else if !Self::citing(&self.code, name).any(quoted) {
                faults
                    .push(format!("no code quotes rule {name} (`// Rule {name}: \"its words\"`)"));
            }
            if Self::citing(&self.tests, name).next().is_none() {
                faults.push(format!("no test cites rule {name} (`// Rule {name}.` above it)"));
            }
        }
        for Entry { file, citation, .. } in self.code.iter().chain(&self.tests).chain(&self.beside)
        {
            let Some(rule) = known.get(citation.rule.as_str()) else {
                let Citation { rule, line, .. } = citation;
                faults.push(format!("{file}:{line}: src/spec.md states no rule {rule}"));
                continue;
            };
            for quotation in &citation.quotations {
                if let Some(fault) = quotation.fault(rule) {
                    faults.push(format!(
                        "{file}:{}: {fault}.\n  quoted: \"{}\"\n  rule {}: \"{}\"",
                        quotation.line,
                        quotation.words,
                        rule.name,
                        folded(&rule.words)
                    ));
                }
            }
        }
        let unique: BTreeSet<_> = faults.into_iter().collect();
        unique.into_iter().collect()
    }
}

/// Whether a comment says of what is no `#[test]` that it holds a rule: in its head, or in its first
/// words. One that names the rule in passing does not.
fn is_property(file: &str, citation: &Citation) -> bool {
    let says = citation.voice == Voice::Whole || citation.sentence.starts_with("Rule");
    says && PROPERTIES.iter().any(|place| file.starts_with(place))
}

/// The files under a folder, by their paths from the root. What is built is left out.
pub(crate) fn files(root: &Path, folder: &str, extensions: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{folder}/{name}");
            if entry.path().is_dir() {
                if name != "target" {
                    folders.push(path);
                }
            } else if name.rsplit_once('.').is_some_and(|(_, end)| extensions.contains(&end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

pub(crate) fn read(root: &Path, file: &str) -> String {
    fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}
