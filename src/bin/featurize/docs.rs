//! The reference and the page on credentials, which the program carries for its help and completion.

/// A page of the guide.
const REFERENCE: &str = include_str!("../../guide/reference.md");
/// The source that begins with the page.
const CREDENTIALS: &str = include_str!("../../binary_file/credentials.rs");

/// A part of the documentation, as Markdown.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Page {
    Table,
    Writing,
    Credentials,
}

impl Page {
    pub(crate) fn markdown(self) -> String {
        match self {
            Self::Table => section(REFERENCE, "## The table").to_owned(),
            Self::Writing => section(REFERENCE, "## Writing").to_owned(),
            Self::Credentials => {
                let lines = CREDENTIALS
                    .lines()
                    .map_while(|line| line.strip_prefix("//!"));
                let lines: Vec<&str> = lines
                    .map(|line| line.strip_prefix(' ').unwrap_or(line))
                    .collect();
                section(&lines.join("\n"), "# In SQL").to_owned()
            }
        }
    }

    /// The options that the page lists, with the values that it names for them.
    pub(crate) fn options(self) -> Vec<(String, Vec<String>)> {
        let mut options = vec![];
        let markdown = self.markdown();
        for cells in markdown.lines().filter_map(cells).skip(2) {
            let values = match cells.as_slice() {
                // Values, and what they mean.
                [_, values, _, ..] => quoted(values),
                _ => vec![],
            };
            // The last is all others of a store.
            let names = cells.first().map(|cell| quoted(cell)).unwrap_or_default();
            let names = names.into_iter().filter(|name| !name.contains('…'));
            options.extend(names.map(|name| (name, values.clone())));
        }
        options
    }
}

/// What stands between a heading and the next of its rank.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let rank = heading.split(' ').next().unwrap_or_default();
    let Some((_, text)) = text.split_once(&format!("{heading}\n")) else {
        return "";
    };
    let end = text.find(&format!("\n{rank} ")).unwrap_or(text.len());
    text[..end].trim()
}

/// The cells of a row of a table.
pub(crate) fn cells(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(row.split('|').map(str::trim).collect())
}

/// What stands in backquotes.
fn quoted(text: &str) -> Vec<String> {
    let parts = text.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_in_the_documentation() {
        for (page, name, value) in [
            (Page::Table, "recursiveFileLookup", "true"),
            (Page::Table, "modifiedAfter", "2024-12-31T23:59:59"),
            (Page::Table, "oversize", "skip"),
            (Page::Writing, "write_mode", "error_if_exists"),
        ] {
            let options = page.options();
            let values = options.into_iter().find(|option| option.0 == name);
            assert!(values.unwrap().1.iter().any(|v| v == value), "{name}");
        }
        let options = Page::Credentials.options();
        for name in [
            "aws.session_token",
            "aws.endpoint",
            "gcp.service_account_path",
        ] {
            assert!(options.iter().any(|option| option.0 == name), "{name}");
        }
    }
}
