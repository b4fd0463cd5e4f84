//! Markdown for a terminal of 80 columns: the paragraphs, lists, tables and blocks of code that our
//! documentation has.

use crate::docs::cells;

/// Columns that text may take.
const WIDTH: usize = 78;

/// Breaks `text` into lines of at most [`WIDTH`] characters, where it can be broken.
pub(crate) fn fill(text: &str, indent: &str) -> String {
    fill_to(WIDTH, text, indent)
}

/// The same to lines of another width.
pub(crate) fn fill_to(width: usize, text: &str, indent: &str) -> String {
    let mut lines = vec![String::from(indent)];
    for word in text.split_whitespace() {
        let line = match lines.last_mut() {
            Some(line) if line.len() == indent.len() => line,
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line
            }
            _ => {
                lines.push(String::from(indent));
                let Some(line) = lines.last_mut() else {
                    continue;
                };
                line
            }
        };
        line.push_str(word);
    }
    lines.join("\n")
}

/// The text without marks.
pub(crate) fn render(markdown: &str) -> String {
    let mut parts: Vec<String> = vec![];
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.starts_with("```"));
            parts.push(code.collect::<Vec<_>>().join("\n"));
        } else if cells(line).is_some() {
            // Below the heading and its rule.
            let rows = std::iter::from_fn(|| lines.next_if(|line| cells(line).is_some()));
            let rows: Vec<String> = rows.skip(1).filter_map(row).collect();
            parts.push(rows.join("\n"));
        } else if !line.trim().is_empty() {
            let mut text = line.trim_start_matches('#').trim().to_owned();
            let is_text = |line: &&str| {
                !line.trim().is_empty() && !line.starts_with("```") && !line.starts_with(['|', '#'])
            };
            while let Some(more) = lines.next_if(is_text) {
                text = text + " " + more;
            }
            parts.push(fill(&plain(&text), ""));
        }
    }
    parts.join("\n\n")
}

/// A row of a table: what it is about, and below it what is said of that.
fn row(line: &str) -> Option<String> {
    let cells = cells(line)?;
    let (name, said) = cells.split_first()?;
    let said: Vec<&str> = said
        .iter()
        .copied()
        .filter(|cell| !cell.is_empty())
        .collect();
    let said = fill(&plain(&said.join(": ")), "      ");
    Some(format!("{}\n{said}", fill(&plain(name), "  ")))
}

/// Text without the marks of code and stress, and without the targets of links.
pub(crate) fn plain(text: &str) -> String {
    let mut linked = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once("](") {
        let (before, shown) = before.rsplit_once('[').unwrap_or((before, ""));
        linked.extend([before, shown]);
        rest = link.split_once(')').map_or("", |(_, rest)| rest);
    }
    linked += rest;
    // Every other part is code, in which all stands for itself.
    let mut parts = linked.split('`');
    let mut plain = String::new();
    while let Some(text) = parts.next() {
        plain += &text.replace("**", "");
        plain += parts.next().unwrap_or_default();
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_filled() {
        let text = fill(&"word ".repeat(40), "  ");
        assert!(
            text.lines()
                .all(|line| line.len() <= 78 && line.starts_with("  word"))
        );
        assert_eq!(text.split_whitespace().count(), 40);
        assert_eq!(fill("", ""), "");
    }

    #[test]
    fn marks_are_not_shown() {
        let markdown = "# Title\nSee [this `page`](https://x/y), and **`a/**`**.\n\n| option | value | meaning |\n\
            |---|---|---|\n| `a`, `b` | `x` | does |\n| `c` | | is |\n\n```sql\nSELECT\n  1;\n```\n";
        let expected = "Title See this page, and a/**.\n\n  a, b\n      x: does\n  c\n      is\n\nSELECT\n  1;";
        assert_eq!(render(markdown), expected);
    }
}
