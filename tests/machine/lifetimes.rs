//! Draws when tokens of several lifetimes are refreshed, for the guide's page on the policy: from the schedule
//! that the machine computes under the default policy.

use std::fmt::Write;

use expect_test::expect_file;
use perennial::lifecycle::{Deadlines, Policy, Schedule, TokenTimes};
use perennial::time::{Draw, Span, Timestamp};

/// The lifetimes, in seconds.
const LIFETIMES: [u64; 4] = [60, 5 * 60, 60 * 60, 24 * 60 * 60];

const DAY: f64 = 24.0 * 60.0 * 60.0;

/// The instants of a token's life, in seconds from when its request was sent.
struct Life {
    lifetime: f64,
    /// When it is due with the most jitter.
    earliest: f64,
    /// When it is due without jitter.
    latest: f64,
    unusable: f64,
}

fn life(lifetime: u64) -> Life {
    let sent = Timestamp::from_secs(1_700_000_000);
    let with = |jitter| -> Deadlines<Timestamp> {
        let lifetime = Some(Span::from_secs(lifetime));
        let times = TokenTimes { sent, lifetime, refresh_in: None, jitter };
        match Schedule::of(&Policy::default(), times, sent) {
            Schedule::Timed(deadlines) => deadlines,
            Schedule::UntilRejected => panic!("a lifetime is stated"),
        }
    };
    // To a tenth of a second: the highest draw is just below the whole of the jitter.
    let seconds = |instant: Timestamp| instant.since(sent).to_duration().as_secs_f64();
    let after = |instant: Timestamp| (seconds(instant) * 10.0).round() / 10.0;
    let (none, most) = (with(Draw::NONE), with(Draw::new(u32::MAX)));
    assert_eq!(none.unusable_from, most.unusable_from);
    Life {
        lifetime: after(none.expires_at),
        earliest: after(most.refresh_after),
        latest: after(none.refresh_after),
        unusable: after(none.unusable_from),
    }
}

/// A duration in hours, minutes and seconds, without those that are zero; up to a minute in seconds.
fn shown(seconds: f64) -> String {
    if seconds <= 60.0 {
        return format!("{} s", (seconds * 10.0).round() / 10.0);
    }
    let (hours, rest) = ((seconds / 3600.0).floor(), seconds % 3600.0);
    let (minutes, rest) = ((rest / 60.0).floor(), rest % 60.0);
    let parts = [(hours, "h"), (minutes, "min"), (rest, "s")];
    let parts: Vec<_> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0.0)
        .map(|(count, unit)| format!("{} {unit}", (count * 10.0).round() / 10.0))
        .collect();
    parts.join(" ")
}

/// `from` and `to`, or one of them where they are the same.
fn range(from: &str, to: &str) -> String {
    if from == to { from.to_owned() } else { format!("{from} to {to}") }
}

const TABLE: &str = "\
## Table

Generated from [`Schedule`] and the default [`Policy`] by a test; `UPDATE_EXPECT=1` rewrites it. Times are counted from
when the request for the token was sent. Where a cell has two, the first is with the most jitter and the last without
any.

[`Schedule`]: ../lifecycle/schedule.rs
[`Policy`]: ../lifecycle/policy.rs

| lifetime | due for refresh from | no longer handed out from | time for the refresh, with retries | refreshes a day, if always in use |
|---|---|---|---|---|
";

fn table() -> String {
    let mut text = TABLE.to_owned();
    for Life { lifetime, earliest, latest, unusable } in LIFETIMES.map(life) {
        let due = range(&shown(earliest), &shown(latest));
        let time = range(&shown(unusable - earliest), &shown(unusable - latest));
        let a_day = |due: f64| ((DAY / due * 10.0).round() / 10.0).to_string();
        let refreshes = range(&a_day(earliest), &a_day(latest));
        writeln!(
            text,
            "| {} | {due} | {} | {time} | {refreshes} |",
            shown(lifetime),
            shown(unusable)
        )
        .expect("a string takes all");
    }
    text
}

/// What a part of a bar is drawn with, and what the legend says of it.
struct Part {
    fill: &'static str,
    opacity: f64,
    name: &'static str,
}

const VALID: Part = Part { fill: "#2da44e", opacity: 0.55, name: "handed out; no refresh is due" };
const JITTER: Part = Part {
    fill: "url(#perennial-jitter)",
    opacity: 1.0,
    name: "becomes due at a random instant of this part",
};
const WINDOW: Part =
    Part { fill: "#d4a72c", opacity: 0.75, name: "handed out; the next caller refreshes it" };
const MARGIN: Part = Part {
    fill: "#cf222e",
    opacity: 0.75,
    name: "margin: no longer handed out; callers wait for the next token",
};
const EXPIRED: Part = Part { fill: "#808080", opacity: 0.45, name: "expired: the API refuses it" };

const HEAD: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" class="perennial-lifetimes" id="picture" viewBox="0 0 960 470" width="960" role="img" style="max-width:100%;height:auto" font-family="sans-serif" font-size="13" fill="currentColor">
<title>When a token is refreshed under the default policy, for lifetimes of 60 s, 5 min, 1 h and 24 h</title>
<style>@media (prefers-color-scheme: dark) { svg.perennial-lifetimes:root { color: #d1d7e0; background: #22272e } }</style>
<defs><pattern id="perennial-jitter" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="8" height="8" fill="#2da44e" fill-opacity="0.55"/><rect width="4" height="8" fill="#d4a72c"/></pattern></defs>
"##;

/// The left panel: a whole life, each bar on a scale of its own.
const WHOLE: (f64, f64) = (100.0, 560.0);
/// The right panel: the end of the life, all bars on one scale.
const END: (f64, f64) = (690.0, 940.0);
/// What the right panel shows before the expiry, and after it, in seconds.
const END_OF_LIFE: (f64, f64) = (20.0, 5.0);

const FIRST_BAR: f64 = 138.0;
const ROW: f64 = 92.0;
const HEIGHT: f64 = 26.0;

fn picture() -> String {
    let mut text = HEAD.to_owned();
    let legend = [
        (20.0, 14.0, VALID),
        (250.0, 14.0, JITTER),
        (600.0, 14.0, WINDOW),
        (20.0, 40.0, MARGIN),
        (600.0, 40.0, EXPIRED),
    ];
    for (x, y, part) in legend {
        rect(&mut text, &part, (x, y), (18.0, 14.0));
        label(&mut text, (x + 24.0, y + 12.0), "start", part.name);
    }
    let (middle, y) = (f64::midpoint(WHOLE.0, WHOLE.1), 92.0);
    heading(&mut text, (middle, y), "the whole lifetime, each bar on its own scale");
    heading(&mut text, (f64::midpoint(END.0, END.1), y), "the end of it, all on one scale");
    heading(&mut text, (46.0, y), "lifetime");
    for (row, life) in (0..).zip(LIFETIMES.map(life)) {
        let y = FIRST_BAR + f64::from(row) * ROW;
        let (middle, lifetime) = (y + 18.0, shown(life.lifetime));
        writeln!(
            text,
            r#"<text x="46" y="{middle}" text-anchor="middle" font-size="16" font-weight="bold">{lifetime}</text>"#
        )
        .expect("a string takes all");
        draw_whole(&mut text, &life, y);
        draw_end(&mut text, &life, y);
    }
    text.push_str("</svg>\n");
    text
}

fn draw_whole(text: &mut String, life: &Life, y: f64) {
    let Life { lifetime, earliest, latest, unusable } = *life;
    let at = |seconds: f64| WHOLE.0 + (WHOLE.1 - WHOLE.0) * seconds / lifetime;
    let parts = [
        (0.0, earliest, VALID),
        (earliest, latest, JITTER),
        (latest, unusable, WINDOW),
        (unusable, lifetime, MARGIN),
    ];
    for (from, to, part) in parts {
        rect(text, &part, (at(from), y), (at(to) - at(from), HEIGHT));
    }
    tick(text, at(earliest), y);
    if earliest < latest {
        tick(text, at(latest), y);
        label(text, (at(earliest), y - 12.0), "end", &format!("due from {}", shown(earliest)));
        label(text, (at(latest), y - 12.0), "start", &format!("to {}", shown(latest)));
    } else {
        label(text, (at(latest), y - 12.0), "middle", &format!("due from {}", shown(latest)));
    }
    label(text, (at(0.0), y + HEIGHT + 18.0), "start", "sent: 0 s");
    label(text, (at(lifetime), y + HEIGHT + 18.0), "end", &shown(lifetime));
}

fn draw_end(text: &mut String, life: &Life, y: f64) {
    let (before, after) = END_OF_LIFE;
    let at = |seconds: f64| END.0 + (END.1 - END.0) * (seconds + before) / (before + after);
    let margin = life.unusable - life.lifetime;
    assert!(margin > -before && life.latest < life.lifetime - before, "all of it is shown");
    for (from, to, part) in
        [(-before, margin, WINDOW), (margin, 0.0, MARGIN), (0.0, after, EXPIRED)]
    {
        rect(text, &part, (at(from), y), (at(to) - at(from), HEIGHT));
    }
    tick(text, at(margin), y);
    label(text, (at(margin), y - 12.0), "middle", &format!("until {}", shown(life.unusable)));
    label(text, (at(0.0), y + HEIGHT + 18.0), "middle", &shown(life.lifetime));
    label(text, (at(margin), y + HEIGHT + 18.0), "middle", &format!("−{}", shown(-margin)));
    label(text, (at(-before), y + HEIGHT + 18.0), "start", &format!("−{}", shown(before)));
}

fn rect(text: &mut String, part: &Part, (x, y): (f64, f64), (width, height): (f64, f64)) {
    let Part { fill, opacity, .. } = part;
    writeln!(
        text,
        r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{fill}" fill-opacity="{opacity}"/>"#
    )
    .expect("a string takes all");
}

fn tick(text: &mut String, x: f64, y: f64) {
    let (top, bottom) = (y - 8.0, y + HEIGHT);
    writeln!(
        text,
        r#"<path d="M{x:.1} {top:.1} L{x:.1} {bottom:.1}" stroke="currentColor" stroke-width="1.4"/>"#
    )
    .expect("a string takes all");
}

fn label(text: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    writeln!(text, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#)
        .expect("a string takes all");
}

fn heading(text: &mut String, (x, y): (f64, f64), words: &str) {
    writeln!(
        text,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="middle" font-style="italic">{words}</text>"#
    )
    .expect("a string takes all");
}

// Rule B1.
#[test]
fn the_picture_of_the_guide_shows_the_schedule_of_the_default_policy() {
    expect_file!["../../src/guide/lifetimes.svg"].assert_eq(&picture());
    expect_file!["../../src/guide/lifetimes.md"].assert_eq(&table());
}
