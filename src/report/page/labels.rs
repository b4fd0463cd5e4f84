//! The images of each label: how many, and some of them to look at.

use maud::{Markup, html};

use crate::report::content::Content;
use crate::report::images::Thumbnail;
use crate::report::text::{counted, name, path, thousands};

/// Most labels that are listed.
const LABELS: usize = 300;

/// For each label that is listed, the points whose thumbnails stand beside it: the first.
pub(super) fn pictures(content: &Content) -> Vec<Vec<usize>> {
    let labels = content.labels.len().min(LABELS);
    // Two rows of six, one, or a half: the more labels, the fewer.
    let most = match labels {
        0..=30 => 12,
        31..=120 => 6,
        _ => 3,
    };
    let mut pictures = vec![vec![]; labels];
    for (index, point) in content.scatter.points.iter().enumerate() {
        if let (Some(pictures), Thumbnail::Jpeg(_)) =
            (pictures.get_mut(point.label), &point.thumbnail)
            && pictures.len() < most
        {
            pictures.push(index);
        }
    }
    pictures
}

/// The list of labels. Numbers and bars stand in it where they differ.
pub(super) fn section(content: &Content, pictures: &[Vec<usize>]) -> Markup {
    let labels = &content.labels;
    let rows = || labels.iter().map(|label| label.rows);
    let (most, least) = (rows().next().unwrap_or(0), rows().next_back().unwrap_or(0));
    let shown = pictures.iter().map(Vec::len).max().unwrap_or_default();
    let others = labels.get(LABELS..).unwrap_or_default();
    html! {
        section id="labels" {
            h2 { "Images of each label" }
            p {
                (counted(labels.len() as u64, "label")) ", "
                @if least < most { (thousands(least)) " to " }
                (counted(most, "image"))
                @if least == most { " each" }
                "."
                @if shown > 0 && (shown as u64) < most { " Of each, " (shown) " at most are shown." }
                @if content.labels_are_folders {
                    " There is no column of labels: a label is the folder of the path."
                }
            }
            ul.labels.equal[least == most] {
                @for (index, label) in labels.iter().enumerate().take(LABELS) {
                    li {
                        bdi { (name(&label.name)) }
                        @if least < most {
                            svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true" {
                                rect width=(format!("{:.1}", 100.0 * label.rows as f64 / most as f64)) height="10" {}
                            }
                            span { (thousands(label.rows)) }
                        }
                        @if let Some(pictures) = pictures.get(index).filter(|list| !list.is_empty()) {
                            div { @for index in pictures { (picture(content, *index)) } }
                        }
                    }
                }
            }
            @if !others.is_empty() {
                p {
                    "… and " (counted(others.len() as u64, "label")) " with "
                    (counted(rows().skip(LABELS).sum(), "image")) " together."
                }
            }
        }
    }
}

fn picture(content: &Content, index: usize) -> Markup {
    let point = content.scatter.points.get(index);
    html! {
        @if let Some((point, Thumbnail::Jpeg(jpeg))) = point.map(|point| (point, &point.thumbnail)) {
            @let file = path(content.scatter.name(point));
            img id={ "t" (index) } alt=(file) title=(file) src={ "data:image/jpeg;base64," (jpeg) };
        }
    }
}
