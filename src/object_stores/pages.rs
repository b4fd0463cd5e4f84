//! Pages of a listing, without the keys that `object_store` cannot name.
//!
//! A key of S3 is any text. A path of `object_store` is folders joined by `/`, none of them empty, `.`,
//! `..` or with a control character: it fails the whole page over `a//b`, and takes `/a` and `a/` for
//! `a`, which is another object or none. Such keys are taken out of the page before it is read, and
//! named in a warning. The one kind that nobody misses are folders as web consoles make them: empty
//! objects whose keys end in `/`.

use std::borrow::Cow;

use object_store::path::Path;

use super::xml::{element, raw_element};

/// A page that may be read, and the keys that were taken out and should be told.
pub(super) struct Page {
    pub(super) text: String,
    pub(super) left_out: Vec<String>,
}

/// The page of the folder `prefix` without keys that cannot be named; `None` if it has none.
pub(super) fn readable(text: &str, prefix: &str) -> Option<Page> {
    let mut page = Page {
        text: String::new(),
        left_out: vec![],
    };
    let (mut kept, mut at) = (0, 0);
    while let Some((start, end, verdict)) = next_entry(text, at, prefix) {
        at = end;
        match verdict {
            Verdict::Keep => continue,
            Verdict::Marker => {}
            Verdict::Tell(key) => page.left_out.push(key),
        }
        page.text.push_str(&text[kept..start]);
        kept = end;
    }
    if kept == 0 {
        return None;
    }
    page.text.push_str(&text[kept..]);
    Some(page)
}

enum Verdict {
    Keep,
    Marker,
    Tell(String),
}

/// Where the next object or folder behind `at` begins and ends, and what becomes of it.
fn next_entry(text: &str, mut at: usize, prefix: &str) -> Option<(usize, usize, Verdict)> {
    loop {
        let start = at + text[at..].find("<Co")?;
        let entry = &text[start..];
        let close = if entry.starts_with("<Contents>") {
            "</Contents>"
        } else if entry.starts_with("<CommonPrefixes>") {
            "</CommonPrefixes>"
        } else {
            at = start + 1;
            continue;
        };
        let entry = &entry[..entry.find(close)? + close.len()];
        let verdict = match close {
            "</Contents>" => object(entry, prefix),
            _ => folder(entry),
        };
        return Some((start, start + entry.len(), verdict));
    }
}

fn object(entry: &str, prefix: &str) -> Verdict {
    match element(entry, "Key") {
        // The folder's own marker tells that it exists, though nothing is in it.
        Some(key) if key == prefix || can_be_named(&key) => Verdict::Keep,
        Some(key) if key.ends_with('/') && raw_element(entry, "Size") == Some("0") => {
            Verdict::Marker
        }
        Some(key) => Verdict::Tell(key.into_owned()),
        None => Verdict::Keep,
    }
}

fn folder(entry: &str) -> Verdict {
    match element(entry, "Prefix").map(Cow::into_owned) {
        Some(folder) if !can_be_named(folder.trim_end_matches('/')) => Verdict::Tell(folder),
        Some(folder) if folder.ends_with("//") => Verdict::Tell(folder),
        _ => Verdict::Keep,
    }
}

/// Whether a path of `object_store` stands for exactly this key.
fn can_be_named(key: &str) -> bool {
    !key.is_empty() && Path::parse(key).is_ok_and(|path| path.as_ref() == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(keys: &[(&str, u64)], folders: &[&str]) -> String {
        let keys = keys
            .iter()
            .map(|(key, size)| format!("<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"));
        let folders = folders
            .iter()
            .map(|folder| format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"));
        let entries: Vec<String> = keys.chain(folders).collect();
        format!(
            "<ListBucketResult><Prefix>k/</Prefix>{}</ListBucketResult>",
            entries.concat()
        )
    }

    #[test]
    fn keys_without_a_name_are_taken_out_and_told() {
        let good = [
            ("k/", 0),
            ("k/a.jpg", 1),
            ("k/ b &amp; c.jpg", 0),
            ("k/%20..x", 1),
        ];
        let bad = [
            ("/k/a", 1),
            ("k//a", 1),
            ("k/./a", 1),
            ("k/../a", 1),
            ("k/&#10;", 1),
            ("k/x/", 3),
        ];
        let folders = ["k/f/", "k/=/"];
        let mixed: Vec<_> = bad
            .iter()
            .chain(&good)
            .chain(&[("k/Empty/", 0)])
            .copied()
            .collect();
        let text = page(&mixed, &["/", "k//", "k/f/", "k/./", "k/=/"]);
        let found = readable(&text, "k/").unwrap();
        assert_eq!(found.text, page(&good, &folders));
        let told = [
            "/k/a", "k//a", "k/./a", "k/../a", "k/\n", "k/x/", "/", "k//", "k/./",
        ];
        assert_eq!(found.left_out, told);
        assert!(readable(&page(&good, &folders), "k/").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it(text in "(<Contents>|</Contents>|<Key>|</Key>|<CommonPrefixes>|<Prefix>|/|é|&|;|#x0|a){0,12}") {
            readable(&text, "a/");
        }
    }
}
