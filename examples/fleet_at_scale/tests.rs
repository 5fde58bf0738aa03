//! A small form of the page's simulation.

use clap::Parser as _;
use expect_test::expect_file;

use crate::measure::Estimate;
use crate::redis::Bytes;
use crate::{Fleet, picture, report, runs};

fn small() -> (Fleet, Bytes) {
    let fleet = Fleet::parse_from(["fleet_at_scale", "--sample", "1000", "--bin", "60s"]);
    let bytes = Bytes::measured(fleet.access_token, fleet.refresh_token, fleet.lifetime);
    (fleet, bytes)
}

// Rules B1, B7, F4.
#[test]
fn a_fleet_refreshes_each_grant_once_an_expiry_at_the_rate_that_arithmetic_says() {
    let (fleet, bytes) = small();
    let runs = runs(&fleet, bytes);
    for run in &runs {
        assert_eq!(run.counts.reused, 0, "{:?}: a spent refresh token was sent", run.scenario);
        let estimate = Estimate::of(&fleet, &bytes, run.scenario.jitter);
        let (expected, seen) = (estimate.refreshes, run.figures.refreshes);
        let off = (seen / expected - 1.0).abs();
        // The sample's own noise is 3 %.
        assert!(off < 0.1, "{:?}: {seen} refreshes a second, not {expected}", run.scenario);
    }
    // Jitter keeps holders apart, so that the arithmetic of the steps holds: none waits for another.
    let estimate = Estimate::of(&fleet, &bytes, true);
    let off = (runs[0].figures.steps / estimate.steps - 1.0).abs();
    assert!(off < 0.06, "{} steps a second, not {}", runs[0].figures.steps, estimate.steps);
    // What was granted at once after an outage does not come back at once.
    assert!(runs[0].figures.echo < runs[1].figures.echo / 2.0, "jitter makes no difference");
    expect_file!["../../tests/snapshots/fleet_at_scale.txt"]
        .assert_eq(&report::tables(&fleet, &bytes, &runs));
    let again = crate::runs(&fleet, bytes);
    let [first, second] = [&runs, &again].map(|it| picture::draw(&fleet, it).expect("drawn"));
    assert!(first == second, "the same seed gives another picture");
}
