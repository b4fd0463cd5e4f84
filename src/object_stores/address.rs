//! Addresses as people write them, and as they may be shown.

use std::borrow::Cow;

/// The scheme of a URL in small letters, and what follows `://`; `None` for a path of the local disk.
pub(crate) fn split_scheme(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let (scheme, rest) = match text.get(..6) {
        Some(start) if start.eq_ignore_ascii_case("file:/") && !text[6..].starts_with('/') => {
            ("file", &text[5..])
        }
        _ => text.split_once("://")?,
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    if !is_scheme {
        return None;
    }
    let is_small = !scheme.contains(|c: char| c.is_ascii_uppercase());
    let scheme = match is_small {
        true => Cow::Borrowed(scheme),
        false => Cow::Owned(scheme.to_ascii_lowercase()),
    };
    Some((scheme, rest))
}

/// Whether addresses of this scheme, which is in small letters, are written percent-encoded.
pub(crate) fn is_web(scheme: &str) -> bool {
    matches!(scheme, "http" | "https")
}

/// A location as it may be shown: without user name and password, and of an address of the web
/// without its query, which may be a signature. A `?` that is encoded may be one too.
pub(crate) fn shown(url: &str) -> String {
    let Some((scheme, rest)) = split_scheme(url) else {
        return url.to_owned();
    };
    let query = ["?", "%3F", "%3f"]
        .iter()
        .filter_map(|mark| rest.find(mark));
    let (rest, end) = match query.min() {
        Some(query) if is_web(&scheme) => (&rest[..query], "?…"),
        _ => (rest, ""),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}{end}")
}

/// `text` with every address of the web in it as it may be shown: without user, password and query.
pub fn hide_secrets(text: &str) -> String {
    let mut told = String::new();
    let mut rest = text;
    while let Some(start) = ["http://", "https://"]
        .iter()
        .filter_map(|s| rest.find(s))
        .min()
    {
        let (before, url) = rest.split_at(start);
        let is_end = |c: char| c.is_whitespace() || "'\"<>".contains(c);
        let (url, after) = url.split_at(url.find(is_end).unwrap_or(url.len()));
        told += before;
        told += &shown(url);
        rest = after;
    }
    told + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        for (url, expected) in [
            ("http://u:hush@host/a@b/c", "http://host/a@b/c"),
            (
                "https://host/a.jpg?X-Amz-Signature=hush",
                "https://host/a.jpg?…",
            ),
            ("HTTPS://host/a.jpg?sig=hush", "https://host/a.jpg?…"),
            ("http://host?sig=hu/sh@x", "http://host?…"),
            ("http://host/a%3Fsig%3Dhush", "http://host/a?…"),
            ("s3://b/a?.jpg", "s3://b/a?.jpg"),
            ("/data/a?.jpg", "/data/a?.jpg"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn schemes_are_those_of_urls_in_any_letter_case() {
        for (text, expected) in [
            ("s3://b/x", Some(("s3", "b/x"))),
            ("S3A://B/x", Some(("s3a", "B/x"))),
            ("FILE:///x", Some(("file", "/x"))),
            ("File:/x", Some(("file", "/x"))),
            ("/x://y", None),
            ("x", None),
            ("é:/x/y", None),
        ] {
            let split = split_scheme(text);
            let split = split.as_ref().map(|(scheme, rest)| (&**scheme, *rest));
            assert_eq!(split, expected, "{text}");
        }
    }
}
