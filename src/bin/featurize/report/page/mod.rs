//! The page: semantic HTML with inline SVG, style and script.
//!
//! Every text that comes from data goes through [`Text`]. The content security policy lets
//! nothing load and nothing run but the one style and the one script of the page, by their hashes.

mod axis;
mod scatter;
mod scree;
mod sections;
mod text;

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::Result;
use sha2::{Digest, Sha256};

use self::text::Text;
pub(super) use self::text::counted;
use super::Report;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The variance that pictures of this kind mark.
const MARK: f64 = 0.9;

/// The whole page.
pub(super) fn render(report: &Report) -> Result<String> {
    let images = report.labels.rows();
    let labels = report.labels.labels.len() as u64;
    let counts = format!("{}, {}", counted(images, "image"), counted(labels, "label"));
    let title = report.title.as_deref().unwrap_or("Image features");
    let mut page = String::new();
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; \
         style-src '{}'; script-src '{}'\">\n\
         <meta name=\"generator\" content=\"featurize {}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}: {counts}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<header>\n<h1>{}</h1>\n<p><bdi>{}</bdi></p>\n",
        hash(STYLE),
        hash(SCRIPT),
        env!("CARGO_PKG_VERSION"),
        Text(title),
        Text(title),
        Text(&report.source),
    )?;
    sections::figures(&mut page, report)?;
    page += "</header>\n<main>\n";
    scree::section(&mut page, &report.scree, images)?;
    scatter::section(&mut page, report)?;
    sections::labels(&mut page, &report.labels)?;
    let without_vector = report.scatter.without_vector;
    sections::ledger(&mut page, report.ledger.as_ref(), without_vector)?;
    sections::provenance(&mut page, report)?;
    page += "</main>\n";
    scatter::data(&mut page, &report.scatter)?;
    write!(page, "<script>{SCRIPT}</script>\n</body>\n</html>\n")?;
    Ok(page)
}

/// The hash of an inline style or script, as a content security policy names it.
fn hash(text: &str) -> String {
    format!(
        "sha256-{}",
        STANDARD.encode(Sha256::digest(text.as_bytes()))
    )
}
