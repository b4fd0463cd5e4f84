//! Decoded models, so that a query decodes its model once and not once per batch.
//!
//! A function sees only one batch at a time and no query, so the cache belongs to the process. It is
//! keyed by the bytes of the model, compared as a whole: nothing can be confused, and comparing is
//! far cheaper than decoding and its checksum.

use crate::error::Result;
use crate::model::pca::PcaModel;
use crate::model::scaler::Scaler;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// What SQL stores as a binary value: a model of either kind.
pub(crate) trait Stored: Sized + Send + Sync + 'static {
    /// Function that makes such values.
    const MADE_BY: &'static str;

    /// Reads the value.
    fn decode(bytes: &[u8]) -> Result<Self>;

    /// Bytes held.
    fn size(&self) -> usize;

    /// Where values of this kind are kept.
    fn cache() -> &'static Mutex<ModelCache<Self>>;
}

/// What is stored of a type: which function makes it, and how many values it holds.
macro_rules! stored {
    ($model:ty, $made_by:literal, |$this:ident| $values:expr) => {
        impl Stored for $model {
            const MADE_BY: &'static str = $made_by;

            fn decode(bytes: &[u8]) -> Result<Self> {
                Self::decode(bytes)
            }

            fn size(&self) -> usize {
                let $this = self;
                size_of::<Self>() + $values * size_of::<f64>()
            }

            fn cache() -> &'static Mutex<ModelCache<Self>> {
                static CACHE: LazyLock<Mutex<ModelCache<$model>>> = LazyLock::new(Mutex::default);
                &CACHE
            }
        }
    };
}

stored!(PcaModel, "pca_fit", |model| {
    2 * model.n_features() + model.n_components() * (model.n_features() + 2)
});
stored!(Scaler, "scaler_fit", |scaler| 2 * scaler.n_features());

/// Most models kept.
const MAX_MODELS: usize = 1024;
/// Most bytes kept, encoded and decoded together, but for the model that was used last, however large.
const MAX_BYTES: usize = 512 << 20;

/// Decodes a model, or returns the one decoded before from the same bytes.
pub(crate) fn decode<M: Stored>(bytes: &[u8]) -> Result<Arc<M>> {
    let lock = || M::cache().lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(model) = lock().get(bytes) {
        return Ok(model);
    }
    // Decoded outside the lock; two partitions may do it at once, to the same result.
    let model = Arc::new(M::decode(bytes)?);
    lock().insert(bytes, &model);
    Ok(model)
}

/// Least recently used first.
pub(crate) struct ModelCache<M> {
    entries: Vec<(Box<[u8]>, Arc<M>)>,
    most: usize,
    bytes: usize,
}

impl<M> Default for ModelCache<M> {
    fn default() -> Self {
        Self {
            entries: vec![],
            most: MAX_MODELS,
            bytes: MAX_BYTES,
        }
    }
}

impl<M: Stored> ModelCache<M> {
    fn get(&mut self, bytes: &[u8]) -> Option<Arc<M>> {
        let at = self.entries.iter().rposition(|(key, _)| **key == *bytes)?;
        let entry = self.entries.remove(at);
        let model = Arc::clone(&entry.1);
        self.entries.push(entry);
        Some(model)
    }

    fn insert(&mut self, bytes: &[u8], model: &Arc<M>) {
        let cost = |(key, model): &(Box<[u8]>, Arc<M>)| key.len() + model.size();
        if self.get(bytes).is_some() {
            return;
        }
        self.entries.push((bytes.into(), Arc::clone(model)));
        while self.entries.len() > 1
            && (self.entries.len() > self.most
                || self.entries.iter().map(cost).sum::<usize>() > self.bytes)
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
        let a: Arc<PcaModel> = decode(&model(2).encode()).unwrap();
        let b = decode(&model(2).encode()).unwrap();
        assert!(Arc::ptr_eq(&a, &b));
        assert_eq!(
            decode::<PcaModel>(&model(3).encode()).unwrap().n_samples(),
            3
        );
    }

    #[test]
    fn the_oldest_goes_first() {
        let mut cache = ModelCache {
            most: 16,
            ..ModelCache::default()
        };
        for n in 0..20 {
            cache.insert(&[n], &Arc::new(model(n.into())));
        }
        assert_eq!(cache.entries.len(), 16);
        assert!(cache.get(&[0]).is_none() && cache.get(&[3]).is_none());
        assert_eq!(cache.get(&[4]).unwrap().n_samples(), 4);
        cache.insert(&[99], &Arc::new(model(99)));
        assert!(cache.get(&[4]).is_some() && cache.get(&[5]).is_none());
    }

    #[test]
    fn one_is_kept_however_large() {
        let mut cache = ModelCache {
            bytes: 1000,
            ..ModelCache::default()
        };
        cache.insert(&[1], &Arc::new(model(1)));
        cache.insert(&[2; 2000], &Arc::new(model(2)));
        assert!(cache.get(&[1]).is_none() && cache.get(&[2; 2000]).is_some());
        cache.insert(&[3], &Arc::new(model(3)));
        assert!(cache.get(&[2; 2000]).is_none() && cache.get(&[3]).is_some());
    }
}
