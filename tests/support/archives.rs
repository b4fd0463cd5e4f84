//! Archives of given members.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};
use rawzip::path::EntryPath;
use rawzip::{CompressionMethod, ZipArchiveWriter};

/// A member: its name, its content, and how a zip holds it.
pub(crate) type Member<'a> = (&'a str, &'a [u8], CompressionMethod);

pub(crate) const STORED: CompressionMethod = CompressionMethod::STORE;
pub(crate) const DEFLATED: CompressionMethod = CompressionMethod::DEFLATE;

pub(crate) fn zip(members: &[Member<'_>]) -> Vec<u8> {
    zip_of(members, false)
}

pub(crate) fn zip_of(members: &[Member<'_>], encrypted: bool) -> Vec<u8> {
    let mut archive = ZipArchiveWriter::new(vec![]);
    for (name, content, method) in members {
        let file = archive.new_file(EntryPath::verbatim(name.as_bytes()));
        let file = file.compression_method(*method).encrypted(encrypted);
        let (mut entry, config) = file.start().unwrap();
        let output = if *method == DEFLATED {
            let deflate = DeflateEncoder::new(&mut entry, Compression::default());
            let mut writer = config.wrap(deflate);
            writer.write_all(content).unwrap();
            let (deflate, output) = writer.finish().unwrap();
            deflate.finish().unwrap();
            output
        } else {
            let mut writer = config.wrap(&mut entry);
            writer.write_all(content).unwrap();
            writer.finish().unwrap().1
        };
        entry.finish(output).unwrap();
    }
    archive.finish().unwrap()
}

pub(crate) fn tar<'a>(members: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut archive = tar::Builder::new(vec![]);
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mtime(1_700_000_000);
        header.set_mode(0o644);
        let field = &mut header.as_gnu_mut().unwrap().name;
        if name.len() <= field.len() {
            // As it is: `set_path` would refuse `..` and drop what is first.
            field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            archive.append(&header, content).unwrap();
        } else {
            archive.append_data(&mut header, name, content).unwrap();
        }
    }
    archive.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(vec![], Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}
