//! librdkafka's log, into Driftline's.

use std::os::raw::{c_char, c_int};

use rdkafka::bindings as rd;

use super::text;

/// librdkafka's log callback; levels are those of syslog.
///
/// # Safety
///
/// librdkafka calls it, with two strings that it lends for the call.
pub(super) unsafe extern "C" fn on_log(
    _client: *const rd::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    message: *const c_char,
) {
    // SAFETY: as librdkafka documents the callback.
    let (facility, message) = unsafe { (text(facility), text(message)) };
    match level {
        0..=3 => tracing::error!(target: "librdkafka", facility, "{message}"),
        4 => tracing::warn!(target: "librdkafka", facility, "{message}"),
        5 | 6 => tracing::info!(target: "librdkafka", facility, "{message}"),
        _ => tracing::debug!(target: "librdkafka", facility, "{message}"),
    }
}
