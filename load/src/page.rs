//! A report as a page: one file, without scripts, for everybody to open.

use std::fmt::Write as _;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::report::{Point, Report};
use crate::text::{KINDS, facts, measured, ms, number, title};

const WIDTH: u32 = 900;
const HEIGHT: u32 = 260;
/// Readable on light and on dark.
const INK: RGBColor = RGBColor(128, 128, 128);
const COLOURS: [RGBColor; 6] = [
    RGBColor(217, 95, 2),
    RGBColor(27, 158, 119),
    RGBColor(117, 112, 179),
    RGBColor(231, 41, 138),
    RGBColor(102, 166, 30),
    RGBColor(56, 126, 184),
];

const STYLE: &str = "\
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
table{border-collapse:collapse;width:100%}
th,td{padding:.25rem .6rem;text-align:right;border-bottom:1px solid #8884}
th:first-child,td:first-child{text-align:left}
table.facts td{text-align:left}
svg{width:100%;height:auto}.good{color:#1b9e77}.bad{color:#d62728}";

type Line = (&'static str, Vec<(f64, f64)>);

/// A plot that could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("failed to draw the report: {0}")]
pub struct PageError(String);

impl PageError {
    fn new(error: &impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// The report as HTML.
///
/// # Errors
///
/// [`PageError`] if a histogram of the report is damaged.
pub fn page(report: &Report) -> Result<String, PageError> {
    let mut html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>",
        title = escaped(&title(report))
    );
    let mut add = |part: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = html.write_fmt(part);
    };
    if report.broken.is_empty() {
        add(format_args!("<p class=good>Every promise that was looked at was kept.</p>"));
    } else {
        add(format_args!("<ul class=bad>"));
        for fault in &report.broken {
            add(format_args!("<li>{}", escaped(fault)));
        }
        add(format_args!("</ul>"));
    }
    add(format_args!("<table class=facts>"));
    for (word, fact) in facts(report) {
        add(format_args!("<tr><th scope=row>{word}<td>{}", escaped(&fact)));
    }
    add(format_args!(
        "</table><h2>Times, in ms</h2><table><tr><th>from → to<th>p50<th>p90<th>p99<th>p99.9<th>max<th>count"
    ));
    for (name, times) in measured(report) {
        add(format_args!("<tr><td>{name}"));
        for time in [times.p50_ms, times.p90_ms, times.p99_ms, times.p999_ms, times.max_ms] {
            add(format_args!("<td>{}", ms(time)));
        }
        add(format_args!("<td>{}", number(times.count)));
    }
    add(format_args!("</table>"));
    for (heading, plot) in plots(report)? {
        add(format_args!("<h2>{heading}</h2>{plot}"));
    }
    for (heading, table) in [
        ("Refused or failed", &report.refusals),
        ("Bad clients, and what became of them", &report.bad_clients),
    ] {
        if !table.is_empty() {
            add(format_args!("<h2>{heading}</h2><table>"));
            for (what, count) in table {
                add(format_args!("<tr><td>{}<td>{}", escaped(what), number(*count)));
            }
            add(format_args!("</table>"));
        }
    }
    add(format_args!(
        "<h2>Rooms</h2><table><tr><th>room<th>acknowledged<th>unknown<th>in windows<th>late<th>in finals"
    ));
    for room in &report.rooms {
        let finals = room.history.values().max().copied().unwrap_or(0);
        let counts = [room.acked, room.unknown, room.totals.reactions, room.totals.late, finals];
        add(format_args!("<tr><td>{}", escaped(&room.room)));
        for count in counts {
            add(format_args!("<td>{}", number(count)));
        }
    }
    add(format_args!("</table><p>ovation load {}</p></html>\n", escaped(&report.version)));
    Ok(html)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn plots(report: &Report) -> Result<Vec<(&'static str, String)>, PageError> {
    let over_time = |of: &dyn Fn(&Point) -> Option<f64>| -> Vec<(f64, f64)> {
        report.series.iter().filter_map(|point| Some((point.second as f64, of(point)?))).collect()
    };
    let per_second = vec![
        ("due", over_time(&|point| Some(point.taps as f64))),
        ("acknowledged", over_time(&|point| Some(point.acked_taps as f64))),
    ];
    let times = vec![
        ("acknowledged p99", over_time(&|point| Some(point.acked_ms?[1]))),
        ("on screen p50", over_time(&|point| Some(point.screen_ms?[0]))),
        ("on screen p99", over_time(&|point| Some(point.screen_ms?[1]))),
        ("own lateness p99", over_time(&|point| Some(point.lag_ms?[1]))),
    ];
    let deliveries = vec![("updates", over_time(&|point| Some(point.deliveries as f64)))];
    let watching = vec![("watchers", over_time(&|point| Some(point.watching as f64)))];
    let memory = vec![("MB", over_time(&|point| Some(point.memory_bytes? as f64 / 1e6)))];
    let processor = vec![("cores", over_time(&|point| point.processor))];
    let mut plots = Vec::new();
    for (heading, lines) in [
        ("Taps a second", per_second),
        ("Times by second, in ms", times),
        ("Updates a second", deliveries),
        ("Watchers", watching),
        ("Resident memory of the server, in MB", memory),
        ("Processor of the server, in cores", processor),
    ] {
        if lines.iter().any(|(_, points)| points.len() > 1) {
            plots.push((heading, by_second(&lines)?));
        }
    }
    let mut curves = Vec::new();
    for (kind, _) in KINDS {
        let Some(times) = report.times.get(kind).filter(|times| times.count > 1) else { continue };
        let curve = times.curve().map_err(|error| PageError::new(&error))?;
        // 1 ÷ (1 − quantile): 10 is p90, 100 is p99.
        let points =
            curve.into_iter().filter(|(at, _)| *at < 100.0).map(|(at, time)| (100.0 / (100.0 - at), time));
        curves.push((kind, points.collect()));
    }
    if curves.iter().any(|(_, points): &Line| points.len() > 1) {
        plots.push(("Times by percentile, in ms", by_percentile(&curves)?));
    }
    Ok(plots)
}

/// The end of an axis: a little more than the largest, and never nothing.
fn end<'a>(values: impl Iterator<Item = &'a f64>) -> f64 {
    values.fold(0.0, |most: f64, value| most.max(*value)).max(1.0) * 1.05
}

fn by_second(lines: &[Line]) -> Result<String, PageError> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (right, top) = (end(points().map(|(x, _)| x)), end(points().map(|(_, y)| y)));
    draw(lines, 0.0..right, top, |second| format!("{second:.0} s"))
}

fn by_percentile(lines: &[Line]) -> Result<String, PageError> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let (right, top) = (end(points().map(|(x, _)| x)).max(10.0), end(points().map(|(_, y)| y)));
    draw(lines, (1.0..right).log_scale(), top, |share| format!("p{}", percentile(*share)))
}

/// `100` is 99, `1000` is 99.9.
fn percentile(share: f64) -> String {
    let text = format!("{:.4}", 100.0 - 100.0 / share);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn draw<X>(lines: &[Line], x: X, top: f64, label: impl Fn(&f64) -> String) -> Result<String, PageError>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, HEIGHT)).into_drawing_area();
        draw_on(&area, lines, x, top, label).map_err(|error| PageError::new(&error))?;
        area.present().map_err(|error| PageError::new(&error))?;
    }
    // Without a size of its own it takes that of the page.
    Ok(svg.replacen(&format!("width=\"{WIDTH}\" height=\"{HEIGHT}\" "), "", 1))
}

fn draw_on<'a, X>(
    area: &DrawingArea<SVGBackend<'a>, Shift>,
    lines: &[Line],
    x: X,
    top: f64,
    label: impl Fn(&f64) -> String,
) -> Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let font = ("sans-serif", 13).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(64)
        .build_cartesian_2d(x, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.25))
        .axis_style(INK)
        .label_style(font.clone())
        .x_label_formatter(&label)
        .y_label_formatter(&|value| if *value < 10.0 { format!("{value:.1}") } else { number(*value as u64) })
        .draw()?;
    for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
        if points.is_empty() {
            continue;
        }
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    if lines.len() > 1 {
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).label_font(font).draw()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_written_as_people_write_them() {
        assert_eq!([1.0, 2.0, 10.0, 1_000.0].map(percentile), ["0", "50", "90", "99.9"]);
    }

    #[test]
    fn text_of_others_is_no_markup() {
        assert_eq!(escaped("<b>&"), "&lt;b&gt;&amp;");
    }
}
