//! The names of members.

use object_store::path::Path;

/// What the upper half of code page 437 stands for, in which a zip writes names that are not marked as
/// UTF-8 (APPNOTE.TXT, appendix D).
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// The name of a zip's member. Many programs write UTF-8 without saying so.
pub(super) fn of_zip(raw: &[u8]) -> String {
    let text = String::from_utf8(raw.to_vec()).unwrap_or_else(|_| {
        let letter = |&byte: &u8| match byte {
            0..128 => char::from(byte),
            _ => CP437.chars().nth(usize::from(byte) - 128).unwrap_or('?'),
        };
        raw.iter().map(letter).collect()
    });
    // Old programs of Windows write these, although the format knows only the other.
    match text.contains('/') {
        true => text,
        false => text.replace('\\', "/"),
    }
}

/// The path in the archive that a member's name means, if it is one that lies in the archive and that
/// an object can have.
pub(super) fn path(name: &str) -> Option<Box<str>> {
    let segments: Vec<&str> = name
        .split('/')
        .filter(|segment| !segment.is_empty() && *segment != ".")
        .collect();
    let path = segments.join("/");
    let is_path = !path.is_empty() && Path::parse(&path).is_ok();
    is_path.then(|| path.into_boxed_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stay_in_the_archive() {
        for (name, expected) in [
            ("a/b.jpg", Some("a/b.jpg")),
            ("./a//b.jpg", Some("a/b.jpg")),
            ("/etc/passwd", Some("etc/passwd")),
            ("../a", None),
            ("a/../../b", None),
            ("", None),
            ("./", None),
            ("a\u{1}b", None),
        ] {
            assert_eq!(path(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn of_old_zips() {
        assert_eq!(CP437.chars().count(), 128);
        assert_eq!(of_zip(b"Caf\x82/1.jpg"), "Café/1.jpg");
        assert_eq!(of_zip("Café.jpg".as_bytes()), "Café.jpg");
        assert_eq!(of_zip(b"a\\b.jpg"), "a/b.jpg");
        assert_eq!(of_zip(b"a/b\\c.jpg"), "a/b\\c.jpg");
    }
}
