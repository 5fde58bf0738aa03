//! Lists, for the guide's page on rotation, what the known providers declare, and how many rows of the page of
//! faults each policy survives.

use std::fmt::Write;
use std::time::Duration;

use expect_test::expect_file;
use perennial::lifecycle::{Policy, Reuse};
use perennial::provider::{self, Provider};

/// The constants of the module.
const FIXED: [(&str, Provider); 16] = [
    ("DINGTALK", provider::DINGTALK),
    ("DOORKEEPER", provider::DOORKEEPER),
    ("ENTRA_ID", provider::ENTRA_ID),
    ("FIREBASE", provider::FIREBASE),
    ("GITHUB_APP", provider::GITHUB_APP),
    ("GOOGLE", provider::GOOGLE),
    ("HUBSPOT", provider::HUBSPOT),
    ("INTUIT", provider::INTUIT),
    ("KEYCLOAK", provider::KEYCLOAK),
    ("LARK", provider::LARK),
    ("LINKEDIN", provider::LINKEDIN),
    ("META", provider::META),
    ("OKTA", provider::OKTA),
    ("SLACK", provider::SLACK),
    ("SUPABASE", provider::SUPABASE),
    ("ZOHO", provider::ZOHO),
];

type Function = fn(Duration) -> Provider;

/// The functions of the module, which take the value that the server is configured with.
const SET: [(&str, Function); 5] = [
    ("auth0", provider::auth0),
    ("cognito", provider::cognito),
    ("django_oauth_toolkit", provider::django_oauth_toolkit),
    ("hydra", provider::hydra),
    ("okta", provider::okta),
];

/// What is passed to them here, in seconds.
const SETTING: u64 = 30;

/// All of them, by name, as a program writes them.
fn known() -> Vec<(String, Provider)> {
    let fixed = FIXED.into_iter().map(|(name, provider)| (name.to_owned(), provider));
    let setting = Duration::from_secs(SETTING);
    let set = SET.into_iter().map(|(name, of)| (format!("{name}({SETTING} s)"), of(setting)));
    let mut all: Vec<_> = fixed.chain(set).collect();
    all.sort_by_key(|(name, _)| name.to_lowercase());
    all
}

/// Every constant and function that the module exports is listed.
fn assert_all_are_listed() {
    let source = include_str!("../../src/provider.rs");
    let (_, exported) = source.split_once("pub use known::{").expect("the module's exports");
    let (exported, _) = exported.split_once('}').expect("the end of the list");
    let names = exported.split(',').map(str::trim).filter(|name| !name.is_empty());
    let listed: Vec<_> =
        FIXED.map(|(name, _)| name).into_iter().chain(SET.map(|(name, _)| name)).collect();
    let absent: Vec<_> = names.filter(|name| !listed.contains(name)).collect();
    assert!(absent.is_empty(), "not listed: {absent:?}");
}

/// How a program writes the declaration.
fn declared(reuse: Reuse) -> String {
    let seconds = |window: perennial::time::Span| window.as_millis() / 1000;
    match reuse {
        Reuse::Strict => "`Strict`".to_owned(),
        Reuse::OverlapAccessOnly(window) => format!("`OverlapAccessOnly`, {} s", seconds(window)),
        Reuse::OverlapSuccessors(window) => format!("`OverlapSuccessors`, {} s", seconds(window)),
        Reuse::Idempotent(window) => format!("`Idempotent`, {} s", seconds(window)),
        Reuse::ConfirmByUse => "`ConfirmByUse`".to_owned(),
        Reuse::Unrotated => "`Unrotated`".to_owned(),
    }
}

const PROVIDERS: &str = "\
## The known providers

Generated from the module [`provider`] by a test; `UPDATE_EXPECT=1` rewrites it. The deadline of a refresh is the one
that the policy derives from the declaration where none is set. Functions take the value that the server is configured
with; here that is 30 s.

[`provider`]: ../provider.rs

| in the module | declares | deadline of a refresh |
|---|---|--:|
";

const FAULTS: &str = "
## The rows of the page of faults

Counted on the page [`faults`] by the same test. Its last row asks whether the second use of a stolen refresh token is
detected, and is not among those that are counted.

[`faults`]: ../faults.md

| | strict | overlap (access only) | overlap (successors) | idempotent | confirm by use |
|---|--:|--:|--:|--:|--:|
";

fn page() -> String {
    let mut text = PROVIDERS.to_owned();
    for (name, provider) in known() {
        let policy = Policy::builder().reuse(provider.reuse()).build().expect("a known provider");
        let deadline = (policy.refresh_deadline().as_secs_f64() * 10.0).round() / 10.0;
        writeln!(text, "| `{name}` | {} | {deadline} s |", declared(provider.reuse()))
            .expect("a string takes all");
    }
    text.push_str(FAULTS);
    let rows = rows(include_str!("../../src/faults.md"));
    let (last, counted) = rows.split_last().expect("the page has a table");
    let cells = |cell: &dyn Fn(usize) -> String| -> String {
        (0..5).map(cell).collect::<Vec<_>>().join(" | ")
    };
    let survived = cells(&|at| counted.iter().filter(|row| row[at]).count().to_string());
    let detected = cells(&|at| if last[at] { "yes" } else { "no" }.to_owned());
    writeln!(text, "| rows that are survived, of {} | {survived} |", counted.len())
        .expect("a string takes all");
    writeln!(text, "| a second use is always detected | {detected} |").expect("a string takes all");
    text
}

/// Which cells of each row of the page of faults say yes.
fn rows(page: &str) -> Vec<[bool; 5]> {
    let rows: Vec<_> = page
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [_, number, _, policies @ .., _] = &cells[..] else { return None };
            number.parse::<u32>().ok()?;
            let policies = <[&str; 5]>::try_from(policies).expect("a cell for each policy");
            Some(policies.map(|cell| {
                assert!(cell == "yes" || cell.starts_with("[**no**]"), "{line}");
                cell == "yes"
            }))
        })
        .collect();
    assert!(rows.len() > 20, "is the table still found?");
    rows
}

// Rules B6, B13.
#[test]
fn the_table_of_the_guide_lists_what_the_known_providers_declare() {
    assert_all_are_listed();
    expect_file!["../../src/guide/providers.md"].assert_eq(&page());
}
