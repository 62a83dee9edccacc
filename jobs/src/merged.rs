//! `baseline(log)`: what the sessions of an agent's version teach.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, BinaryBuilder, BooleanArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::cast::as_binary_array;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, Signature, Volatility};
use driftline_core::baseline::{Baseline, SessionLog};

/// The aggregate. Its state and its value are the same: bytes of a [`Baseline`].
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Merged {
    signature: Signature,
    room: usize,
}

impl Merged {
    /// The aggregate, whose baselines keep so many categories of a dimension.
    pub fn new(room: usize) -> Self {
        Self { signature: Signature::exact(vec![DataType::Binary], Volatility::Immutable), room }
    }
}

impl AggregateUDFImpl for Merged {
    fn name(&self) -> &'static str {
        "baseline"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Err(DataFusionError::NotImplemented("baseline needs a GROUP BY".to_owned()))
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs<'_>) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { room: self.room, baselines: Vec::new(), bytes: 0 }))
    }
}

struct Groups {
    room: usize,
    baselines: Vec<Baseline>,
    /// What the baselines hold on the heap.
    bytes: usize,
}

impl Groups {
    /// Changes one baseline, and keeps account of its size.
    fn change(&mut self, group: usize, change: impl FnOnce(&mut Baseline)) {
        let baseline = &mut self.baselines[group];
        let before = baseline.heap_bytes();
        change(baseline);
        self.bytes = self.bytes + baseline.heap_bytes() - before;
    }

    fn grow(&mut self, total: usize) {
        let room = self.room;
        self.baselines.resize_with(total, || Baseline::new(room));
    }
}

fn learn(log: &[u8], baseline: &mut Baseline) {
    SessionLog::lessons_of(log, |lesson| baseline.learn(lesson));
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.grow(total);
        let logs = as_binary_array(&values[0])?;
        for (row, &group) in groups.iter().enumerate() {
            if filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                self.change(group, |baseline| learn(logs.value(row), baseline));
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, values: &[ArrayRef], groups: &[usize], total: usize) -> Result<()> {
        self.grow(total);
        let states = as_binary_array(&values[0])?;
        for (row, &group) in groups.iter().enumerate() {
            let other =
                Baseline::from_bytes(states.value(row)).map_err(|error| DataFusionError::External(error.into()))?;
            self.change(group, |baseline| baseline.merge(&other));
        }
        Ok(())
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let baselines = emit_to.take_needed(&mut self.baselines);
        self.bytes -= baselines.iter().map(Baseline::heap_bytes).sum::<usize>();
        let mut builder = BinaryBuilder::new();
        baselines.iter().for_each(|baseline| builder.append_value(baseline.to_bytes()));
        Ok(Arc::new(builder.finish()))
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.evaluate(emit_to)?])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let logs = as_binary_array(&values[0])?;
        let mut builder = BinaryBuilder::new();
        for row in 0..logs.len() {
            let mut baseline = Baseline::new(self.room);
            if filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row)) {
                learn(logs.value(row), &mut baseline);
            }
            builder.append_value(baseline.to_bytes());
        }
        Ok(vec![Arc::new(builder.finish())])
    }

    fn size(&self) -> usize {
        self.bytes + self.baselines.capacity() * size_of::<Baseline>()
    }
}
