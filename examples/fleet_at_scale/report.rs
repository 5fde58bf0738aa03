//! The tables of the page, in Markdown.

use std::fmt::Write as _;

use crate::measure::Estimate;
use crate::redis::Bytes;
use crate::{Fleet, Run};

/// Returns both tables: estimate beside simulation, and what an outage leaves behind.
pub(crate) fn tables(fleet: &Fleet, bytes: &Bytes, runs: &[Run]) -> String {
    let mut text = String::new();
    let line = &mut text;
    let estimates = [true, false].map(|jitter| Estimate::of(fleet, bytes, jitter));
    let unlimited = |jitter| {
        let found = runs.iter().find(|it| it.scenario.jitter == jitter);
        found.expect("both were simulated").figures
    };
    let figures = [true, false].map(unlimited);
    let _ = write!(
        line,
        "Without an outage, {} grants held by {} of {} processes each:\n\n\
         | a second | with jitter: estimate | simulated | without: estimate | simulated |\n|---|--:|--:|--:|--:|\n",
        rounded(fleet.grants as f64),
        fleet.holders,
        rounded(fleet.processes as f64),
    );
    let mut row = |name: &str, cells: [f64; 4]| {
        let cells = cells.map(rounded).join(" | ");
        let _ = writeln!(line, "| {name} | {cells} |");
    };
    let [with, without] = &estimates;
    let [seen, seen_without] = &figures;
    row("refreshes", [with.refreshes, seen.refreshes, without.refreshes, seen_without.refreshes]);
    row("steps of Redis", [with.steps, seen.steps, without.steps, seen_without.steps]);
    let mega = 1e6;
    row(
        "megabytes to and from Redis",
        [with.bytes / mega, seen.bytes / mega, without.bytes / mega, seen_without.bytes / mega],
    );
    row(
        "changes published",
        [with.published, seen.published, without.published, seen_without.published],
    );
    let each = fleet.processes as f64 / 1e6;
    let cells = [with, without].map(|it| it.published * each);
    let (one, two) = (seen.published * each, seen_without.published * each);
    row("million messages, one to each process", [cells[0], one, cells[1], two]);
    row(
        "megabytes of messages to one process",
        [with.published, seen.published, without.published, seen_without.published]
            .map(|it| it * bytes.message as f64 / mega),
    );
    let _ = write!(
        text,
        "\nA record has {} bytes here, with an access token of {}. From one refresh of a grant to its next: \
         {:.1} s with jitter, {:.1} s without. Of bins of {} s the highest has {:.2} and {:.2} times the mean \
         of the refreshes.\n\n",
        bytes.record,
        fleet.access_token,
        with.interval,
        without.interval,
        fleet.bin.as_secs(),
        seen.peak / seen.refreshes,
        seen_without.peak / seen_without.refreshes,
    );
    outage(&mut text, fleet, runs, with, without);
    text
}

fn outage(text: &mut String, fleet: &Fleet, runs: &[Run], with: &Estimate, without: &Estimate) {
    let _ = write!(
        text,
        "An outage of the token endpoint of {} s. Rates are the highest, in multiples of the mean of the \
         refreshes without an outage (the steps: of the steps):\n\n\
         | | jitter, no limit | none, no limit | jitter, limit | none, limit |\n|---|--:|--:|--:|--:|\n",
        fleet.outage.as_secs(),
    );
    let mut row = |name: &str, cell: &dyn Fn(&Run) -> String| {
        let cells = runs.iter().map(cell).collect::<Vec<_>>().join(" | ");
        let _ = writeln!(text, "| {name} | {cells} |");
    };
    let times = |it: f64| format!("{it:.1} ×");
    row("granted by the endpoint, at most", &|it| match it.scenario.capacity {
        Some(_) => format!("{} ×", fleet.capacity),
        None => "all".into(),
    });
    row("requests in the outage, estimate", &|it| {
        times(if it.scenario.jitter { with } else { without }.asked_in_outage)
    });
    row("requests in the outage", &|it| times(it.figures.asked_in_outage));
    row("steps of Redis in the outage", &|it| times(it.figures.steps_in_outage));
    row("requests after it", &|it| times(it.figures.asked_after));
    row("granted after it", &|it| times(it.figures.granted_after));
    row("requests a lifetime later", &|it| times(it.figures.asked_again));
    row("granted a lifetime later", &|it| times(it.figures.echo));
    row("grants without a usable token, at worst", &|it| {
        format!("{:.1} %", it.figures.lapsed * 100.0)
    });
    row("until all have recovered", &|it| crate::measure::seconds(it.figures.recovered));
}

/// Three digits that count, and thousands set apart.
pub(crate) fn rounded(number: f64) -> String {
    if number == 0.0 {
        return "0".into();
    }
    if number < 100.0 {
        return format!("{number:.1}");
    }
    let unit = 10_f64.powf((number.log10().floor() - 2.0).max(0.0));
    let digits = format!("{:.0}", (number / unit).round() * unit);
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
