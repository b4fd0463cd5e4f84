//! Decoded models, so that a query decodes its model once and not once per batch.
//!
//! A function sees only one batch at a time and no query, so the cache belongs to the process. It is
//! keyed by the bytes of the model, compared as a whole: nothing can be confused, and comparing is
//! far cheaper than decoding and its checksum.

use crate::error::Result;
use crate::model::PcaModel;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Most models kept.
const MAX_MODELS: usize = 16;
/// Most bytes kept, encoded and decoded together. A larger model is decoded for every batch.
const MAX_BYTES: usize = 256 << 20;

static CACHE: LazyLock<Mutex<ModelCache>> = LazyLock::new(Mutex::default);

/// Decodes a model, or returns the one decoded before from the same bytes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Arc<PcaModel>> {
    let lock = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(model) = lock().get(bytes) {
        return Ok(model);
    }
    // Decoded outside the lock; two partitions may do it at once, to the same result.
    let model = Arc::new(PcaModel::decode(bytes)?);
    lock().insert(bytes, &model);
    Ok(model)
}

/// Least recently used first.
#[derive(Default)]
struct ModelCache {
    entries: Vec<(Box<[u8]>, Arc<PcaModel>)>,
}

impl ModelCache {
    fn get(&mut self, bytes: &[u8]) -> Option<Arc<PcaModel>> {
        let at = self.entries.iter().rposition(|(key, _)| **key == *bytes)?;
        let entry = self.entries.remove(at);
        let model = Arc::clone(&entry.1);
        self.entries.push(entry);
        Some(model)
    }

    fn insert(&mut self, bytes: &[u8], model: &Arc<PcaModel>) {
        let cost = |(key, model): &(Box<[u8]>, Arc<PcaModel>)| key.len() + model.size();
        if bytes.len() + model.size() > MAX_BYTES || self.get(bytes).is_some() {
            return;
        }
        self.entries.push((bytes.into(), Arc::clone(model)));
        while self.entries.len() > MAX_MODELS
            || self.entries.iter().map(cost).sum::<usize>() > MAX_BYTES
        {
            self.entries.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(n: u64) -> PcaModel {
        PcaModel::try_new(vec![1.0], vec![1.0], vec![1.0], vec![1.0], 1.0, n).unwrap()
    }

    #[test]
    fn the_same_bytes_share_one_model() {
        let a = decode(&model(2).encode()).unwrap();
        let b = decode(&model(2).encode()).unwrap();
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(decode(&model(3).encode()).unwrap().n_samples(), 3);
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut cache = ModelCache::default();
        for n in 0..20 {
            cache.insert(&[n], &Arc::new(model(n.into())));
        }
        assert_eq!(cache.entries.len(), MAX_MODELS);
        assert!(cache.get(&[0]).is_none() && cache.get(&[3]).is_none());
        assert_eq!(cache.get(&[4]).unwrap().n_samples(), 4);
        cache.insert(&[99], &Arc::new(model(99)));
        assert!(cache.get(&[4]).is_some() && cache.get(&[5]).is_none());
    }
}
