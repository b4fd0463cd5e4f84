//! The scree plot: what each component explains, and what the first ones explain together.

use std::fmt::Write;

use datafusion::common::Result;

use super::MARK;
use super::axis::Axis;
use super::text::{Text, counted, percent, thousands};
use crate::report::model::{Origin, Scree};

const WIDTH: f64 = 560.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 546.0;
/// The panel of cumulative shares, and that of single ones, from top to bottom.
const UPPER: (f64, f64) = (12.0, 232.0);
const LOWER: (f64, f64) = (258.0, 356.0);
const HEIGHT: f64 = 404.0;
/// Most bars; of more components, a bar is the largest of its neighbours.
const BARS: usize = 240;
/// Most vertices of the curve.
const VERTICES: usize = 480;
/// Rows of the table of components.
const ROWS: usize = 50;

const SHARES: [f64; 5] = [0.5, 0.75, 0.9, 0.95, 0.99];

/// The heading, the figure and its table.
pub(super) fn section(page: &mut String, scree: &Scree, images: u64) -> Result<()> {
    let cumulative = scree.cumulative();
    let kept = cumulative.last().copied().unwrap_or_default();
    let components = scree.ratios.len() as u64;
    write!(
        page,
        "<section id=\"variance\">\n<h2>Variance explained</h2>\n<div class=\"split\">\n<figure>\n"
    )?;
    figure(page, scree, &cumulative)?;
    write!(
        page,
        "<figcaption>Above, the share of the total variance that the first components explain \
         together; below, each one's own. The mark is at {}.</figcaption>\n</figure>\n\
         <div>\n<p class=\"lead\">",
        percent(MARK, 0)
    )?;
    match scree.reaching(MARK) {
        Some(reached) => write!(
            page,
            "<strong>{}</strong> of at most {} explain {} of the variance.",
            counted(reached as u64, "component"),
            thousands(most(scree)),
            percent(MARK, 0)
        )?,
        None => write!(
            page,
            "The {} of the model explain{} {} of the variance, less than {}: \
             <code>pca_fit(features, {MARK})</code> keeps as many as that takes.",
            counted(components, "component"),
            if components == 1 { "s" } else { "" },
            percent(kept, 1),
            percent(MARK, 0)
        )?,
    }
    write!(
        page,
        "</p>\n<table>\n<thead><tr><th scope=\"col\">Variance</th><th scope=\"col\">Components</th>\
         </tr></thead>\n<tbody>\n"
    )?;
    for share in SHARES {
        let reached = scree.reaching(share);
        let reached = reached.map_or_else(|| "not kept".to_owned(), |n| thousands(n as u64));
        writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{reached}</td></tr>",
            percent(share, 0)
        )?;
    }
    writeln!(page, "</tbody>\n</table>\n<p>{}</p>", origin(scree, images))?;
    table(page, scree, &cumulative)?;
    *page += "</div>\n</div>\n</section>\n";
    Ok(())
}

/// As many components as such rows can have.
fn most(scree: &Scree) -> u64 {
    (scree.dimension as u64).min(scree.samples.saturating_sub(1).max(1))
}

/// Where the model comes from, in words.
fn origin(scree: &Scree, images: u64) -> String {
    let fitted = format!(
        "{} of {} numbers",
        counted(scree.samples, "vector"),
        thousands(scree.dimension as u64)
    );
    match &scree.origin {
        Origin::Given(location) => {
            let other = if scree.samples == images {
                String::new()
            } else {
                format!(", while this table has {}", counted(images, "row"))
            };
            format!(
                "The model was read from <code><bdi>{}</bdi></code>. It was fitted to {fitted}{other}.",
                Text(location)
            )
        }
        Origin::Fitted => format!(
            "No model was given, so one was fitted for this page, to {fitted}, standardised, with \
             95\u{202f}% of the variance: <code>pca_fit(features, 0.95)</code>."
        ),
        Origin::Scores => format!(
            "The column holds scores already, and no model was given: what is shown was computed \
             from {fitted}, and shares are of the variance that these have kept, not of that of \
             the features."
        ),
    }
}

fn figure(page: &mut String, scree: &Scree, cumulative: &[f64]) -> Result<()> {
    let count = scree.ratios.len();
    let across = Axis {
        values: (0.0, count.max(1) as f64),
        places: (LEFT, RIGHT),
    };
    let upper = Axis {
        values: (0.0, 1.0),
        places: (UPPER.1, UPPER.0),
    };
    let tallest = scree.ratios.iter().copied().fold(0.0, f64::max).max(1e-9);
    let lower = Axis {
        values: (0.0, tallest * 1.05),
        places: (LOWER.1, LOWER.0),
    };
    let reached = scree.reaching(MARK);
    let summary = match reached {
        Some(reached) => format!(
            "Scree plot. The first component explains {}, and {} explain {}.",
            percent(scree.ratios.first().copied().unwrap_or_default(), 1),
            counted(reached as u64, "component"),
            percent(MARK, 0)
        ),
        None => "Scree plot.".to_owned(),
    };
    write!(
        page,
        "<svg id=\"scree\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"{}\">\n<g class=\"grid\">\n",
        Text(&summary)
    )?;
    for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
        gridline(page, upper.place(share), &format!("{:.0}", share * 100.0))?;
    }
    let percents = Axis {
        values: (0.0, lower.values.1 * 100.0),
        places: lower.places,
    };
    let ticks = percents.ticks(3);
    for tick in &ticks.values {
        gridline(
            page,
            percents.place(*tick),
            &format!("{tick:.*}", ticks.decimals),
        )?;
    }
    let steps = across.ticks(6);
    for tick in steps
        .values
        .iter()
        .filter(|tick| **tick >= 1.0 && tick.fract() == 0.0)
    {
        writeln!(
            page,
            "<text class=\"x\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            across.place(tick - 0.5),
            LOWER.1 + 18.0,
            thousands(*tick as u64)
        )?;
    }
    write!(
        page,
        "</g>\n<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\">principal component</text>\n\
         <text class=\"axis\" transform=\"translate(16 {:.1}) rotate(-90)\">cumulative,\u{202f}%</text>\n\
         <text class=\"axis\" transform=\"translate(16 {:.1}) rotate(-90)\">each,\u{202f}%</text>\n",
        f64::midpoint(LEFT, RIGHT),
        HEIGHT - 8.0,
        f64::midpoint(UPPER.0, UPPER.1),
        f64::midpoint(LOWER.0, LOWER.1),
    )?;
    bars(page, scree, &across, &lower, reached)?;
    curve(page, cumulative, &across, &upper)?;
    mark(page, &across, &upper, reached)?;
    *page += "</svg>\n";
    Ok(())
}

fn gridline(page: &mut String, y: f64, label: &str) -> Result<()> {
    writeln!(
        page,
        "<path d=\"M{LEFT} {y:.1}H{RIGHT}\"/><text class=\"y\" x=\"{:.1}\" y=\"{y:.1}\">{label}</text>",
        LEFT - 7.0
    )?;
    Ok(())
}

/// Two paths: the components up to the mark, and the others.
fn bars(
    page: &mut String,
    scree: &Scree,
    across: &Axis,
    lower: &Axis,
    reached: Option<usize>,
) -> Result<()> {
    let count = scree.ratios.len();
    let width = count.div_ceil(BARS).max(1);
    let (mut before, mut after) = (String::new(), String::new());
    for (index, bucket) in scree.ratios.chunks(width).enumerate() {
        let first = index * width;
        let (from, to) = (
            across.place(first as f64),
            across.place((first + bucket.len()) as f64),
        );
        let gap = ((to - from) * 0.1).min(2.0);
        let height = LOWER.1 - lower.place(bucket.iter().copied().fold(0.0, f64::max));
        let path = if reached.is_none_or(|reached| first < reached) {
            &mut before
        } else {
            &mut after
        };
        write!(
            path,
            "M{:.2} {:.1}v{:.2}h{:.2}v{:.2}z",
            from + gap,
            LOWER.1,
            -height,
            to - from - 2.0 * gap,
            height
        )?;
    }
    writeln!(
        page,
        "<path class=\"bars\" d=\"{before}\"/>\n<path class=\"bars more\" d=\"{after}\"/>"
    )?;
    Ok(())
}

fn curve(page: &mut String, cumulative: &[f64], across: &Axis, upper: &Axis) -> Result<()> {
    let count = cumulative.len();
    let step = count.div_ceil(VERTICES).max(1);
    let mut path = String::new();
    let mut dots = String::new();
    for (index, sum) in cumulative.iter().enumerate() {
        if index % step != 0 && index + 1 != count {
            continue;
        }
        let (x, y) = (across.place(index as f64 + 0.5), upper.place(sum.min(1.0)));
        write!(path, "{}{x:.1} {y:.1}", if index == 0 { 'M' } else { 'L' })?;
        if count <= 40 {
            write!(dots, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>")?;
        }
    }
    writeln!(
        page,
        "<path class=\"curve\" d=\"{path}\"/><g class=\"dots\">{dots}</g>"
    )?;
    Ok(())
}

/// The line at the mark, and where the curve meets it.
fn mark(page: &mut String, across: &Axis, upper: &Axis, reached: Option<usize>) -> Result<()> {
    let y = upper.place(MARK);
    writeln!(page, "<path class=\"mark\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>")?;
    let Some(reached) = reached else {
        writeln!(
            page,
            "<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            LEFT + 6.0,
            y - 6.0,
            percent(MARK, 0)
        )?;
        return Ok(());
    };
    let x = across.place(reached as f64 - 0.5);
    // The words stand where the curve is not: below it, on the side that has room.
    let (anchor, offset) = if x > f64::midpoint(LEFT, RIGHT) {
        ("end", -8.0)
    } else {
        ("start", 8.0)
    };
    writeln!(
        page,
        "<path class=\"mark\" d=\"M{x:.1} {y:.1}V{:.1}\"/>\
         <text class=\"note\" text-anchor=\"{anchor}\" x=\"{:.1}\" y=\"{:.1}\">{} with {}</text>",
        LOWER.1,
        x + offset,
        UPPER.1 - 12.0,
        percent(MARK, 0),
        counted(reached as u64, "component"),
    )?;
    Ok(())
}

fn table(page: &mut String, scree: &Scree, cumulative: &[f64]) -> Result<()> {
    let shown = scree.ratios.len().min(ROWS);
    let of = if shown < scree.ratios.len() {
        format!("The first {shown} components")
    } else {
        "All components".to_owned()
    };
    write!(
        page,
        "<details>\n<summary>{of} as a table</summary>\n<div class=\"scroll\" tabindex=\"0\">\n\
         <table>\n<thead><tr><th scope=\"col\">Component</th><th scope=\"col\">Eigenvalue</th>\
         <th scope=\"col\">Share</th><th scope=\"col\">Cumulative</th></tr></thead>\n<tbody>\n"
    )?;
    let rows = scree.eigenvalues.iter().zip(&scree.ratios).zip(cumulative);
    for (index, ((eigenvalue, ratio), sum)) in rows.take(shown).enumerate() {
        writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{eigenvalue:.4}</td><td>{}</td><td>{}</td></tr>",
            index + 1,
            percent(*ratio, 2),
            percent(*sum, 2)
        )?;
    }
    *page += "</tbody>\n</table>\n</div>\n</details>\n";
    Ok(())
}
