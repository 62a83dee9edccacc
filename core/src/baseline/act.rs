//! What is kept of an event until its session is whole.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::observation::{MOST_RESOURCES, client, resources};
use crate::pursuit::{Deed, Target};
use crate::{Alert, Event, Mentioned, Outcome, Severity};

/// Permissions, and further agents, beyond this many are not looked at.
const MOST_LISTED: usize = 16;
/// Of a request, so many bytes are read for its words.
const REQUEST_BYTES: usize = 4096;

/// What of an act's session is not to be learned, as in the stream: what an attack did must not become usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Exclusion {
    /// All is learned.
    #[default]
    None,
    /// The session was alerted on: only when the agent worked, and what permissions it gave, are counted.
    Session,
    /// It was alerted on for its pace: it does not teach that either.
    Pace,
}

impl Exclusion {
    /// What an alert keeps out of what is learned of its sessions. Those of severity `low` or less keep nothing out, nor does
    /// drift, which tells of an agent and not of a session.
    pub fn by(alert: &Alert) -> Self {
        match alert.kind.as_str() {
            _ if alert.severity <= Severity::Low => Self::None,
            "drift" => Self::None,
            "burst" => Self::Pace,
            _ => Self::Session,
        }
    }
}

/// One act of an agent: of its event, what baselines learn from. It borrows from the event, or from the log it stands in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Act<'a> {
    /// Unix milliseconds.
    pub(super) time: i64,
    /// Its place in the input, which orders acts of the same millisecond.
    pub(super) order: u64,
    /// Hash of the record: what comes twice counts once.
    pub(super) content: u64,
    pub(super) tool: &'a str,
    pub(super) server: &'a str,
    pub(super) changes: bool,
    pub(super) grants: bool,
    /// 0 success, 1 denied, 2 error.
    pub(super) outcome: u8,
    pub(super) platform: &'a str,
    pub(super) principal: &'a str,
    pub(super) credential: &'a str,
    pub(super) asn: u32,
    pub(super) country: &'a str,
    /// Empty where it is not told where the agent acted from.
    pub(super) client: &'a str,
    pub(super) request: &'a str,
    /// All that it touched; as categories only the first of these count ([`Act::observed`]).
    #[serde(borrow)]
    pub(super) touched: Vec<Target<'a>>,
    #[serde(with = "numbers")]
    pub(super) mentions: Option<Cow<'a, Mentioned>>,
    #[serde(borrow)]
    pub(super) peers: Vec<&'a str>,
    #[serde(borrow)]
    pub(super) permissions: Vec<&'a str>,
    /// By [`super::Size`], from the one of the single acts on; each one more than it was, 0 where it was not given.
    pub(super) sizes: [u64; 7],
    pub(super) exclusion: Exclusion,
}

impl<'a> Act<'a> {
    /// What is kept of an event that stands at this place of the input.
    pub fn of(event: &'a Event<'_>, order: u64) -> Self {
        let delegators = event.delegation.iter().filter_map(|link| link.agent.as_deref());
        let peers = delegators.chain(event.grant.as_ref().map(|grant| grant.to.as_str()));
        let permissions = event.permission.iter().flat_map(|permission| &permission.required);
        let request = event.request();
        let usage = event.usage.unwrap_or_default();
        // Microseconds, and millionths of a dollar; what is no number, or below 0, was not given.
        let scaled = |value: Option<f64>, by: f64| {
            value.filter(|value| value.is_finite() && *value >= 0.0).map(|value| (value * by).round() as u64)
        };
        let sizes = [
            scaled(usage.duration_ms, 1e3),
            usage.bytes_in,
            usage.bytes_out,
            usage.records,
            usage.input_tokens,
            usage.output_tokens,
            scaled(usage.cost_usd, 1e6),
        ];
        Self {
            time: event.time.millis(),
            order,
            content: event.content as u64,
            tool: &event.action.name,
            server: event.server(),
            changes: event.changes(),
            grants: event.grant.is_some(),
            outcome: match event.outcome {
                Outcome::Success => 0,
                Outcome::Denied => 1,
                Outcome::Error => 2,
            },
            platform: event.agent.platform.as_deref().unwrap_or(""),
            principal: event.principal.as_ref().map_or("", |principal| &principal.id),
            credential: event.credential.as_ref().map_or("", |credential| &credential.id),
            asn: event.network.as_ref().and_then(|network| network.asn).unwrap_or(0),
            country: event.network.as_ref().and_then(|network| network.country.as_deref()).unwrap_or(""),
            client: event
                .network
                .as_ref()
                .map_or("", |network| client(network.user_agent.as_deref().unwrap_or_default())),
            request: request.get(..request.floor_char_boundary(REQUEST_BYTES)).unwrap_or_default(),
            touched: resources(event).map(Target::of).collect(),
            mentions: event.mentions().map(Cow::Borrowed),
            peers: peers.take(MOST_LISTED).collect(),
            permissions: permissions.take(MOST_LISTED).map(|permission| permission.as_str()).collect(),
            sizes: sizes.map(|size| size.map_or(0, |size| size.saturating_add(1))),
            exclusion: Exclusion::None,
        }
    }

    /// The same, with its session kept out.
    pub fn excluded(self, exclusion: Exclusion) -> Self {
        Self { exclusion, ..self }
    }

    /// What it touched, as far as that counts as categories.
    pub(super) fn observed(&self) -> &[Target<'a>] {
        self.touched.get(..MOST_RESOURCES).unwrap_or(&self.touched)
    }

    /// Writes it at the end of `bytes`, to be read by [`super::SessionLog`].
    pub fn write(&self, bytes: &mut Vec<u8>) {
        struct Tail<'b>(&'b mut Vec<u8>);
        impl Extend<u8> for Tail<'_> {
            fn extend<I: IntoIterator<Item = u8>>(&mut self, more: I) {
                self.0.extend(more);
            }
        }
        // A vector takes all there is.
        let _ = postcard::to_extend(self, Tail(bytes));
    }
}

impl Deed for Act<'_> {
    fn request(&self) -> &str {
        self.request
    }

    fn tool(&self) -> &str {
        self.tool
    }

    fn server(&self) -> &str {
        self.server
    }

    fn changes(&self) -> bool {
        self.changes
    }

    fn succeeded(&self) -> bool {
        self.outcome == 0
    }

    fn touched(&self) -> impl Iterator<Item = Target<'_>> {
        self.touched.iter().copied()
    }

    fn mentions(&self) -> Option<&Mentioned> {
        self.mentions.as_deref()
    }
}

/// Hashes that a result mentioned, as the numbers that they are.
mod numbers {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::Mentioned;

    type Lists<'a> = (Cow<'a, [u64]>, Cow<'a, [u64]>, Cow<'a, [u64]>);

    pub fn serialize<S: Serializer>(mentioned: &Option<Cow<'_, Mentioned>>, serializer: S) -> Result<S::Ok, S::Error> {
        mentioned.as_deref().map(lists).serialize(serializer)
    }

    fn lists(mentioned: &Mentioned) -> Lists<'_> {
        (Cow::Borrowed(&mentioned.field), Cow::Borrowed(&mentioned.line), Cow::Borrowed(&mentioned.text))
    }

    pub fn deserialize<'de, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, Mentioned>>, D::Error> {
        let lists = Option::<(Vec<u64>, Vec<u64>, Vec<u64>)>::deserialize(deserializer)?;
        Ok(lists.map(|(field, line, text)| Cow::Owned(Mentioned { field, line, text })))
    }
}
