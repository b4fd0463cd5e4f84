//! `LOCATION` and its options, and the addresses that `read_blob` is given.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::AsArray;
use datafusion::common::Result as QueryResult;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarUDF};
use datafusion::scalar::ScalarValue;
use datafusion_featurize::{BinaryFileOptions, BinaryFileTable, FeaturizeOptions};

use super::Target;
use super::call::call;
use super::store::{BUCKET, Session};

/// Objects whose names hold what locations give a meaning.
const NAMES: [&str; 12] = [
    "a/1.jpg",
    "a/2.png",
    "a/b/3.jpg",
    "a/_hidden/4.jpg",
    "label=x/5.jpg",
    "label=y%2Fz/6.jpg",
    "photos [2024]/7.jpg",
    "Apple Red/8.jpg",
    "Apple%20Red/9.jpg",
    "é/10.jpg",
    "x.zip/11.jpg",
    "50%/#12?.jpg",
];

const OVERHEAD: usize = 16 << 20;

fn filled() -> Session {
    let mut session = Session::new();
    session.fill(NAMES.map(|name| (name, name.as_bytes())));
    session
}

/// A location, then options, one `name=value` a line.
pub(crate) struct Locations {
    session: Session,
}

impl Locations {
    pub(crate) fn new() -> Self {
        Self { session: filled() }
    }

    /// The paths of the table's rows.
    fn paths(&self, location: &str, options: BinaryFileOptions) -> QueryResult<Vec<String>> {
        let ctx = &self.session.ctx;
        self.session.wait(async {
            let table = BinaryFileTable::try_new(&ctx.state(), location, options).await?;
            let table = ctx.read_table(Arc::new(table))?;
            let batches = table.select_columns(&["path"])?.collect().await?;
            let columns = batches.iter().map(|batch| batch.column(0));
            let strings = columns
                .map(|column| arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8));
            let mut paths = vec![];
            for strings in strings {
                paths.extend(
                    strings?
                        .as_string::<i32>()
                        .iter()
                        .flatten()
                        .map(str::to_owned),
                );
            }
            Ok(paths)
        })
    }
}

impl Target for Locations {
    fn seeds(&self) -> Vec<Vec<u8>> {
        [
            "s3://b/a/\nrecursiveFileLookup=true\npathGlobFilter=*.{jpg,png}",
            "s3://b/*/[0-9]*.jpg\nmodifiedAfter=2020-01-01T00:00:00\nmodifiedBefore=2050-01-01",
            "s3://b/label={x,y}/**/*.jpg\nmaxLength=3\noversize=skip",
            "s3://b/photos [2024]/\nignoreMissingFiles=true",
            "s3://b/Apple%20Red/\naws.region=eu-west-3",
            "s3://b/50%/#12?.jpg",
            "file:///no/such/folder/*.jpg\nmax_length=10\noversize=null",
            "/no/such/photos/?.jpg",
            "S3://B//a/../x",
            "gs://other/x.zip",
            "s3://b/x.zip/*.jpg",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"s3://b/",
            b"file:///",
            b"://",
            b"**",
            b"*",
            b"?",
            b"[",
            b"]",
            b"[!a-z]",
            b"{a,b}",
            b"{",
            b"}",
            b"%2F",
            b"%2E%2E",
            b"%FF",
            b"..",
            b"//",
            b"#",
            b"@",
            b"label=",
            b".zip/",
            b".tar.gz/",
            b"\nmaxLength=",
            b"\noversize=error",
            b"\npathGlobFilter=",
            b"\nmodifiedBefore=",
            b"\nrecursive_file_lookup=true",
            b"\xC3\xA9",
            b"\\",
        ]
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        4096 * input.len() + OVERHEAD
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let text = String::from_utf8_lossy(input);
        let mut lines = text.split('\n');
        let location = lines.next().unwrap_or_default();
        // What lies on this machine's disk is nobody's business here, nor how long it takes to list it.
        let is_elsewhere = location.contains("://") && !location.to_lowercase().contains("file:");
        if !is_elsewhere && (!location.contains("/no/such/") || location.contains("..")) {
            return Ok("on this disk".to_owned());
        }
        let options = lines.filter_map(|line| line.split_once('='));
        let options: HashMap<String, String> = options
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let options = match BinaryFileOptions::try_from_map(&options, Some("Europe/Paris")) {
            Ok(options) => options,
            Err(error) => return Ok(error.to_string()),
        };
        let paths = match self.paths(location, options) {
            Ok(paths) => paths,
            Err(error) => return Ok(error.to_string()),
        };
        let unique: BTreeSet<&String> = paths.iter().collect();
        if unique.len() != paths.len() {
            return Err(format!("an object is listed twice: {paths:?}"));
        }
        for path in &paths {
            let name = path.strip_prefix(BUCKET).unwrap_or_default();
            if !NAMES.contains(&name) {
                return Err(format!("there is no such object: {path}"));
            }
        }
        Ok(format!("{paths:?}"))
    }
}

/// An address for `read_blob`.
pub(crate) struct Uris {
    session: Session,
    function: Arc<ScalarUDF>,
    config: Arc<ConfigOptions>,
}

impl Uris {
    pub(crate) fn new() -> Self {
        let session = filled();
        let state = session.ctx.state();
        let function = Arc::clone(&state.scalar_functions()["read_blob"]);
        let mut config = ConfigOptions::default();
        config.extensions.insert(FeaturizeOptions {
            // Nothing is asked for over the network.
            read_blob_from: "s3://b/, /no/such/".to_owned(),
            ..FeaturizeOptions::default()
        });
        Self {
            session,
            function,
            config: Arc::new(config),
        }
    }
}

impl Target for Uris {
    fn seeds(&self) -> Vec<Vec<u8>> {
        let names = NAMES.map(|name| format!("{BUCKET}{name}"));
        let others = [
            "s3a://b/a/1.jpg",
            "s3://b/Apple%20Red/8.jpg",
            "https://user:hush@host:443/a/../b?sig=x%2F#top",
            "file:///no/such/x%20y",
            "/no/such/../x",
            "http://[::1]/x",
            "data:image/png;base64,AAAA",
        ];
        let others = others.map(str::to_owned);
        names
            .into_iter()
            .chain(others)
            .map(String::into_bytes)
            .collect()
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"s3://b/",
            b"s3a://",
            b"https://",
            b"http://",
            b"file://",
            b"/no/such/",
            b"..",
            b"%2e%2e",
            b"%2F",
            b"%",
            b"//",
            b"@",
            b":",
            b"?",
            b"#",
            b"[::1]",
            b"0x7f.1",
            b"a/1.jpg",
            b"\xC3\xA9",
            b"\0",
        ]
    }

    fn most_memory(&self, input: &[u8]) -> usize {
        1024 * input.len() + OVERHEAD
    }

    fn run(&mut self, input: &[u8]) -> Result<String, String> {
        let text = String::from_utf8_lossy(input).into_owned();
        let uri = ColumnarValue::Scalar(ScalarValue::Utf8View(Some(text.clone())));
        let blob = match call(&self.function, vec![uri], &self.config) {
            Ok(blob) => blob,
            Err(error) => {
                let error = error.to_string();
                let shows = error.contains("hush@") || error.contains(":hush");
                return match shows {
                    true => Err(format!("a password is shown: {error}")),
                    false => Ok(error),
                };
            }
        };
        let content = blob.as_binary_view().value(0);
        match NAMES.into_iter().find(|name| name.as_bytes() == content) {
            Some(name) => Ok(name.to_owned()),
            None => Err(format!("{text} is no object of {:?}", self.session.store)),
        }
    }
}
