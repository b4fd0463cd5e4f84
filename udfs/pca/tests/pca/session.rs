//! What a session lends to a fit: memory, and word that nobody wants the model any more.

use crate::calls::{accumulator_of, list, model};
use arrow::array::ArrayRef;
use datafusion_common::DataFusionError;
use datafusion_execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion_expr::{Accumulator, AggregateUDF};
use datafusion_functions_pca::PcaModel;
use datafusion_functions_pca::functions::pca_fit::PcaFit;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A matrix of 320 kB has to be decomposed.
const WIDTH: usize = 200;

fn rows() -> ArrayRef {
    let row = |i: usize| (0..WIDTH).map(move |j| ((i * 31 + j * j * 17) % 101) as f64);
    list(&(0..300).map(|i| Some(row(i).collect())).collect::<Vec<_>>())
}

fn accumulator(function: PcaFit) -> Box<dyn Accumulator> {
    let udaf = AggregateUDF::from(function);
    let mut accumulator = accumulator_of(&udaf, rows().data_type(), &[10_i64.into()]).unwrap();
    accumulator.update_batch(&[rows()]).unwrap();
    accumulator
}

#[test]
fn the_pool_is_asked_for_the_memory_of_a_fit() {
    let pool = |bytes| Arc::new(GreedyMemoryPool::new(bytes)) as Arc<dyn MemoryPool>;
    let ample = pool(10 << 20);
    let mut fits = accumulator(PcaFit::new().with_memory_pool(Arc::clone(&ample)));
    let fitted = PcaModel::decode(&model(fits.evaluate().unwrap())).unwrap();
    assert_eq!(fitted.n_components(), 10);
    assert_eq!(ample.reserved(), 0, "it is given back");

    let little = pool(1 << 20);
    let mut fails = accumulator(PcaFit::new().with_memory_pool(Arc::clone(&little)));
    let error = fails.evaluate().unwrap_err();
    let message = error.to_string();
    assert!(
        matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)),
        "{message}"
    );
    assert!(message.contains("bytes to fit 300 rows"), "{message}");
    assert_eq!(little.reserved(), 0);
}

#[test]
fn a_fit_ends_when_its_query_does() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    let mut fits = accumulator(PcaFit::new().with_cancellation(|| {
        STARTED.fetch_add(1, Ordering::Relaxed);
        Arc::new(|| true)
    }));
    assert_eq!(STARTED.load(Ordering::Relaxed), 0);
    let message = fits.evaluate().unwrap_err().to_string();
    assert!(
        message.contains("pca_fit: the fit was cancelled"),
        "{message}"
    );
    assert_eq!(STARTED.load(Ordering::Relaxed), 1);
}
