//! The images in the plane of two components, coloured by label.

use maud::{Markup, Render, html};
use serde_json::json;

use super::plot::{Frame, Range};
use super::table::{details, table};
use crate::report::content::Content;
use crate::report::images::{Point, Scatter, Thumbnail};
use crate::report::text::{breakable, counted, name, path, percent, signed, thousands};

const FRAME: Frame = Frame(Range(62.0, 546.0), Range(452.0, 12.0));
/// Numbers along an axis, about.
const TICKS: usize = 6;
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
/// Labels in the legend; the others have no room, nor would anybody tell their marks apart.
const LEGEND: usize = 400;

/// The heading, the figure, the legend, and the points as a table.
pub(super) fn section(content: &Content) -> Markup {
    let axes = Axes::of(content);
    html! {
        section id="plane" {
            h2 { "Images in the plane of two components" }
            div.split {
                figure {
                    @if axes.0.len() > 2 {
                        p.interactive.axes hidden { (axes.choice("across", "Across", 0)) (axes.choice("up", "Up", 1)) }
                    }
                    div.plot { (figure(content, &axes)) div id="card" role="status" hidden {} }
                    figcaption { (caption(content)) }
                }
                (legend(content))
            }
            (points_table(content, &axes))
        }
    }
}

/// What each component spans, and its name: `PC1 (12.3 % of the variance)`.
struct Axes(Vec<(Range, String)>);

impl Axes {
    fn of(content: &Content) -> Self {
        let (points, ratios) = (&content.scatter.points, &content.scree.ratios);
        let components = points.first().map_or(2, |point| point.scores.len());
        let axes = (0..components).map(|index| {
            let scores = points.iter().flat_map(|point| point.scores.get(index));
            let share = ratios.get(index).map(|ratio| percent(*ratio, 1));
            let share = share.map(|share| format!(" ({share} of the variance)"));
            let name = format!("PC{}{}", index + 1, share.unwrap_or_default());
            (Range::around(scores.copied()), name)
        });
        Self(axes.collect())
    }

    /// A choice of the component that an axis shows.
    fn choice(&self, id: &str, direction: &str, chosen: usize) -> Markup {
        html! {
            label {
                (direction) " "
                select id=(id) autocomplete="off" {
                    @for (index, (_, name)) in self.0.iter().enumerate() {
                        option value=(index) selected[index == chosen] { (name) }
                    }
                }
            }
        }
    }

    /// The first two scores of a point, and how these are written.
    fn plane<'a>(&'a self, point: &'a Point) -> impl Iterator<Item = (&'a Range, f64, String)> {
        let axes = self.0.iter().zip(&point.scores).take(2);
        axes.map(|((range, _), score)| (range, *score, signed(*score, decimals(range))))
    }
}

/// Of scores, as they are written: two more than the axis has.
fn decimals(range: &Range) -> usize {
    range.step(TICKS).1 + 2
}

fn caption(content: &Content) -> Markup {
    let scatter = &content.scatter;
    let (drawn, without) = (scatter.points.len() as u64, scatter.without_vector);
    let unreadable = scatter.count(|thumbnail| *thumbnail == Thumbnail::Unreadable);
    let omitted = scatter.count(|thumbnail| *thumbnail == Thumbnail::Omitted);
    let marks = COLOURS * SHAPES.len();
    html! {
        @if scatter.sampled {
            "A sample of " (thousands(drawn + without)) " of " (counted(content.images, "image"))
            ", drawn by label, the same every time."
        } @else { "All " (counted(drawn + without, "image")) "." }
        @if without > 0 { " " (thousands(without)) " of them " @if without == 1 { "has" } @else { "have" } " no vector." }
        @for (number, which) in [
            (scatter.repeated, "whose path another row has"), (scatter.without_path, "without a path"),
        ] {
            @if number > 0 { " Not drawn: " (counted(number, "row")) " " (which) "." }
        }
        @if content.scree.ratios.len() < 2 { " The model has one component only, so all lie on a line." }
        @if content.labels.len() > marks {
            " Marks repeat after " (marks) " labels: choose labels in the list to single them out."
        }
        @if unreadable > 0 { " " (counted(unreadable, "image")) " could not be read for a thumbnail." }
        @if omitted > 0 { " " (counted(omitted, "point")) " without a thumbnail." }
        span.interactive hidden { " Point at a mark to see its image, or focus the plot and press the arrow keys." }
    }
}

/// The plot. Every component has an axis in both directions, of which the first two are shown: another choice
/// moves the marks and shows other axes, but draws nothing anew.
fn figure(content: &Content, axes: &Axes) -> Markup {
    let points = &content.scatter.points;
    html! {
        svg id="scatter" viewBox="0 0 560 500" role="group" tabindex="0" aria-label={
            "Scatter plot of " (counted(points.len() as u64, "image")) " by two components. \
             Arrow keys move from point to point, Escape leaves."
        } {
            defs {
                @for (index, shape) in SHAPES.iter().enumerate() {
                    path id={ "m" (index) } transform={ "scale(" (size(points.len())) ")" } d=(shape) {}
                }
            }
            @for (index, (range, name)) in axes.0.iter().enumerate() {
                @let ticks = range.ticks(TICKS);
                g.grid data-up=(index) hidden[index != 1] { (FRAME.up(range, &ticks, name)) }
                g.grid data-across=(index) hidden[index != 0] { (FRAME.across(range, &ticks, name, true)) }
            }
            g id="points" {
                @for point in points {
                    @if let [(across, x, first), (up, y, second)] = axes.plane(point).collect::<Vec<_>>().as_slice() {
                        (symbol(point.label, Some((FRAME.x(across, *x), FRAME.y(up, *y))), &html! {
                            title {
                                (label(content, point)) "\n" (path(content.scatter.name(point)))
                                "\nPC1 " (first) ", PC2 " (second)
                            }
                        }))
                    }
                }
            }
            circle id="ring" r="9" visibility="hidden" {}
        }
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

/// The mark of a label.
fn symbol(label: usize, place: Option<(f64, f64)>, title: &Markup) -> Markup {
    let (colour, shape) = style(label);
    let (x, y) = place.unzip();
    html! { use href={ "#m" (shape) } class={ "k" (colour) } x=[x] y=[y] { (title) } }
}

/// Colour and shape of a label. Neighbours differ in both, for those who cannot tell the colours
/// apart; the shift after 24 labels keeps all 48 combinations distinct.
fn style(label: usize) -> (usize, usize) {
    let label = label % (COLOURS * SHAPES.len());
    (label % COLOURS, (label + label / 24) % SHAPES.len())
}

fn label(content: &Content, point: &Point) -> String {
    let label = content.labels.get(point.label);
    label.map_or_else(String::new, |label| name(&label.name))
}

fn legend(content: &Content) -> Markup {
    let half = 6.0 * size(content.scatter.points.len());
    let others = content.labels.len().saturating_sub(LEGEND) as u64;
    html! {
        div.side {
            h3 id="legend-heading" { "Labels" }
            p.interactive hidden {
                input id="find" type="search" placeholder="Find a label" aria-label="Find a label" autocomplete="off";
                " "
                button id="clear" type="button" hidden { "Show all" }
            }
            ul id="legend" aria-labelledby="legend-heading" {
                @for (index, label) in content.labels.iter().enumerate().take(LEGEND) {
                    li {
                        button type="button" aria-pressed="false" data-label=(index) {
                            svg viewBox={ (-half) " " (-half) " " (half * 2.0) " " (half * 2.0) } aria-hidden="true" {
                                (symbol(index, None, &html! {}))
                            }
                            bdi { (name(&label.name)) }
                        }
                    }
                }
            }
            @if others > 0 { p { "… and " (counted(others, "label")) " with fewer images." } }
        }
    }
}

fn points_table(content: &Content, axes: &Axes) -> Markup {
    let mut points: Vec<&Point> = content.scatter.points.iter().collect();
    points.sort_by(|a, b| a.path.cmp(&b.path));
    let rows = points.into_iter().map(|point| {
        let mut scores = axes.plane(point).map(|(_, _, score)| score.render());
        let mut score = || scores.next().unwrap_or_default();
        let image = html! { bdi { (breakable(&path(content.scatter.name(point)))) } };
        [
            image,
            html! { bdi { (label(content, point)) } },
            score(),
            score(),
        ]
    });
    let base = breakable(&path(&content.scatter.base));
    let intro = html! { p { "Paths begin with " code { bdi { (base) } } "." } };
    let table = table(["Image", "Label", "PC1", "PC2"], rows);
    details("The points as a table", &intro, &table)
}

/// What the script needs of the points: numbers and base64 only, so that nothing in it can end the
/// element. Of a thumbnail that stands in the list of labels nothing is said, an image that is not readable is 0.
pub(super) fn data(content: &Content, pictures: &[Vec<usize>]) -> String {
    let Scatter { points, .. } = &content.scatter;
    let listed: std::collections::HashSet<_> = pictures.iter().flatten().collect();
    let points = points.iter().enumerate().map(|(index, point)| {
        let scores: Vec<f32> = point.scores.iter().map(|score| *score as f32).collect();
        match &point.thumbnail {
            Thumbnail::Jpeg(jpeg) if !listed.contains(&index) => json!([point.label, scores, jpeg]),
            Thumbnail::Unreadable => json!([point.label, scores, 0]),
            _ => json!([point.label, scores]),
        }
    });
    let axes = Axes::of(content).0.into_iter();
    let axes = axes.map(|(range, _)| json!([range.0, range.1, decimals(&range)]));
    let Frame(Range(left, right), Range(bottom, top)) = FRAME;
    let frame = [[left, right], [bottom, top]];
    let (points, axes) = (points.collect::<Vec<_>>(), axes.collect::<Vec<_>>());
    json!({ "frame": frame, "axes": axes, "points": points }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_marks_differ() {
        let styles: std::collections::HashSet<_> = (0..48).map(style).collect();
        assert_eq!(styles.len(), 48);
        assert_eq!(style(48), style(0));
    }
}
