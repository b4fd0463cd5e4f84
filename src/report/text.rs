//! Texts and numbers as the page shows them.

use maud::{Markup, PreEscaped, Render};

/// At most `limit` characters of a text from data, the last ones if `keep_end`. Line breaks become spaces, and
/// control characters, which HTML does not allow, U+FFFD. Whoever puts it into the page escapes it.
fn cut(text: &str, limit: usize, keep_end: bool) -> String {
    let mut chars = text.chars().map(|c| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    });
    let surplus = text.chars().count().saturating_sub(limit);
    match (surplus, keep_end) {
        (0, _) => chars.collect(),
        (_, true) => format!("…{}", chars.skip(surplus + 1).collect::<String>()),
        (_, false) => format!("{}…", chars.by_ref().take(limit - 1).collect::<String>()),
    }
}

/// A name or a value from data, by its beginning if it is long.
pub(super) fn name(text: &str) -> String {
    cut(text, 60, false)
}

/// The same of text that has more room.
pub(super) fn long(text: &str) -> String {
    cut(text, 300, false)
}

/// A path from data, by its end if it is long.
pub(super) fn path(text: &str) -> String {
    cut(text, 160, true)
}

/// Text that may be broken after these characters, and not inside a word.
pub(super) fn breakable(text: &str) -> Markup {
    let parts = text
        .split_inclusive(['/', '_', '-'])
        .map(|part| part.render().into_string());
    PreEscaped(
        parts
            .collect::<Vec<_>>()
            .join("<wbr>")
            .replace("/<wbr>/", "//"),
    )
}

/// `1,280`.
pub(super) fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}

/// `1 image`, `1,280 images`.
pub(super) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// A share as `12.3 %`, with a narrow space that does not break.
pub(super) fn percent(share: f64, decimals: usize) -> String {
    format!("{:.decimals$}\u{202f}%", share * 100.0)
}

/// A number with a real minus sign, but none before a zero.
pub(super) fn signed(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.contains(|c| ('1'..='9').contains(&c)) => {
            format!("\u{2212}{digits}")
        }
        Some(zero) => zero.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_characters_and_paths_broken_by_words() {
        assert_eq!(cut("éèà", 3, true), "éèà");
        assert_eq!(cut("éèàü", 3, true), "…àü");
        assert_eq!(cut("éèàü", 3, false), "éè…");
        assert_eq!(cut("é\u{0}\n", 3, false), "é\u{fffd} ");
        let broken = breakable("s3://b/<i>/x_1.jpg").into_string();
        assert_eq!(broken, "s3://<wbr>b/<wbr>&lt;i&gt;/<wbr>x_<wbr>1.jpg");
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(counted(1, "image"), "1 image");
        assert_eq!(signed(-1.26, 1), "\u{2212}1.3");
        assert_eq!(signed(-0.01, 1), "0.0");
        assert_eq!(percent(0.1234, 1), "12.3\u{202f}%");
    }
}
