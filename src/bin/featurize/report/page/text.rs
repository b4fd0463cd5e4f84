//! Texts and numbers as the page shows them.

use std::fmt::{self, Display, Formatter, Write};

/// Text from data, safe between tags and in quoted attributes.
///
/// Control characters, which HTML does not allow, become U+FFFD, and white space a space.
pub(super) struct Text<'a>(pub(super) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\r' | '\t' => f.write_char(' ')?,
                c if c.is_control() => f.write_char(char::REPLACEMENT_CHARACTER)?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// At most `limit` characters of a text, the last ones of a path, the first ones of all else.
pub(super) fn clipped(text: &str, limit: usize, keep_end: bool) -> String {
    let length = text.chars().count();
    if length <= limit {
        return text.to_owned();
    }
    let kept = limit.saturating_sub(1);
    if keep_end {
        let end: String = text.chars().skip(length - kept).collect();
        format!("…{end}")
    } else {
        let start: String = text.chars().take(kept).collect();
        format!("{start}…")
    }
}

/// `1,280`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 image`, `1,280 images`.
pub(in crate::report) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// A share as `12.3 %`, with a narrow space that does not break.
pub(super) fn percent(share: f64, decimals: usize) -> String {
    format!("{:.decimals$}\u{202f}%", share * 100.0)
}

/// A number with a real minus sign.
pub(super) fn signed(number: f64, decimals: usize) -> String {
    let text = format!("{number:.decimals$}");
    match text.strip_prefix('-') {
        Some(digits) if digits.chars().all(|c| c == '0' || c == '.') => digits.to_owned(),
        Some(digits) => format!("\u{2212}{digits}"),
        None => text,
    }
}

/// Bytes in decimal units.
pub(super) fn bytes(number: u64) -> String {
    let number = number as f64;
    match number {
        0.0..1e3 => format!("{number:.0} B"),
        1e3..1e6 => format!("{:.0} kB", number / 1e3),
        1e6..1e9 => format!("{:.1} MB", number / 1e6),
        _ => format!("{:.1} GB", number / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_data_is_text() {
        let text = Text("<b class='x' id=\"y\">Crème & \u{202f}\u{0}\n").to_string();
        assert_eq!(
            text,
            "&lt;b class=&#39;x&#39; id=&quot;y&quot;&gt;Crème &amp; \u{202f}\u{fffd} "
        );
    }

    #[test]
    fn texts_are_clipped_by_characters() {
        assert_eq!(clipped("éèà", 3, true), "éèà");
        assert_eq!(clipped("éèàü", 3, true), "…àü");
        assert_eq!(clipped("éèàü", 3, false), "éè…");
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
        assert_eq!(bytes(12), "12 B");
        assert_eq!(bytes(1_250_000_000), "1.2 GB");
    }
}
