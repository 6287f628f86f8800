//! Charts for the README, as SVG: XADD by the number of tasks, parsing, draining.

use super::stats::Stats;
use super::table::number;
use crate::clients::Name;
use plotters::coord::Shift;
use plotters::prelude::*;
use std::io;
use std::path::{Path, PathBuf};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (760, 400);
const FONT: &str = "sans-serif";
const LIMIT: RGBColor = RGBColor(150, 150, 150);

fn colour(client: &str) -> RGBColor {
    match Name::ALL.iter().find(|name| name.label() == client) {
        Some(Name::Bourn) => RGBColor(200, 40, 40),
        Some(Name::Redis1) => RGBColor(120, 170, 220),
        Some(Name::Redis2) => RGBColor(40, 100, 180),
        Some(Name::Fred) => RGBColor(230, 160, 60),
        Some(Name::Rustis) => RGBColor(80, 150, 90),
        None if client == "memcpy" => RGBColor(200, 200, 200),
        None => LIMIT,
    }
}

/// Draws the charts for which there are results. Returns their files.
pub fn all(stats: &Stats, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut draw = |name: &str, chart: &dyn Fn(&Area) -> Drawn| {
        let path = folder.join(name);
        {
            let area = SVGBackend::new(&path, SIZE).into_drawing_area();
            let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| chart(&area));
            let drawn = drawn.and_then(|()| Ok(area.present()?));
            drawn.map_err(|error| io::Error::other(error.to_string()))?;
        }
        files.push(path);
        io::Result::Ok(())
    };
    for runtime in ["ct", "mt"] {
        for (metric, scale, title) in [
            ("per_s", 1e-3, "XADD of 16 bytes on one connection: thousands a second"),
            ("client_us", 1.0, "XADD of 16 bytes on one connection: µs of client CPU each"),
        ] {
            let lines = lines(stats, runtime, metric, scale);
            if !lines.is_empty() {
                let title = format!("{title} ({runtime})");
                let name =
                    format!("xadd-{runtime}-{}.svg", if scale < 1.0 { "ops" } else { "cpu" });
                draw(&name, &|area| curves(area, &title, &lines, scale == 1.0))?;
            }
        }
    }
    let shapes = ["1,000 × 1 × 16 B", "1,000 × 5 × 32 B", "1,000 × 5 × mixed"];
    let parse = bars(stats, "parse", &shapes, "ns", 1.0);
    if !parse.is_empty() {
        let title = "Reply to typed entries: ns an entry (logarithmic)";
        draw("parse.svg", &|area| columns(area, title, &parse, true))?;
    }
    let counts = ["COUNT 10, one XACK", "COUNT 100, one XACK", "COUNT 1000, one XACK"];
    let drain = bars(stats, "drain", &counts, "per_s", 1e-3);
    if !drain.is_empty() {
        let title = "XREADGROUP and XACK: thousand entries a second";
        draw("drain.svg", &|area| columns(area, title, &drain, false))?;
    }
    Ok(files)
}

struct Curve {
    client: String,
    points: Vec<(f64, f64)>,
}

/// By the logarithm of the number of tasks, so that 1 to 1,024 are evenly spaced.
fn lines(stats: &Stats, runtime: &str, metric: &str, scale: f64) -> Vec<Curve> {
    let case = |n: u32| format!("{runtime} tcp 1x16 {n}");
    let clients: Vec<_> = stats
        .clients("xadd", &case(64))
        .into_iter()
        .filter(|client| !client.ends_with("1") || !client.starts_with("raw"))
        .collect();
    let curve = |client: &str| {
        let points = [1u32, 16, 64, 256, 1024].into_iter().filter_map(|n| {
            let stat = stats.get("xadd", &case(n), client, metric)?;
            Some((f64::from(n).log2(), stat.median * scale))
        });
        Curve { client: client.to_owned(), points: points.collect() }
    };
    clients.into_iter().map(curve).filter(|curve| curve.points.len() > 1).collect()
}

/// The vertical axis: from 0, or by powers of ten.
#[derive(Debug, Clone, Copy)]
struct Axis {
    powers: bool,
    bottom: f64,
    top: f64,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone, powers: bool) -> Self {
        let top = values.clone().fold(0.0, f64::max);
        let least = values.fold(f64::MAX, f64::min);
        match powers {
            false => Self { powers, bottom: 0.0, top: top * 1.25 },
            true => Self { powers, bottom: least.log10().floor(), top: top.log10().ceil() },
        }
    }

    fn place(&self, value: f64) -> f64 {
        if self.powers { value.log10() } else { value }
    }

    fn label(&self, place: f64) -> String {
        match self.powers {
            false => number(place),
            // A number below 1 has no trailing zeros.
            true if place < 0.0 => format!("{:.1$}", 10f64.powf(place), -place as usize),
            true => format!("{:.0}", 10f64.powf(place)),
        }
    }

    fn labels(&self) -> usize {
        if self.powers { (self.top - self.bottom) as usize + 1 } else { 8 }
    }
}

fn curves(area: &Area, title: &str, curves: &[Curve], powers: bool) -> Drawn {
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.1));
    let axis = Axis::over(values, powers);
    let mut builder = ChartBuilder::on(area);
    builder.caption(title, (FONT, 16)).margin(12).x_label_area_size(36).y_label_area_size(52);
    let mut chart = builder.build_cartesian_2d(0.0..10.0, axis.bottom..axis.top)?;
    let mut mesh = chart.configure_mesh();
    mesh.light_line_style(WHITE).x_labels(11).y_labels(axis.labels()).x_desc("tasks");
    mesh.x_label_formatter(&|x: &f64| format!("{:.0}", x.exp2()));
    mesh.y_label_formatter(&|y: &f64| axis.label(*y)).draw()?;
    for curve in curves {
        let width = if curve.client == Name::Bourn.label() { 3 } else { 2 };
        let style = colour(&curve.client).stroke_width(width);
        let points = curve.points.iter().map(|(x, y)| (*x, axis.place(*y)));
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(curve.client.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    let place = match powers {
        true => SeriesLabelPosition::UpperRight,
        false => SeriesLabelPosition::UpperLeft,
    };
    let mut labels = chart.configure_series_labels();
    labels.background_style(WHITE.mix(0.8)).border_style(LIMIT).position(place).draw()?;
    Ok(())
}

/// A group of bars: its label, and one bar per client.
type Group = (String, Vec<(String, f64)>);

fn bars(stats: &Stats, work: &str, cases: &[&str], metric: &str, scale: f64) -> Vec<Group> {
    let group = |case: &&str| {
        let clients = stats.clients(work, case).into_iter().filter_map(|client| {
            Some((client.to_owned(), stats.get(work, case, client, metric)?.median * scale))
        });
        ((*case).to_owned(), clients.collect::<Vec<_>>())
    };
    cases.iter().map(group).filter(|(_, bars)| !bars.is_empty()).collect()
}

fn columns(area: &Area, title: &str, groups: &[Group], powers: bool) -> Drawn {
    let values = groups.iter().flat_map(|(_, bars)| bars.iter().map(|bar| bar.1));
    let axis = Axis::over(values, powers);
    let mut builder = ChartBuilder::on(area);
    builder.caption(title, (FONT, 16)).margin(12).x_label_area_size(36).y_label_area_size(52);
    // A group is centred on its number; the space at the right is for the legend.
    let width = 0.5..groups.len() as f64 + 1.2;
    let mut chart = builder.build_cartesian_2d(width, axis.bottom..axis.top)?;
    let name = |x: &f64| {
        let group = groups.iter().zip(1..).find(|(_, n)| (x - f64::from(*n)).abs() < 0.01);
        group.map_or_else(String::new, |(group, _)| group.0.clone())
    };
    let mut mesh = chart.configure_mesh();
    mesh.disable_x_mesh().light_line_style(WHITE).x_labels(groups.len() + 1);
    mesh.x_label_formatter(&name).y_labels(axis.labels());
    mesh.y_label_formatter(&|y: &f64| axis.label(*y)).draw()?;
    let Some((_, all)) = groups.iter().max_by_key(|(_, bars)| bars.len()) else { return Ok(()) };
    let step = 0.84 / all.len() as f64;
    for (place, (client, _)) in all.iter().enumerate() {
        let colour = colour(client);
        let rectangles = groups.iter().enumerate().filter_map(|(i, (_, bars))| {
            let value = bars.iter().find(|bar| bar.0 == *client)?.1;
            let left = i as f64 + 0.58 + place as f64 * step;
            let corners = [(left, axis.bottom), (left + step * 0.9, axis.place(value))];
            Some(Rectangle::new(corners, colour.filled()))
        });
        chart
            .draw_series(rectangles)?
            .label(client.clone())
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 10, y + 4)], colour.filled()));
    }
    let mut labels = chart.configure_series_labels();
    labels.background_style(WHITE.mix(0.8)).border_style(LIMIT);
    labels.position(SeriesLabelPosition::UpperRight).draw()?;
    Ok(())
}
