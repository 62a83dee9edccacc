//! From an event to the feature values that detectors read.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::{Access, ActionKind, Event, Resource, Text, key, pair_key};

/// A dimension in which categories are counted. Part of formats: values are never given anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Dimension {
    /// The tool (with its server).
    Tool = 0,
    /// The family of resources, and whether it was changed: customers read, mail sent to a domain.
    Family = 1,
    /// The resource itself, and whether it was changed.
    Resource = 2,
    /// A tool after the one before it in the session.
    Chain = 3,
    /// The server that offers the tool.
    Server = 4,
    /// The credential that was used.
    Credential = 5,
    /// The network it acts from: autonomous system and country.
    Network = 6,
    /// On whose behalf it acts.
    Principal = 7,
    /// Other agents: those that handed work to it, and those that it gave permissions to.
    Peer = 8,
    /// A permission that the act needed.
    Permission = 9,
    /// A word of the request, with the tool that was called.
    Word = 10,
    /// The tool, where it was denied.
    Denied = 11,
    /// The tool, where it failed.
    Failed = 12,
    /// What the client calls itself, without its version.
    Client = 13,
}

impl Dimension {
    /// Every dimension, in the order of their values.
    pub const ALL: [Self; 14] = [
        Self::Tool,
        Self::Family,
        Self::Resource,
        Self::Chain,
        Self::Server,
        Self::Credential,
        Self::Network,
        Self::Principal,
        Self::Peer,
        Self::Permission,
        Self::Word,
        Self::Denied,
        Self::Failed,
        Self::Client,
    ];

    /// Its name in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Family => "family",
            Self::Resource => "resource",
            Self::Chain => "chain",
            Self::Server => "server",
            Self::Credential => "credential",
            Self::Network => "network",
            Self::Principal => "principal",
            Self::Peer => "peer",
            Self::Permission => "permission",
            Self::Word => "word",
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Client => "client",
        }
    }
}

/// A resource as detectors see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touched {
    /// Key of the resource with the access.
    pub resource: u64,
    /// Key of its family with the access.
    pub family: u64,
    /// Which of the event's resources: 0 the first, `n` the `n`th of the further ones.
    pub index: usize,
}

/// An event's feature values.
#[derive(Debug, Clone)]
pub struct Observation {
    /// Key of the tool.
    pub tool: u64,
    /// Resources touched, the main one first.
    pub touched: SmallVec<[Touched; 2]>,
    /// Where it acts from; `None` where that is not told.
    pub place: Option<Place>,
}

/// Where an agent acts from, as detectors see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Key of the network; 0 where neither autonomous system nor country is told.
    pub network: u64,
    /// Key of the client.
    pub client: u64,
}

/// Further resources beyond this many are not looked at one by one; they are counted in the alert's impact.
pub(crate) const MOST_RESOURCES: usize = 16;

impl Observation {
    /// Reads an event's features.
    pub fn of(event: &Event<'_>) -> Self {
        let changes = is_change(event);
        let touched = resources(event)
            .take(MOST_RESOURCES)
            .enumerate()
            .map(|(index, resource)| touched(resource, changes, index))
            .collect();
        let place = event.network.as_ref().map(|it| Place {
            network: network(it.asn.unwrap_or(0), it.country.as_deref().unwrap_or("")),
            client: key(Dimension::Client as u8, [client(it.user_agent.as_deref().unwrap_or("")), ""]),
        });
        Self { tool: tool(&event.action.name, event.action.server.as_deref().unwrap_or("")), touched, place }
    }
}

/// The event's resources, the main one first.
pub fn resources<'e, 'a>(event: &'e Event<'a>) -> impl Iterator<Item = &'e Resource<Text<'a>>> {
    event.resource.iter().chain(&event.resources)
}

/// Whether the act changes what it touches: by its access where the producer says, else by its kind.
pub fn is_change(event: &Event<'_>) -> bool {
    match event.action.access {
        Some(access) => access.is_change() && access != Access::Execute,
        None => {
            matches!(event.action.kind, ActionKind::PermissionChange | ActionKind::Message | ActionKind::Delegation)
        }
    }
}

fn touched(resource: &Resource<Text<'_>>, changes: bool, index: usize) -> Touched {
    let (kind, role) = (resource.kind.as_deref().unwrap_or(""), resource.role.as_deref().unwrap_or(""));
    let (resource, family) = resource_keys(&resource.id, kind, role, changes);
    Touched { resource, family, index }
}

/// Key of a tool that a server offers; the server is empty where none is named.
pub fn tool(name: &str, server: &str) -> u64 {
    key(Dimension::Tool as u8, [name, server])
}

/// Key of a network; 0 where neither its autonomous system (0) nor its country (empty) is known.
pub fn network(asn: u32, country: &str) -> u64 {
    match (asn, country) {
        (0, "") => 0,
        _ => pair_key(Dimension::Network as u8, [key(Dimension::Network as u8, [country, ""]), u64::from(asn)]),
    }
}

/// A client's name without its version: the first product of a user agent (RFC 9110, 10.1.5), or that there is none.
///
/// ```
/// use driftline_core::observation::client;
/// assert_eq!(client("python-requests/2.32"), "python-requests");
/// assert_eq!(client("Mozilla/5.0 (X11; Linux x86_64)"), "Mozilla");
/// assert_eq!(client(""), "an unnamed client");
/// ```
pub fn client(user_agent: &str) -> &str {
    user_agent.split(['/', ' ']).next().filter(|name| !name.is_empty()).unwrap_or("an unnamed client")
}

/// Keys of a resource and of its family, with what was done to it; kind and role are empty where they are not given.
pub fn resource_keys(id: &str, kind: &str, role: &str, changes: bool) -> (u64, u64) {
    let resource_dimension = Dimension::Resource as u8 + u8::from(changes) * 32;
    let family_dimension = Dimension::Family as u8 + u8::from(changes) * 32;
    (key(resource_dimension, [id, role]), key(family_dimension, [family(id), kind]))
}

/// The part of a resource's id that it shares with its like: the domain of an address, the folder of a path, the host
/// of a URL, the name before a number.
///
/// ```
/// use driftline_core::observation::family;
/// assert_eq!(family("bob@example.org"), "example.org");
/// assert_eq!(family("/data/2026/customers.csv"), "/data/2026");
/// assert_eq!(family("https://api.example.org/v1/orders?id=7"), "api.example.org");
/// assert_eq!(family("crm/customers/88"), "crm/customers");
/// assert_eq!(family("order-1042"), "order");
/// assert_eq!(family("payroll"), "payroll");
/// ```
pub fn family(id: &str) -> &str {
    // All marks are ASCII, so that each is found, and cut at, as a byte.
    let bytes = id.as_bytes();
    let (mut slash, mut at, mut mark) = (None, None, None);
    for (i, &byte) in bytes.iter().enumerate() {
        match byte {
            b'/' if slash == Some(i.wrapping_sub(1)) && i > 1 && bytes[i - 2] == b':' => {
                let rest = id.get(i + 1..).unwrap_or_default();
                return rest.split(['/', '?', '#']).next().unwrap_or(rest);
            }
            b'/' => slash = Some(i),
            b'@' => at = Some(i),
            b':' | b'-' | b'_' | b'#' => mark = Some(i),
            _ => {}
        }
    }
    let before = |end: Option<usize>| end.filter(|&end| end > 0).and_then(|end| id.get(..end));
    if let Some(at) = at {
        return id.get(at + 1..).unwrap_or_default();
    }
    if let Some(folder) = before(slash) {
        return folder;
    }
    match (before(mark), mark) {
        (Some(name), Some(end)) if bytes[end..].iter().any(u8::is_ascii_digit) => name,
        _ => id,
    }
}

/// Key of the main resource alone, whatever was done with it; 0 where there is none.
pub fn resource(event: &Event<'_>) -> u64 {
    resources(event).next().map_or(0, |resource| key(17, [&resource.id, ""]))
}

/// Key of the credential, 0 where none is named.
pub fn credential(event: &Event<'_>) -> u64 {
    event.credential.as_ref().map_or(0, |credential| key(16, [&credential.id, ""]))
}

/// One key for the permissions held, in whatever order they are listed; 0 where none are given.
pub fn scopes(event: &Event<'_>) -> u64 {
    let held = event.permission.as_ref().map(|permission| permission.scopes.as_slice()).unwrap_or_default();
    let credential = event.credential.as_ref().map(|credential| credential.scopes.as_slice()).unwrap_or_default();
    let of = |list: &[Text<'_>]| list.iter().fold(0u64, |sum, scope| sum.wrapping_add(key(18, [scope, ""])));
    if held.is_empty() { of(credential) } else { of(held) }
}
