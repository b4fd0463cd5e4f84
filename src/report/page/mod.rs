//! The page: semantic HTML with inline SVG, style and script.
//!
//! Markup escapes every text. The content security policy lets nothing load and nothing run but the one
//! style and the one script of the page, by their hashes.

mod labels;
mod plot;
mod scatter;
mod scree;
mod sections;
mod table;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::content::Content;
use super::text::{breakable, counted, long, path};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The whole page.
pub(super) fn render(content: &Content) -> String {
    let pictures = labels::pictures(content);
    let title = long(content.title.as_deref().unwrap_or("Image features"));
    let policy = format!(
        "default-src 'none'; img-src data:; style-src '{}'; script-src '{}'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="generator" content={ "featurize " (env!("CARGO_PKG_VERSION")) };
                link rel="icon" href="data:,";
                title {
                    (title) ": " (counted(content.images, "image")) ", "
                    (counted(content.labels.len() as u64, "label"))
                }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p { bdi { (breakable(&path(&content.source))) } }
                    (sections::figures(content))
                }
                main {
                    (scree::section(&content.scree, content.images))
                    (scatter::section(content))
                    (labels::section(content, &pictures))
                    (sections::ledger(content))
                    (sections::provenance(content))
                }
                script id="data" type="application/json" {
                    (PreEscaped(scatter::data(content, &pictures)))
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// The hash of an inline style or script, as a content security policy names it.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text)))
}
