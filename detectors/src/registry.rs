//! Identity documents, ready to be asked.

use std::sync::Arc;

use driftline_core::{Access, IdentityDocument, Sensitivity, Timestamp};
use hashbrown::{HashMap, HashSet};
use rpds::HashTrieMapSync;
use wildmatch::WildMatch;

/// An identity document with its patterns compiled.
#[derive(Debug)]
pub struct Registered {
    /// The document.
    pub document: IdentityDocument,
    /// The tools listed, and for which servers; `None` for any.
    tools: HashMap<String, Vec<Option<String>>>,
    data: Vec<Data>,
    canaries: HashSet<String>,
}

/// One line of what a document allows to be done with data.
#[derive(Debug)]
struct Data {
    /// What the pattern begins with, up to its first wildcard: most resources differ there.
    prefix: String,
    /// The pattern; `None` where all that begins with the prefix is meant, as most patterns do.
    pattern: Option<WildMatch>,
    access: Access,
    up_to: Option<Sensitivity>,
    expires_at: Option<Timestamp>,
}

impl Registered {
    /// Compiles a document.
    pub fn new(document: IdentityDocument) -> Self {
        let data = document
            .data_access
            .iter()
            .map(|data| {
                let prefix = data.resource.split(['*', '?']).next().unwrap_or_default().to_owned();
                let is_prefix = data.resource.strip_prefix(&prefix) == Some("*");
                let pattern = (!is_prefix).then(|| WildMatch::new(&data.resource));
                Data { prefix, pattern, access: data.access, up_to: data.sensitivity, expires_at: data.expires_at }
            })
            .collect();
        let mut tools: HashMap<String, Vec<Option<String>>> = HashMap::new();
        for grant in &document.tools {
            tools.entry(grant.id.clone()).or_default().push(grant.mcp_server.clone());
        }
        let canaries = document.canaries.iter().cloned().collect();
        Self { document, tools, data, canaries }
    }

    /// Whether the tool is one that no honest run calls.
    pub fn is_canary(&self, tool: &str) -> bool {
        self.canaries.contains(tool)
    }

    /// Whether the document provides for a tool. One that lists no tools says nothing about them.
    pub fn allows_tool(&self, tool: &str, server: Option<&str>) -> bool {
        self.tools.is_empty()
            || self.tools.get(tool).is_some_and(|servers| {
                servers.iter().any(|declared| match (declared, server) {
                    (Some(declared), Some(used)) => declared == used,
                    _ => true,
                })
            })
    }

    /// Whether the document provides for an access to a resource at a time. One that lists no data says nothing about
    /// it. Writing includes reading, and deleting both; a run is held to be a read.
    pub fn allows_data(&self, resource: &str, access: Access, sensitivity: Option<Sensitivity>, at: Timestamp) -> bool {
        self.data.is_empty()
            || self.data.iter().any(|data| {
                rank(access) <= rank(data.access)
                    && data.up_to.zip(sensitivity).is_none_or(|(up_to, sensitivity)| sensitivity <= up_to)
                    && data.expires_at.is_none_or(|end| at < end)
                    && resource.starts_with(&data.prefix)
                    && data.pattern.as_ref().is_none_or(|pattern| pattern.matches(resource))
            })
    }

    /// The peer group that the document puts the agent in, where it says.
    pub fn peer_group(&self) -> Option<String> {
        let document = &self.document;
        document.peer_group.clone().or_else(|| match (&document.platform, &document.team) {
            (Some(platform), Some(team)) => Some(format!("{platform}/{team}")),
            (Some(one), None) | (None, Some(one)) => Some(one.clone()),
            (None, None) => None,
        })
    }
}

const fn rank(access: Access) -> u8 {
    match access {
        Access::Read | Access::Execute => 0,
        Access::Write => 1,
        Access::Delete => 2,
        Access::Grant => 3,
    }
}

/// All identity documents in force.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    /// By tenant (empty: any) and agent. A copy shares all but what is then changed: each change is made to a copy, since all
    /// engines hold what was before.
    documents: HashTrieMapSync<String, HashTrieMapSync<String, Arc<Registered>>>,
    edition: u32,
}

impl Registry {
    /// A number that each change raises: who remembers a document remembers it for one edition.
    pub fn edition(&self) -> u32 {
        self.edition
    }

    /// Takes up a new or changed document.
    pub fn insert(&mut self, document: IdentityDocument) {
        self.edition += 1;
        let tenant = document.tenant.clone().unwrap_or_default();
        let mut documents = self.documents.get(&tenant).cloned().unwrap_or_default();
        documents.insert_mut(document.id.clone(), Arc::new(Registered::new(document)));
        self.documents.insert_mut(tenant, documents);
    }

    /// Drops a document.
    pub fn remove(&mut self, tenant: Option<&str>, id: &str) {
        self.edition += 1;
        if let Some(documents) = self.documents.get_mut(tenant.unwrap_or_default()) {
            documents.remove_mut(id);
        }
    }

    /// The document of an agent: its tenant's own, else the one for any tenant.
    pub fn get(&self, tenant: &str, id: &str) -> Option<&Arc<Registered>> {
        let find = |tenant| self.documents.get(tenant).and_then(|documents| documents.get(id));
        find(tenant).or_else(|| find(""))
    }

    /// The documents in force, in no order.
    pub fn documents(&self) -> impl Iterator<Item = &IdentityDocument> {
        self.documents.values().flat_map(HashTrieMapSync::values).map(|registered| &registered.document)
    }

    /// How many documents are in force.
    pub fn len(&self) -> usize {
        self.documents.values().map(HashTrieMapSync::size).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registered(yaml: &str) -> Registered {
        Registered::new(IdentityDocument::parse(yaml).unwrap())
    }

    #[test]
    fn a_document_that_lists_nothing_forbids_nothing() {
        let open = registered("id: a");
        assert!(open.allows_tool("anything", None));
        assert!(open.allows_data("anything", Access::Delete, None, Timestamp::MIN));
    }

    #[test]
    fn data_is_matched_by_pattern_access_sensitivity_and_time() {
        let document = registered(
            "id: a\ndata_access: [{resource: 'crm/customers/*', access: write, sensitivity: confidential, expires_at: '2026-04-01T00:00:00Z'}]",
        );
        let before: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let after: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
        assert!(document.allows_data("crm/customers/1", Access::Read, Some(Sensitivity::Internal), before));
        assert!(document.allows_data("crm/customers/1", Access::Write, None, before));
        assert!(!document.allows_data("crm/customers/1", Access::Delete, None, before));
        assert!(!document.allows_data("crm/customers/1", Access::Read, Some(Sensitivity::Restricted), before));
        assert!(!document.allows_data("crm/customers/1", Access::Read, None, after));
        assert!(!document.allows_data("crm/orders/1", Access::Read, None, before));
    }

    #[test]
    fn patterns_are_matched_whole_wherever_their_wildcards_stand() {
        let document = registered(
            "id: a\ndata_access: [{resource: 'crm/*', access: read}, {resource: 'payroll', access: read}, {resource: \
             'hr/*/pay', access: read}, {resource: 'log-?', access: read}]",
        );
        let allows = |resource| document.allows_data(resource, Access::Read, None, Timestamp::MIN);
        for inside in ["crm/", "crm/customers/1", "payroll", "hr/1/pay", "hr/1/2/pay", "log-1"] {
            assert!(allows(inside), "{inside}");
        }
        for outside in ["crm", "payroll2", "hr/1/pay/2", "log-12", "xcrm/1", ""] {
            assert!(!allows(outside), "{outside}");
        }
    }

    #[test]
    fn a_tool_from_another_server_is_another_tool() {
        let document = registered("id: a\ntools: [{id: read_file, mcp_server: 'mcp://files'}]");
        assert!(document.allows_tool("read_file", Some("mcp://files")));
        assert!(document.allows_tool("read_file", None));
        assert!(!document.allows_tool("read_file", Some("mcp://evil")));
    }

    #[test]
    fn a_tenants_own_document_comes_first() {
        let mut registry = Registry::default();
        registry.insert(IdentityDocument::parse("id: a\nname: anyone's").unwrap());
        registry.insert(IdentityDocument::parse("id: a\ntenant: acme\nname: acme's").unwrap());
        let name = |tenant| registry.get(tenant, "a").unwrap().document.name.clone().unwrap();
        assert_eq!((name("acme"), name("other")), ("acme's".to_owned(), "anyone's".to_owned()));
        registry.remove(Some("acme"), "a");
        assert_eq!(registry.get("acme", "a").unwrap().document.name.as_deref(), Some("anyone's"));
    }
}
