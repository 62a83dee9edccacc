//! The folder of identity documents.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use driftline_core::{DocumentError, IdentityDocument};

use super::problem::Problem;

/// Endings of the files that are read as identity documents.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// What a folder of identity documents holds.
#[derive(Debug, Default)]
pub struct Folder {
    /// The documents that can be used, each with its file, ordered by file name.
    pub documents: Vec<(PathBuf, IdentityDocument)>,
    /// What is wrong with the others. Two documents for one agent are both unusable: neither is more right.
    pub problems: Vec<Problem>,
}

/// Reads all `.yaml`, `.yml` and `.json` files of a folder, not those of folders in it. What cannot be read is a
/// [`Problem`], never an end.
pub fn read(folder: &Path) -> Folder {
    let files = match list(folder) {
        Ok(files) => files,
        Err(error) => {
            let problem = Problem::of_file(folder, format!("the folder of identity documents cannot be read: {error}"));
            return Folder { problems: vec![problem], ..Folder::default() };
        }
    };
    let mut found = Folder::default();
    for file in files {
        match document(&file) {
            Ok(document) => found.documents.push((file, document)),
            Err(problem) => found.problems.push(problem),
        }
    }
    set_duplicates_aside(&mut found);
    found
}

fn list(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        if path.is_file() && ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn document(file: &Path) -> Result<IdentityDocument, Problem> {
    let text = fs::read_to_string(file).map_err(|error| Problem::of_file(file, format!("cannot be read: {error}")))?;
    IdentityDocument::parse(&text).map_err(|error| {
        let (line, column) = place(&text).unzip();
        let (field, message) = match error {
            DocumentError::Field { field, message } => (Some(field), message),
            DocumentError::Syntax(_) | DocumentError::Shape(_) => (None, first_line(&error)),
        };
        Problem { line, column, field, ..Problem::of_file(file, message) }
    })
}

/// The parser's message without its excerpt of the file, and without the place, which is told apart.
fn first_line(error: &DocumentError) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let without_place = line.strip_prefix("error: line ").and_then(|rest| rest.split_once(": "));
    without_place.map_or(line, |(_, message)| message).to_owned()
}

/// Where a text stops being an identity document in the contract's form; `None` where that is not known, as in the
/// article's form, which is read in two steps.
fn place(text: &str) -> Option<(usize, usize)> {
    let error = serde_saphyr::from_str::<IdentityDocument>(text).err()?;
    let wrapped = error.to_string().contains("agent_identity");
    let location = error.location().filter(|_| !wrapped)?;
    Some((usize::try_from(location.line()).ok()?, usize::try_from(location.column()).ok()?))
}

fn set_duplicates_aside(found: &mut Folder) {
    let mut by_agent: BTreeMap<(Option<String>, String), Vec<PathBuf>> = BTreeMap::new();
    for (file, document) in &found.documents {
        by_agent.entry((document.tenant.clone(), document.id.clone())).or_default().push(file.clone());
    }
    for ((_, id), files) in by_agent.into_iter().filter(|(_, files)| files.len() > 1) {
        for file in &files {
            let others: Vec<_> =
                files.iter().filter(|other| *other != file).map(|other| other.display().to_string()).collect();
            let message = format!("agent `{id}` has another identity document, {}; keep one", others.join(", "));
            let line = fs::read_to_string(file).ok().and_then(|text| line_of_id(&text));
            found.problems.push(Problem { line, field: Some("id".to_owned()), ..Problem::of_file(file, message) });
        }
        found.documents.retain(|(file, _)| !files.contains(file));
    }
    found.problems.sort_by(|a, b| a.file.cmp(&b.file));
}

fn line_of_id(text: &str) -> Option<usize> {
    let is_id = |line: &str| {
        let key = line.split(':').next().unwrap_or_default();
        matches!(key.trim().trim_matches(['"', '{']), "id" | "agent_id")
    };
    text.lines().position(is_id).map(|index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_a_problem_with_its_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a.yaml", "id: a\nname: A\n");
        write("b.yml", "name: B\nid: b\n");
        write("b2.json", "{\"id\": \"b\"}");
        write("b3.yaml", "id: b\ntenant: acme\n");
        write("c.yaml", "id: c\nname: C\nnmae: C\n");
        write("d.yaml", "id: d\ntools: [\n");
        write("e.yaml", "id: ''\n");
        write("f.yaml", "agent_identity: {agent_id: f, status: asleep}\n");
        write("notes.txt", "not a document");
        fs::create_dir(folder.path().join("old.yaml")).unwrap();

        let found = read(folder.path());
        let ids: Vec<_> = found.documents.iter().map(|(_, document)| document.id.as_str()).collect();
        assert_eq!(ids, ["a", "b"], "only the one of tenant acme is left of b's");
        let root = folder.path().display().to_string() + "/";
        let shown: Vec<_> = found.problems.iter().map(|problem| problem.to_string().replace(&root, "")).collect();
        insta::assert_snapshot!(shown.join("\n"), @r"
        error: b.yml:2: id: agent `b` has another identity document, b2.json; keep one
        error: b2.json:1: id: agent `b` has another identity document, b.yml; keep one
        error: c.yaml:3:1: not an identity document: unknown field `nmae`, expected one of `schema`, `id`, `tenant`, `name`, `version`, `owner`, `team`, `platform`, `spiffe_id`, `purpose`, `tasks`, `model`, `vendor`, `risk_level`, `status`, `capabilities`, `data_access`, `tools`, `delegates_to`, `human_oversight`, `attestation`, `credentials`, `canaries`, `peer_group`, `predecessor`, `successor`, `reviewed_at`, `review_by`, `created_at`, `updated_at`, `changed_by`, `approved_by`, `signature`
        error: d.yaml:2:8: unclosed bracket '['
        error: e.yaml: id: is empty; give the id that the agent's events carry
        error: f.yaml: not an identity document: unknown variant `asleep`, expected one of `active`, `suspended`, `retired`
        ");
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_problem() {
        let found = read("no/such/folder".as_ref());
        assert!(found.documents.is_empty());
        assert!(found.problems[0].to_string().contains("no/such/folder: the folder"), "{}", found.problems[0]);
    }
}
