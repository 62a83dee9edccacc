//! Honest behaviour stays inside the identity documents.
#![cfg(test)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::Run;
use driftline_core::{Access, Event, IdentityDocument, Outcome};
use driftline_simulate::{Config, Label, Simulation};
use globset::{Glob, GlobMatcher};

struct Checker {
    document: IdentityDocument,
    data: Vec<(GlobMatcher, Access)>,
}

impl Checker {
    fn new(document: IdentityDocument) -> Self {
        let matcher = |glob: &str| Glob::new(glob).unwrap().compile_matcher();
        let data = document.data_access.iter().map(|data| (matcher(&data.resource), data.access)).collect();
        Self { document, data }
    }

    /// What of an event the document does not provide for.
    fn faults(&self, event: &Event<'_>) -> Vec<String> {
        let mut faults = Vec::new();
        let tool = self.document.tools.iter().find(|tool| tool.id == *event.action.name);
        match tool {
            None => faults.push(format!("tool {}", event.action.name.as_str())),
            Some(tool) => {
                if tool.mcp_server.as_deref() != event.action.server.as_deref() {
                    faults.push(format!("server of {}", tool.id));
                }
                let required = event.permission.iter().flat_map(|permission| &permission.required);
                for permission in required.filter(|permission| !tool.permissions.iter().any(|p| *p == ***permission)) {
                    faults.push(format!("permission {}", permission.as_str()));
                }
            }
        }
        let access = event.action.access.unwrap();
        for (resource, access) in
            event.resource.iter().map(|r| (r, access)).chain(event.resources.iter().map(|r| (r, Access::Write)))
        {
            let allows = |allowed: Access| allowed == access || (allowed <= Access::Delete && access < allowed);
            if !self.data.iter().any(|(glob, allowed)| glob.is_match(resource.id.as_str()) && allows(*allowed)) {
                faults.push(format!("{access:?} on {}", resource.id.as_str()));
            }
        }
        if let Some(credential) = &event.credential
            && !self.document.credentials.is_empty()
            && !self
                .document
                .credentials
                .iter()
                .any(|c| c.id == *credential.id && !c.revoked && c.expires_at.is_none_or(|ends| event.time <= ends))
        {
            faults.push(format!("credential {}", credential.id.as_str()));
        }
        let task = event.task.as_ref().and_then(|task| task.kind.as_deref()).unwrap_or_default();
        if !self.document.tasks.iter().any(|kind| kind == task) {
            faults.push(format!("task {task}"));
        }
        if self.document.created_at.is_some_and(|created| event.time < created) {
            faults.push("acts before it was created".to_owned());
        }
        faults
    }
}

#[test]
fn honest_events_stay_inside_their_documents() {
    for seed in [1, 2] {
        let config = Config { agents: 60, events: 120_000, attacks: 0, seed, ..Config::default() };
        let simulation = Simulation::new(config.clone()).unwrap();
        let documents: BTreeMap<String, Checker> =
            simulation.identities().map(|document| (document.id.clone(), Checker::new(document))).collect();
        assert_eq!(documents.len(), 60);
        let run = Run::of(config);
        for event in run.events() {
            let faults = documents[event.agent.id.as_str()].faults(&event);
            assert!(faults.is_empty(), "{} {}: {faults:?}", event.agent.id.as_str(), event.id.as_str());
        }
    }
}

#[test]
fn a_document_is_read_back_as_it_was_written() {
    for document in Simulation::new(Config::default()).unwrap().identities() {
        let text = serde_json::to_string(&document).unwrap();
        assert_eq!(IdentityDocument::parse(&text).unwrap(), document);
    }
}

#[test]
fn scopes_only_narrow_along_a_delegation() {
    let run = Run::of(Config { events: 60_000, attacks: 0, ..Config::default() });
    let scopes_of = |scopes: &[driftline_core::Text<'_>]| scopes.iter().map(|s| s.to_string()).collect::<BTreeSet<_>>();
    // What each agent's last token with scopes allows.
    let mut held: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut workers: BTreeSet<String> = BTreeSet::new();
    for event in run.events() {
        let scopes = event.credential.as_ref().map(|credential| scopes_of(&credential.scopes)).unwrap_or_default();
        if let Some(link) = event.delegation.last() {
            let passed_on = scopes_of(&link.scopes);
            assert!(scopes.is_subset(&passed_on), "{scopes:?} of {passed_on:?}");
            assert!(passed_on.is_subset(&held[link.agent.as_deref().unwrap()]), "{passed_on:?}");
            workers.insert(event.agent.id.to_string());
        } else if !scopes.is_empty() {
            held.insert(event.agent.id.to_string(), scopes);
        }
    }
    assert!(workers.len() > 3, "{workers:?}");
}

#[test]
fn some_documents_grant_more_than_is_used_and_shadow_agents_have_none() {
    let config = Config { agents: 60, events: 120_000, attacks: 30, ..Config::default() };
    let documents: BTreeMap<String, IdentityDocument> =
        Simulation::new(config.clone()).unwrap().identities().map(|document| (document.id.clone(), document)).collect();
    let run = Run::of(config);
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in run.events().filter(|event| event.outcome == Outcome::Success) {
        used.entry(event.agent.id.to_string()).or_default().insert(event.action.name.to_string());
    }
    let loose = |(agent, tools): &(&String, &BTreeSet<String>)| {
        documents.get(*agent).is_some_and(|document| document.tools.len() >= tools.len() + 4)
    };
    assert!(used.iter().filter(loose).count() >= 3);
    for label in run.labels.iter().filter(|label| label.label == Label::Attack) {
        let is_shadow = label.kind == Some(driftline_simulate::AttackKind::ShadowAgent);
        assert_eq!(documents.contains_key(&label.agent), !is_shadow, "{label:?}");
    }
}
