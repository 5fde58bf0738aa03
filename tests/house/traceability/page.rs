//! Writes the page: which engines exercise which rule, and for each rule its code and its tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::book::{Book, Engine, Entry};
use super::citations::Rule;

/// The columns, and the names that tests go by.
const ENGINES: [(Engine, &str); 11] = [
    (Engine::Unit, "unit"),
    (Engine::Proptest, "proptest"),
    (Engine::SmallWidth, "small width"),
    (Engine::Proof, "proof"),
    (Engine::Stateright, "stateright"),
    (Engine::Spin, "spin"),
    (Engine::Loom, "loom"),
    (Engine::Shuttle, "shuttle"),
    (Engine::Threads, "threads"),
    (Engine::Simulation, "simulation"),
    (Engine::Fuzz, "fuzz"),
];

const HEAD: &str = "\
# Rules, code and tests

Generated from the comments that cite the rules of [the reference text][spec], by
`tests/house/traceability`; `UPDATE_EXPECT=1 cargo test --test house` writes it anew. In quotation
marks are a rule's own words, as the code quotes them: `tests/house/tidy.rs` compares them. A mark says that
a test of that engine names the rule as one that it would fail without; what each engine can and cannot
show is on [the page of verification][verification].

- *unit*: examples, tables, every order of now against the deadlines; *proptest*: sequences and values
  at random.
- *small width*: the shipped source on instants of a few bits, to the end; *proof*: the same on all
  64-bit times, by z3; *stateright*: the shipped source, alone and against an adversary.
- *spin*: the protocol of those who wait, by hand; *loom*: every interleaving of two or three threads;
  *shuttle*: many threads, schedules that are drawn; *threads*: real ones, also under the sanitizers.
- *simulation*: whole worlds from one seed; *fuzz*: what `libFuzzer` finds to try.
";

/// The page.
pub(crate) fn page(book: &Book) -> String {
    let mut page = HEAD.to_owned();
    summary(&mut page, book);
    matrix(&mut page, book);
    for rule in &book.rules {
        section(&mut page, book, rule);
    }
    page.push('\n');
    for file in files(book) {
        let inside = file.strip_prefix("src/").unwrap_or(file);
        let _ = writeln!(page, "[`{file}`]: {inside}");
    }
    page.push_str("[spec]: spec.md\n[verification]: verification.md\n");
    page
}

/// What the links of this page, and of the page of verification, lead to in `rustdoc`: of several
/// definitions the first one counts.
pub(crate) fn links(book: &Book) -> String {
    let mut links = String::from(
        "[spec]: ../spec/index.html
[traceability]: ../traceability/index.html
\
         [verification]: ../verification/index.html
",
    );
    for file in files(book) {
        let inside = file.strip_prefix("src/").unwrap_or(file);
        let _ = writeln!(links, "[`{file}`]: ../../src/perennial/{inside}.html");
    }
    links
}

fn files(book: &Book) -> BTreeSet<&str> {
    book.code.iter().map(|entry| entry.file.as_str()).collect()
}

fn summary(page: &mut String, book: &Book) {
    let quotations: usize = book.code.iter().map(|entry| entry.citation.quotations.len()).sum();
    let tests: BTreeSet<_> = book.tests.iter().map(|entry| (&entry.file, &entry.item)).collect();
    let _ = writeln!(
        page,
        "\n{} rules; the code cites them {} times and quotes them {quotations} times; {} tests and \
         properties name the rules that they defend.",
        book.rules.len(),
        book.code.len(),
        tests.len()
    );
}

fn matrix(page: &mut String, book: &Book) {
    let names = ENGINES.map(|(_, name)| name);
    let _ = writeln!(page, "\n| rule | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|{}", ":-:|".repeat(ENGINES.len()));
    let mut totals = [0; ENGINES.len()];
    for rule in &book.rules {
        let engines: BTreeSet<_> =
            Book::citing(&book.tests, &rule.name).flat_map(|entry| &entry.engines).collect();
        let _ = write!(page, "| [{0}](#{1}) |", rule.name, rule.name.to_lowercase());
        for ((engine, _), total) in ENGINES.iter().zip(&mut totals) {
            let exercises = engines.contains(engine);
            *total += usize::from(exercises);
            page.push_str(if exercises { " ● |" } else { " |" });
        }
        page.push('\n');
    }
    let _ = writeln!(page, "| rules | {} |", totals.map(|total| total.to_string()).join(" | "));
}

fn section(page: &mut String, book: &Book, rule: &Rule) {
    let _ = writeln!(page, "\n## {}\n\n{}\n\nKept by:\n", rule.name, rule.words);
    let mut places: BTreeMap<(&str, &str), Vec<&Entry>> = BTreeMap::new();
    for entry in Book::citing(&book.code, &rule.name) {
        places.entry((&entry.file, &entry.item)).or_default().push(entry);
    }
    for ((file, item), entries) in places {
        let quotations = entries.iter().flat_map(|entry| &entry.citation.quotations);
        let quoted: Vec<_> =
            quotations.map(|quotation| format!("“{}”", plain(&quotation.words))).collect();
        let said: BTreeSet<_> =
            entries.iter().map(|entry| plain(&entry.citation.sentence)).collect();
        let words =
            if quoted.is_empty() { Vec::from_iter(said).join(" ") } else { quoted.join(", ") };
        let of = if item.is_empty() { "the module".into() } else { format!("`{item}`") };
        let _ = writeln!(page, "- [`{file}`], {of}: {words}");
    }
    page.push_str("\nTested by:\n\n");
    for (engine, name) in ENGINES {
        let mut tests: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for entry in Book::citing(&book.tests, &rule.name) {
            if entry.engines.contains(&engine) {
                tests.entry(&entry.file).or_default().insert(&entry.item);
            }
        }
        for (file, items) in tests {
            let named: Vec<_> = items
                .iter()
                .filter(|item| !item.is_empty())
                .map(|item| format!("`{item}`"))
                .collect();
            let colon = if named.is_empty() { "" } else { ": " };
            let _ = writeln!(page, "- {name}, `{file}`{colon}{}", named.join(", "));
        }
    }
}

/// A comment's words without its links, tables and list marks.
fn plain(text: &str) -> String {
    let mut words = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("](") {
        let (before, name) = before.rsplit_once('[').unwrap_or((before, ""));
        words.extend([before, name]);
        rest = link.split_once(')').map_or("", |(_, after)| after);
    }
    words.push_str(rest);
    let words = words.replace("[`", "`").replace("`]", "`");
    words.trim_start_matches(['-', '|', ' ']).trim_end_matches([' ', '|']).replace(" | ", ": ")
}
