//! Figures, the ledger and provenance: what needs no picture.

use datafusion::execution::memory_pool::human_readable_size;
use maud::{Markup, Render, html};

use super::scree::needed;
use super::table::table;
use crate::report::content::Content;
use crate::report::model::{MARK, Origin};
use crate::report::provenance::Provenance;
use crate::report::text::{breakable, counted, long, name, path, percent, thousands};

/// Most descriptions of files, and facts of one, that are shown.
const DESCRIPTIONS: usize = 10;
const FACTS: usize = 40;

/// The figures at the top: those that are known.
pub(super) fn figures(content: &Content) -> Markup {
    let unread = content.ledger.as_ref().map(|ledger| ledger.total);
    let figure = |value: &str, name: &str| html! { div { dt { (name) } dd { (value) } } };
    html! {
        dl.figures {
            (figure(&thousands(content.images), "images"))
            (figure(&thousands(content.labels.len() as u64), "labels"))
            (figure(&thousands(content.scree.dimension), "numbers per vector"))
            (figure(&needed(&content.scree, MARK), &format!("components for {}", percent(MARK, 0))))
            @if let Some(unread) = unread { (figure(&thousands(unread), "images not read")) }
        }
    }
}

/// Images that could not be read.
pub(super) fn ledger(content: &Content) -> Markup {
    let without_vector = content.scatter.without_vector;
    html! {
        section id="ledger" {
            h2 { "Images not read" }
            @if let Some(ledger) = &content.ledger {
                @let shown = ledger.entries.len() as u64;
                p {
                    @if ledger.total == 0 { "None, says " } @else {
                        (counted(ledger.total, "image"))
                        @if shown < ledger.total { ", the first " (thousands(shown)) " by path" }
                        ", from "
                    }
                    code { bdi { (breakable(&path(&ledger.source))) } } "."
                }
                @if shown > 0 {
                    div.scroll tabindex="0" {
                        (table(["Image", "Reason"], ledger.entries.iter().map(|entry| {
                            let (path, reason) = (breakable(&path(&entry.path)), long(&entry.reason));
                            [html! { bdi { (path) } }, html! { bdi { (reason) } }]
                        })))
                    }
                }
            } @else {
                p {
                    "This page was drawn without a list of them. "
                    code { "SELECT path, image_info(content)['error'] AS reason FROM images" }
                    " makes one, which the report takes as its ledger; a column " code { "reason" }
                    " beside the features serves too."
                    @if without_vector > 0 {
                        " " (counted(without_vector, "image")) " of those drawn "
                        @if without_vector == 1 { "has" } @else { "have" } " no vector, which may be why."
                    }
                }
            }
        }
    }
}

/// Where everything comes from.
pub(super) fn provenance(content: &Content) -> Markup {
    let Provenance {
        files, examined, ..
    } = content.provenance;
    let described = &content.provenance.described;
    let features = content.provenance.features();
    let model = match &content.scree.origin {
        Origin::Given(location) => location,
        Origin::Fitted => "pca_fit(features, 0.95), for this page",
        Origin::Scores => "none",
    };
    // What a session had set is not a part of its queries, and so not of their results.
    let mut unknown = vec![
        ("featurize.model", "network"),
        ("featurize.weights", "weights"),
    ];
    unknown.retain(|(fact, _)| features.iter().any(|facts| !facts.contains_key(*fact)));
    let unknown: Vec<&str> = unknown.into_iter().map(|(_, name)| name).collect();
    html! {
        section id="provenance" {
            h2 { "Provenance" }
            @if features.len() > 1 {
                p.warning {
                    "The vectors are of " (features.len()) " different origins: distances between them, and \
                     the components above, mean nothing."
                }
            }
            dl.facts {
                (fact("features", breakable(&long(&content.source)))) (fact("rows", thousands(content.images)))
                (fact("files", html! {
                    (counted(files as u64, "file")) ", " (human_readable_size(content.provenance.bytes))
                    @if examined < files { "; the first " (examined) " by name were looked into" }
                }))
                (fact("model", breakable(&long(model))))
                (fact("this page", html! {
                    "featurize " (env!("CARGO_PKG_VERSION")) ", DataFusion " (datafusion::DATAFUSION_VERSION)
                }))
            }
            h3 { "What the files say of the vectors and of themselves" }
            @for ((features, file), count) in described.iter().take(DESCRIPTIONS) {
                @if *count < examined { p { (counted(*count as u64, "file")) ":" } }
                dl.facts {
                    @for (title, value) in features.iter().chain(file).take(FACTS) { (fact(title, long(value))) }
                }
            }
            @if described.len() > DESCRIPTIONS { p { "… and " (described.len() - DESCRIPTIONS) " others." } }
            @if !unknown.is_empty() {
                p {
                    "Not recorded: the " (unknown.join(" and the ")) ". Only arguments of " code { "featurize" }
                    " are, not what " code { "SET" } " has chosen; vectors of different ones may be mixed unseen. "
                    code { "featurize_model_info" } " tells them, to be stored beside."
                }
            }
        }
    }
}

fn fact(title: &str, value: impl Render) -> Markup {
    html! { div { dt { (name(title)) } dd { bdi { (value) } } } }
}
