//! Fits whose rows do not fit in memory: the same model, within the limit, and no file left.

use crate::calls::{accumulator_of, model, state};
use arrow::array::{ArrayRef, ListArray};
use arrow::datatypes::Float32Type;
use datafusion_common::ScalarValue;
use datafusion_execution::disk_manager::{DiskManager, DiskManagerBuilder, DiskManagerMode};
use datafusion_expr::{Accumulator, AggregateUDF};
use datafusion_functions_pca::PcaModel;
use datafusion_functions_pca::functions::pca_fit::PcaFit;
use std::sync::Arc;

const WIDTH: usize = 1500;
const COMPONENTS: i64 = 5;
/// Moments of 18 MB do not fit in it, nor do 1,800 rows of 6 kB.
const LIMIT: i64 = 6_000_000;

/// Rows of decaying variances along 12 directions.
fn rows(range: std::ops::Range<usize>) -> ArrayRef {
    let value = |i: usize, j: usize| {
        let wave = |c: usize| {
            let (a, b) = ((i * (c + 1)) as f64 * 0.37, (j * (c + 2)) as f64 * 0.11);
            a.sin() * b.cos() * 0.6_f64.powi(c as i32)
        };
        Some(((0..12).map(wave).sum::<f64>() + 3.0) as f32)
    };
    let rows = range.map(|i| Some((0..WIDTH).map(move |j| value(i, j))));
    Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>(rows))
}

struct Session {
    disk: Arc<DiskManager>,
    udaf: AggregateUDF,
}

impl Session {
    fn new(disk: DiskManagerBuilder) -> Self {
        let disk = Arc::new(disk.build().unwrap());
        let udaf = PcaFit::new().with_disk_manager(Arc::clone(&disk));
        Self {
            disk,
            udaf: AggregateUDF::from(udaf),
        }
    }

    fn accumulator(&self, limit: i64) -> Box<dyn Accumulator> {
        let arguments = [
            ScalarValue::from(COMPONENTS),
            ScalarValue::from(true),
            ScalarValue::from("scikit-learn"),
            ScalarValue::from(limit),
        ];
        accumulator_of(&self.udaf, rows(0..1).data_type(), &arguments).unwrap()
    }

    fn files(&self) -> usize {
        let folders = self.disk.temp_dir_paths();
        let files = |folder| std::fs::read_dir(folder).unwrap().count();
        folders.into_iter().map(files).sum()
    }

    #[track_caller]
    fn assert_clean(&self) {
        assert_eq!((self.files(), self.disk.used_disk_space()), (0, 0));
    }
}

/// Adds rows in batches, and checks that what is held stays within the limit.
fn push(accumulator: &mut dyn Accumulator, range: std::ops::Range<usize>) {
    let end = range.end;
    for start in range.step_by(64) {
        accumulator
            .update_batch(&[rows(start..end.min(start + 64))])
            .unwrap();
        assert!(accumulator.size() <= LIMIT as usize);
    }
}

fn finish(accumulator: &mut dyn Accumulator) -> PcaModel {
    PcaModel::decode(&model(accumulator.evaluate().unwrap())).unwrap()
}

#[track_caller]
fn assert_close(model: &PcaModel, expected: &PcaModel) {
    assert_eq!(model.n_samples(), expected.n_samples());
    for (f, e) in model
        .explained_variance()
        .iter()
        .zip(expected.explained_variance())
    {
        assert!((f / e - 1.0).abs() < 1e-12, "{f} {e}");
    }
    for (f, e) in model.components().iter().zip(expected.components()) {
        assert!((f - e).abs() < 1e-9, "{f} {e}");
    }
}

#[test]
fn rows_on_disk_give_the_model_of_rows_in_memory() {
    let session = Session::new(DiskManagerBuilder::default());
    // Moments of all rows at once.
    let mut whole = session.accumulator(1 << 30);
    whole.update_batch(&[rows(0..1800)]).unwrap();
    let expected = finish(whole.as_mut());
    session.assert_clean();

    let mut accumulator = session.accumulator(LIMIT);
    push(accumulator.as_mut(), 0..1800);
    assert!(session.files() > 1);
    assert_close(&finish(accumulator.as_mut()), &expected);
    drop(accumulator);
    session.assert_clean();

    // Three partitions: two that spill, one that does not need to.
    let mut last = session.accumulator(LIMIT);
    for range in [0..800, 800..900, 900..1800] {
        let mut partial = session.accumulator(LIMIT);
        push(partial.as_mut(), range);
        let state = state(partial.as_mut());
        last.merge_batch(&state).unwrap();
        assert!(last.size() <= LIMIT as usize, "{}", last.size());
    }
    assert_close(&finish(last.as_mut()), &expected);
    drop(last);
    session.assert_clean();
}

#[test]
fn no_file_is_left_by_errors_and_cancellation() {
    let session = Session::new(DiskManagerBuilder::default());
    let mut failing = session.accumulator(LIMIT);
    push(failing.as_mut(), 0..800);
    let nan =
        ListArray::from_iter_primitive::<Float32Type, _, _>([Some(vec![Some(f32::NAN); WIDTH])]);
    let error = failing.update_batch(&[Arc::new(nan)]).unwrap_err();
    assert!(error.to_string().contains("row 800 has NaN at index 0"));
    assert!(session.files() > 0);
    drop(failing);
    session.assert_clean();

    // A query that is dropped between its two stages.
    let mut partial = session.accumulator(LIMIT);
    push(partial.as_mut(), 0..800);
    let state = state(partial.as_mut());
    drop(partial);
    assert!(session.files() > 0);
    drop(state);
    session.assert_clean();
}

#[test]
fn what_stands_in_the_way_is_said() {
    let disabled = Session::new(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled));
    let mut accumulator = disabled.accumulator(LIMIT);
    let error = accumulator.update_batch(&[rows(0..800)]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("pca_fit: cannot keep rows on disk: "),
        "{error}"
    );
    assert!(
        error.to_string().contains("DiskManager is disabled"),
        "{error}"
    );

    let small = Session::new(DiskManagerBuilder::default().with_max_temp_directory_size(1000));
    let mut accumulator = small.accumulator(LIMIT);
    let error = accumulator.update_batch(&[rows(0..800)]).unwrap_err();
    assert!(
        error.to_string().contains("max_temp_directory_size"),
        "{error}"
    );
    drop(accumulator);
    small.assert_clean();

    // Too little for a single pass.
    let session = Session::new(DiskManagerBuilder::default());
    let mut accumulator = session.accumulator(1_000_000);
    let error = accumulator.update_batch(&[rows(0..800)]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("bytes for rows of 1500 values, more than the 1000000 bytes allowed"),
        "{error}"
    );
}
