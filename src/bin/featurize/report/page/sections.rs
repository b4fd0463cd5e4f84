//! Counts, the ledger and provenance: what needs no picture, or a simple one.

use std::fmt::Write;

use datafusion::common::Result;

use super::MARK;
use super::text::{Text, bytes, clipped, counted, percent, thousands};
use crate::report::Report;
use crate::report::labels::Labels;
use crate::report::ledger::Ledger;
use crate::report::model::Origin;
use crate::report::provenance::{Facts, Provenance};

/// Most labels that have a bar.
const BARS: usize = 300;
const LABEL_LENGTH: usize = 60;
const PATH_LENGTH: usize = 300;
const VALUE_LENGTH: usize = 300;
/// Most descriptions of files, and facts of one, that are shown.
const DESCRIPTIONS: usize = 10;
const FACTS: usize = 40;

/// The figures of the data at the top.
pub(super) fn figures(page: &mut String, report: &Report) -> Result<()> {
    let components = report.scree.reaching(MARK);
    let components = components.map_or_else(|| "not reached".to_owned(), |n| thousands(n as u64));
    let unreadable = report.ledger.as_ref().map(|ledger| thousands(ledger.total));
    *page += "<dl class=\"figures\">\n";
    for (name, value) in [
        ("images", thousands(report.labels.rows())),
        ("labels", thousands(report.labels.labels.len() as u64)),
        (
            "numbers per vector",
            thousands(report.scree.dimension as u64),
        ),
        (&format!("components for {}", percent(MARK, 0)), components),
        (
            "images not read",
            unreadable.unwrap_or_else(|| "not known".to_owned()),
        ),
    ] {
        writeln!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
    }
    *page += "</dl>\n";
    Ok(())
}

/// Images of each label, as bars.
pub(super) fn labels(page: &mut String, labels: &Labels) -> Result<()> {
    let most = labels.labels.first().map_or(1, |label| label.rows.max(1));
    let least = labels.labels.last().map_or(0, |label| label.rows);
    let source = if labels.are_folders {
        " There is no column of labels: a label is the folder of the path."
    } else {
        ""
    };
    let range = if least == most {
        format!("{} each", counted(most, "image"))
    } else {
        format!("{} to {}", thousands(least), counted(most, "image"))
    };
    write!(
        page,
        "<section id=\"labels\">\n<h2>Images of each label</h2>\n<p>{}, {range}.{source}</p>\n\
         <ul class=\"bars\">\n",
        counted(labels.labels.len() as u64, "label")
    )?;
    for label in labels.labels.iter().take(BARS) {
        writeln!(
            page,
            "<li><bdi>{}</bdi><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" \
             aria-hidden=\"true\"><rect width=\"{:.1}\" height=\"10\"/></svg><span>{}</span></li>",
            Text(&clipped(&label.name, LABEL_LENGTH, false)),
            100.0 * label.rows as f64 / most as f64,
            thousands(label.rows)
        )?;
    }
    *page += "</ul>\n";
    let others = labels.labels.get(BARS..).unwrap_or_default();
    if !others.is_empty() {
        let rows: u64 = others.iter().map(|label| label.rows).sum();
        writeln!(
            page,
            "<p>… and {} with {} together.</p>",
            counted(others.len() as u64, "label"),
            counted(rows, "image")
        )?;
    }
    *page += "</section>\n";
    Ok(())
}

/// Images that could not be read.
pub(super) fn ledger(
    page: &mut String,
    ledger: Option<&Ledger>,
    without_vector: usize,
) -> Result<()> {
    *page += "<section id=\"ledger\">\n<h2>Images not read</h2>\n";
    match ledger {
        None => {
            *page += "<p>Not known: the features have no column <code>reason</code> or \
                      <code>error</code>, and no <code>--ledger</code> was given.";
            if without_vector > 0 {
                let images = counted(without_vector as u64, "image");
                let verb = if without_vector == 1 { "has" } else { "have" };
                write!(
                    page,
                    " {images} of those drawn {verb} no vector, which may be why."
                )?;
            }
            *page += "</p>\n";
        }
        Some(ledger) if ledger.total == 0 => {
            writeln!(
                page,
                "<p>None, says <code><bdi>{}</bdi></code>.</p>",
                Text(&ledger.source)
            )?;
        }
        Some(ledger) => {
            let shown = ledger.entries.len() as u64;
            let of = if shown < ledger.total {
                format!(", the first {} by path", thousands(shown))
            } else {
                String::new()
            };
            write!(
                page,
                "<p>{}{of}, from <code><bdi>{}</bdi></code>.</p>\n\
                 <div class=\"scroll\" tabindex=\"0\">\n<table>\n<thead><tr>\
                 <th scope=\"col\">Image</th><th scope=\"col\">Reason</th></tr></thead>\n<tbody>\n",
                counted(ledger.total, "image"),
                Text(&ledger.source)
            )?;
            for (path, reason) in &ledger.entries {
                writeln!(
                    page,
                    "<tr><th scope=\"row\"><bdi>{}</bdi></th><td><bdi>{}</bdi></td></tr>",
                    Text(&clipped(path, PATH_LENGTH, true)),
                    Text(&clipped(reason, VALUE_LENGTH, false))
                )?;
            }
            *page += "</tbody>\n</table>\n</div>\n";
        }
    }
    *page += "</section>\n";
    Ok(())
}

/// Where everything comes from.
pub(super) fn provenance(page: &mut String, report: &Report) -> Result<()> {
    let Provenance {
        files,
        bytes: size,
        examined,
        features,
        writers,
    } = &report.provenance;
    *page += "<section id=\"provenance\">\n<h2>Provenance</h2>\n";
    if features.len() > 1 {
        writeln!(
            page,
            "<p class=\"warning\">The vectors are of {} different origins: distances between them, \
             and the components above, mean nothing.</p>",
            features.len()
        )?;
    }
    let files_text = format!(
        "{}, {}{}",
        counted(*files as u64, "file"),
        bytes(*size),
        if examined < files {
            format!(
                "; the first {} by name were looked into",
                thousands(*examined as u64)
            )
        } else {
            String::new()
        }
    );
    let model = match &report.scree.origin {
        Origin::Given(location) => location.clone(),
        Origin::Fitted => "pca_fit(features, 0.95), for this page".to_owned(),
        Origin::Scores => "none".to_owned(),
    };
    *page += "<dl class=\"facts\">\n";
    for (name, value) in [
        ("features", report.source.as_str()),
        ("rows", &thousands(report.labels.rows())),
        ("files", &files_text),
        ("model", &model),
        (
            "this page",
            &format!(
                "featurize {}, DataFusion {}",
                env!("CARGO_PKG_VERSION"),
                datafusion::DATAFUSION_VERSION
            ),
        ),
    ] {
        fact(page, name, value)?;
    }
    *page += "</dl>\n";
    *page += "<h3>What the files say of the vectors</h3>\n";
    if !features.keys().all(Facts::is_empty) {
        descriptions(page, features.iter(), *examined)?;
    }
    // What a session had set is not a part of its queries, and so not of their results.
    let unknown: Vec<&str> = [
        ("featurize.model", "network"),
        ("featurize.weights", "weights"),
    ]
    .into_iter()
    .filter(|(fact, _)| features.keys().any(|facts| !facts.contains_key(*fact)))
    .map(|(_, name)| name)
    .collect();
    if !unknown.is_empty() {
        writeln!(
            page,
            "<p>Not recorded: the {}. Only arguments of <code>featurize</code> are, not what \
             <code>SET</code> has chosen; vectors of different ones may be mixed unseen. \
             <code>featurize_model_info</code> tells them, to be stored beside.</p>",
            unknown.join(" and the ")
        )?;
    }
    if writers.keys().any(|facts| !facts.is_empty()) {
        *page += "<h3>What they say of themselves</h3>\n";
        descriptions(page, writers.iter(), *examined)?;
    }
    *page += "</section>\n";
    Ok(())
}

fn descriptions<'a>(
    page: &mut String,
    all: impl ExactSizeIterator<Item = (&'a Facts, &'a usize)>,
    examined: usize,
) -> Result<()> {
    let count = all.len();
    for (facts, files) in all.take(DESCRIPTIONS) {
        if *files < examined {
            writeln!(page, "<p>{}:</p>", counted(*files as u64, "file"))?;
        }
        *page += "<dl class=\"facts\">\n";
        for (name, value) in facts.iter().take(FACTS) {
            fact(page, &clipped(name, LABEL_LENGTH, false), value)?;
        }
        if facts.is_empty() {
            fact(page, "nothing", "")?;
        }
        *page += "</dl>\n";
    }
    if count > DESCRIPTIONS {
        writeln!(page, "<p>… and {} others.</p>", count - DESCRIPTIONS)?;
    }
    Ok(())
}

fn fact(page: &mut String, name: &str, value: &str) -> Result<()> {
    writeln!(
        page,
        "<div><dt>{}</dt><dd><bdi>{}</bdi></dd></div>",
        Text(name),
        Text(&clipped(value, VALUE_LENGTH, false))
    )?;
    Ok(())
}
