//! `uuid_text(bytes)`: the text of a UUID that is stored as 16 bytes.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, StringBuilder};
use datafusion::arrow::datatypes::DataType;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};
use ingest::uuid::uuid_text;

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct UuidText {
    signature: Signature,
}

impl UuidText {
    pub(super) fn new() -> Self {
        Self { signature: Signature::exact(vec![DataType::FixedSizeBinary(16)], Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for UuidText {
    fn name(&self) -> &'static str {
        "uuid_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let mut texts = StringBuilder::new();
        for array in &arrays {
            let uuids = array.as_fixed_size_binary();
            for position in 0..uuids.len() {
                let uuid = (!uuids.is_null(position))
                    .then(|| <&[u8; 16]>::try_from(uuids.value(position)).ok())
                    .flatten();
                texts.append_option(uuid.map(uuid_text));
            }
        }
        Ok(ColumnarValue::Array(Arc::new(texts.finish())))
    }
}
