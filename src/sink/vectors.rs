//! Lists as the files have them: the option `vectors`.
//!
//! Lists of fixed size and single columns need to know how many numbers a vector has, which the first
//! row that is not NULL says. All rows go through one partition for that, on a cluster too, and every
//! other row must have as many. A row that is NULL is NULL in each place, in columns as in lists of fixed
//! size: such a list that is NULL itself is what PyArrow, and with it pandas and Lance, cannot read from
//! Parquet. Where no row says, as in an empty result, lists stay lists, and there are no columns.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, RecordBatch, UInt64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{ArrowNativeType, DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{Result, exec_datafusion_err, exec_err};
use datafusion::execution::SendableRecordBatchStream;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::encode::conform;
use super::options::Vectors;
use super::slices::{Slices, batch_bytes};
use super::text::{lists_to_text, text_schema};

/// The most bytes of rows that are held because none says yet how long the vectors are.
const HELD_BYTES: usize = 64 * 1024 * 1024;
/// The most columns of one vector: as many as a sheet of Excel has. Each is a writer in memory.
const MAX_COLUMNS: usize = 16_384;

/// The numbers in a vector, or `None` if the column holds none, or no row has told yet.
type Widths = Vec<Option<usize>>;

/// What becomes of the columns of a query.
pub(super) struct Shape {
    vectors: Vectors,
    from: SchemaRef,
    to: SchemaRef,
    widths: Widths,
}

/// Whether all rows must go through one partition.
pub(super) fn needs_widths(vectors: Option<Vectors>, schema: &Schema) -> bool {
    matches!(vectors, Some(Vectors::FixedSizeList | Vectors::Columns))
        && schema
            .fields()
            .iter()
            .any(|field| item(field.data_type()).is_some())
}

/// The columns of the file where there are no rows.
pub(super) fn schema_without_rows(
    vectors: Option<Vectors>,
    schema: &SchemaRef,
) -> Result<SchemaRef> {
    match vectors {
        None => Ok(Arc::clone(schema)),
        Some(vectors) => Ok(Shape::try_new(vectors, schema, unknown(schema))?.to),
    }
}

/// The rows of the file with its columns.
///
/// # Errors
/// When the first rows cannot be read or shaped; later ones are errors in the stream.
pub(super) async fn shaped(
    vectors: Option<Vectors>,
    schema: &SchemaRef,
    mut input: SendableRecordBatchStream,
) -> Result<(SchemaRef, BoxStream<'static, Result<RecordBatch>>)> {
    let Some(vectors) = vectors else {
        return Ok((Arc::clone(schema), input.boxed()));
    };
    let mut widths = unknown(schema);
    let (mut held, mut bytes) = (vec![], 0);
    while needs_widths(Some(vectors), schema) && is_open(schema, &widths) {
        let Some(batch) = input.try_next().await? else {
            break;
        };
        for (column, width) in batch.columns().iter().zip(&mut widths) {
            if width.is_none() {
                *width = Items::of(column).and_then(|items| items.first_length());
            }
        }
        bytes += batch_bytes(&batch);
        held.push(batch);
        if bytes > HELD_BYTES && is_open(schema, &widths) {
            let rows: usize = held.iter().map(RecordBatch::num_rows).sum();
            return exec_err!(
                "the first {rows} rows have no vector in one of the columns, so that 'vectors' \
                 '{vectors}' cannot tell how long they are; write rows that have one first (ORDER \
                 BY … IS NULL), leave the others out, or leave the option out"
            );
        }
    }
    let shape = Arc::new(Shape::try_new(vectors, schema, widths)?);
    let to = Arc::clone(&shape.to);
    let mut rows = 0;
    let pieces = stream::iter(held.into_iter().map(Ok))
        .chain(input)
        .map_ok(move |batch| {
            let mut first = rows;
            rows += batch.num_rows();
            let (shape, mut slices) = (Arc::clone(&shape), Slices::new(batch));
            stream::iter(std::iter::from_fn(move || {
                let slice = slices.next(usize::MAX)?;
                let shaped = shape.apply(&slice, first);
                first += slice.num_rows();
                Some(shaped)
            }))
        });
    Ok((to, pieces.try_flatten().boxed()))
}

fn unknown(schema: &Schema) -> Widths {
    vec![None; schema.fields().len()]
}

fn is_open(schema: &Schema, widths: &Widths) -> bool {
    let mut fields = schema.fields().iter().zip(widths);
    fields.any(|(field, width)| width.is_none() && item(field.data_type()).is_some())
}

/// The items of a column of vectors, which are lists of numbers.
fn item(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type().is_numeric().then_some(item)
        }
        _ => None,
    }
}

/// The vectors of a column: the numbers of all, and where in them each begins, and how many it has.
///
/// (Arrow's own cast to lists of fixed size takes those of other rows where the column is a slice.)
struct Items {
    values: ArrayRef,
    rows: Vec<Option<Range<usize>>>,
}

impl Items {
    /// `None` for columns that hold no vectors.
    fn of(column: &ArrayRef) -> Option<Self> {
        item(column.data_type())?;
        let (values, ends): (_, Vec<usize>) = match column.data_type() {
            DataType::FixedSizeList(_, width) => {
                let width = usize::try_from(*width).ok()?;
                let ends = (0..=column.len()).map(|row| row * width);
                (column.as_fixed_size_list().values(), ends.collect())
            }
            DataType::LargeList(_) => {
                let list = column.as_list::<i64>();
                let ends = list.value_offsets().iter().map(|end| end.as_usize());
                (list.values(), ends.collect())
            }
            _ => {
                let list = column.as_list::<i32>();
                let ends = list.value_offsets().iter().map(|end| end.as_usize());
                (list.values(), ends.collect())
            }
        };
        let ranges = ends.windows(2).enumerate().map(|(row, ends)| match ends {
            [start, end] if column.is_valid(row) => Some(*start..*end),
            _ => None,
        });
        Some(Self {
            values: Arc::clone(values),
            rows: ranges.collect(),
        })
    }

    fn first_length(&self) -> Option<usize> {
        self.rows
            .iter()
            .flatten()
            .map(ExactSizeIterator::len)
            .next()
    }

    /// The first row, counted from 0, of another length, and that.
    fn other_length(&self, width: usize) -> Option<(usize, usize)> {
        let mut rows = self.rows.iter().enumerate();
        rows.find_map(|(row, range)| {
            let length = range.as_ref()?.len();
            (length != width).then_some((row, length))
        })
    }

    /// The numbers at some places of each row, row by row.
    fn take(&self, places: Range<usize>) -> Result<ArrayRef> {
        let indices = self.rows.iter().flat_map(|range| {
            let start = range.as_ref().map(|range| range.start);
            let places = places.clone();
            places.map(move |place| start.map(|start| (start + place) as u64))
        });
        Ok(take(&self.values, &UInt64Array::from_iter(indices), None)?)
    }

    fn fixed(&self, item: &FieldRef, width: usize) -> Result<ArrayRef> {
        let (item, values) = (Arc::clone(item), self.take(0..width)?);
        let list = FixedSizeListArray::try_new(item, fixed_size(width)?, values, None)?;
        Ok(Arc::new(list))
    }
}

/// The items where a row that is NULL is NULL in each place.
fn item_of_fixed(field: &Field, item: &FieldRef) -> FieldRef {
    match field.is_nullable() && !item.is_nullable() {
        true => Arc::new(item.as_ref().clone().with_nullable(true)),
        false => Arc::clone(item),
    }
}

fn fixed_size(width: usize) -> Result<i32> {
    i32::try_from(width)
        .map_err(|_| exec_datafusion_err!("vectors of {width} items are too long for one list"))
}

impl Shape {
    fn try_new(vectors: Vectors, from: &SchemaRef, widths: Widths) -> Result<Self> {
        let to = match vectors {
            Vectors::Text => text_schema(from),
            Vectors::List | Vectors::FixedSizeList | Vectors::Columns => {
                let mut fields: Vec<FieldRef> = vec![];
                for (field, width) in from.fields().iter().zip(&widths) {
                    shape_field(vectors, field, *width, &mut fields)?;
                }
                Arc::new(Schema::new_with_metadata(fields, from.metadata().clone()))
            }
        };
        let mut names = HashSet::new();
        if let Some(twice) = to.fields().iter().find(|field| !names.insert(field.name())) {
            return exec_err!(
                "'vectors' '{vectors}' makes a column '{}', but there is one of this name already; \
                 rename either with AS",
                twice.name()
            );
        }
        Ok(Self {
            vectors,
            from: Arc::clone(from),
            to,
            widths,
        })
    }

    /// The rows as the file has them; before the first of them come `before` others.
    fn apply(&self, batch: &RecordBatch, before: usize) -> Result<RecordBatch> {
        let batch = conform(batch, &self.from)?;
        if self.vectors == Vectors::Text {
            return lists_to_text(&batch, &self.to);
        }
        let mut columns = vec![];
        for ((column, field), width) in batch
            .columns()
            .iter()
            .zip(self.from.fields())
            .zip(&self.widths)
        {
            let (Some(item), Some(items)) = (item(field.data_type()), Items::of(column)) else {
                columns.push(Arc::clone(column));
                continue;
            };
            match (self.vectors, *width) {
                (Vectors::List, _) => {
                    columns.push(cast(column, &DataType::List(Arc::clone(item)))?);
                }
                (Vectors::Columns, None) => {}
                (_, None) => columns.push(Arc::clone(column)),
                (vectors, Some(width)) => {
                    self.check(field, &items, width, before)?;
                    if vectors == Vectors::Columns {
                        for place in 0..width {
                            columns.push(items.take(place..place + 1)?);
                        }
                    } else {
                        columns.push(items.fixed(&item_of_fixed(field, item), width)?);
                    }
                }
            }
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.to), columns)?)
    }

    /// # Errors
    /// When a row has a vector of another length.
    fn check(&self, field: &Field, items: &Items, width: usize, before: usize) -> Result<()> {
        let Some((row, length)) = items.other_length(width) else {
            return Ok(());
        };
        let (name, vectors) = (field.name(), self.vectors);
        exec_err!(
            "column '{name}': the vector in row {} has {length} items, and the first one had {width}; \
             'vectors' '{vectors}' needs vectors of one length. Leave such rows out (WHERE \
             array_length({name}) = {width}), or leave the option out",
            before + row + 1
        )
    }
}

/// What a column is in the file; the metadata of the field, which says what made the vectors, stays.
fn shape_field(
    vectors: Vectors,
    field: &FieldRef,
    width: Option<usize>,
    fields: &mut Vec<FieldRef>,
) -> Result<()> {
    let Some(item) = item(field.data_type()) else {
        fields.push(Arc::clone(field));
        return Ok(());
    };
    if width == Some(0) {
        return exec_err!(
            "column '{}': the first vector is empty, so that 'vectors' '{vectors}' has nothing to \
             write; leave the column or the option out",
            field.name()
        );
    }
    let with_type = |data_type| Arc::new(field.as_ref().clone().with_data_type(data_type));
    match (vectors, width) {
        (Vectors::Columns, None) => {}
        (Vectors::Columns, Some(width)) if width > MAX_COLUMNS => {
            return exec_err!(
                "column '{}': 'vectors' 'columns' would make {width} columns of it, and the most is \
                 {MAX_COLUMNS}; use 'fixed_size_list' (Parquet), or shorter vectors (pca_transform)",
                field.name()
            );
        }
        (Vectors::Columns, Some(width)) => fields.extend((0..width).map(|index| {
            let name = format!("{}_{index}", field.name());
            let is_nullable = field.is_nullable() || item.is_nullable();
            let column = Field::new(name, item.data_type().clone(), is_nullable);
            Arc::new(column.with_metadata(field.metadata().clone()))
        })),
        (Vectors::List, _) => fields.push(with_type(DataType::List(Arc::clone(item)))),
        (_, None) => fields.push(Arc::clone(field)),
        (_, Some(width)) => {
            let (item, size) = (item_of_fixed(field, item), fixed_size(width)?);
            fields.push(with_type(DataType::FixedSizeList(item, size)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
