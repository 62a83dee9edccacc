//! The native format: one JSON object a record, as the contract has it (event, v1).

use driftline_core::{DecodeError, Event, Limits};

use super::Decoder;

/// `native`: Driftline's own action event.
#[derive(Debug, Clone, Copy)]
pub struct Native;

impl Decoder for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn decode<'a>(&self, record: &'a [u8], limits: &Limits, emit: &mut dyn FnMut(Result<&mut Event<'a>, DecodeError>)) {
        let mut event = Event::default();
        let decoded = event.fill(record, limits);
        emit(decoded.map(|()| &mut event));
    }
}
