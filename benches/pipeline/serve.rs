//! The S3 servers, in a process of their own: this program with `--serve` and the [`Setup`] as JSON.
//!
//! Images are served from memory, where listing them costs what it does on S3; results go to a
//! temporary folder, so that they may be larger than the memory.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, stdin};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::arguments::{Data, Setup};
use super::fruits::{self, Files};
use super::s3_server::S3Server;

type Outcome<T> = Result<T, Box<dyn Error>>;

const IMAGES: &str = "fruits";
/// Each run writes to an empty bucket, as long as there are any.
const RESULTS: usize = 100;

/// Where the servers are, and what they hold.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) images: String,
    pub(crate) images_options: String,
    pub(crate) results_options: String,
    pub(crate) folders: u64,
}

impl Place {
    /// Where the results of a run go. Names are short: `s3s-fs` names files after bucket and key in
    /// base64, and no file's name may have more than 255 bytes.
    pub(crate) fn results(run: usize) -> String {
        format!("s3://{}/", bucket(run))
    }
}

fn bucket(run: usize) -> String {
    format!("r{:02}", run % RESULTS)
}

/// Serves until the standard input ends. Prints a [`Place`] when it is ready.
///
/// # Errors
/// When the images cannot be drawn or read.
pub(crate) fn serve(setup: &Setup) -> Outcome<()> {
    let buckets: Vec<String> = (0..RESULTS).map(bucket).collect();
    let buckets: Vec<&str> = buckets.iter().map(String::as_str).collect();
    let (images, results) = (S3Server::in_memory(&[IMAGES]), S3Server::on_disk(&buckets));
    let mut folders = BTreeSet::new();
    for (key, content) in files(&setup.data)? {
        images.put(IMAGES, &key, content);
        folders.insert(
            key.rsplit_once('/')
                .map_or("", |(folder, _)| folder)
                .to_owned(),
        );
    }
    let latency = Duration::from_millis(setup.latency_ms);
    images.set_latency(latency);
    results.set_latency(latency);
    let place = Place {
        images: format!("s3://{IMAGES}/"),
        images_options: images.options(),
        results_options: results.options(),
        folders: folders.len() as u64,
    };
    println!("{}", serde_json::to_string(&place)?);
    stdin().read_to_end(&mut vec![])?;
    Ok(())
}

/// Keys and contents of the images.
///
/// # Errors
/// When there are none, or they cannot be read.
pub(crate) fn files(data: &Data) -> Outcome<Files> {
    match data {
        Data::Drawn {
            images,
            width,
            height,
            seed,
        } => fruits::draw(*images, (*width, *height), *seed),
        Data::Folder(folder) => {
            let mut files = vec![];
            below(folder, folder, &mut files)
                .map_err(|e| format!("--folder: could not read '{}': {e}", folder.display()))?;
            if files.is_empty() {
                let folder = folder.display();
                return Err(format!("--folder: no .jpg file below '{folder}'").into());
            }
            Ok(files)
        }
    }
}

fn below(root: &Path, folder: &Path, files: &mut Files) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            below(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "jpg") {
            let key = path.strip_prefix(root).unwrap_or(&path);
            let key = key.to_string_lossy().replace('\\', "/");
            files.push((key, fs::read(&path)?));
        }
    }
    Ok(())
}

/// The process that serves; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    _stdin: Option<ChildStdin>,
    pub(crate) place: Place,
}

impl Server {
    /// Starts this program anew and waits for its images.
    ///
    /// # Errors
    /// When it ends instead; it has said why then.
    pub(crate) fn start(setup: &Setup) -> Outcome<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["--serve", &serde_json::to_string(setup)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = process.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        if line.is_empty() {
            process.wait()?;
            return Err("the S3 server has not started".into());
        }
        Ok(Self {
            place: serde_json::from_str(&line)?,
            process,
            _stdin: stdin,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // At the end of its input it removes its temporary folder and ends.
        self._stdin = None;
        let _ = self.process.wait();
    }
}
