use arrow::array::{BinaryViewBuilder, Float32Array, Int64Array, ListArray, StringArray};
use arrow::datatypes::Float32Type;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use proptest::prelude::*;

use super::*;

type Row = Option<Vec<Option<f32>>>;

fn batch(rows: &[Row]) -> RecordBatch {
    let list = ListArray::from_iter_primitive::<Float32Type, _, _>(rows.iter().cloned());
    let field = Field::new("v", list.data_type().clone(), true);
    let field = field.with_metadata([("model".to_owned(), "vgg16".to_owned())].into());
    let names = StringArray::from_iter_values((0..rows.len()).map(|row| row.to_string()));
    let schema = Schema::new(vec![Field::new("name", DataType::Utf8, false), field]);
    RecordBatch::try_new(schema.into(), vec![Arc::new(names), Arc::new(list)]).unwrap()
}

async fn shape(vectors: Vectors, batches: Vec<RecordBatch>) -> Result<RecordBatch> {
    let schema = batches[0].schema();
    let rows = stream::iter(batches.into_iter().map(Ok));
    let input = RecordBatchStreamAdapter::new(Arc::clone(&schema), rows);
    let (to, rows) = shaped(Some(vectors), &schema, Box::pin(input)).await?;
    let rows: Vec<RecordBatch> = rows.try_collect().await?;
    Ok(arrow::compute::concat_batches(&to, &rows)?)
}

fn run(vectors: Vectors, rows: &[Row], cut: usize) -> Result<RecordBatch> {
    let all = batch(rows);
    let cut = cut.min(rows.len());
    let cuts = vec![all.slice(0, cut), all.slice(cut, rows.len() - cut)];
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(shape(vectors, cuts))
}

#[test]
fn what_made_the_vectors_is_kept_in_every_form() {
    for vectors in [
        Vectors::Text,
        Vectors::List,
        Vectors::FixedSizeList,
        Vectors::Columns,
    ] {
        let shaped = run(vectors, &[Some(vec![Some(1.0), Some(2.0)])], 0).unwrap();
        let schema = shaped.schema();
        let mut fields = schema.fields().iter().skip(1);
        assert!(
            fields.all(|field| field.metadata()["model"] == "vgg16"),
            "{vectors}"
        );
    }
}

#[test]
fn other_lengths_are_named() {
    let rows = [
        None,
        Some(vec![Some(1.0); 4]),
        None,
        Some(vec![Some(1.0); 3]),
    ];
    for cut in 0..4 {
        let error = run(Vectors::Columns, &rows, cut).unwrap_err().to_string();
        let expected = "column 'v': the vector in row 4 has 3 items, and the first one had 4";
        assert!(error.contains(expected), "{error}");
    }
    let error = run(Vectors::FixedSizeList, &[Some(vec![])], 0).unwrap_err();
    assert!(error.to_string().contains("the first vector is empty"));
    let wide = [Some(vec![Some(1.0); MAX_COLUMNS + 1])];
    let error = run(Vectors::Columns, &wide, 0).unwrap_err();
    assert!(error.to_string().contains("16385 columns"), "{error}");
}

#[test]
fn where_no_row_tells_lists_stay_lists() {
    let fixed = run(Vectors::FixedSizeList, &[None, None], 1).unwrap();
    assert_eq!(fixed, batch(&[None, None]));
    let columns = run(Vectors::Columns, &[None, None], 1).unwrap();
    assert_eq!(columns.num_columns(), 1);
    assert_eq!(columns.num_rows(), 2);
}

/// Motive: what is held must not grow with the rows of a query.
#[test]
fn rows_before_the_first_vector_are_held_up_to_a_bound() {
    let rows = 100;
    let image = vec![0; HELD_BYTES / rows];
    let length = image.len() as u32;
    let mut builder = BinaryViewBuilder::new();
    let block = builder.append_block(image.into());
    for _ in 0..rows {
        builder.try_append_view(block, 0, length).unwrap();
    }
    let content: ArrayRef = Arc::new(builder.finish());
    let vectors = Arc::clone(batch(&vec![None; rows]).column(1));
    let all = [("content", content), ("v", vectors)];
    let all = RecordBatch::try_from_iter_with_nullable(all.map(|(n, a)| (n, a, true))).unwrap();
    let run = |batches| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime
            .unwrap()
            .block_on(shape(Vectors::FixedSizeList, batches))
    };
    // A slice holds the buffers of all rows, but only its own count.
    assert!(run(vec![all.slice(0, 1), all.slice(1, 1)]).is_ok());
    let error = run(vec![all.clone(), all]).unwrap_err().to_string();
    assert!(
        error.contains("the first 100 rows have no vector"),
        "{error}"
    );
}

#[test]
fn no_column_is_made_twice() {
    let list = batch(&[Some(vec![Some(1.0)])]);
    let both = RecordBatch::try_from_iter([
        ("v", Arc::clone(list.column(1))),
        ("v_0", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
    ]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = runtime.block_on(shape(Vectors::Columns, vec![both.unwrap()]));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("makes a column 'v_0'"), "{error}");
}

proptest! {
    /// Motive: no number may come to stand in another row or place, whatever is NULL and however
    /// the batches are cut.
    #[test]
    fn every_number_stays_in_its_place(
        rows in (1_usize..5).prop_flat_map(|width| {
            let number = proptest::option::weighted(0.9, any::<i16>().prop_map(f32::from));
            let vector = proptest::collection::vec(number, width);
            proptest::collection::vec(proptest::option::weighted(0.7, vector), 1..12)
        }),
        cut in 0_usize..12,
    ) {
        let width = rows.iter().flatten().map(Vec::len).next();
        let columns = run(Vectors::Columns, &rows, cut).unwrap();
        prop_assert_eq!(columns.num_columns(), 1 + width.unwrap_or_default());
        for place in 0..width.unwrap_or_default() {
            let expected = rows.iter().map(|row| row.as_ref().and_then(|row| row[place]));
            let expected = Float32Array::from_iter(expected);
            prop_assert_eq!(columns.column(1 + place).as_ref(), &expected as &dyn Array);
        }
        let fixed = run(Vectors::FixedSizeList, &rows, cut).unwrap();
        let again = cast(fixed.column(1), batch(&rows).column(1).data_type()).unwrap();
        let expected = rows.iter().map(|row| match (row, width) {
            (None, Some(width)) => Some(vec![None; width]),
            (row, _) => row.clone(),
        });
        let expected = batch(&expected.collect::<Vec<Row>>());
        prop_assert_eq!(again.as_ref(), expected.column(1).as_ref());
        if let Some(width) = width {
            let item = Arc::new(Field::new_list_field(DataType::Float32, true));
            let expected = DataType::FixedSizeList(item, width as i32);
            prop_assert_eq!(fixed.column(1).data_type(), &expected);
        }
    }
}
