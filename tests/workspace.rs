//! Who may depend on whom, so that the detectors' tests build in seconds and a broker's client stays in one crate.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Each crate of ours, and which others of ours it may use: in what ships, and besides in its tests.
const ALLOWED: &[(&str, &[&str], &[&str])] = &[
    ("driftline-core", &[], &[]),
    // Its tests turn on a feature of its own: the broker that they need.
    ("driftline-ingest", &["driftline-core"], &["driftline-ingest"]),
    ("driftline-archive", &["driftline-core"], &[]),
    // As above: what publishes.
    ("driftline-baseline", &["driftline-core"], &["driftline-baseline"]),
    ("driftline-detectors", &["driftline-core"], &["driftline-simulate"]),
    ("driftline-alerting", &["driftline-core"], &[]),
    ("driftline-simulate", &["driftline-core"], &[]),
    ("driftline-evaluate", &[], &[]),
    // Its tests need a broker too.
    (
        "driftline-jobs",
        &["driftline-core", "driftline-ingest", "driftline-baseline", "driftline-archive"],
        &["driftline-ingest"],
    ),
    (
        "driftline",
        &[
            "driftline-core",
            // With the feature `archive`.
            "driftline-archive",
            "driftline-ingest",
            "driftline-baseline",
            "driftline-detectors",
            "driftline-alerting",
            "driftline-simulate",
            "driftline-evaluate",
        ],
        &[],
    ),
];

/// A client of the outside world, and the one crate that speaks through it.
const ONE_HOME: &[(&str, &str)] = &[("rdkafka", "driftline-ingest"), ("ureq", "driftline-alerting")];

/// Crates whose output is a function of their input.
const DETERMINISTIC: &[&str] = &["driftline-core", "driftline-detectors", "driftline-simulate", "driftline-evaluate"];
/// What would let a scheduler decide in which order things happen there.
const SCHEDULERS: &[&str] = &["tokio", "async-std", "smol", "rayon"];
/// Features of `rand` that give generators nobody has seeded.
const UNSEEDED: &[&str] = &["default", "thread_rng", "sys_rng", "os_rng"];

/// The resolved dependencies of what is built here by default.
struct Workspace {
    metadata: Metadata,
    names: BTreeMap<PackageId, String>,
    edges: BTreeMap<PackageId, Vec<(PackageId, BTreeSet<bool>)>>,
}

impl Workspace {
    /// Asks cargo. Only this machine's platform is resolved: the others' packages need not have been downloaded.
    fn load() -> Self {
        let rustc = Command::new("rustc").args(["--print", "host-tuple"]).output().expect("rustc runs");
        let platform = String::from_utf8(rustc.stdout).expect("a platform's name is text");
        let metadata = MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .other_options(["--locked".to_owned(), "--filter-platform".to_owned(), platform.trim().to_owned()])
            .exec()
            .expect("cargo resolves the workspace");
        let names = metadata.packages.iter().map(|package| (package.id.clone(), package.name.to_string())).collect();
        let resolve = metadata.resolve.as_ref().expect("dependencies were asked for");
        let edges = resolve
            .nodes
            .iter()
            .map(|node| {
                let deps = node.deps.iter().map(|dep| {
                    let for_tests = dep.dep_kinds.iter().map(|info| info.kind == DependencyKind::Development).collect();
                    (dep.pkg.clone(), for_tests)
                });
                (node.id.clone(), deps.collect())
            })
            .collect();
        Self { metadata, names, edges }
    }

    fn member(&self, name: &str) -> &PackageId {
        let package = self.metadata.workspace_packages().into_iter().find(|package| package.name.as_str() == name);
        &package.unwrap_or_else(|| panic!("{name} is no member of the workspace")).id
    }

    fn members(&self) -> BTreeSet<&str> {
        self.metadata.workspace_packages().into_iter().map(|package| package.name.as_str()).collect()
    }

    /// What a package names in its manifest: for its tests, or for what ships.
    fn direct(&self, id: &PackageId, for_tests: bool) -> BTreeSet<&str> {
        self.edges[id]
            .iter()
            .filter(|(_, kinds)| kinds.contains(&for_tests))
            .map(|(dep, _)| self.names[dep].as_str())
            .collect()
    }

    /// All that ships with a package.
    fn reach(&self, id: &PackageId) -> BTreeSet<&str> {
        let mut seen = BTreeSet::from([id]);
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            for (dep, kinds) in &self.edges[id] {
                if kinds.contains(&false) && seen.insert(dep) {
                    open.push(dep);
                }
            }
        }
        seen.into_iter().map(|id| self.names[id].as_str()).collect()
    }
}

#[test]
fn crates_use_only_those_below_them() {
    let workspace = Workspace::load();
    let listed: BTreeSet<_> = ALLOWED.iter().map(|(name, ..)| *name).collect();
    let members = workspace.members();
    assert_eq!(members, listed, "every crate has a place in this table");
    for (name, shipped, tests) in ALLOWED {
        let id = workspace.member(name);
        let ours = |for_tests| workspace.direct(id, for_tests).into_iter().filter(|dep| members.contains(dep));
        for dep in ours(false) {
            assert!(shipped.contains(&dep), "{name} must not depend on {dep}");
        }
        for dep in ours(true) {
            assert!(shipped.contains(&dep) || tests.contains(&dep), "{name}'s tests must not depend on {dep}");
        }
    }
}

#[test]
fn each_client_of_the_outside_world_has_one_home() {
    let workspace = Workspace::load();
    for (client, home) in ONE_HOME {
        assert!(workspace.direct(workspace.member(home), false).contains(client), "{home} has lost {client}");
        for (name, ..) in ALLOWED.iter().filter(|(name, ..)| name != home) {
            let id = workspace.member(name);
            // Programs use the crate that it is in.
            let is_program = matches!(*name, "driftline" | "driftline-jobs");
            let seen = if is_program { workspace.direct(id, false) } else { workspace.reach(id) };
            assert!(!seen.contains(client), "{name} sees {client}, which belongs in {home}");
        }
    }
}

#[test]
fn nothing_that_is_built_by_default_needs_datafusion() {
    let workspace = Workspace::load();
    for name in workspace.members() {
        let heavy: Vec<_> = workspace
            .reach(workspace.member(name))
            .into_iter()
            .filter(|dep| dep.starts_with("datafusion") || dep.starts_with("ballista"))
            .collect();
        assert!(heavy.is_empty(), "{name} needs {heavy:?} by default; put it behind a feature");
    }
}

#[test]
fn what_must_be_deterministic_has_no_runtime_and_no_unseeded_chance() {
    let workspace = Workspace::load();
    for name in DETERMINISTIC {
        let id = workspace.member(name);
        let reach = workspace.reach(id);
        for scheduler in SCHEDULERS {
            assert!(!reach.contains(scheduler), "{name} reaches {scheduler}");
        }
        let rand = workspace.metadata[id].dependencies.iter().find(|dependency| dependency.name == "rand");
        let unseeded = rand.and_then(|rand| UNSEEDED.iter().find(|feature| has(rand, feature)));
        assert!(unseeded.is_none(), "{name} takes rand with {unseeded:?}: chance comes from a seed");
    }
}

fn has(dependency: &cargo_metadata::Dependency, feature: &str) -> bool {
    dependency.features.iter().any(|on| on == feature) || (feature == "default" && dependency.uses_default_features)
}

#[test]
fn what_must_be_deterministic_is_linted_alike() {
    let bans = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name).join("clippy.toml");
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    for name in DETERMINISTIC {
        let folder = name.trim_start_matches("driftline-");
        assert_eq!(bans(folder), bans("core"), "{folder}/clippy.toml is not core's");
    }
}
