//! Digests that identify a file and tell whether it is whole.

use std::fmt::Write;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::cancel;

/// Bytes read at once.
const BUFFER: usize = 1 << 20;

/// Digests of a file, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) sha256: String,
    /// As Keras checks it; empty unless asked for.
    pub(super) md5: String,
}

impl Digests {
    /// Reads a file of any size in pieces, until the current token of [`cancel`] is triggered, which is an
    /// error.
    pub(super) fn of_file(path: &Path, with_md5: bool) -> io::Result<Self> {
        let cancel = cancel::current();
        let mut file = File::open(path)?;
        let mut sha256 = Sha256::new();
        let mut md5 = with_md5.then(Md5::new);
        let mut buffer = vec![0; BUFFER];
        loop {
            cancel.check().map_err(io::Error::other)?;
            let length = match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            sha256.update(bytes);
            if let Some(md5) = &mut md5 {
                md5.update(bytes);
            }
        }
        Ok(Self {
            sha256: hex(&sha256.finalize()),
            md5: md5.map_or_else(String::new, |md5| hex(&md5.finalize())),
        })
    }
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_abc() {
        // The test vectors of RFC 1321 and FIPS 180-2.
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"abc").unwrap();
        let digests = Digests::of_file(file.path(), true).unwrap();
        assert_eq!(digests.md5, "900150983cd24fb0d6963f7d28e17f72");
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digests.sha256, sha256);
        assert_eq!(sha256_hex(b"abc"), sha256);
        assert_eq!(Digests::of_file(file.path(), false).unwrap().md5, "");
    }
}
