//! `session_log(act)`: the acts of a session, put side by side.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BinaryArray, BinaryBuilder, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::as_binary_array;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};

/// The aggregate. Its state and its value are the same: bytes of a `SessionLog`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Logs(Signature);

impl Logs {
    /// The aggregate.
    pub fn new() -> Self {
        Self(Signature::exact(vec![DataType::Binary], Volatility::Immutable))
    }
}

impl AggregateUDFImpl for Logs {
    fn name(&self) -> &'static str {
        "session_log"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Err(DataFusionError::NotImplemented("session_log needs a GROUP BY".to_owned()))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::<Groups>::default())
    }
}

#[derive(Default)]
struct Groups {
    logs: Vec<Vec<u8>>,
    bytes: usize,
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.logs.resize_with(total, Vec::new);
        let acts = as_binary_array(&values[0])?;
        for (row, &group) in groups.iter().enumerate() {
            if filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                let log = &mut self.logs[group];
                let before = log.capacity();
                log.extend_from_slice(acts.value(row));
                self.bytes += log.capacity() - before;
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.update_batch(values, groups, None, total)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let logs = emit_to.take_needed(&mut self.logs);
        self.bytes -= logs.iter().map(Vec::capacity).sum::<usize>();
        let mut builder = BinaryBuilder::with_capacity(logs.len(), logs.iter().map(Vec::len).sum());
        logs.iter().for_each(|log| builder.append_value(log));
        Ok(Arc::new(builder.finish()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let Some(filter) = filter else { return Ok(vec![values[0].clone()]) };
        let acts = as_binary_array(&values[0])?.iter().zip(filter.iter());
        let kept: BinaryArray = acts.map(|(act, kept)| act.filter(|_| kept == Some(true)).or(Some(&[]))).collect();
        Ok(vec![Arc::new(kept)])
    }

    fn size(&self) -> usize {
        self.bytes + self.logs.capacity() * size_of::<Vec<u8>>()
    }
}
