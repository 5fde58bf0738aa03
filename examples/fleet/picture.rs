//! The picture: the server's rotations above, and below each place, with the processes that had it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use plotters::prelude::*;

use crate::accounts::Account;
use crate::drawing::{self, FONT};
use crate::fleet::Holder;
use crate::holder::Step;
use crate::server::Seen;
use crate::{Arguments, Result};

const WIDTH: u32 = 1500;
const LANE: u32 = 46;
const HEAD: u32 = 110;

const LIVES: [RGBColor; 2] = [RGBColor(207, 216, 220), RGBColor(176, 190, 197)];
const STORED: RGBColor = RGBColor(46, 125, 50);
const ADOPTED: RGBColor = RGBColor(57, 116, 196);
const KILLED: RGBColor = RGBColor(198, 40, 40);
const REPEATED: RGBColor = RGBColor(239, 127, 26);

/// Draws the picture; gives its path.
pub(crate) fn draw(
    arguments: &Arguments,
    seen: &Seen,
    holders: &[Holder],
    account: &Account,
) -> Result<PathBuf> {
    let path = match &arguments.picture {
        Some(path) => path.clone(),
        None => drawing::in_target("fleet.svg")?,
    };
    draw_to(&path, arguments, seen, holders, account)?;
    Ok(path)
}

fn draw_to(
    path: &Path,
    arguments: &Arguments,
    seen: &Seen,
    holders: &[Holder],
    account: &Account,
) -> Result<()> {
    let places = arguments.processes as usize;
    let end = holders.iter().filter_map(|it| it.ended).max().unwrap_or_default();
    let seconds = end.as_secs_f64() + 0.1;
    let height = HEAD + LANE * (u32::try_from(places)? + 1) + 50;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, lanes) = root.split_vertically(HEAD);
    let title = format!(
        "{} processes, one grant: {} expiries, {} kills, {} refreshes, {} of them after a kill",
        places,
        account.expiries,
        account.kills,
        account.refreshes,
        account.in_a_refresh.iter().filter(|kill| kill.repeated.is_some()).count(),
    );
    drawing::title(&head, title)?;
    let legend = [
        (LIVES[1], "a process"),
        (STORED, "has refreshed and stored"),
        (ADOPTED, "has had the lease, and adopted"),
        (KILLED, "was killed in its refresh"),
        (REPEATED, "the server saw the same refresh token again"),
    ];
    let x = drawing::legend(&head, 64, 16, &legend)?;
    head.draw(&Cross::new((x + 8, 72), 6, KILLED.stroke_width(2)))?;
    head.draw(&Text::new("SIGKILL", (x + 22, 64), (FONT, 15).into_font()))?;

    let mut chart = ChartBuilder::on(&lanes)
        .margin_right(20)
        .x_label_area_size(30)
        .y_label_area_size(110)
        .build_cartesian_2d(0.0..seconds, 0.0..(places + 1) as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(20)
        .x_label_formatter(&|at| format!("{at:.0} s"))
        .light_line_style(WHITE)
        .draw()?;
    let floor = |place: usize| (places - 1 - place) as f64;
    let mut shades = vec![0; places];
    for holder in holders {
        let (from, to) = (holder.started, holder.ended.unwrap_or(end));
        let bottom = floor(holder.place);
        shades[holder.place] += 1;
        let life = LIVES[shades[holder.place] % 2].filled();
        chart.draw_series([bar(from, to, bottom + 0.1, bottom + 0.5, life)])?;
        let turns = turns(holder).into_iter();
        chart.draw_series(
            turns.map(|(from, to, color)| {
                bar(from, to, bottom + 0.5, bottom + 0.85, color.filled())
            }),
        )?;
    }
    // Over the processes that came next.
    chart.draw_series(holders.iter().filter_map(|holder| {
        let place = (holder.killed?.as_secs_f64(), floor(holder.place) + 0.3);
        Some(Cross::new(place, 5, KILLED.stroke_width(2)))
    }))?;
    let mut presented = std::collections::BTreeSet::new();
    for request in seen.requests() {
        let again = !presented.insert(request.presented);
        let (color, at) = (if again { REPEATED } else { STORED }, request.at.as_secs_f64());
        let (top, bottom) = (places as f64 + 0.9, places as f64 + 0.1);
        chart.draw_series([PathElement::new([(at, bottom), (at, top)], color.stroke_width(3))])?;
        let line = color.mix(0.25).stroke_width(1);
        chart.draw_series([PathElement::new([(at, 0.0), (at, bottom)], line)])?;
    }
    let (_, base) = lanes.get_base_pixel();
    for lane in 0..=places {
        let name = if lane == 0 { "token endpoint".to_owned() } else { format!("place {lane}") };
        let (_, y) = chart.backend_coord(&(0.0, (places - lane) as f64 + 0.6));
        lanes.draw(&Text::new(name, (12, y - base), (FONT, 15).into_font()))?;
    }
    root.present()?;
    Ok(())
}

fn bar(
    from: Duration,
    to: Duration,
    bottom: f64,
    top: f64,
    style: ShapeStyle,
) -> Rectangle<(f64, f64)> {
    // Wide enough to be seen.
    let (from, to) = (from.as_secs_f64(), to.as_secs_f64());
    Rectangle::new([(from, bottom), (to.max(from + 0.02), top)], style)
}

/// From the lease to its release, or to the kill.
fn turns(holder: &Holder) -> Vec<(Duration, Duration, RGBColor)> {
    let mut turns = Vec::new();
    let mut open: Option<(Duration, RGBColor)> = None;
    for (at, step) in &holder.steps {
        match step {
            Step::Acquired => open = Some((*at, ADOPTED)),
            Step::Noted => {}
            Step::Stored => open = open.map(|(from, _)| (from, STORED)),
            Step::Released => {
                if let Some((from, color)) = open.take() {
                    turns.push((from, *at, color));
                }
            }
        }
    }
    if let (Some((from, _)), Some(at)) = (open, holder.killed) {
        turns.push((from, at.max(from), KILLED));
    }
    turns
}
