//! The scree plot: what each component explains, and what the first ones explain together.

use maud::{Markup, Render, html};

use super::plot::{Frame, Range};
use super::table::{details, table};
use crate::report::model::{MARK, Origin, Scree};
use crate::report::text::{breakable, counted, path, percent, thousands};

/// Cumulative shares above, single ones below.
const ABOVE: Frame = Frame(Range(62.0, 546.0), Range(232.0, 12.0));
const BELOW: Frame = Frame(Range(62.0, 546.0), Range(356.0, 258.0));
/// Percent of the variance.
const WHOLE: Range = Range(0.0, 100.0);
/// Most bars, and vertices of the curve. Of more components, a bar is the largest of its neighbours.
const BARS: usize = 240;
const VERTICES: usize = 480;
/// Most components that have a dot, and rows of the table of components.
const DOTS: usize = 40;
const ROWS: usize = 50;
const SHARES: [f64; 5] = [0.5, 0.75, 0.9, 0.95, 0.99];

/// The heading, the figure and its tables.
pub(super) fn section(scree: &Scree, images: u64) -> Markup {
    let components = counted(scree.ratios.len() as u64, "component");
    let possible = scree.dimension.min(scree.samples.saturating_sub(1).max(1));
    html! {
        section id="variance" {
            h2 { "Variance explained" }
            div.split {
                figure {
                    (figure(scree))
                    figcaption {
                        "Above, the share of the total variance that the first components explain \
                         together; below, each one's own. The mark is at " (percent(MARK, 0)) "."
                    }
                }
                div {
                    p.lead {
                        @if let Some(reached) = scree.reaching(MARK) {
                            strong { (counted(reached as u64, "component")) } " of at most " (thousands(possible))
                            " explain " (percent(MARK, 0)) " of the variance."
                        } @else {
                            "The " (components) " of the model explain" @if scree.ratios.len() == 1 { "s" } " "
                            (percent(scree.ratios.iter().sum(), 1)) " of the variance, less than "
                            (percent(MARK, 0)) ": " code { "pca_fit(features, " (MARK) ")" }
                            " keeps as many as that takes."
                        }
                    }
                    (table(["Variance", "Components"], SHARES.map(|share| {
                        [percent(share, 0).render(), needed(scree, share).render()]
                    })))
                    p { (origin(scree, images)) }
                }
            }
            (components_table(scree))
        }
    }
}

/// Components that reach a share; more than all, where the model has not kept so many.
pub(super) fn needed(scree: &Scree, share: f64) -> String {
    match scree.reaching(share) {
        Some(reached) => thousands(reached as u64),
        None => format!("more than {}", thousands(scree.ratios.len() as u64)),
    }
}

/// Where the model comes from, in words.
fn origin(scree: &Scree, images: u64) -> Markup {
    let vectors = counted(scree.samples, "vector");
    let fitted = format!("{vectors} of {} numbers", thousands(scree.dimension));
    html! {
        @match &scree.origin {
            Origin::Given(location) => {
                "The model was read from " code { bdi { (breakable(&path(location))) } }
                ". It was fitted to " (fitted)
                @if scree.samples != images { ", while this table has " (counted(images, "row")) } "."
            }
            Origin::Fitted => {
                "No model was given, so one was fitted for this page, to " (fitted)
                ", standardised, with 95\u{202f}% of the variance: " code { "pca_fit(features, 0.95)" } "."
            }
            Origin::Scores => {
                "The column holds scores already, and no model was given: what is shown was computed from "
                (fitted) ", and shares are of the variance that these have kept, not of that of the features."
            }
        }
    }
}

fn figure(scree: &Scree) -> Markup {
    let ratios = &scree.ratios;
    // A component stands at its number.
    let across = Range(0.5, ratios.len().max(1) as f64 + 0.5);
    let own = Range(0.0, ratios.iter().copied().fold(1e-9, f64::max) * 105.0);
    let mut numbers = across.ticks(6);
    numbers.retain(|(number, _)| *number >= 1.0 && number.fract() == 0.0);
    let quarters = [0.0f64, 25.0, 50.0, 75.0, 100.0]
        .map(|share| (share, share.to_string()))
        .to_vec();
    let reached = scree.reaching(MARK);
    let kept = reached.unwrap_or(ratios.len());
    let curve = curve(scree, &across);
    html! {
        svg id="scree" viewBox="0 0 560 404" role="img" aria-label={
            "Scree plot. The first component explains " (percent(ratios.iter().take(1).sum(), 1))
            @if let Some(n) = reached { ", and " (counted(n as u64, "component")) " explain " (percent(MARK, 0)) }
            "."
        } {
            g.grid {
                (ABOVE.up(&WHOLE, &quarters, "cumulative,\u{202f}%"))
                (BELOW.up(&own, &own.ticks(3), "each,\u{202f}%"))
                (BELOW.across(&across, &numbers, "principal component", false))
            }
            path.bars d=(bars(ratios, &across, &own, 0..kept)) {}
            path.bars.more d=(bars(ratios, &across, &own, kept..ratios.len())) {}
            path.curve d={ "M" (curve.iter().map(|(x, y)| format!("{x} {y}")).collect::<Vec<_>>().join("L")) } {}
            @if curve.len() <= DOTS {
                g.dots { @for (x, y) in curve { circle cx=(x) cy=(y) r="3" {} } }
            }
            (mark(&across, reached))
        }
    }
}

/// The outlines of bars whose first component is in `those`, counted from 0.
fn bars(ratios: &[f64], across: &Range, own: &Range, those: std::ops::Range<usize>) -> String {
    let width = ratios.len().div_ceil(BARS).max(1);
    let buckets = (0..).step_by(width).zip(ratios.chunks(width));
    let buckets = buckets.filter(|(first, _)| those.contains(first));
    let bars = buckets.map(|(first, bucket)| {
        let (from, to) = (first as f64 + 0.5, (first + bucket.len()) as f64 + 0.5);
        let (from, to) = (BELOW.x(across, from), BELOW.x(across, to));
        let gap = ((to - from) * 0.1).min(2.0);
        let top = BELOW.y(own, bucket.iter().copied().fold(0.0, f64::max) * 100.0);
        let Frame(_, Range(bottom, _)) = BELOW;
        format!(
            "M{:.2} {bottom}V{top}H{:.2}V{bottom}z",
            from + gap,
            to - gap
        )
    });
    bars.collect()
}

/// Vertices of the curve of cumulative shares.
fn curve(scree: &Scree, across: &Range) -> Vec<(f64, f64)> {
    let count = scree.ratios.len();
    let step = count.div_ceil(VERTICES).max(1);
    let points = scree.cumulative().into_iter().zip(1..);
    let points = points.filter(|(_, number)| number % step == 1 % step || *number == count);
    let places = points.map(|(sum, number)| {
        let share = sum.min(1.0) * 100.0;
        (ABOVE.x(across, number as f64), ABOVE.y(&WHOLE, share))
    });
    places.collect()
}

/// The line at the mark, and where the curve meets it.
fn mark(across: &Range, reached: Option<usize>) -> Markup {
    let Frame(Range(left, right), Range(bottom, _)) = ABOVE;
    let y = ABOVE.y(&WHOLE, MARK * 100.0);
    html! {
        path.mark d={ "M" (left) " " (y) "H" (right) } {}
        @if let Some(reached) = reached {
            @let x = ABOVE.x(across, reached as f64);
            // The words stand where the curve is not: below it, on the side that has room.
            @let (side, beside) = if x > f64::midpoint(left, right) { ("end", x - 8.0) } else { ("start", x + 8.0) };
            path.mark d={ "M" (x) " " (y) "V" (BELOW.1.0) } {}
            text.note text-anchor=(side) x=(beside) y=(bottom - 12.0) {
                (percent(MARK, 0)) " with " (counted(reached as u64, "component"))
            }
        } @else {
            text.note x=(left + 6.0) y=(y - 6.0) { (percent(MARK, 0)) }
        }
    }
}

fn components_table(scree: &Scree) -> Markup {
    let rows = scree
        .eigenvalues
        .iter()
        .zip(&scree.ratios)
        .zip(scree.cumulative());
    let rows = rows
        .zip(1..=ROWS)
        .map(|(((eigenvalue, ratio), sum), number)| {
            let eigenvalue = format!("{eigenvalue:.4}");
            [
                number.render(),
                eigenvalue.render(),
                percent(*ratio, 2).render(),
                percent(sum, 2).render(),
            ]
        });
    let which = match scree.ratios.len() {
        0..=ROWS => "All components".to_owned(),
        _ => format!("The first {ROWS} components"),
    };
    let headings = ["Component", "Eigenvalue", "Share", "Cumulative"];
    details(
        &format!("{which} as a table"),
        &html! {},
        &table(headings, rows),
    )
}
