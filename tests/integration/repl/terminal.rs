//! The program in a terminal of 80 columns and 24 lines, which `script` of util-linux makes.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// For whatever takes less than a second on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Terminal {
    script: Child,
    keys: Option<ChildStdin>,
    bytes: Receiver<Vec<u8>>,
    /// All that was shown, control sequences included.
    shown: String,
    /// Where what was not waited for begins.
    seen: usize,
}

impl Terminal {
    /// Starts the program, of which the home folder is `home`.
    pub(crate) fn start(home: &Path) -> Self {
        Self::with(home, &[])
    }

    pub(crate) fn with(home: &Path, variables: &[(&str, &str)]) -> Self {
        Self::with_progress(home, variables, "none")
    }

    pub(crate) fn with_progress(home: &Path, variables: &[(&str, &str)], progress: &str) -> Self {
        let program = env!("CARGO_BIN_EXE_featurize");
        let start = format!("stty cols 80 rows 24; exec '{program}' --progress {progress}");
        let mut script = Command::new("script")
            .args(["-qefc", &start, "/dev/null"])
            .env("HOME", home)
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut screen = script.stdout.take().unwrap();
        let (sender, bytes) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = screen.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = script.stdin.take();
        let mut terminal = Self {
            script,
            keys,
            bytes,
            shown: String::new(),
            seen: 0,
        };
        terminal.expect("> ");
        terminal
    }

    /// Presses keys, all at once.
    pub(crate) fn send(&mut self, keys: &str) {
        let stdin = self.keys.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Waits until `text` is shown, and returns all that was shown before since the last time.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        plain(&self.expect_raw(text))
    }

    /// The same with the sequences that move the cursor and colour.
    pub(crate) fn expect_raw(&mut self, text: &str) -> String {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                let before = self.shown[self.seen..][..at].to_owned();
                self.seen += at + text.len();
                return before;
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let bytes = self.bytes.recv_timeout(left);
            assert!(bytes.is_ok(), "{text:?} was not shown: {}", self.shown);
            self.shown += &String::from_utf8_lossy(&bytes.unwrap_or_default());
        }
    }

    /// What was shown and not waited for, once the program has ended.
    pub(crate) fn end(mut self) -> String {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            let bytes = self.bytes.recv_timeout(left);
            if bytes == Err(RecvTimeoutError::Disconnected) {
                break;
            }
            assert!(bytes.is_ok(), "goes on: {}", self.shown);
            self.shown += &String::from_utf8_lossy(&bytes.unwrap_or_default());
        }
        assert!(self.script.wait().unwrap().success(), "{}", self.shown);
        plain(&self.shown[self.seen..])
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Closes the window.
        self.keys = None;
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// Text without the sequences that move the cursor and colour.
fn plain(shown: &str) -> String {
    let mut parts = shown.split('\x1b');
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        plain += end.map_or("", |end| &part[end + 1..]);
    }
    plain
}
