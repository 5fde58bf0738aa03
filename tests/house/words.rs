//! The language of the public pages: the field's words, and no rule number in place of an explanation.

use std::fs;
use std::path::Path;

use crate::traceability::book::files;

/// What a reader stumbles over, found in earlier texts.
const ODD: [&str; 24] = [
    "Gives ",
    "gives back what",
    "borne",
    "comes to bear",
    "is told",
    "are told",
    "liked",
    "in the air",
    "aloft",
    "that is none",
    "nobody's word",
    "comes to nothing",
    "Tells ",
    "as it bears",
    "Deliberately absent",
    "main job",
    "mid-flight",
    "nobody notices",
    "notice nothing",
    "not ours",
    "Whole worlds",
    "it sees twice",
    "by as much",
    "may well ",
];

#[test]
fn public_docs_have_no_odd_words() {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let others = ["CONTRIBUTING.md", "examples/README.md", "tests/README.md"].map(str::to_owned);
    for page in pages().into_iter().chain(others) {
        let text = fs::read_to_string(root.join(&page)).expect("the page is there");
        for (number, line) in doc_lines(&page, &text) {
            for odd in ODD.iter().filter(|odd| line.contains(**odd)) {
                found.push(format!("{page}:{number}: {odd:?}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn public_docs_cite_a_rule_only_by_a_link() {
    let mut found = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in pages() {
        let text = fs::read_to_string(root.join(&page)).expect("the page is there");
        let public = |number: usize| is_markdown(&page) || is_public(&page, &text, number);
        for (number, line) in doc_lines(&page, &text) {
            if names_a_rule(line) && public(number) {
                found.push(format!("{page}:{number}: {}", line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// On a Git host a link to `crate::…` leads nowhere: the page links to a file, and `src/lib.rs` says before it
/// where the same link leads to in rustdoc.
#[test]
fn pages_have_no_link_that_only_rustdoc_follows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = files(root, "src", &["md"]);
    assert!(pages.len() > 8, "are the pages still found?");
    let mut found = Vec::new();
    for page in pages {
        let text = fs::read_to_string(root.join(&page)).expect("the page is there");
        for (number, line) in text.lines().enumerate() {
            if ["](crate::", "]: crate::"].iter().any(|link| line.contains(link)) {
                found.push(format!("{page}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The pages and sources whose docs are published, but for the rules themselves and who cites them.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = files(root, "src", &["rs", "md"]).into_iter();
    let rules = ["src/spec.md", "src/traceability.md", "src/links.md", "src/faults.md"];
    let published = sources.filter(|file| !rules.contains(&file.as_str()));
    let pages: Vec<_> =
        published.chain(["README.md".to_owned(), "SECURITY.md".to_owned()]).collect();
    assert!(pages.len() > 100, "are the sources still read?");
    pages
}

/// The lines of a page that are documentation, with their numbers from 0.
fn doc_lines<'a>(page: &str, text: &'a str) -> Vec<(usize, &'a str)> {
    let docs = |line: &str| {
        let line = line.trim_start();
        is_markdown(page) || line.starts_with("//!") || line.starts_with("///")
    };
    text.lines().enumerate().filter(|(_, line)| docs(line)).collect()
}

fn is_markdown(page: &str) -> bool {
    Path::new(page).extension().is_some_and(|it| it == "md")
}

/// Whether the item that line `number` of the page documents is public.
fn is_public(page: &str, text: &str, number: usize) -> bool {
    let line = text.lines().nth(number).unwrap_or_default().trim_start();
    if line.starts_with("//!") {
        return is_public_module(page);
    }
    let mut after = text.lines().skip(number).map(str::trim_start);
    let item = after.find(|line| !line.starts_with("///") && !line.starts_with("#["));
    item.is_some_and(|item| item.starts_with("pub ") || item.starts_with("pub async"))
}

/// Whether the module that a file is has a page of its own.
fn is_public_module(page: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let module = page.trim_end_matches(".rs").trim_end_matches("/mod").trim_start_matches("src/");
    let (folder, name) = module.rsplit_once('/').unwrap_or(("lib", module));
    let parents = [format!("src/{folder}.rs"), format!("src/{folder}/mod.rs")];
    let parents = parents.iter().filter_map(|parent| fs::read_to_string(root.join(parent)).ok());
    let declared = format!("pub mod {name};");
    module == "lib"
        || parents.into_iter().any(|parent| parent.lines().any(|line| line.trim() == declared))
}

/// Whether a line cites a rule by its number alone: with the rule's words it explains itself.
fn names_a_rule(line: &str) -> bool {
    ["rule ", "rules ", "Rule ", "Rules "].into_iter().any(|word| {
        line.match_indices(word).any(|(at, _)| {
            let mut rest = line[at + word.len()..].chars();
            let letter = rest.next().is_some_and(|it| ('A'..='G').contains(&it));
            letter && rest.next().is_some_and(|it| it.is_ascii_digit()) && !line.contains(": \"")
        })
    })
}
