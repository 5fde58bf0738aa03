//! Lists, for the guide's page on rotation, what the known providers declare, and how many rows of the page of
//! faults each policy survives.

use std::fmt::Write;
use std::time::Duration;

use expect_test::expect_file;
use perennial::lifecycle::{Policy, Reuse};
use perennial::provider::{self, Provider};

/// The providers that are constants; and those that take a setting, with an example of it in seconds.
fn known() -> Vec<(Provider, Option<u64>)> {
    let fixed = [
        provider::DINGTALK,
        provider::DOORKEEPER,
        provider::ENTRA_ID,
        provider::FIREBASE,
        provider::GITHUB_APP,
        provider::GOOGLE,
        provider::HUBSPOT,
        provider::INTUIT,
        provider::KEYCLOAK,
        provider::LARK,
        provider::LINKEDIN,
        provider::META,
        provider::OKTA,
        provider::SLACK,
        provider::SUPABASE,
        provider::ZOHO,
    ];
    let fixed = fixed.into_iter().map(|provider| (provider, None));
    let set = [provider::auth0, provider::cognito, provider::hydra, provider::django_oauth_toolkit];
    let set = set.into_iter().map(|with| (with(Duration::from_secs(30)), Some(30)));
    let mut all: Vec<_> = fixed.chain(set).collect();
    all.sort_by_key(|(provider, _)| provider.name().to_lowercase());
    all
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
that the policy derives from the declaration where none is set.

[`provider`]: ../provider.rs

| provider | declares | deadline of a refresh |
|---|---|--:|
";

const FAULTS: &str = "
## The rows of the page of faults

Counted on the page [`faults`] by the same test. Its last row asks whether the second use of a stolen refresh token is
detected, and is not among those that are counted.

[`faults`]: ../faults.md

| | strict | overlap, access token only | idempotent | confirm by use |
|---|--:|--:|--:|--:|
";

fn page() -> String {
    let mut text = PROVIDERS.to_owned();
    for (provider, setting) in known() {
        let reuse = provider.reuse();
        let policy = Policy::builder().reuse(reuse).build().expect("a known provider");
        let deadline = policy.refresh_deadline().as_secs_f64();
        let setting = setting.map_or(String::new(), |seconds| format!(", set to {seconds} s"));
        writeln!(
            text,
            "| {}{setting} | {} | {} s |",
            provider.name(),
            declared(reuse),
            (deadline * 10.0).round() / 10.0
        )
        .expect("a string takes all");
    }
    text.push_str(FAULTS);
    let rows = rows(include_str!("../../src/faults.md"));
    let (last, counted) = rows.split_last().expect("the page has a table");
    let cells = |cell: &dyn Fn(usize) -> String| -> String {
        (0..4).map(cell).collect::<Vec<_>>().join(" | ")
    };
    let survived = cells(&|at| counted.iter().filter(|row| row[at]).count().to_string());
    let detected = cells(&|at| if last[at] { "yes" } else { "no" }.to_owned());
    writeln!(text, "| rows that are survived, of {} | {survived} |", counted.len())
        .expect("a string takes all");
    writeln!(text, "| a second use is always detected | {detected} |").expect("a string takes all");
    text
}

/// Which cells of each row of the page of faults say yes.
fn rows(page: &str) -> Vec<[bool; 4]> {
    let rows: Vec<_> = page
        .lines()
        .filter_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let [_, number, _, strict, overlap, idempotent, confirm, _] = cells[..] else {
                return None;
            };
            number.parse::<u32>().ok()?;
            Some([strict, overlap, idempotent, confirm].map(|cell| {
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
    expect_file!["../../src/guide/providers.md"].assert_eq(&page());
}
