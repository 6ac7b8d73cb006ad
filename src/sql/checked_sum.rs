//! `sum` that fails where DataFusion's own would wrap.
//!
//! A decimal column has 38 digits, and so has its sum; integers have 64 bits. What does not fit is an
//! error, in every form a query can ask: plain, grouped, distinct, and over a window. Sums of other
//! types are DataFusion's own. The error depends on the partial sums, not only on the last: amounts that
//! overflow on the way are refused even if others would bring them back.

use std::fmt::Debug;
use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray};
use datafusion::arrow::datatypes::{
    ArrowNativeTypeOp, DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, FieldRef,
    Int64Type, UInt64Type,
};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

/// The aggregate function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CheckedSum {
    plain: Arc<AggregateUDF>,
}

impl CheckedSum {
    pub(super) fn new() -> Self {
        Self { plain: sum_udaf() }
    }
}

/// Calls a function with the Arrow type of a sum, or another where sums cannot wrap.
macro_rules! with_sum_type {
    ($data_type:expr, $checked:ident, $plain:expr) => {
        match $data_type {
            DataType::Int64 => $checked::<Int64Type>($data_type),
            DataType::UInt64 => $checked::<UInt64Type>($data_type),
            DataType::Decimal32(..) => $checked::<Decimal32Type>($data_type),
            DataType::Decimal64(..) => $checked::<Decimal64Type>($data_type),
            DataType::Decimal128(..) => $checked::<Decimal128Type>($data_type),
            DataType::Decimal256(..) => $checked::<Decimal256Type>($data_type),
            _ => $plain,
        }
    };
}

impl AggregateUDFImpl for CheckedSum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn signature(&self) -> &Signature {
        self.plain.signature()
    }

    fn return_type(&self, argument_types: &[DataType]) -> Result<DataType> {
        self.plain.return_type(argument_types)
    }

    fn accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let data_type = arguments.return_field.data_type();
        if arguments.is_distinct {
            let data_type = data_type.clone();
            return Ok(Box::new(DistinctSum { values: self.plain.accumulator(arguments)?, data_type }));
        }
        with_sum_type!(data_type, new_total, self.plain.accumulator(arguments))
    }

    fn state_fields(&self, arguments: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        self.plain.state_fields(arguments)
    }

    fn groups_accumulator_supported(&self, arguments: AccumulatorArgs) -> bool {
        self.plain.groups_accumulator_supported(arguments)
    }

    fn create_groups_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = arguments.return_field.data_type();
        with_sum_type!(data_type, new_group_totals, self.plain.create_groups_accumulator(arguments))
    }

    fn create_sliding_accumulator(&self, arguments: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if arguments.is_distinct {
            return self.plain.create_sliding_accumulator(arguments);
        }
        let data_type = arguments.return_field.data_type();
        with_sum_type!(data_type, new_total, self.plain.create_sliding_accumulator(arguments))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }
}

#[expect(clippy::unnecessary_wraps, reason = "one shape with what DataFusion makes")]
fn new_total<T: ArrowPrimitiveType + Debug>(data_type: &DataType) -> Result<Box<dyn Accumulator>>
where
    T::Native: ArrowNativeTypeOp,
{
    let total = Total::<T> { sum: T::Native::ZERO, values: 0, data_type: data_type.clone() };
    Ok(Box::new(total))
}

#[expect(clippy::unnecessary_wraps, reason = "one shape with what DataFusion makes")]
fn new_group_totals<T: ArrowPrimitiveType>(data_type: &DataType) -> Result<Box<dyn GroupsAccumulator>>
where
    T::Native: ArrowNativeTypeOp,
{
    Ok(Box::new(GroupTotals::<T> { sums: Vec::new(), data_type: data_type.clone() }))
}

/// The sum of one group, or of one window.
#[derive(Debug)]
struct Total<T: ArrowPrimitiveType> {
    sum: T::Native,
    values: usize,
    data_type: DataType,
}

impl<T: ArrowPrimitiveType + Debug> Accumulator for Total<T>
where
    T::Native: ArrowNativeTypeOp,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values.iter().flat_map(AsArray::as_primitive::<T>).flatten() {
            self.sum = add::<T>(self.sum, value)?;
            self.values += 1;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values.iter().flat_map(AsArray::as_primitive::<T>).flatten() {
            self.sum = self.sum.sub_checked(value).or_else(|_| overflow())?;
            self.values = self.values.saturating_sub(1);
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = (self.values > 0).then_some(self.sum);
        ScalarValue::try_from_array(&to_array::<T>(vec![sum], &self.data_type)?, 0)
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// The sums of many groups.
struct GroupTotals<T: ArrowPrimitiveType> {
    sums: Vec<Option<T::Native>>,
    data_type: DataType,
}

impl<T: ArrowPrimitiveType> GroupsAccumulator for GroupTotals<T>
where
    T::Native: ArrowNativeTypeOp,
{
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.sums.resize(groups, None);
        for values in values {
            let values = values.as_primitive::<T>();
            for (row, (value, group)) in values.iter().zip(group_indices).enumerate() {
                let is_left_out = filter.is_some_and(|filter| filter.is_null(row) || !filter.value(row));
                if let (Some(value), false, Some(sum)) = (value, is_left_out, self.sums.get_mut(*group)) {
                    *sum = Some(add::<T>(sum.unwrap_or(T::Native::ZERO), value)?);
                }
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], group_indices: &[usize], groups: usize) -> Result<()> {
        self.update_batch(values, group_indices, None, groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        to_array::<T>(emit_to.take_needed(&mut self.sums), &self.data_type)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut each = Self { sums: Vec::new(), data_type: self.data_type.clone() };
        let rows = values.first().map_or(0, Array::len);
        let groups: Vec<usize> = (0..rows).collect();
        each.update_batch(values, &groups, filter, rows)?;
        each.state(EmitTo::All)
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Option<T::Native>>()
    }
}

/// The sum of the distinct values that DataFusion's own accumulator collects.
#[derive(Debug)]
struct DistinctSum {
    values: Box<dyn Accumulator>,
    data_type: DataType,
}

impl Accumulator for DistinctSum {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.values.update_batch(values)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.values.merge_batch(states)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.values.state()
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let state = self.values.state()?;
        let Some(ScalarValue::List(distinct)) = state.first() else { return self.values.evaluate() };
        let mut total = with_sum_type!(&self.data_type, new_total, return self.values.evaluate())?;
        total.update_batch(&[distinct.value(0)])?;
        // Evaluating may come again: what was taken out goes back.
        let list = SingleRowListArrayBuilder::new(distinct.value(0)).build_list_array();
        self.values.merge_batch(&[Arc::new(list)])?;
        total.evaluate()
    }

    fn size(&self) -> usize {
        self.values.size()
    }
}

#[inline]
fn add<T: ArrowPrimitiveType>(sum: T::Native, value: T::Native) -> Result<T::Native>
where
    T::Native: ArrowNativeTypeOp,
{
    sum.add_checked(value).or_else(|_| overflow())
}

/// An array of sums; an error where one has more digits than its type.
fn to_array<T: ArrowPrimitiveType>(sums: Vec<Option<T::Native>>, data_type: &DataType) -> Result<ArrayRef> {
    let array = sums.into_iter().collect::<PrimitiveArray<T>>().with_data_type(data_type.clone());
    let array: ArrayRef = Arc::new(array);
    let fits = match data_type {
        DataType::Decimal32(precision, _) => {
            array.as_primitive::<Decimal32Type>().validate_decimal_precision(*precision)
        }
        DataType::Decimal64(precision, _) => {
            array.as_primitive::<Decimal64Type>().validate_decimal_precision(*precision)
        }
        DataType::Decimal128(precision, _) => {
            array.as_primitive::<Decimal128Type>().validate_decimal_precision(*precision)
        }
        DataType::Decimal256(precision, _) => {
            array.as_primitive::<Decimal256Type>().validate_decimal_precision(*precision)
        }
        _ => Ok(()),
    };
    fits.or_else(|_| overflow())?;
    Ok(array)
}

#[cold]
fn overflow<T>() -> Result<T> {
    exec_err!(
        "a sum has more digits than its type: cast to a type with fewer decimal places, or sum fewer rows"
    )
}
