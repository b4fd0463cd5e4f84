//! What a client shows besides its certificate.

use std::fmt;
use std::io::Read;
use std::path::Path;

use datafusion::common::{Result, config_datafusion_err, config_err};
use subtle::ConstantTimeEq;

/// Shorter ones are guessed.
const LEAST_LETTERS: usize = 16;

/// A file that is no token is not read to its end.
const MOST_LETTERS: u64 = 4096;

/// What the header begins with that carries a token.
const SCHEME: &str = "Bearer ";

/// A secret that is compared, and shown to nobody.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// The file without the white space around it.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bad = |why: &dyn fmt::Display| {
            config_datafusion_err!("--token-file '{}': {why}", path.display())
        };
        // What is no file says nothing of its length, and may have no end.
        let file = std::fs::File::open(path).map_err(|e| bad(&e))?;
        let mut bytes = Vec::new();
        let mut most = file.take(MOST_LETTERS + 1);
        most.read_to_end(&mut bytes).map_err(|e| bad(&e))?;
        if bytes.len() as u64 > MOST_LETTERS {
            return Err(bad(&format!(
                "a token has at most {MOST_LETTERS} letters, and the file more"
            )));
        }
        let token = bytes.trim_ascii();
        if token.len() < LEAST_LETTERS || !token.iter().all(u8::is_ascii_graphic) {
            return config_err!(
                "--token-file '{}': expected a token of at least {LEAST_LETTERS} letters, digits or signs of \
                 ASCII, without spaces; 'openssl rand -hex 32' makes one",
                path.display()
            );
        }
        Ok(Self(String::from_utf8_lossy(token).into_owned()))
    }

    /// The value of the header `authorization`.
    pub(crate) fn header(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }

    /// Whether a header `authorization` carries this token, in a time that says nothing of where they differ.
    pub(super) fn is_in(&self, header: Option<&[u8]>) -> bool {
        let shown = header.and_then(|header| header.strip_prefix(SCHEME.as_bytes()));
        shown.is_some_and(|shown| shown.ct_eq(self.0.as_bytes()).into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_token_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        let token = Token::read(&file).unwrap();
        assert!(token.is_in(Some(token.header().as_bytes())));
        for other in [
            None,
            Some("Bearer 0123456789abcdeF"),
            Some("Bearer 0123456789abcde"),
            Some("Bearer 0123456789abcdef0"),
            Some("Bearer "),
            Some("0123456789abcdef"),
            Some(""),
        ] {
            assert!(!token.is_in(other.map(str::as_bytes)), "{other:?}");
        }
        assert!(!format!("{token:?}").contains("0123"));
    }

    #[test]
    fn what_is_no_token_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        for bad in [
            "",
            "short",
            "with space in the middle",
            "0123456789abcdef\nx",
            &"x".repeat(5000),
        ] {
            std::fs::write(&file, bad).unwrap();
            let error = Token::read(&file).unwrap_err().to_string();
            assert!(error.contains("--token-file '"), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        let error = Token::read(&folder.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }
}
