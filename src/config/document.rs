//! A configuration file's text as a tree in which every value remembers where it stands.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::problem::{ConfigError, Gravity, Problem};
use super::substitute::substitute;

/// A parsed file with its variables filled in.
pub(super) struct Document<'a> {
    path: &'a Path,
    text: &'a str,
    root: Spanned<DeTable<'a>>,
    /// Where each field stands, by its path: the key, or the item of a list.
    places: BTreeMap<String, Range<usize>>,
    /// Variables that were filled in, with their values: what a message must not show.
    filled: Vec<(String, String)>,
}

impl<'a> Document<'a> {
    /// Parses the text and fills its variables in from the environment.
    pub fn parse(text: &'a str, path: &'a Path) -> Result<Self, ConfigError> {
        #[expect(clippy::disallowed_methods, reason = "the one place where the configuration reads the environment")]
        let environment = |name: &str| std::env::var(name).ok();
        Self::parse_with(text, path, &environment)
    }

    fn parse_with(text: &'a str, path: &'a Path, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut document =
            Self { path, text, root: Spanned::new(0..0, DeTable::new()), places: BTreeMap::new(), filled: Vec::new() };
        let mut root = DeTable::parse(text)
            .map_err(|error| document.problem_at(error.span(), None, format!("not TOML: {}", error.message())))?;
        let mut problems = Vec::new();
        for (key, value) in root.get_mut().iter_mut() {
            document.visit(key.get_ref().to_string(), key.span(), value, lookup, &mut problems);
        }
        document.root = root;
        if problems.is_empty() { Ok(document) } else { Err(ConfigError { problems }) }
    }

    /// Notes where a value and all in it stand, and fills in the strings.
    fn visit(
        &mut self,
        field: String,
        place: Range<usize>,
        value: &mut Spanned<DeValue<'a>>,
        lookup: &dyn Fn(&str) -> Option<String>,
        problems: &mut Vec<Problem>,
    ) {
        let span = value.span();
        match value.get_mut() {
            DeValue::String(text) => match substitute(text, lookup) {
                Ok(None) => {}
                Ok(Some((filled, used))) => {
                    *text = filled.into();
                    self.filled.extend(used.into_iter().filter(|(_, value)| !value.is_empty()));
                }
                Err(error) => problems.push(self.problem_at(Some(span), Some(field.clone()), error.to_string())),
            },
            DeValue::Array(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    self.visit(format!("{field}[{i}]"), item.span(), item, lookup, problems);
                }
            }
            DeValue::Table(table) => {
                for (key, value) in table.iter_mut() {
                    self.visit(format!("{field}.{}", key.get_ref()), key.span(), value, lookup, problems);
                }
            }
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
        self.places.insert(field, place);
    }

    /// Reads the tree as a `T`.
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        serde_path_to_error::deserialize(Deserializer::from(self.root.clone())).map_err(|error| {
            let (path, inner) = (error.path().to_string(), error.inner());
            let field = self.field_of(&path, inner.span());
            let message = match inner.message() {
                // A choice (`[source.kafka]` or `[source.files]`) was not made, or made twice.
                message if message.starts_with("wanted ") => "give exactly one of the tables that may stand in it",
                message => message,
            };
            self.problem_at(inner.span(), field, self.redact(message)).into()
        })
    }

    /// The field at fault: the one that stands at `span`, which may be one that nobody knows, else the one being read.
    fn field_of(&self, path: &str, span: Option<Range<usize>>) -> Option<String> {
        let at_span = span.and_then(|span| {
            let found = self.places.iter().find(|(_, place)| **place == span);
            found.map(|(field, _)| field.clone())
        });
        at_span.or_else(|| (path != "." && !path.is_empty()).then(|| path.to_owned()))
    }

    /// An error with a field, at the place where the field, or the nearest table around it, stands.
    pub fn error(&self, field: &str, message: impl Into<String>) -> Problem {
        self.problem_at(self.place_of(field), Some(field.to_owned()), self.redact(&message.into()))
    }

    /// As [`Document::error`], for what may be meant so.
    pub fn warning(&self, field: &str, message: impl Into<String>) -> Problem {
        Problem { gravity: Gravity::Warning, ..self.error(field, message) }
    }

    fn place_of(&self, field: &str) -> Option<Range<usize>> {
        let mut field = field;
        loop {
            if let Some(place) = self.places.get(field) {
                return Some(place.clone());
            }
            field = field.rsplit_once(['.', '['])?.0;
        }
    }

    fn problem_at(&self, span: Option<Range<usize>>, field: Option<String>, message: String) -> Problem {
        let before = span.and_then(|span| self.text.get(..span.start));
        let last_line = before.map(|before| before.rsplit('\n').next().unwrap_or_default());
        Problem {
            line: before.map(|before| before.matches('\n').count() + 1),
            column: last_line.map(|line| line.chars().count() + 1),
            field,
            ..Problem::of_file(self.path, message)
        }
    }

    /// The message with the values of variables replaced by the variables: a password must not end in a log.
    fn redact(&self, message: &str) -> String {
        self.filled
            .iter()
            .fold(message.to_owned(), |message, (name, value)| message.replace(value.as_str(), &format!("${{{name}}}")))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Root {
        #[expect(dead_code, reason = "only what is wrong with it matters here")]
        table: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[expect(dead_code, reason = "only what is wrong with it matters here")]
        number: u16,
    }

    fn error(text: &str) -> String {
        let lookup = |name: &str| (name == "SECRET").then(|| "hunter2".to_owned());
        let document = Document::parse_with(text, "f.toml".as_ref(), &lookup);
        document.and_then(|document| document.deserialize::<Root>()).unwrap_err().to_string()
    }

    #[test]
    fn an_error_has_its_place_and_field() {
        insta::assert_snapshot!(
            [
                "[[table]]\nnumber = ",
                "[[table]]\nnumber = 1\n\n[[table]]\nnumber = 70000\n",
                "[[table]]\nnumber = 1\nnmuber = 2\n",
                "[[table]]\nnumber = 1\n[tabel]\n",
                "[[table]]\n",
                "table = 3",
                "[[table]]\nnumber = \"${UNSET}\"\n",
            ]
            .map(error)
            .join("\n"),
            @r"
        error: f.toml:2:10: not TOML: string values must be quoted, expected literal string
        error: f.toml:5:10: table[1].number: invalid value: integer `70000`, expected u16
        error: f.toml:3:1: table[0].nmuber: unknown field `nmuber`, expected `number`
        error: f.toml:3:2: tabel: unknown field `tabel`, expected `table`
        error: f.toml:1:1: table[0]: missing field `number`
        error: f.toml:1:9: table: invalid type: integer `3`, expected a sequence
        error: f.toml:2:10: table[0].number: the environment variable `UNSET` is not set; set it, or give a default as in ${UNSET:-default}
        "
        );
    }

    #[test]
    fn the_value_of_a_variable_is_not_shown() {
        let error = error("[[table]]\nnumber = \"${SECRET}\"\n");
        assert!(error.contains("${SECRET}") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn every_missing_variable_is_named_at_once() {
        let error = error("a = \"${A}\"\nb = [\"${B}\"]\n");
        assert!(error.contains("f.toml:1:5: a:") && error.contains("f.toml:2:6: b[0]:"), "{error}");
    }
}
