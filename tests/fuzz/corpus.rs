//! The inputs that new ones are made of: good files, and what came to something new.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;

use crate::random::Random;

/// Most inputs that are kept beside the good files.
const MOST_KEPT: usize = 2000;
/// Longest beginning of an outcome that tells it from others.
const MOST_TEXT: usize = 160;

pub(crate) struct Corpus {
    good: Vec<Vec<u8>>,
    kept: Vec<Vec<u8>>,
    /// Hashes of the outcomes that have been seen.
    seen: HashSet<u64>,
    folder: PathBuf,
}

impl Corpus {
    /// The good files, and what earlier runs have kept in `folder`.
    pub(crate) fn new(good: Vec<Vec<u8>>, folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let kept = files.iter().map(|file| fs::read(file).unwrap()).collect();
        Self {
            good,
            kept,
            seen: HashSet::new(),
            folder,
        }
    }

    /// Every input that is there.
    pub(crate) fn all(&self) -> Vec<Vec<u8>> {
        self.good.iter().chain(&self.kept).cloned().collect()
    }

    pub(crate) fn pick(&self, random: &mut Random) -> &[u8] {
        let from = match self.kept.is_empty() || random.once_in(2) {
            true => &self.good,
            false => &self.kept,
        };
        &from[random.below(from.len())]
    }

    /// Notes what an input came to; true if that is new. Numbers and the size of memory but for its order
    /// of magnitude make no difference.
    pub(crate) fn is_new(&mut self, outcome: &str, peak: usize) -> bool {
        let mut hasher = DefaultHasher::new();
        let text = outcome.bytes().filter(|byte| !byte.is_ascii_digit());
        for byte in text.take(MOST_TEXT) {
            byte.hash(&mut hasher);
        }
        (peak >> 16).checked_ilog2().hash(&mut hasher);
        self.seen.insert(hasher.finish())
    }

    /// Keeps an input, on disk too. Where there are many, another one goes.
    pub(crate) fn keep(&mut self, input: Vec<u8>, random: &mut Random) {
        let place = match self.kept.len() < MOST_KEPT {
            true => self.kept.len(),
            false => random.below(MOST_KEPT),
        };
        fs::write(self.folder.join(format!("{place:04}")), &input).unwrap();
        match self.kept.get_mut(place) {
            Some(old) => *old = input,
            None => self.kept.push(input),
        }
    }
}
