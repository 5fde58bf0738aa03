//! The page `tests/README.md`: where each case from the field is a test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// The tests that cite a case, by its number.
pub(crate) type Cases = BTreeMap<u32, BTreeSet<String>>;

/// The numbers after `Case` or `Cases` in a comment: `Case X3.`, `Cases X31, X32.`
pub(crate) fn numbers(comment: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for (at, _) in comment.match_indices("Case") {
        let words = comment[at + 4..].trim_start_matches('s');
        for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
            let digits = word
                .strip_prefix('X')
                .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            match digits.and_then(|digits| digits.parse().ok()) {
                Some(number) => numbers.push(number),
                None if word == "and" => continue,
                None => break,
            }
            if !word.ends_with(char::is_numeric) {
                break;
            }
        }
    }
    numbers
}

/// Adds what `text`, the file of this path, cites: each for the function that comes next.
pub(crate) fn add(cases: &mut Cases, file: &str, text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some((_, comment)) = line.split_once("//") else { continue };
        for number in numbers(comment) {
            let mut after = lines[index..].iter().map(|line| line.trim_start());
            let function = after.find_map(|line| {
                let line = line.trim_start_matches("pub(crate) ").trim_start_matches("async ");
                let name = line.strip_prefix("fn ")?;
                Some(name.split(['(', '<']).next().unwrap_or(name).to_owned())
            });
            let place = file.trim_start_matches("tests/").trim_end_matches(".rs");
            let of_file = comment.starts_with('!') || function.is_none();
            let name = if of_file { String::new() } else { function.unwrap_or_default() };
            cases.entry(number).or_default().insert(format!("`{place}` {name}").trim_end().into());
        }
    }
}

/// The table.
pub(crate) fn table(cases: &Cases) -> String {
    let mut page = String::from("| case | tests |\n|---|---|\n");
    for (number, tests) in cases {
        let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
        let _ = writeln!(page, "| X{number} | {} |", tests.join("<br>"));
    }
    page
}
