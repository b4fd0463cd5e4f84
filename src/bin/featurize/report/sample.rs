//! A sample of the rows, stratified by label and the same every time.
//!
//! Each path is hashed with a fixed seed, and each label keeps the rows with the smallest hashes:
//! a simple random sample without replacement that depends neither on the order of the rows nor
//! on their distribution over partitions, in one pass and in the memory of the sample.

use std::collections::BinaryHeap;

/// Seed of the hash. Another one gives another sample.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// How many of `limit` rows each label gets: as its share of all rows is, rounded by largest
/// remainder, but one at least as long as there are enough.
///
/// `counts` is in descending order; the sum of the result is the smaller of `limit` and the rows.
pub(super) fn quotas(counts: &[u64], limit: usize) -> Vec<usize> {
    let total: u64 = counts.iter().sum();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let as_usize = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    if total <= limit {
        return counts.iter().map(|count| as_usize(*count)).collect();
    }
    let labels = counts.len() as u64;
    if labels >= limit {
        let first = as_usize(limit);
        return (0..counts.len())
            .map(|index| usize::from(index < first))
            .collect();
    }
    // One each; what is left is shared in proportion to the rows beyond the first.
    let (rows, left) = (u128::from(total - labels), u128::from(limit - labels));
    let part = |count: u64| u128::from(count.saturating_sub(1)) * left;
    let mut quotas: Vec<u128> = counts.iter().map(|count| 1 + part(*count) / rows).collect();
    let given: u128 = quotas.iter().sum();
    let missing = usize::try_from(u128::from(limit).saturating_sub(given)).unwrap_or_default();
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|index| {
        let remainder = counts.get(*index).map_or(0, |count| part(*count) % rows);
        (std::cmp::Reverse(remainder), *index)
    });
    for index in by_remainder.into_iter().take(missing) {
        if let Some(quota) = quotas.get_mut(index) {
            *quota += 1;
        }
    }
    quotas
        .into_iter()
        .map(|quota| usize::try_from(quota).unwrap_or(usize::MAX))
        .collect()
}

/// A row of the sample, ordered by its hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Drawn {
    hash: u64,
    pub(super) path: String,
    pub(super) label: usize,
}

/// Draws rows as they come.
#[derive(Debug)]
pub(super) struct Sampler {
    strata: Vec<(usize, BinaryHeap<Drawn>)>,
}

impl Sampler {
    /// A sampler that keeps as many rows of each label as its quota says.
    pub(super) fn new(quotas: &[usize]) -> Self {
        let strata = quotas.iter().map(|quota| (*quota, BinaryHeap::new()));
        Self {
            strata: strata.collect(),
        }
    }

    /// Considers a row.
    pub(super) fn offer(&mut self, label: usize, path: &str) {
        let Some((quota, heap)) = self.strata.get_mut(label) else {
            return;
        };
        let hash = hash(path);
        let full = heap.len() >= *quota;
        if full && heap.peek().is_none_or(|worst| worst.hash < hash) {
            return;
        }
        heap.push(Drawn {
            hash,
            path: path.to_owned(),
            label,
        });
        if heap.len() > *quota {
            heap.pop();
        }
    }

    /// The rows that were drawn, each path once, in the order of their hashes, which is as good as
    /// none.
    pub(super) fn finish(self) -> Vec<Drawn> {
        let strata = self.strata.into_iter();
        let mut drawn: Vec<Drawn> = strata.flat_map(|(_, heap)| heap).collect();
        drawn.sort_unstable();
        drawn.dedup_by(|a, b| a.path == b.path);
        drawn
    }
}

/// FNV-1a, finished by the mixer of splitmix64 because its high bits are weak.
fn hash(text: &str) -> u64 {
    let folded = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325 ^ SEED, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let mixed = (folded ^ (folded >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_add_up_and_leave_no_label_out() {
        for (counts, limit) in [
            (vec![5, 3, 1], 100),
            (vec![5, 3, 1], 9),
            (vec![1000, 10, 1, 1], 20),
            (vec![1000, 1000, 999], 7),
            (vec![3; 500], 100),
            (vec![u64::MAX / 2, 1], 10),
        ] {
            let quotas = quotas(&counts, limit);
            let total: u64 = counts.iter().sum();
            assert_eq!(quotas.iter().sum::<usize>() as u64, total.min(limit as u64));
            assert!(quotas.iter().zip(&counts).all(|(q, n)| *q as u64 <= *n));
            assert!(counts.len() > limit || quotas.iter().all(|quota| *quota > 0));
        }
        assert_eq!(quotas(&[1000, 10, 1, 1], 20), [17, 1, 1, 1]);
    }

    #[test]
    fn the_sample_does_not_depend_on_the_order() {
        let paths: Vec<String> = (0..1000).map(|n| format!("file:///x/{n}.jpg")).collect();
        let draw = |paths: &mut dyn Iterator<Item = (usize, &String)>| {
            let mut sampler = Sampler::new(&[10, 20]);
            for (index, path) in paths {
                sampler.offer(index % 2, path);
            }
            sampler.finish()
        };
        let forwards = draw(&mut paths.iter().enumerate());
        let backwards = draw(&mut paths.iter().enumerate().rev());
        assert_eq!(forwards, backwards);
        assert_eq!(forwards.len(), 30);
        assert_eq!(forwards.iter().filter(|row| row.label == 1).count(), 20);
    }

    #[test]
    fn no_quota_draws_nothing_and_a_path_is_drawn_once() {
        let mut sampler = Sampler::new(&[0, 5]);
        for _ in 0..3 {
            sampler.offer(0, "a");
            sampler.offer(1, "b");
            sampler.offer(9, "c");
        }
        let drawn = sampler.finish();
        assert_eq!(drawn.len(), 1);
        assert_eq!(drawn[0].path, "b");
    }
}
