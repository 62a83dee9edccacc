//! Sinks: where alerts leave Driftline. One file each; a new one is added here, in `tests/conformance.rs` (which then
//! runs every check against it), and in the binary's configuration.
//!
//! # What a sink does
//!
//! It turns groups of alerts into **one message**, sends it **once**, and says what the answer means. When to send, how
//! often to try again and what to do in between is [`crate::delivery`]'s business, so that every sink behaves alike.
//!
//! # What a sink must keep to
//!
//! - **Escaping.** Agent names, intents, resources and everything that holds them (also titles and summaries) come from
//!   outside. None of it may become markup, a mention, a link or a control sequence at the other side.
//! - **Ids.** The id of each group's alert is in the message, in whatever field the protocol has for it, and is never cut:
//!   delivery is at least once, and the id is how the other side tells a repeat.
//! - **Limits.** Whatever the alert holds, the message is within the protocol's documented limits, measured after
//!   escaping. What is cut ends in `…`.
//! - **Rate.** [`Sink::pace`] is the least time between two messages that the other side documents.
//! - **Secrets.** Addresses with a secret in them and tokens are `secrecy` types; they are in no error, log or `Debug`.
//! - **Time-outs.** Every step that waits for the other side has one.
//!
//! # Headings of a sink's documentation
//!
//! What it sends · What its answers mean · Its limits.

use std::time::Duration;

use crate::group::Group;

pub mod slack;

/// One place that alerts are sent to.
pub trait Sink: Send {
    /// Its name: what routes, logs and metrics call it.
    fn name(&self) -> &str;

    /// The least time between two messages.
    fn pace(&self) -> Duration;

    /// Most groups that [`Sink::send`] takes at once, at least 1. More than one are sent together when there is a backlog.
    fn capacity(&self) -> usize;

    /// Sends these groups, in this order, as one message. One try.
    ///
    /// # Errors
    ///
    /// [`SendError`] says whether and when to try again.
    fn send(&mut self, groups: &[Group]) -> Result<(), SendError>;

    /// Sends them in the plainest form that the protocol has, with nothing in it that could be refused for its form: what
    /// is sent after [`SendError::Rejected`].
    ///
    /// # Errors
    ///
    /// [`SendError`], as for [`Sink::send`].
    fn send_plain(&mut self, groups: &[Group]) -> Result<(), SendError>;
}

/// Why a message was not taken. It says whose fault that is and so what helps; it never holds a secret, and text of the
/// other side's in it is safe to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The other side, or the way to it, is not able to now. Helps: time.
    #[error("not delivered now: {why}")]
    Retry {
        /// When the other side wants to be asked again, where it says so.
        after: Option<Duration>,
        /// What happened.
        why: String,
    },
    /// The other side refuses this message whenever it is sent. Helps: the plain form.
    #[error("message refused: {why}")]
    Rejected {
        /// What the other side says.
        why: String,
    },
    /// No message will get through before a person changes the settings here or there.
    #[error("wrongly set up: {why}")]
    Misconfigured {
        /// What is wrong and what to change.
        why: String,
    },
}
