//! Runs one target over many inputs, and holds each against the laws.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;

use crate::MEMORY;
use crate::arguments::Arguments;
use crate::corpus::Corpus;
use crate::mutate::mutate;
use crate::random::Random;
use crate::targets::{self, Target};

/// Longest processor time of one input. It takes microseconds to milliseconds, in a build without
/// optimisation too.
const LONGEST: Duration = Duration::from_secs(10);
/// Longest time of the clock, after which the process ends.
const STUCK: Duration = Duration::from_secs(60);

/// Panics since the last input, of any thread, also those that are caught.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Files of one target.
pub(crate) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(crate) fn of(target: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("fuzz")
            .join(target);
        fs::create_dir_all(folder.join("faults")).unwrap();
        Self { folder }
    }

    /// How many inputs have been run, and the input that is run now, behind its length.
    pub(crate) fn current(&self) -> PathBuf {
        self.folder.join("current")
    }

    pub(crate) fn kept(&self) -> PathBuf {
        self.folder.join("kept")
    }

    /// What the process wrote before it ended.
    pub(crate) fn last_words(&self) -> PathBuf {
        self.folder.join("stderr")
    }

    /// Writes down a fault. Of inputs with the same one the shortest is kept.
    pub(crate) fn fault(&self, what: &str, input: &[u8]) {
        let mut hasher = DefaultHasher::new();
        // A panic is told from others by its place, anything else by its kind.
        let kind = match what.starts_with("panic") {
            true => what.lines().next().unwrap_or_default(),
            false => what.split_once(": ").map_or(what, |(kind, _)| kind),
        };
        kind.hash(&mut hasher);
        let name = format!("{:016x}", hasher.finish());
        let file = self.folder.join("faults").join(&name);
        let known = fs::metadata(&file).map(|known| known.len());
        if known.is_ok_and(|length| length <= input.len() as u64) {
            return;
        }
        fs::write(&file, input).unwrap();
        fs::write(file.with_extension("txt"), what).unwrap();
    }

    /// Makes the faults of earlier runs the first inputs of the next one: some may be mended.
    pub(crate) fn try_faults_again(&self) {
        fs::create_dir_all(self.kept()).unwrap();
        for (_, file) in self.faults() {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            fs::rename(&file, self.kept().join(format!("fault-{name}"))).unwrap();
            fs::remove_file(file.with_extension("txt")).unwrap();
        }
    }

    /// Forgets an input that was kept, as it would end every process.
    pub(crate) fn forget(&self, input: &[u8]) {
        for entry in fs::read_dir(self.kept()).unwrap() {
            let file = entry.unwrap().path();
            if fs::read(&file).unwrap() == input {
                fs::remove_file(file).unwrap();
            }
        }
    }

    /// Every fault that has been found, and its file.
    pub(crate) fn faults(&self) -> Vec<(String, PathBuf)> {
        let entries = fs::read_dir(self.folder.join("faults")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|ending| ending == "txt"));
        files.sort();
        let faults = files.into_iter();
        faults
            .map(|file| (fs::read_to_string(&file).unwrap(), file.with_extension("")))
            .collect()
    }
}

/// What an input came to.
struct Verdict {
    outcome: String,
    peak: usize,
    faults: Vec<String>,
}

/// Runs the target until time or inputs are used up.
pub(crate) fn work(arguments: &Arguments) -> bool {
    let name = arguments.targets[0];
    let files = Files::of(name);
    note_panics();
    let mut target = targets::make(name);
    let mut corpus = Corpus::new(target.seeds(), files.kept());
    let mut random = Random(arguments.seed);
    let current = File::create(files.current()).unwrap();
    let begun = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    watch(start, &begun);
    let first = corpus.all();
    let mut done = 0;
    while done < arguments.inputs && start.elapsed() < arguments.time {
        let input = match first.get(done as usize) {
            Some(good) => good.clone(),
            None => {
                let mut input = corpus.pick(&mut random).to_vec();
                let other = corpus.pick(&mut random);
                mutate(&mut input, other, target.tokens(), &mut random);
                // Sometimes the damage stays: checksums are code too.
                if !random.once_in(8) {
                    target.repair(&mut input);
                }
                input
            }
        };
        done += 1;
        note_input(&current, done, &input);
        begun.store(start.elapsed().as_millis() as u64 + 1, Ordering::Relaxed);
        let verdict = judge(&mut *target, &input);
        begun.store(0, Ordering::Relaxed);
        for fault in &verdict.faults {
            files.fault(fault, &input);
        }
        let is_known = done as usize <= first.len();
        if corpus.is_new(&verdict.outcome, verdict.peak) && !is_known {
            corpus.keep(input, &mut random);
        }
    }
    true
}

/// Runs one input and tells what it came to.
pub(crate) fn replay(arguments: &Arguments, file: &Path) -> bool {
    note_panics();
    let mut target = targets::make(arguments.targets[0]);
    let input = fs::read(file).unwrap();
    let verdict = judge(&mut *target, &input);
    println!("{}\n{} bytes of memory", verdict.outcome, verdict.peak);
    for fault in &verdict.faults {
        println!("fault: {fault}");
    }
    verdict.faults.is_empty()
}

fn judge(target: &mut dyn Target, input: &[u8]) -> Verdict {
    let most = target.most_memory(input);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let clock = ProcessTime::now();
    let result = catch_unwind(AssertUnwindSafe(|| target.run(input)));
    let time = clock.elapsed();
    let peak = MEMORY.peak_usage().saturating_sub(before);
    let mut faults = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
    let outcome = match result {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(law)) => {
            faults.push(format!("law broken, {law}"));
            law
        }
        Err(_) => "panic".to_owned(),
    };
    if peak > most {
        faults.push(format!(
            "memory: {peak} bytes, and at most {most} are documented\n{outcome}"
        ));
    }
    if time > LONGEST {
        faults.push(format!("time: {time:?}\n{outcome}"));
    }
    Verdict {
        outcome,
        peak,
        faults,
    }
}

fn note_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string);
        let what = info.payload_as_str().unwrap_or("no text");
        let text = format!("panic at {}\n{what}", place.unwrap_or_default());
        PANICS
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(text);
    }));
}

/// Writes down an input before it is run: the process may not live to do it afterwards.
fn note_input(file: &File, count: u64, input: &[u8]) {
    let mut text = Vec::with_capacity(input.len() + 16);
    text.extend(count.to_le_bytes());
    text.extend((input.len() as u64).to_le_bytes());
    text.extend(input);
    file.write_all_at(&text, 0).unwrap();
}

/// Ends the process when an input takes too long by the clock.
fn watch(start: Instant, begun: &Arc<AtomicU64>) {
    let begun = Arc::clone(begun);
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let since = begun.load(Ordering::Relaxed);
            let now = start.elapsed().as_millis() as u64;
            if since > 0 && now.saturating_sub(since) > STUCK.as_millis() as u64 {
                eprintln!("an input takes longer than {STUCK:?}");
                std::process::exit(3);
            }
        }
    });
}
