//! The picture: requests, refreshes and steps of Redis around the outage.

use std::time::Duration;

use plotters::prelude::*;

use crate::drawing::{Area, FONT, legend, title};
use crate::report::rounded;
use crate::{Fleet, Result, Run};

const SIZE: (u32, u32) = (1100, 980);
const HEAD: u32 = 84;

const JITTER: RGBColor = RGBColor(46, 125, 50);
const NONE: RGBColor = RGBColor(198, 40, 40);
const OUTAGE: RGBColor = RGBColor(224, 224, 224);

/// A panel's name, whether the server is limited, and which of the counts it shows.
type Panel = (&'static str, bool, fn(&Run) -> &[u64]);

const PANELS: [Panel; 4] = [
    ("requests a second at a token endpoint without a limit", false, |run| &run.counts.asked),
    ("refreshes a second that it grants", false, |run| &run.counts.granted),
    ("refreshes a second that a limited one grants", true, |run| &run.counts.granted),
    ("steps of Redis a second, with the limited one", true, |run| &run.counts.steps),
];

/// Returns the picture as SVG.
pub(crate) fn draw(fleet: &Fleet, runs: &[Run]) -> Result<String> {
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let (head, rest) = root.split_vertically(HEAD);
        let outage = fleet.outage.as_secs();
        let name = format!(
            "{} processes, {} grants: the token endpoint is down for {outage} s",
            rounded(fleet.processes as f64),
            rounded(fleet.grants as f64),
        );
        title(&head, name)?;
        let names = [(JITTER, "with jitter"), (NONE, "without jitter"), (OUTAGE, "the outage")];
        legend(&head, 54, 16, &names)?;
        for (area, panel) in rest.split_evenly((PANELS.len(), 1)).iter().zip(PANELS) {
            draw_panel(area, fleet, runs, panel)?;
        }
        root.present()?;
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

fn draw_panel(area: &Area<'_>, fleet: &Fleet, runs: &[Run], panel: Panel) -> Result<()> {
    let (name, limited, counts) = panel;
    let bin = fleet.bin.as_secs_f64();
    let a_second = fleet.scale() / bin;
    // From a quarter of a lifetime before the outage: nothing changes before that.
    let minutes = |at: Duration| at.as_secs_f64() / 60.0;
    let (from, to) = (minutes(fleet.lifetime * 7 / 4), minutes(fleet.length()));
    let shown = runs.iter().filter(|run| run.scenario.capacity.is_some() == limited);
    let curves: Vec<(RGBColor, Vec<(f64, f64)>)> = shown
        .map(|run| {
            let points = counts(run).iter().enumerate();
            let points =
                points.map(|(index, count)| (index as f64 * bin / 60.0, *count as f64 * a_second));
            let color = if run.scenario.jitter { JITTER } else { NONE };
            (color, points.filter(|(at, _)| *at >= from).collect())
        })
        .collect();
    let all = curves.iter().flat_map(|(_, points)| points);
    let highest = all.fold(0.0_f64, |highest, (_, count)| highest.max(*count)) * 1.05 + 1.0;
    let zero = minutes(fleet.outage_at());
    let mut chart = ChartBuilder::on(area)
        .margin_right(20)
        .margin_bottom(6)
        .x_label_area_size(24)
        .y_label_area_size(90)
        .caption(name, (FONT, 16))
        .build_cartesian_2d(from - zero..to - zero, 0.0..highest)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(14)
        .y_labels(4)
        .x_label_formatter(&|at| format!("{at:.0} min"))
        .y_label_formatter(&|count| rounded(count.round()))
        .light_line_style(WHITE)
        .draw()?;
    let outage =
        Rectangle::new([(0.0, 0.0), (minutes(fleet.outage), highest)], OUTAGE.mix(0.6).filled());
    chart.draw_series([outage])?;
    for (color, points) in curves.iter().rev() {
        let points = points.iter().map(|(at, count)| (at - zero, *count));
        chart.draw_series(LineSeries::new(points, color.stroke_width(1)))?;
    }
    Ok(())
}
