//! The images in the plane of the first two components, coloured by label.

use std::fmt::Write;

use datafusion::common::Result;

use super::axis::Axis;
use super::text::{Text, clipped, counted, percent, signed, thousands};
use crate::report::Report;
use crate::report::points::{Point, Scatter, Thumbnail};

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 500.0;
const ACROSS: (f64, f64) = (62.0, 546.0);
/// From bottom to top.
const UP: (f64, f64) = (444.0, 12.0);
const COLOURS: usize = 8;
/// Marks of about the same area, so that none stands out.
const SHAPES: [&str; 6] = [
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "M-3.6-3.6h7.2v7.2h-7.2z",
    "M0-5L4.6 3.6h-9.2z",
    "M0-5.2L5.2 0L0 5.2L-5.2 0z",
    "M0 5L4.6-3.6h-9.2z",
    "M-1.7-4.8h3.4v3.1h3.1v3.4h-3.1v3.1h-3.4v-3.1h-3.1v-3.4h3.1z",
];
/// Longest path and label that are shown, in characters.
const PATH_LENGTH: usize = 160;
const LABEL_LENGTH: usize = 60;
/// Labels in the legend; the others have no room, nor would anybody tell their marks apart.
const LEGEND: usize = 400;

/// The heading, the figure, the legend, and the points as a table.
pub(super) fn section(page: &mut String, report: &Report) -> Result<()> {
    let Scatter { points, .. } = &report.scatter;
    *page += "<section id=\"plane\">\n<h2>Images in the plane of the first two components</h2>\n\
              <div class=\"split\">\n<figure>\n<div class=\"plot\">\n";
    let base = base(points);
    figure(page, report, base)?;
    *page += "<div id=\"card\" role=\"status\" hidden></div>\n</div>\n<figcaption>";
    *page += &caption(report);
    *page += "</figcaption>\n</figure>\n";
    legend(page, report)?;
    *page += "</div>\n";
    table(page, report, base)?;
    *page += "</section>\n";
    Ok(())
}

fn caption(report: &Report) -> String {
    let Scatter {
        points,
        without_vector,
        sampled,
        without_path,
        repeated,
        planar,
    } = &report.scatter;
    let rows = report.labels.rows();
    let drawn = (points.len() + without_vector) as u64;
    let mut text = if *sampled {
        format!(
            "A sample of {} of {}, drawn by label with a fixed seed.",
            thousands(drawn),
            counted(rows, "image")
        )
    } else {
        format!("All {}.", counted(drawn, "image"))
    };
    if *without_vector > 0 {
        let verb = if *without_vector == 1 { "has" } else { "have" };
        text += &format!(
            " {} of them {verb} no vector.",
            thousands(*without_vector as u64)
        );
    }
    if *repeated > 0 {
        let verb = if *repeated == 1 {
            "row repeats"
        } else {
            "rows repeat"
        };
        text += &format!(
            " {} {verb} the path of another; each path is drawn once.",
            thousands(*repeated)
        );
    }
    if *without_path > 0 {
        let verb = if *without_path == 1 {
            "row without a path is"
        } else {
            "rows without a path are"
        };
        text += &format!(" {} {verb} not drawn.", thousands(*without_path));
    }
    if !planar {
        text += " The model has one component only, so all lie on a line.";
    }
    if report.labels.labels.len() > COLOURS * SHAPES.len() {
        text += &format!(
            " Marks repeat after {} labels: choose labels in the list to single them out.",
            COLOURS * SHAPES.len()
        );
    }
    let unreadable = report.scatter.unreadable();
    if unreadable > 0 {
        text += &format!(
            " {} could not be read for a thumbnail.",
            counted(unreadable as u64, "image")
        );
    }
    let omitted = points.len() - report.scatter.thumbnails() - unreadable;
    if omitted > 0 {
        text += &format!(" {} without a thumbnail.", counted(omitted as u64, "point"));
    }
    text += "<span class=\"interactive\" hidden> Point at a mark to see its image, or focus the \
             plot and press the arrow keys.</span>";
    text
}

fn figure(page: &mut String, report: &Report, base: &str) -> Result<()> {
    let Scatter { points, .. } = &report.scatter;
    let across = Axis::around(points.iter().map(|point| point.x), ACROSS);
    let up = Axis::around(points.iter().map(|point| point.y), UP);
    write!(
        page,
        "<svg id=\"scatter\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"group\" tabindex=\"0\" \
         aria-label=\"Scatter plot of {} by their first two components. Arrow keys move from point \
         to point, Escape leaves.\">\n<defs>",
        counted(points.len() as u64, "image")
    )?;
    let size = size(points.len());
    for (index, shape) in SHAPES.iter().enumerate() {
        write!(
            page,
            "<path id=\"m{index}\" transform=\"scale({size})\" d=\"{shape}\"/>"
        )?;
    }
    *page += "</defs>\n<g class=\"grid\">\n";
    let ticks = up.ticks(6);
    for tick in &ticks.values {
        let y = up.place(*tick);
        writeln!(
            page,
            "<path d=\"M{} {y:.1}H{}\"/><text class=\"y\" x=\"{:.1}\" y=\"{y:.1}\">{}</text>",
            ACROSS.0,
            ACROSS.1,
            ACROSS.0 - 7.0,
            signed(*tick, ticks.decimals)
        )?;
    }
    let ticks = across.ticks(6);
    for tick in &ticks.values {
        let x = across.place(*tick);
        writeln!(
            page,
            "<path d=\"M{x:.1} {}V{}\"/><text class=\"x\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            UP.0,
            UP.1,
            UP.0 + 18.0,
            signed(*tick, ticks.decimals)
        )?;
    }
    write!(
        page,
        "</g>\n<text class=\"axis\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n\
         <text class=\"axis\" transform=\"translate(16 {:.1}) rotate(-90)\">{}</text>\n\
         <g id=\"points\">\n",
        f64::midpoint(ACROSS.0, ACROSS.1),
        HEIGHT - 8.0,
        component(report, 0),
        f64::midpoint(UP.0, UP.1),
        component(report, 1),
    )?;
    for point in points {
        let (colour, shape) = style(point.label);
        writeln!(
            page,
            "<use href=\"#m{shape}\" class=\"k{colour}\" x=\"{:.1}\" y=\"{:.1}\"><title>{}\n{}\n\
             PC1 {}, PC2 {}</title></use>",
            across.place(point.x),
            up.place(point.y),
            Text(&label(report, point)),
            Text(&relative(point, base)),
            signed(point.x, 2),
            signed(point.y, 2)
        )?;
    }
    *page += "</g>\n<circle id=\"ring\" r=\"9\" visibility=\"hidden\"/>\n</svg>\n";
    Ok(())
}

/// `PC1 (12.3 % of the variance)`.
fn component(report: &Report, index: usize) -> String {
    match report.scree.ratios.get(index) {
        Some(ratio) => format!("PC{} ({} of the variance)", index + 1, percent(*ratio, 1)),
        None => format!("PC{}", index + 1),
    }
}

/// Marks are smaller where there are many.
fn size(points: usize) -> f64 {
    match points {
        0..=150 => 1.1,
        151..=600 => 0.9,
        601..=1500 => 0.75,
        _ => 0.65,
    }
}

/// Colour and shape of a label. Neighbours differ in both, for those who cannot tell the colours
/// apart; the shift after 24 labels keeps all 48 combinations distinct.
fn style(label: usize) -> (usize, usize) {
    let label = label % (COLOURS * SHAPES.len());
    (label % COLOURS, (label + label / 24) % SHAPES.len())
}

fn label(report: &Report, point: &Point) -> String {
    let label = report.labels.labels.get(point.label);
    label.map_or_else(String::new, |label| {
        clipped(&label.name, LABEL_LENGTH, false)
    })
}

/// The folder that all paths begin with, which is written once.
fn base(points: &[Point]) -> &str {
    let mut paths = points.iter().map(|point| point.path.as_str());
    let Some(first) = paths.next() else {
        return "";
    };
    let common = paths.fold(first, |common, path| {
        let same = common.char_indices().zip(path.chars());
        let end = same
            .take_while(|((_, a), b)| a == b)
            .last()
            .map_or(0, |((index, c), _)| index + c.len_utf8());
        common.get(..end).unwrap_or_default()
    });
    let end = common.rfind('/').map_or(0, |slash| slash + 1);
    common.get(..end).unwrap_or_default()
}

fn relative(point: &Point, base: &str) -> String {
    let path = point.path.strip_prefix(base).unwrap_or(&point.path);
    clipped(path, PATH_LENGTH, true)
}

fn legend(page: &mut String, report: &Report) -> Result<()> {
    let labels = &report.labels.labels;
    *page += "<div class=\"side\">\n<h3 id=\"legend-heading\">Labels</h3>\n\
              <p class=\"interactive\" hidden><input id=\"find\" type=\"search\" \
              placeholder=\"Find a label\" aria-label=\"Find a label\" autocomplete=\"off\"> \
              <button id=\"clear\" type=\"button\" hidden>Show all</button></p>\n\
              <ul id=\"legend\" aria-labelledby=\"legend-heading\">\n";
    let box_ = 6.0 * size(report.scatter.points.len());
    for (index, name) in labels.iter().enumerate().take(LEGEND) {
        let (colour, shape) = style(index);
        writeln!(
            page,
            "<li><button type=\"button\" aria-pressed=\"false\" data-label=\"{index}\">\
             <svg viewBox=\"-{box_:.1} -{box_:.1} {:.1} {:.1}\" aria-hidden=\"true\">\
             <use href=\"#m{shape}\" class=\"k{colour}\"/></svg><bdi>{}</bdi></button></li>",
            2.0 * box_,
            2.0 * box_,
            Text(&clipped(&name.name, LABEL_LENGTH, false))
        )?;
    }
    *page += "</ul>\n";
    if labels.len() > LEGEND {
        let others = (labels.len() - LEGEND) as u64;
        writeln!(
            page,
            "<p>… and {} with fewer images.</p>",
            counted(others, "label")
        )?;
    }
    *page += "</div>\n";
    Ok(())
}

fn table(page: &mut String, report: &Report, base: &str) -> Result<()> {
    write!(
        page,
        "<details>\n<summary>The points as a table</summary>\n<p>Paths begin with \
         <code><bdi>{}</bdi></code>.</p>\n<div class=\"scroll\" tabindex=\"0\">\n<table>\n<thead><tr>\
         <th scope=\"col\">Image</th><th scope=\"col\">Label</th><th scope=\"col\">PC1</th>\
         <th scope=\"col\">PC2</th></tr></thead>\n<tbody>\n",
        Text(base)
    )?;
    let mut points: Vec<&Point> = report.scatter.points.iter().collect();
    points.sort_by(|a, b| a.path.cmp(&b.path));
    for point in points {
        writeln!(
            page,
            "<tr><th scope=\"row\"><bdi>{}</bdi></th><td><bdi>{}</bdi></td><td>{}</td><td>{}</td></tr>",
            Text(&relative(point, base)),
            Text(&label(report, point)),
            signed(point.x, 2),
            signed(point.y, 2)
        )?;
    }
    *page += "</tbody>\n</table>\n</div>\n</details>\n";
    Ok(())
}

/// Labels and thumbnails of the points, for the script: numbers and base64 only, so that nothing
/// in it can end the element.
pub(super) fn data(page: &mut String, scatter: &Scatter) -> Result<()> {
    let separated = |index: usize| if index == 0 { "" } else { "," };
    *page += "<script id=\"data\" type=\"application/json\">{\"labels\":[";
    for (index, point) in scatter.points.iter().enumerate() {
        write!(page, "{}{}", separated(index), point.label)?;
    }
    *page += "],\"thumbnails\":[";
    for (index, point) in scatter.points.iter().enumerate() {
        *page += separated(index);
        match &point.thumbnail {
            Thumbnail::Jpeg(base64) => write!(page, "\"{base64}\"")?,
            Thumbnail::Unreadable => *page += "0",
            Thumbnail::Omitted => *page += "null",
        }
    }
    *page += "]}</script>\n";
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_common_folder_is_written_once() {
        let points = |paths: &[&str]| -> Vec<Point> {
            let paths = paths.iter().map(|path| Point {
                path: (*path).to_owned(),
                label: 0,
                x: 0.0,
                y: 0.0,
                thumbnail: Thumbnail::Omitted,
            });
            paths.collect()
        };
        for (paths, expected) in [
            (vec![], ""),
            (vec!["s3://b/é/1.jpg"], "s3://b/é/"),
            (vec!["s3://b/éa/1.jpg", "s3://b/éb/1.jpg"], "s3://b/"),
            (vec!["s3://b/é/1.jpg", "s3://b/è/1.jpg"], "s3://b/"),
            (vec!["x", "y"], ""),
        ] {
            assert_eq!(base(&points(&paths)), expected);
        }
    }

    #[test]
    fn the_first_marks_differ() {
        let styles: std::collections::HashSet<_> = (0..48).map(style).collect();
        assert_eq!(styles.len(), 48);
        assert_eq!(style(48), style(0));
    }
}
