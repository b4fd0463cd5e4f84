//! Archives that are read as folders.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use datafusion::common::Result as QueryResult;
use datafusion_featurize::{BinaryFileOptions, BinaryFileTable};

use super::Target;
use super::store::{BUCKET, Session};

#[path = "../../support/archives.rs"]
mod made;

const MEMBERS: [(&str, &[u8]); 5] = [
    ("a/1.jpg", b"one"),
    ("a/2.jpg", b"two two two two two two two two"),
    ("label=x/3.jpg", &[3; 700]),
    ("_hidden", b""),
    ("../outside.jpg", b"no"),
];
/// An archive takes up what its members declare, and its directory; both are bounded by what it could hold.
const PER_BYTE: usize = 2048;
const OVERHEAD: usize = 32 << 20;

pub(crate) struct Archives {
    session: Session,
    /// The name under which inputs are put.
    name: &'static str,
}

impl Archives {
    fn new(name: &'static str) -> Self {
        Self {
            session: Session::new(),
            name,
        }
    }

    pub(crate) fn zip() -> Self {
        Self::new("x.zip")
    }

    pub(crate) fn tar() -> Self {
        Self::new("x.tar")
    }

    /// Inputs are tars, which are then compressed.
    pub(crate) fn tgz() -> Self {
        Self::new("x.tar.gz")
    }

    /// How many rows there are; their lengths are those of their contents.
    fn read(&self, recursive: bool) -> QueryResult<Result<usize, String>> {
        let ctx = &self.session.ctx;
        let location = format!("{BUCKET}{}", self.name);
        let options = BinaryFileOptions::default().with_recursive_file_lookup(recursive);
        self.session.wait(async {
            let table = BinaryFileTable::try_new(&ctx.state(), &location, options).await?;
            let table = ctx.read_table(Arc::new(table))?;
            let batches = table
                .select_columns(&["length", "content"])?
                .collect()
                .await?;
            let mut rows = 0;
            for batch in &batches {
                let lengths = batch.column(0).as_primitive::<Int64Type>();
                let contents = batch.column(1).as_binary_view();
                rows += batch.num_rows();
                for (length, content) in lengths.values().iter().zip(contents.iter().flatten()) {
                    if *length != content.len() as i64 {
                        return Ok(Err(format!("{length} and {} bytes", content.len())));
                    }
                }
            }
            Ok(Ok(rows))
        })
    }
}

/// Every way in which a tar spells a long name or a size.
fn tars() -> Vec<Vec<u8>> {
    let long = format!("{}x.jpg", "n/".repeat(120));
    let members = MEMBERS.into_iter().chain([(long.as_str(), &b"long"[..])]);
    let mut archive = tar::Builder::new(vec![]);
    let extensions = [("path", &b"pax.jpg"[..]), ("size", b"4")];
    archive.append_pax_extensions(extensions).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    archive
        .append_data(&mut header, "short.jpg", &b"pax!"[..])
        .unwrap();
    vec![made::tar(members), archive.into_inner().unwrap()]
}

impl Target for Archives {
    fn seeds(&self) -> Vec<Vec<u8>> {
        match self.name.ends_with(".zip") {
            true => [made::STORED, made::DEFLATED]
                .map(|method| made::zip(&MEMBERS.map(|(name, content)| (name, content, method))))
                .into(),
            false => tars(),
        }
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"PK\x03\x04",
            b"PK\x01\x02",
            b"PK\x05\x06",
            b"PK\x06\x06",
            b"PK\x06\x07",
            b"\x01\0\x1C\0",
            b"ustar\0",
            b"ustar  \0",
            b"././@LongLink",
            b"30 path=",
            b"20 size=99999999\n",
            b"GNU.sparse.major=1\n",
            b"777777777777",
            b"../",
            b"/",
            b"\x80\0\0\0\0\0\0\0",
        ]
    }

    /// The checksum of each header of a tar.
    fn repair(&self, input: &mut Vec<u8>) {
        if self.name.ends_with(".zip") {
            return;
        }
        for block in input.as_chunks_mut::<512>().0 {
            if block[257..262] == *b"ustar" {
                block[148..156].fill(b' ');
                let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
                block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        PER_BYTE * input.len() + OVERHEAD
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let packed = match self.name.ends_with(".gz") && !input.starts_with(&[0x1F, 0x8B]) {
            true => made::gzip(input),
            false => input.to_vec(),
        };
        self.session.fill([(self.name, &packed[..])]);
        match self.read(input.len().is_multiple_of(2)) {
            Ok(Ok(rows)) => Ok(format!("{rows} rows")),
            Ok(Err(law)) => Err(format!("a row is as long as its content: {law}")),
            Err(error) => Ok(error.to_string()),
        }
    }
}
