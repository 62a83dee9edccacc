//! The documentation: its links lead somewhere, each page is in the book, and the first minutes go as they say.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().unwrap()
}

/// The pages of a folder and of those in it.
fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Where the repository is read; what a page of the book links to outside of the book goes there.
const HOME: [&str; 2] =
    ["https://github.com/driftline/driftline/blob/main/", "https://github.com/driftline/driftline/tree/main/"];

/// What a page links to, and the names that its headings can be linked by.
fn read(page: &Path) -> (Vec<String>, BTreeSet<String>) {
    let text = fs::read_to_string(page).unwrap();
    let (mut links, mut anchors, mut heading) = (Vec::new(), BTreeSet::new(), None);
    for event in Parser::new_ext(&text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                links.push(dest_url.into_string())
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => anchors.extend(heading.take().map(|heading| anchor(&heading))),
            Event::Text(text) | Event::Code(text) => heading.iter_mut().for_each(|heading| heading.push_str(&text)),
            _ => {}
        }
    }
    (links, anchors)
}

/// The name that a heading is linked by.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_lead_somewhere() {
    let root = repository();
    let mut all = pages(&root.join("docs"));
    all.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|page| root.join(page)));
    let mut wrong = Vec::new();
    for page in &all {
        for link in &read(page).0 {
            let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
            let target = match HOME.iter().find_map(|home| path.strip_prefix(home)) {
                Some(path) => root.join(path),
                None if path.contains("://") => continue,
                None if path.is_empty() => page.clone(),
                None => page.parent().unwrap().join(path),
            };
            let leads = target.exists() && (fragment.is_empty() || read(&target).1.contains(fragment));
            let book = root.join("docs");
            let leaves_book = page.starts_with(&book)
                && !path.contains("://")
                && !target.canonicalize().is_ok_and(|target| target.starts_with(&book));
            if !leads || leaves_book {
                wrong.push(format!("{}: {link}", page.strip_prefix(&root).unwrap().display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn each_page_is_in_the_book() {
    let docs = repository().join("docs");
    let listed: BTreeSet<PathBuf> = read(&docs.join("SUMMARY.md")).0.into_iter().map(|link| docs.join(link)).collect();
    let there: BTreeSet<PathBuf> = pages(&docs).into_iter().filter(|page| !page.ends_with("SUMMARY.md")).collect();
    assert_eq!(listed, there);
}

/// Runs the commands of `docs/first-minutes.md`, one after the other, in a folder of their own.
#[test]
#[expect(clippy::disallowed_methods, reason = "what people have on their PATH goes before, as the page has it")]
fn the_first_minutes_go_as_they_say() {
    let text = fs::read_to_string(repository().join("docs/first-minutes.md")).unwrap();
    let mut commands = Vec::new();
    let mut within = false;
    for event in Parser::new(&text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => within = &*language == "sh",
            Event::End(TagEnd::CodeBlock) => within = false,
            Event::Text(command) if within => commands.push(command.into_string()),
            _ => {}
        }
    }
    assert!(commands.len() >= 5, "{commands:?}");
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_driftline")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut said = String::new();
    for command in &commands {
        let mut shell = Command::new("bash");
        shell.args(["-euo", "pipefail", "-c", command]).current_dir(folder.path()).env("PATH", &path);
        let output = shell.output().unwrap();
        said += &String::from_utf8_lossy(&[output.stdout, output.stderr].concat());
        assert!(output.status.success(), "{command}\n{said}");
    }
    for promised in ["\"schema\":\"driftline.alert/1\"", "AUROC", "driftline.toml: fine", "1 events of 1 agents"] {
        assert!(said.contains(promised), "nothing says {promised:?}:\n{said}");
    }
    let alerts = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap().lines().count();
    assert!(alerts("alerts.ndjson") > 50 && alerts("run-alerts.ndjson") > 50, "attacks are alerted on");
}
