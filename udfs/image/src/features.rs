//! From a batch of encoded images to a batch of feature vectors.

use std::sync::Arc;

use arrow::array::{Float32Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef};
use rayon::prelude::*;

use crate::decode::{DecodeError, Limits, decode};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::models::Pooling;
use crate::pool::ComputePool;
use crate::resize::resize_rgb;

/// Fewest images that go through a network together: as many as the kernels share weights among.
const LEAST_MICRO_BATCH: usize = 8;
/// Images for each thread beyond that, so that none is idle for long at the end. An image waits
/// decoded in 0.6 MB.
const IMAGES_PER_THREAD: usize = 4;

/// The field of a feature vector's elements.
pub(crate) fn item_field() -> FieldRef {
    Arc::new(Field::new_list_field(DataType::Float32, true))
}

/// What to do with an image that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnUndecodable {
    /// Stop with its error.
    Fail,
    /// Give NULL.
    Null,
}

/// Turns encoded images into feature vectors.
#[derive(Debug, Clone)]
pub struct Featurizer {
    model: Arc<Model>,
    pooling: Pooling,
    limits: Limits,
    pool: Arc<ComputePool>,
}

impl Featurizer {
    /// A featurizer that runs `model` on `pool`.
    pub fn new(
        model: Arc<Model>,
        pooling: Pooling,
        limits: Limits,
        pool: Arc<ComputePool>,
    ) -> Self {
        Self {
            model,
            pooling,
            limits,
            pool,
        }
    }

    /// Length of a feature vector.
    pub fn dimension(&self) -> usize {
        self.pooling
            .dimension(self.model.architecture().feature_map())
    }

    /// The features of every image, in order; NULL where there is no image.
    ///
    /// The vectors do not depend on how images are batched nor on the number of threads.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] of the first undecodable image under [`OnUndecodable::Fail`],
    /// [`Error::BatchTooLarge`] if the vectors would not fit one list array.
    pub fn featurize(
        &self,
        images: &[Option<&[u8]>],
        on_undecodable: OnUndecodable,
    ) -> Result<ListArray> {
        let dimension = self.dimension();
        let most = i32::MAX as usize / dimension;
        let wanted = images.iter().flatten().count();
        if wanted > most {
            return Err(Error::BatchTooLarge {
                rows: wanted,
                dimension,
                most,
            });
        }

        let mut valid = vec![false; images.len()];
        let mut values = Vec::with_capacity(wanted * dimension);
        let rows: Vec<(usize, &[u8])> = images
            .iter()
            .enumerate()
            .filter_map(|(row, image)| image.map(|bytes| (row, bytes)))
            .collect();
        let micro_batch = LEAST_MICRO_BATCH.max(IMAGES_PER_THREAD * self.pool.threads());
        for rows in rows.chunks(micro_batch) {
            let inputs = self.inputs(rows, on_undecodable)?;
            let mut stacked = Vec::with_capacity(inputs.iter().map(|(_, input)| input.len()).sum());
            for (row, input) in &inputs {
                stacked.extend_from_slice(input);
                if let Some(valid) = valid.get_mut(*row) {
                    *valid = true;
                }
            }
            if !inputs.is_empty() {
                self.model
                    .run(stacked, inputs.len(), self.pooling, &self.pool, &mut values)?;
            }
        }
        Ok(list_array(valid, dimension, values))
    }

    /// Decodes, resizes and preprocesses images in parallel; leaves out those that cannot be
    /// decoded if that is allowed.
    fn inputs(
        &self,
        rows: &[(usize, &[u8])],
        on_undecodable: OnUndecodable,
    ) -> Result<Vec<(usize, Vec<f32>)>> {
        let decoded: Vec<_> = self.pool.run(|| {
            rows.par_iter()
                .map(|(row, bytes)| (*row, self.input(bytes)))
                .collect()
        });
        let mut inputs = Vec::with_capacity(decoded.len());
        for (row, input) in decoded {
            match (input, on_undecodable) {
                (Ok(input), _) => inputs.push((row, input)),
                (Err(error), OnUndecodable::Fail) => return Err(Error::Decode(error)),
                (Err(error), OnUndecodable::Null) => log::debug!("NULL features: {error}"),
            }
        }
        Ok(inputs)
    }

    fn input(&self, bytes: &[u8]) -> Result<Vec<f32>, DecodeError> {
        let image = decode(bytes, self.limits)?;
        let (height, width) = self.model.architecture().image_size();
        let rgb = resize_rgb(image.data, (image.width, image.height), (width, height));
        let mut input = vec![0.0; rgb.len()];
        self.model.preprocessing().apply(&rgb, &mut input);
        Ok(input)
    }
}

fn list_array(valid: Vec<bool>, dimension: usize, values: Vec<f32>) -> ListArray {
    let lengths = valid.iter().map(|valid| usize::from(*valid) * dimension);
    let offsets = OffsetBuffer::from_lengths(lengths);
    let values = Float32Array::new(ScalarBuffer::from(values), None);
    let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
    ListArray::new(item_field(), offsets, Arc::new(values), nulls)
}
