//! The page `src/traceability.md`: each rule, the code that keeps it, the tests that defend it. And
//! that what holds it true, the parsing of citations, refuses what is wrong.

pub(crate) mod book;
mod cases;
pub(crate) mod citations;
mod items;
mod page;

use std::path::Path;

use book::{Book, Engine};
use expect_test::expect_file;

const SPEC: &str = "\
Words before the rules.

- **B1** A token MUST live
  `exactly` [10 s], and *not* longer; then it
  MUST die.
- **B2** Nothing MUST
  come back.

## C. More
";

const GOOD: &str = "\
/// Rule B1: \"A token MUST live exactly [10 s],
/// and not longer\".
fn lives() {}
// Rule B2: \"Nothing MUST come back.\"
fn dies() {}
";

const TESTED: &str = "// Rules B1, B2.\n#[test]\nfn it_dies() {}\n";

fn faults(code: &str, tests: &str) -> Vec<String> {
    Book::of_texts(SPEC, &[("src/a.rs", code), ("tests/b.rs", tests)]).faults()
}

#[track_caller]
fn refused(code: &str, tests: &str, with: &str) {
    let faults = faults(code, tests);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].contains(with), "{faults:?}");
}

#[test]
fn the_page_says_what_the_comments_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let book = Book::of_repository(root);
    assert!(book.rules.len() > 30 && book.tests.len() > 200, "are they still found?");
    expect_file!["../../../src/traceability.md"].assert_eq(&page::page(&book));
    expect_file!["../../../src/links.md"].assert_eq(&page::links(&book));
}

/// The cases that must have a test by now.
const CASES: [std::ops::RangeInclusive<u32>; 4] = [1..=29, 31..=34, 36..=42, 44..=55];

/// What stands above the table.
const TESTS: &str = include_str!("../../README.md");

#[test]
fn each_case_from_the_field_is_a_test_that_cites_its_number() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut cited = cases::Cases::new();
    for folder in ["src", "tests"] {
        for file in book::files(root, folder, &["rs"]) {
            if !file.starts_with("tests/house/traceability") {
                cases::add(&mut cited, &file, &book::read(root, &file));
            }
        }
    }
    let (above, _) = TESTS.split_once("| case |").expect("the table's head");
    expect_file!["../../README.md"].assert_eq(&format!("{above}{}", cases::table(&cited)));
    let missing: Vec<_> =
        CASES.into_iter().flatten().filter(|number| !cited.contains_key(number)).collect();
    assert!(missing.is_empty(), "no test cites these cases: {missing:?}");
}

#[test]
fn a_case_is_cited_by_its_number_one_or_several() {
    for (comment, numbers) in [
        (" Rule B6. Case X3. It is final.", &[3][..]),
        (" Rules B6, B11. Cases X31, X32 and X55.", &[31, 32, 55]),
        (" Case X51: two lost requests, or X7.", &[51]),
        (" Case by case, X3", &[]),
        (" Case X1. Case X2.", &[1, 2]),
    ] {
        assert_eq!(cases::numbers(comment), numbers, "{comment}");
    }
}

#[test]
fn a_rule_that_is_quoted_and_tested_has_no_fault() {
    assert_eq!(faults(GOOD, TESTED), [""; 0]);
}

#[test]
fn a_wrong_quotation_is_refused_with_its_place_and_the_rules_own_words() {
    let wrong = GOOD.replace("and not longer", "or somewhat longer");
    refused(&wrong, TESTED, "src/a.rs:1: the rule does not say so");
    refused(&wrong, TESTED, "rule B1: \"A token MUST live exactly 10 s, and not longer; then it");
    refused(&wrong, TESTED, "or somewhat longer");
}

#[test]
fn a_quotation_of_another_rules_words_is_refused() {
    let other = format!("{GOOD}// Rule B1: \"Nothing MUST come back.\"\nfn f() {{}}\n");
    refused(&other, TESTED, "src/a.rs:6: the rule does not say so");
}

#[test]
fn a_quotation_that_breaks_a_word_or_says_next_to_nothing_or_has_no_end_is_refused() {
    let with = |words: &str| format!("{GOOD}// Rule B2: {words}\nfn more() {{}}\n");
    refused(&with("\"hing MUST come\""), TESTED, "src/a.rs:6: the rule does not say so");
    refused(&with("\"come back\""), TESTED, "less than three words");
    refused(&with("\"Nothing MUST come back."), TESTED, "has no end");
}

#[test]
fn a_quotation_is_compared_in_tests_too_and_wherever_it_stands_in_the_comment() {
    let with = |line: &str| format!("{GOOD}{line}\n");
    let helper = "/// It dies (rule B1: \"then it does not die\").\nfn dies() {}\n";
    refused(GOOD, &format!("{TESTED}{helper}"), "tests/b.rs:4: the rule does not say so");
    refused(&with("fn f() {} // rule B1: \"A token MUST sleep\""), TESTED, "src/a.rs:6: ");
    let second = "// Rule B1: \"then it MUST die\", \"then it MUST rest\".";
    refused(&with(second), TESTED, "quoted: \"then it MUST rest\"");
    let other = "// Rule B2: \"Nothing MUST come back\". Rule B1: \"Nothing MUST come back\".";
    refused(&with(other), TESTED, "rule B1: ");
}

#[test]
fn words_in_quotes_that_are_said_of_no_rule_are_let_be() {
    let code =
        format!("{GOOD}// A \"word\", as rule B1 has it, and \"another word\".\nfn f() {{}}\n");
    assert_eq!(faults(&code, TESTED), [""; 0]);
}

#[test]
fn a_rule_without_code_without_a_quotation_or_without_a_test_is_refused() {
    let (first, _) = GOOD.split_at(GOOD.find("// Rule B2").expect("it is there"));
    refused(first, TESTED, "no code cites rule B2");
    refused(&format!("{first}// Rule B2.\nfn dies() {{}}\n"), TESTED, "no code quotes rule B2");
    refused(GOOD, &TESTED.replace(", B2", ""), "no test cites rule B2");
    // What is no test defends nothing.
    assert_eq!(faults(GOOD, &TESTED.replace("#[test]\n", "")).len(), 2);
    // Nor does a test beside the code keep its rule.
    let test = TESTED.replace("Rules B1, B2", "Rule B2: \"Nothing MUST come back\"");
    assert_eq!(faults(&format!("{first}{test}"), TESTED), ["no code cites rule B2"]);
}

#[test]
fn a_rule_that_is_not_stated_is_refused_wherever_it_is_cited() {
    refused(
        &format!("{GOOD}// Rules B1 and B9.\nfn f() {{}}\n"),
        TESTED,
        "src/a.rs:6: src/spec.md states no rule B9",
    );
    refused(
        GOOD,
        &TESTED.replace("B1, B2", "B1, B2, Z7"),
        "tests/b.rs:1: src/spec.md states no rule Z7",
    );
}

#[test]
fn a_citation_is_of_the_item_that_follows_or_else_of_the_one_around_it() {
    let code = "\
//! All of it (rule B1).
struct Held {
    /// Rule B1.
    since: u8,
}
impl<T: Fn() -> u8> super::Clock for Held<T>
where
    T: Copy,
{
    /// Rule B1.
    #[inline]
    pub(super) const fn now(
        self,
    ) -> u8 {
        match self {
            // Rule B1.
            Self { since } => since,
        }
    }
}
";
    let book = Book::of_texts(SPEC, &[("src/a.rs", code)]);
    let items: Vec<_> = book.code.iter().map(|entry| entry.item.as_str()).collect();
    assert_eq!(items, ["", "Held", "Held::now", "Held::now"]);
}

#[test]
fn an_engine_is_known_by_the_place_of_its_tests() {
    let test = "// Rule B1.\n#[test]\nfn a() {}\n";
    let property = "// Rule B1.\nfn a() {}\n";
    let drawn = "proptest! {\n    // Rule B1.\n    #[test]\n    fn a(x: u8) {\n    }\n}\n";
    for (file, text, engines) in [
        ("tests/a.rs", test, &[Engine::Unit][..]),
        ("examples/a/main.rs", test, &[Engine::Unit]),
        ("src/a.rs", test, &[Engine::Unit]),
        ("tests/a.rs", drawn, &[Engine::Proptest]),
        ("src/session/models.rs", test, &[Engine::Loom]),
        ("tests/loom/a.rs", test, &[Engine::Loom]),
        ("tests/shuttle/a.rs", test, &[Engine::Shuttle]),
        ("tests/stress.rs", test, &[Engine::Threads]),
        ("tests/machine/lifecycle/orders/exhaustive.rs", test, &[Engine::SmallWidth]),
        ("tests/formal/proof/src/a.rs", property, &[Engine::SmallWidth, Engine::Proof]),
        ("tests/formal/model/src/a.rs", property, &[Engine::Stateright]),
        ("tests/formal/spin/a.pml", "/* Rule B1. */\nltl a { x }\n", &[Engine::Spin]),
        ("tests/simulation/a.rs", property, &[Engine::Simulation]),
        ("fuzz/fuzz_targets/a.rs", "//! Rules B1, B2.\n", &[Engine::Fuzz]),
    ] {
        let book = Book::of_texts(SPEC, &[(file, text)]);
        assert_eq!(book.tests[0].engines, engines, "{file}");
        assert!(book.code.is_empty(), "{file}");
    }
    let in_passing = "/// Draws (rule B1).\nfn a() {}\n";
    for (file, text) in [
        ("tests/a.rs", property),
        ("tests/loom/a.rs", property),
        ("tests/simulation/a.rs", in_passing),
        ("tests/formal/proof/src/a.rs", in_passing),
    ] {
        assert!(Book::of_texts(SPEC, &[(file, text)]).tests.is_empty(), "{file}: no test");
    }
}
