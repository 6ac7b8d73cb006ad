//! `record_text(bytes)`: the bytes of a record as text; what is not UTF-8 is shown as `�`.

use std::sync::Arc;

use datafusion::arrow::array::{AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RecordText {
    signature: Signature,
}

impl RecordText {
    pub(super) fn new() -> Self {
        let takes = [DataType::Binary, DataType::BinaryView, DataType::LargeBinary];
        let takes = takes.map(|data_type| TypeSignature::Exact(vec![data_type]));
        Self { signature: Signature::one_of(takes.into(), Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for RecordText {
    fn name(&self) -> &'static str {
        "record_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut texts = StringBuilder::new();
        for array in ColumnarValue::values_to_arrays(&arguments.args)? {
            let records = cast(&array, &DataType::BinaryView)?;
            for record in records.as_binary_view() {
                texts.append_option(record.map(String::from_utf8_lossy));
            }
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}
