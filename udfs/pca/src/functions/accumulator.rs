//! The accumulator of `pca_fit`.

use super::fit_arguments::NAME;
use super::notices;
use super::session::Session;
use crate::error::{Counted, PcaError};
use crate::features::Features;
use crate::fit::fitter::PcaFitter;
use crate::fit::state;
use crate::options::FitOptions;
use crate::value::Value;
use arrow::array::{Array, ArrayRef, AsArray};
use datafusion_common::{Result, ScalarValue, internal_err};
use datafusion_execution::memory_pool::MemoryReservation;
use datafusion_expr::Accumulator;

/// Accumulates rows of one group in one partition.
#[derive(Debug)]
pub(crate) struct PcaAccumulator<T: Value> {
    fitter: PcaFitter<T>,
    session: Session,
    /// Whether it has merged partial aggregates, so that it is the one that will fit.
    merged: bool,
}

impl<T: Value> PcaAccumulator<T> {
    pub(crate) fn new(options: FitOptions, session: Session) -> Self {
        Self {
            fitter: PcaFitter::new(options).with_disk(session.disk.clone()),
            session,
            merged: false,
        }
    }

    /// Takes the memory of the fit from the pool, unless [`Accumulator::size`] has reported it.
    fn reserve(&self) -> Result<Option<MemoryReservation>> {
        if self.merged {
            return Ok(None);
        }
        let bytes = self.fitter.fit_size();
        self.session.reserve(NAME, bytes).map_err(|e| {
            let rows = self.fitter.n_samples();
            e.context(format!("{NAME} needs {bytes} bytes to fit {rows} rows"))
        })
    }

    fn update(&mut self, features: &Features<T>) -> Result<(), PcaError> {
        for i in 0..features.len() {
            match features.row(i, self.fitter.next_row())? {
                Some(row) => self.fitter.push(row)?,
                None => self.fitter.push_nulls(1),
            }
        }
        Ok(())
    }
}

impl<T: Value> Accumulator for PcaAccumulator<T> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(features) = values.first() else {
            return internal_err!("{NAME} without features");
        };
        self.update(&Features::try_new(features)?)
            .map_err(|e| e.in_rows(NAME, Counted::Aggregated))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let _reserved = self.reserve()?;
        if let Some(source) = self.session.cancellation {
            self.fitter.set_cancellation(source());
        }
        let model = self.fitter.fit().map_err(|e| e.in_function(NAME))?;
        notices::fewer_components(NAME, &model);
        Ok(ScalarValue::BinaryView(Some(model.encode())))
    }

    /// What is held and, once it is clear that this accumulator will fit, what that will take. Of rows that
    /// are not partial aggregates nobody knows whether they will be fitted here or sent on.
    fn size(&self) -> usize {
        let fit = match self.merged {
            true => self.fitter.fit_size(),
            false => 0,
        };
        size_of_val(&self.session) + self.fitter.size() + fit
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.fitter.settle().map_err(|e| e.in_function(NAME))?;
        state::encode(self.fitter.take_parts()).map_err(|e| e.in_function(NAME))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [headers, blocks] = states else {
            return internal_err!("{NAME}: {} state columns instead of 2", states.len());
        };
        let (Some(headers), Some(blocks)) =
            (headers.as_binary_view_opt(), blocks.as_list_opt::<i32>())
        else {
            return internal_err!(
                "{NAME}: a state of {} and {}",
                headers.data_type(),
                blocks.data_type()
            );
        };
        self.merged = true;
        for i in 0..headers.len() {
            if headers.is_null(i) || blocks.is_null(i) {
                continue;
            }
            let block = blocks.value(i);
            let Some(block) = block.as_binary_view_opt() else {
                return internal_err!("{NAME}: a state of {}", block.data_type());
            };
            state::decode(headers.value(i), block)
                .and_then(|parts| self.fitter.merge_parts(parts))
                .map_err(|e| e.in_function(NAME))?;
        }
        Ok(())
    }
}
