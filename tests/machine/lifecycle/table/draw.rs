//! Draws the state diagram of the documentation: where each box and arrow lies is written here by hand,
//! what the arrows say comes from the machine.

use std::fmt::Write;

use super::render::{Group, Transition};

/// A line of text is so high.
const LEADING: i32 = 16;

/// What a state's box says under its name; what it is drawn with.
struct Place {
    group: Group,
    lines: &'static [&'static str],
    colour: &'static str,
    /// Left, top, width, height.
    area: (i32, i32, i32, i32),
}

const PLACES: [Place; 4] = [
    Place {
        group: Group::Valid,
        lines: &["the token is used;", "no refresh is due"],
        colour: "#2da44e",
        area: (20, 20, 200, 90),
    },
    Place {
        group: Group::Expiring,
        lines: &["the token is used;", "a refresh is due"],
        colour: "#bf8700",
        area: (580, 20, 200, 90),
    },
    Place {
        group: Group::Refreshing,
        lines: &["the old token works, or", "callers wait"],
        colour: "#218bff",
        area: (290, 210, 220, 90),
    },
    Place {
        group: Group::Expired,
        lines: &[
            "a refresh may help,",
            "the configuration must be corrected,",
            "a login may help, or",
            "only a login can help",
        ],
        colour: "#cf222e",
        area: (260, 430, 280, 120),
    },
];

/// Where the text beside an arrow is: from here on, up to here, or around here in one line.
enum Label {
    From(i32, i32),
    UpTo(i32, i32),
    Around(i32, i32),
}

/// An arrow from one state to another, or within one: its corners, and where its text is.
struct Arrow(Group, Group, &'static [(i32, i32)], Label);

const ARROWS: [Arrow; 14] = [
    Arrow(Group::Valid, Group::Expiring, &[(220, 40), (580, 40)], Label::Around(400, 32)),
    Arrow(Group::Expiring, Group::Valid, &[(580, 56), (220, 56)], Label::Around(400, 73)),
    Arrow(
        Group::Valid,
        Group::Refreshing,
        &[(220, 92), (310, 92), (310, 210)],
        Label::From(318, 164),
    ),
    Arrow(
        Group::Expiring,
        Group::Refreshing,
        &[(580, 92), (490, 92), (490, 210)],
        Label::UpTo(482, 164),
    ),
    Arrow(
        Group::Refreshing,
        Group::Valid,
        &[(290, 240), (190, 240), (190, 110)],
        Label::From(198, 148),
    ),
    Arrow(
        Group::Refreshing,
        Group::Expiring,
        &[(510, 240), (610, 240), (610, 110)],
        Label::UpTo(602, 148),
    ),
    Arrow(Group::Refreshing, Group::Expired, &[(375, 300), (375, 430)], Label::UpTo(367, 334)),
    Arrow(Group::Expired, Group::Refreshing, &[(425, 430), (425, 300)], Label::From(433, 370)),
    Arrow(
        Group::Valid,
        Group::Expired,
        &[(145, 110), (145, 470), (260, 470)],
        Label::From(153, 320),
    ),
    Arrow(
        Group::Expired,
        Group::Valid,
        &[(260, 510), (100, 510), (100, 110)],
        Label::UpTo(92, 320),
    ),
    Arrow(
        Group::Expiring,
        Group::Expired,
        &[(655, 110), (655, 470), (540, 470)],
        Label::UpTo(647, 330),
    ),
    Arrow(
        Group::Expired,
        Group::Expiring,
        &[(540, 510), (700, 510), (700, 110)],
        Label::From(708, 320),
    ),
    Arrow(
        Group::Refreshing,
        Group::Refreshing,
        &[(510, 265), (540, 265), (540, 287), (510, 287)],
        Label::From(548, 265),
    ),
    Arrow(
        Group::Expired,
        Group::Expired,
        &[(540, 526), (570, 526), (570, 542), (540, 542)],
        Label::From(578, 533),
    ),
];

const HEAD: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" class="perennial-states" id="diagram" viewBox="0 0 800 610" width="800" role="img" style="max-width:100%;height:auto" font-family="sans-serif" font-size="13" fill="currentColor" stroke-width="1.4">
<title>The states of the client machine, and the events that lead from one to another</title>
<style>@media (prefers-color-scheme: dark) { svg.perennial-states:root { color: #d1d7e0 } }</style>
<defs><marker id="perennial-arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L8 4 L0 8 Z" fill="currentColor"/></marker></defs>
"#;

/// The beginning: nothing is held, and only a login can help.
const BEGINNING: &str = r#"<circle cx="400" cy="594" r="5"/>
<path d="M400 594 L400 551" fill="none" stroke="currentColor" marker-end="url(#perennial-arrow)"/>
<text x="412" y="598">a new session</text>
"#;

/// The whole diagram. Each transition must have an arrow, and each arrow a transition.
pub(crate) fn svg(transitions: &[Transition]) -> String {
    let mut text = HEAD.to_owned();
    for place in &PLACES {
        draw_box(&mut text, place);
    }
    text.push_str(BEGINNING);
    let mut drawn = 0;
    for arrow in &ARROWS {
        let Arrow(from, to, corners, label) = arrow;
        let along: Vec<_> =
            transitions.iter().filter(|transition| transition.groups() == (*from, *to)).collect();
        assert!(!along.is_empty(), "nothing leads from {from:?} to {to:?}");
        drawn += along.len();
        let mut kinds: Vec<_> = along.iter().flat_map(|along| along.kinds.clone()).collect();
        kinds.sort_unstable();
        let mut kinds: Vec<_> = kinds.into_iter().map(|(_, kind)| kind).collect();
        kinds.dedup();
        draw_arrow(&mut text, corners);
        draw_label(&mut text, label, &kinds);
    }
    assert_eq!(drawn, transitions.len(), "a transition has no arrow");
    text.push_str("</svg>\n");
    text
}

fn draw_box(text: &mut String, place: &Place) {
    let Place { group, lines, colour, area: (x, y, width, height) } = place;
    let middle = x + width / 2;
    writeln!(
        text,
        r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="{colour}" fill-opacity="0.13" stroke="{colour}"/>
<text x="{middle}" y="{}" text-anchor="middle" font-size="16" font-weight="bold">{group:?}</text>"#,
        y + 26
    )
    .expect("a string takes all");
    for (at, line) in (1..).zip(*lines) {
        let y = y + 30 + at * (LEADING + 2);
        writeln!(text, r#"<text x="{middle}" y="{y}" text-anchor="middle">{line}</text>"#)
            .expect("a string takes all");
    }
}

/// A line with round corners.
fn draw_arrow(text: &mut String, corners: &[(i32, i32)]) {
    let (start, end) = (corners[0], corners[corners.len() - 1]);
    let mut path = format!("M{} {}", start.0, start.1);
    for around in corners.windows(3) {
        let [before, (x, y), after] = [around[0], around[1], around[2]];
        let towards =
            |(to_x, to_y): (i32, i32)| (x + 6 * (to_x - x).signum(), y + 6 * (to_y - y).signum());
        let ((in_x, in_y), (out_x, out_y)) = (towards(before), towards(after));
        write!(path, " L{in_x} {in_y} Q{x} {y} {out_x} {out_y}").expect("a string takes all");
    }
    write!(path, " L{} {}", end.0, end.1).expect("a string takes all");
    writeln!(
        text,
        r#"<path d="{path}" fill="none" stroke="currentColor" marker-end="url(#perennial-arrow)"/>"#
    )
    .expect("a string takes all");
}

fn draw_label(text: &mut String, label: &Label, kinds: &[&str]) {
    let (anchor, x, y, lines) = match label {
        Label::From(x, y) => ("start", x, y, kinds.iter().map(|kind| (*kind).to_owned()).collect()),
        Label::UpTo(x, y) => ("end", x, y, kinds.iter().map(|kind| (*kind).to_owned()).collect()),
        Label::Around(x, y) => ("middle", x, y, vec![kinds.join(", ")]),
    };
    for (at, line) in (0..).zip::<Vec<String>>(lines) {
        let y = y + at * LEADING;
        writeln!(text, r#"<text x="{x}" y="{y}" text-anchor="{anchor}">{line}</text>"#)
            .expect("a string takes all");
    }
}
