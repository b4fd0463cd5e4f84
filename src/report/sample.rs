//! A sample of the rows, stratified by label and the same every time.
//!
//! Rows come with hashes of their paths, and each label keeps those with the smallest hashes: a simple random
//! sample without replacement that depends neither on the order of the rows nor on their distribution over
//! partitions, in one pass and in the memory of the sample.

use std::collections::BTreeSet;

/// Draws rows as they come.
#[derive(Debug)]
pub(super) struct Sample {
    limit: usize,
    strata: Vec<Stratum>,
}

/// A label.
#[derive(Debug)]
struct Stratum {
    rows: u64,
    /// Its share of the sample, rounded up: it can have no more.
    share: usize,
    /// Hashes and paths of the rows that are kept.
    kept: BTreeSet<(String, String)>,
}

impl Sample {
    /// A sample of at most `limit` rows of labels with so many rows each.
    pub(super) fn new(counts: impl Iterator<Item = u64> + Clone, limit: u64) -> Self {
        let all: u128 = counts.clone().map(u128::from).sum();
        let limit = limit.min(u64::try_from(all).unwrap_or(u64::MAX));
        let share = |rows| (u128::from(rows) * u128::from(limit)).div_ceil(all.max(1));
        let as_usize = |number| usize::try_from(number).unwrap_or(usize::MAX);
        let strata = counts.map(|rows| Stratum {
            rows,
            share: as_usize(share(rows)),
            kept: BTreeSet::new(),
        });
        Self {
            limit: as_usize(limit.into()),
            strata: strata.collect(),
        }
    }

    /// Considers a row.
    pub(super) fn offer(&mut self, label: usize, hash: &str, path: &str) {
        let Some(Stratum { share, kept, .. }) = self.strata.get_mut(label) else {
            return;
        };
        if kept.len() < *share || kept.last().is_some_and(|(last, _)| hash <= last.as_str()) {
            kept.insert((hash.to_owned(), path.to_owned()));
        }
        if kept.len() > *share {
            kept.pop_last();
        }
    }

    /// Labels and paths of the rows that were drawn, each path once and the first of each label first.
    ///
    /// Of n rows of a label, the k-th has its turn when (k - 1) / n of each label have been drawn. So each
    /// label has one row at least, as long as there are enough, and else as its share of all rows is.
    pub(super) fn finish(self) -> Vec<(u64, String)> {
        let strata = self.strata.into_iter().zip(0..);
        let turns = strata.flat_map(|(stratum, label)| {
            let rows = stratum.kept.into_iter().zip(0u32..);
            let turn = move |k| f64::from(k) / stratum.rows as f64;
            rows.map(move |((hash, path), k)| (turn(k), hash, label, path))
        });
        let mut turns: Vec<(f64, String, u64, String)> = turns.collect();
        turns.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        turns.truncate(self.limit);
        turns
            .into_iter()
            .map(|(_, _, label, path)| (label, path))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest, Sha256};

    use super::*;

    fn draw(
        counts: &[u64],
        limit: u64,
        rows: impl Iterator<Item = (usize, u64)>,
    ) -> Vec<(u64, String)> {
        let mut sample = Sample::new(counts.iter().copied(), limit);
        for (label, row) in rows {
            let path = format!("file:///{label}/{row}.jpg");
            let hash = STANDARD.encode(Sha256::digest(&path));
            sample.offer(label, &hash, &path);
        }
        sample.finish()
    }

    #[test]
    fn shares_add_up_leave_no_label_out_and_depend_on_no_order() {
        for (counts, limit) in [
            (vec![5, 3, 1], 100),
            (vec![5, 3, 1], 9),
            (vec![1000, 10, 1, 1], 20),
            (vec![1000, 1000, 999], 7),
            (vec![3; 500], 100),
            (vec![0, 5], 3),
        ] {
            let labels = counts.iter().enumerate();
            let rows = labels.flat_map(|(label, n)| (0..*n).map(move |row| (label, row)));
            let rows: Vec<(usize, u64)> = rows.collect();
            let drawn = draw(&counts, limit, rows.iter().copied());
            assert_eq!(drawn, draw(&counts, limit, rows.iter().rev().copied()));
            assert_eq!(drawn.len(), rows.len().min(limit as usize));
            let has_some = |label: usize| drawn.iter().any(|(number, _)| *number == label as u64);
            let enough = counts.len() as u64 <= limit;
            assert!(
                !enough || (0..counts.len()).all(|label| counts[label] == 0 || has_some(label))
            );
            let of_first = drawn.iter().filter(|(label, _)| *label == 0).count() as f64;
            let share = (limit as f64 / rows.len() as f64).min(1.0) * counts[0] as f64;
            assert!(
                (of_first - share).abs() <= counts.len() as f64,
                "{counts:?}: {of_first}"
            );
        }
    }

    #[test]
    fn a_path_is_drawn_once_and_no_label_is_no_error() {
        let rows = [(0, 1), (1, 2), (1, 2), (9, 3), (1, 2)];
        assert_eq!(
            draw(&[0, 3], 5, rows.into_iter()),
            [(1, "file:///1/2.jpg".to_owned())]
        );
    }
}
