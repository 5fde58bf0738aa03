//! The picture: what the tokens went through above, what the callers noticed below.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use perennial::lifecycle::{Meanwhile, State};
use plotters::prelude::*;

use crate::counting::Outcome;
use crate::drawing::{self, Area, FONT};
use crate::record::{At, Record, Refresh};
use crate::report::Summary;
use crate::world::{Kind, Member, REFRESH_DEADLINE, World};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const WIDTH: u32 = 1500;
const LANE: u32 = 74;
const HEAD: u32 = 136;

const VALID: RGBColor = RGBColor(190, 226, 178);
const EXPIRING: RGBColor = RGBColor(255, 224, 130);
const REFRESHING_OLD: RGBColor = RGBColor(144, 202, 249);
const REFRESHING_WAIT: RGBColor = RGBColor(57, 116, 196);
const EXPIRED: RGBColor = RGBColor(189, 189, 189);
const GRANTED: RGBColor = RGBColor(46, 125, 50);
const UNAVAILABLE: RGBColor = RGBColor(239, 127, 26);
const LOST: RGBColor = RGBColor(198, 40, 40);
const LATE: RGBColor = RGBColor(240, 160, 160);
const REVOKED: RGBColor = RGBColor(123, 31, 162);

/// Draws `target/silent_refresh.svg`; gives its path.
pub(crate) fn draw(
    world: &World,
    record: &Record,
    summary: &Summary,
    length: Duration,
) -> Result<PathBuf> {
    let path = drawing::in_target("silent_refresh.svg")?;
    let shown = shown(world);
    let lanes = u32::try_from(shown.len())? * LANE + 60;
    {
        let root = SVGBackend::new(&path, (WIDTH, HEAD + lanes + 220)).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, rest) = root.split_vertically(HEAD);
        let (states, answers) = rest.split_vertically(lanes);
        draw_head(&head, summary, length)?;
        draw_lanes(&states, &shown, length.as_secs_f64())?;
        draw_answers(&answers, record, length)?;
        root.present()?;
    }
    Ok(path)
}

/// Two sessions of each kind; the restarted one is among them.
fn shown(world: &World) -> Vec<&Member> {
    let two = |kind| world.members.iter().filter(move |member| member.kind == kind).take(2);
    two(Kind::Async).chain(two(Kind::Threads)).chain(two(Kind::File)).collect()
}

fn draw_head(area: &Area<'_>, summary: &Summary, length: Duration) -> Result<()> {
    let title = format!(
        "{} requests in {} s with tokens that live 2 s: {} failed",
        summary.requests,
        length.as_secs(),
        summary.failed
    );
    drawing::title(area, title)?;
    let states = [
        (VALID, "Valid"),
        (EXPIRING, "Expiring"),
        (REFRESHING_OLD, "Refreshing, old token used"),
        (REFRESHING_WAIT, "Refreshing, callers wait"),
        (EXPIRED, "Expired"),
    ];
    drawing::legend(area, 54, 16, &states)?;
    let marks = [
        (GRANTED, "refresh granted"),
        (UNAVAILABLE, "refresh answered 503"),
        (LOST, "no response to a refresh"),
    ];
    let x = drawing::legend(area, 80, 8, &marks)?;
    area.draw(&TriangleMarker::new((x + 10, 88), 7, REVOKED.filled()))?;
    area.draw(&Text::new("server revokes the token", (x + 24, 80), (FONT, 15).into_font()))?;
    area.draw(&Cross::new((x + 250, 88), 5, LOST.stroke_width(2)))?;
    area.draw(&Text::new("401, replayed", (x + 264, 80), (FONT, 15).into_font()))?;
    let late = format!(
        "request still open after the refresh's deadline of {} s: the session tries again, and takes a late response as well",
        REFRESH_DEADLINE.as_secs()
    );
    drawing::legend(area, 106, 8, &[(LATE, &late)])?;
    Ok(())
}

fn draw_lanes(area: &Area<'_>, members: &[&Member], seconds: f64) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .margin_right(20)
        .x_label_area_size(30)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..seconds, (0.0..members.len() as f64).step(1.0))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(20)
        .x_label_formatter(&|at| format!("{at:.0} s"))
        .light_line_style(WHITE)
        .draw()?;
    for (index, member) in members.iter().enumerate() {
        let floor = (members.len() - 1 - index) as f64;
        chart.draw_series(bands(member, seconds).into_iter().map(|(from, to, color)| {
            Rectangle::new([(from, floor + 0.45), (to, floor + 0.85)], color.filled())
        }))?;
        // Those that go on after their deadline first, as the next try is drawn over them.
        let refreshes = member.story.refreshes();
        let bars = refreshes.iter().filter_map(|refresh| late(*refresh, seconds));
        let bars = bars.chain(refreshes.iter().map(|refresh| bar(*refresh, seconds)));
        chart.draw_series(bars.map(|(from, to, color)| {
            Rectangle::new([(from, floor + 0.2), (to, floor + 0.34)], color.filled())
        }))?;
        chart.draw_series(
            member.story.revocations().into_iter().map(|at| {
                TriangleMarker::new((at.as_secs_f64(), floor + 0.9), 6, REVOKED.filled())
            }),
        )?;
        chart.draw_series(
            member
                .story
                .rejections()
                .into_iter()
                .map(|at| Cross::new((at.as_secs_f64(), floor + 0.65), 4, LOST.stroke_width(2))),
        )?;
        let restarts = member.story.restarts();
        chart.draw_series(restarts.iter().map(|at| {
            let at = at.as_secs_f64();
            PathElement::new([(at, floor + 0.1), (at, floor + 0.98)], BLACK.stroke_width(2))
        }))?;
        chart.draw_series(restarts.iter().map(|at| {
            let place = (at.as_secs_f64() + 0.05, floor + 0.14);
            Text::new("restarted from its file", place, (FONT, 13).into_font())
        }))?;
        let (_, y) = chart.backend_coord(&(0.0, floor + 0.72));
        let (_, top) = area.get_base_pixel();
        let label = Text::new(member.name.clone(), (16, y - top), (FONT, 16).into_font());
        area.draw(&label)?;
    }
    Ok(())
}

/// The stretches of one state each.
fn bands(member: &Member, seconds: f64) -> Vec<(f64, f64, RGBColor)> {
    let states = member.story.states();
    let ends = states.iter().skip(1).map(|(at, _)| at.as_secs_f64()).chain([seconds]);
    states
        .iter()
        .zip(ends)
        .map(|((from, state), to)| (from.as_secs_f64(), to.min(seconds), color(*state)))
        .collect()
}

fn color(state: State) -> RGBColor {
    match state {
        State::Valid => VALID,
        State::Expiring => EXPIRING,
        State::Refreshing(Meanwhile::UseOld) => REFRESHING_OLD,
        State::Refreshing(Meanwhile::Wait) => REFRESHING_WAIT,
        State::Expired(_) => EXPIRED,
    }
}

/// What a refresh took beyond its deadline.
fn late(refresh: Refresh, seconds: f64) -> Option<(f64, f64, RGBColor)> {
    let (from, to, _) = whole(refresh, seconds);
    let deadline = from + REFRESH_DEADLINE.as_secs_f64();
    (to > deadline).then_some((deadline, to, LATE))
}

/// One refresh from sending to its end or its deadline, wide enough to be seen.
fn bar(refresh: Refresh, seconds: f64) -> (f64, f64, RGBColor) {
    let (from, to, color) = whole(refresh, seconds);
    (from, to.min(from + REFRESH_DEADLINE.as_secs_f64()), color)
}

fn whole(refresh: Refresh, seconds: f64) -> (f64, f64, RGBColor) {
    let from = refresh.from.as_secs_f64();
    let to = refresh.to.map_or(seconds, |to: At| to.as_secs_f64()).min(seconds);
    let color = match refresh.outcome {
        Some(Outcome::Granted) => GRANTED,
        Some(Outcome::Unavailable) => UNAVAILABLE,
        Some(Outcome::Unknown | Outcome::Declined) | None => LOST,
    };
    (from, to.max(from + 0.05), color)
}

/// Requests answered and failed, in tenths of a second.
fn draw_answers(area: &Area<'_>, record: &Record, length: Duration) -> Result<()> {
    let seconds = length.as_secs_f64();
    let bin = |at: At| usize::try_from(at.as_millis() / 100).unwrap_or(usize::MAX);
    let mut bins = vec![(0u32, 0u32); bin(length) + 1];
    for answer in record.answers() {
        if let Some((answered, failed)) = bins.get_mut(bin(answer.at)) {
            *if answer.ok { answered } else { failed } += 1;
        }
    }
    let highest = bins.iter().map(|(answered, failed)| answered + failed).max().unwrap_or(1);
    let mut chart = ChartBuilder::on(area)
        .margin_right(20)
        .margin_bottom(10)
        .x_label_area_size(30)
        .y_label_area_size(90)
        .caption("requests answered (green) and failed (red), per tenth of a second", (FONT, 16))
        .build_cartesian_2d(0.0..seconds, 0..highest + highest / 10 + 1)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(20)
        .y_labels(5)
        .x_label_formatter(&|at| format!("{at:.0} s"))
        .draw()?;
    for (index, (answered, failed)) in bins.into_iter().enumerate() {
        let (from, to) = (index as f64 / 10.0, index as f64 / 10.0 + 0.09);
        let answered_bar = Rectangle::new([(from, 0), (to, answered)], VALID.filled());
        let failed_bar = Rectangle::new([(from, answered), (to, answered + failed)], LOST.filled());
        chart.draw_series([answered_bar, failed_bar])?;
    }
    Ok(())
}
