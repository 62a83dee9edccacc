//! From the paths a person gives to the files that are read.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use walkdir::WalkDir;

use super::FileError;

/// One file to read.
#[derive(Debug, Clone)]
pub(super) struct Input {
    /// The name that positions give it.
    pub name: Arc<str>,
    /// `None` for standard input.
    pub path: Option<PathBuf>,
    /// In bytes; `None` where that cannot be known.
    pub size: Option<u64>,
}

/// The files that `paths` stand for, in their order, each once.
pub(super) fn expand<S: AsRef<str>>(paths: &[S]) -> Result<Vec<Input>, FileError> {
    let mut inputs = Vec::new();
    for given in paths {
        let given = given.as_ref();
        if given == "-" {
            inputs.push(Input { name: "-".into(), path: None, size: None });
            continue;
        }
        // A file whose name holds a `*` is taken as it is.
        let matched = if Path::new(given).exists() { vec![PathBuf::from(given)] } else { matches(given)? };
        for path in matched {
            inputs.extend(files(given, &path)?);
        }
    }
    let mut seen = HashSet::new();
    inputs.retain(|input| seen.insert(input.name.clone()));
    Ok(inputs)
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>, FileError> {
    if !pattern.contains(['*', '?', '[']) {
        return Err(FileError::NotFound { path: pattern.to_owned() });
    }
    let bad =
        |error: glob::PatternError| FileError::Pattern { pattern: pattern.to_owned(), message: error.to_string() };
    let mut matched = Vec::new();
    for path in glob::glob(pattern).map_err(bad)? {
        matched.push(path.map_err(|error| {
            let path = error.path().display().to_string();
            FileError::Read { path, line: 1, source: error.into() }
        })?);
    }
    match matched.is_empty() {
        true => Err(FileError::NoMatch { pattern: pattern.to_owned() }),
        false => Ok(matched),
    }
}

/// The file at `path`, or those in the folder there.
fn files(given: &str, path: &Path) -> Result<Vec<Input>, FileError> {
    if !path.is_dir() {
        return Ok(vec![input(path)?]);
    }
    let visible = |name: &std::ffi::OsStr| !name.as_encoded_bytes().starts_with(b".");
    let mut inputs = Vec::new();
    let entries = WalkDir::new(path).follow_links(true).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || visible(entry.file_name())) {
        let entry = entry.map_err(|error| {
            let path = error.path().unwrap_or(path).display().to_string();
            FileError::Read { path, line: 1, source: io::Error::from(error) }
        })?;
        if entry.file_type().is_file() {
            inputs.push(input(entry.path())?);
        }
    }
    match inputs.is_empty() {
        true => Err(FileError::NoMatch { pattern: given.to_owned() }),
        false => Ok(inputs),
    }
}

fn input(path: &Path) -> Result<Input, FileError> {
    let name = path.display().to_string();
    match fs::metadata(path) {
        // A pipe or a device has no size to speak of.
        Ok(metadata) => {
            let size = metadata.is_file().then_some(metadata.len());
            Ok(Input { name: name.into(), path: Some(path.to_owned()), size })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FileError::NotFound { path: name }),
        Err(source) => Err(FileError::Read { path: name, line: 1, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(inputs: &[Input], root: &Path) -> Vec<String> {
        inputs.iter().map(|input| input.name.replace(&root.display().to_string(), "")).collect()
    }

    #[test]
    fn folders_are_walked_in_order_of_name_and_patterns_match_across_them() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        for file in ["b/c/2.ndjson", "b/1.ndjson", "a.ndjson.gz", ".hidden", ".git/config", "z*.ndjson"] {
            fs::write(root.join(file), "x").unwrap();
        }
        let path = |relative: &str| root.join(relative).display().to_string();

        let all = expand(&[path("")]).unwrap();
        assert_eq!(names(&all, root), ["/a.ndjson.gz", "/b/1.ndjson", "/b/c/2.ndjson", "/z*.ndjson"]);
        assert_eq!(
            names(&expand(&[path("**/*.ndjson")]).unwrap(), root),
            ["/b/1.ndjson", "/b/c/2.ndjson", "/z*.ndjson"]
        );
        assert_eq!(names(&expand(&[path("z*.ndjson")]).unwrap(), root), ["/z*.ndjson"]);
        let twice = expand(&[path("b/1.ndjson"), path("b")]).unwrap();
        assert_eq!(names(&twice, root), ["/b/1.ndjson", "/b/c/2.ndjson"], "a file named twice is read once");

        assert!(matches!(expand(&[path("gone")]), Err(FileError::NotFound { path }) if path.ends_with("/gone")));
        assert!(matches!(expand(&[path("*.csv")]), Err(FileError::NoMatch { .. })));
        assert!(matches!(expand(&[path("empty")]), Err(FileError::NoMatch { .. })));
        assert!(matches!(expand(&[path("a[")]), Err(FileError::Pattern { .. })));
    }
}
