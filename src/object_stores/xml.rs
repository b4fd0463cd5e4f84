//! Elements of S3's XML, found in the text: its answers are flat, and in them no `<` stands in a text.

use std::borrow::Cow;

/// The text of the first element `name`, as it is written, blanks included.
pub(super) fn raw_element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = document.split_once(&format!("<{name}>"))?;
    let (content, _) = rest.split_once(&format!("</{name}>"))?;
    Some(content)
}

/// The text of the first element `name`.
pub(super) fn element<'a>(document: &'a str, name: &str) -> Option<Cow<'a, str>> {
    raw_element(document, name).map(unescape)
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        plain.push_str(before);
        let known = entity
            .split_once(';')
            .and_then(|(name, after)| Some((character(name)?, after)));
        rest = match known {
            Some((character, after)) => {
                plain.push(character);
                after
            }
            None => {
                plain.push('&');
                entity
            }
        };
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

fn character(entity: &str) -> Option<char> {
    Some(match entity {
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "amp" => '&',
        other => {
            let number = other.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_to_the_letter() {
        let document = "<A><Key> a &amp;lt; &lt;&#13;&#x41;&nbsp; & b</Key></A>";
        assert_eq!(element(document, "Key").unwrap(), " a &lt; <\rA&nbsp; & b");
        assert_eq!(element(document, "Size"), None);
    }
}
