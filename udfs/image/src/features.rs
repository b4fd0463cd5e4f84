//! From a batch of encoded images to a batch of feature vectors.

use std::sync::Arc;

use arrow::array::{Float32Array, ListArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::instant::Instant;
use rayon::prelude::*;

use crate::cancel::CancelToken;
use crate::counters;
use crate::decode::{DecodeError, DecodeOptions, decode};
use crate::error::{Error, Result};
use crate::model::Model;
use crate::models::Pooling;
use crate::pool::{ComputePool, Workers};

/// As many images as the kernels share weights among; a multiple of them goes through a network
/// together.
const SHARING: usize = 8;
/// Images for each thread, so that none is idle for long at the end. An image waits decoded in
/// 0.6 MB.
const IMAGES_PER_THREAD: usize = 4;

/// Colour channels of an image.
const CHANNELS: usize = 3;

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
    options: DecodeOptions,
    pool: Arc<ComputePool>,
    cancel: CancelToken,
}

impl Featurizer {
    /// A featurizer that runs `model` on `pool`.
    pub fn new(
        model: Arc<Model>,
        pooling: Pooling,
        options: impl Into<DecodeOptions>,
        pool: Arc<ComputePool>,
    ) -> Self {
        Self {
            model,
            pooling,
            options: options.into(),
            pool,
            cancel: CancelToken::new(),
        }
    }

    /// Stops soon after `cancel` is triggered: between two tiles of a layer, and between two images
    /// while decoding.
    #[must_use]
    pub fn with_cancel_token(mut self, cancel: CancelToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Length of a feature vector.
    ///
    /// # Errors
    ///
    /// [`Error::Argument`] if the model does not have the pooling.
    pub fn dimension(&self) -> Result<usize> {
        self.model.dimension(self.pooling)
    }

    /// The features of every image, in order; NULL where there is no image.
    ///
    /// The vectors do not depend on how images are batched nor on the number of threads.
    ///
    /// # Errors
    ///
    /// [`Error::Decode`] of the first undecodable image under [`OnUndecodable::Fail`],
    /// [`Error::BatchTooLarge`] if the vectors would not fit one list array, [`Error::Cancelled`].
    pub fn featurize(
        &self,
        images: &[Option<&[u8]>],
        on_undecodable: OnUndecodable,
    ) -> Result<ListArray> {
        let dimension = self.dimension()?;
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
        let micro_batch = (IMAGES_PER_THREAD * self.pool.threads()).next_multiple_of(SHARING);
        for rows in rows.chunks(micro_batch) {
            let started = Instant::now();
            let (decoded, inputs) = self.inputs(rows, on_undecodable)?;
            counters::add_decoded(decoded.len(), rows.len() - decoded.len(), started.elapsed());
            for row in &decoded {
                if let Some(valid) = valid.get_mut(*row) {
                    *valid = true;
                }
            }
            if !decoded.is_empty() {
                let started = Instant::now();
                let count = decoded.len();
                let workers = Workers {
                    pool: &self.pool,
                    cancel: &self.cancel,
                };
                self.model
                    .run(&inputs, count, self.pooling, workers, &mut values)?;
                counters::add_inferred(count, started.elapsed());
            }
        }
        Ok(list_array(valid, dimension, values))
    }

    /// Decodes, resizes and preprocesses images in parallel. Gives the rows that could be decoded
    /// and their network input, one after the other.
    fn inputs(
        &self,
        rows: &[(usize, &[u8])],
        on_undecodable: OnUndecodable,
    ) -> Result<(Vec<usize>, Vec<f32>)> {
        let side = self.model.image_side();
        let length = side * side * CHANNELS;
        let mut inputs = vec![0.0; rows.len() * length];
        let outcomes: Vec<_> = self.pool.run(|| {
            inputs
                .par_chunks_exact_mut(length)
                .zip(rows)
                .map(|(input, (row, bytes))| {
                    self.cancel.check().map_err(|_| Error::Cancelled)?;
                    Ok((*row, self.input(bytes, input)))
                })
                .collect::<Result<_>>()
        })?;
        let mut decoded = Vec::with_capacity(rows.len());
        for (place, (row, outcome)) in outcomes.into_iter().enumerate() {
            match (outcome, on_undecodable) {
                (Ok(()), _) => {
                    // Close the gaps that undecodable images leave.
                    if place != decoded.len() {
                        let start = place * length;
                        inputs.copy_within(start..start + length, decoded.len() * length);
                    }
                    decoded.push(row);
                }
                (Err(error), OnUndecodable::Fail) => return Err(Error::Decode { row, error }),
                (Err(error), OnUndecodable::Null) => log::debug!("NULL features: {error}"),
            }
        }
        inputs.truncate(decoded.len() * length);
        Ok((decoded, inputs))
    }

    /// Fills the network's input for one image.
    fn input(&self, bytes: &[u8], input: &mut [f32]) -> Result<(), DecodeError> {
        let image = decode(bytes, self.options)?;
        let size = (image.width, image.height);
        self.model.preparation().apply(image.data, size, input);
        Ok(())
    }
}

fn list_array(valid: Vec<bool>, dimension: usize, values: Vec<f32>) -> ListArray {
    let lengths = valid.iter().map(|valid| usize::from(*valid) * dimension);
    let offsets = OffsetBuffer::from_lengths(lengths);
    let values = Float32Array::new(ScalarBuffer::from(values), None);
    let nulls = valid.contains(&false).then(|| NullBuffer::from(valid));
    ListArray::new(item_field(), offsets, Arc::new(values), nulls)
}
