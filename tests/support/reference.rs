//! Makes `docs/configuration.md` from the types of the configuration.

use std::collections::BTreeMap;
use std::fmt::Write;

use driftline::config::Config;
use serde_json::Value;

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the types in src/config/ by tests/configuration.rs (UPDATE_DOCS=1); do not edit. -->

`driftline run -c driftline.toml` reads one TOML file. An unknown setting is an error. `driftline check -c FILE` says all
that is wrong with a file and with the identity documents that it names. [`driftline.example.toml`](driftline.example.toml)
is a whole one.

- A string may name environment variables: `\"${NAME}\"`, or `\"${NAME:-default}\"` where it may be missing; `$${` stands
  for `${`. They are filled in after the file is parsed, so what a variable holds is never TOML.
- Durations are written with their units: `\"90s\"`, `\"10m\"`, `\"1h 30m\"`. Rates are a whole number in a unit of time:
  `\"5/day\"`, `\"1/second\"`.
- Relative paths are relative to the working directory.
";

/// The whole document.
pub fn configuration() -> String {
    let schema = schemars::schema_for!(Config).to_value();
    let mut document = Reference { definitions: &schema["$defs"], text: INTRODUCTION.to_owned() };
    for (name, property) in sorted(&schema["properties"]) {
        document.table(name, property);
    }
    document.text
}

struct Reference<'a> {
    definitions: &'a Value,
    text: String,
}

impl Reference<'_> {
    /// A table of the file: a section for it, and one for each table in it.
    fn table(&mut self, name: &str, property: &Value) {
        let schema = self.resolve(property).clone();
        if schema["type"] == "array" {
            return self.section(&format!("[[{name}]]"), name, property, &self.resolve(&schema["items"]).clone());
        }
        match schema["oneOf"].as_array() {
            // A choice of tables: each variant is an object with one property.
            Some(variants) => {
                self.heading(name, &format!("[{name}.*]"), property, &schema);
                for (variant, inner) in variants.iter().flat_map(|variant| sorted(&variant["properties"])) {
                    self.table(&format!("{name}.{variant}"), inner);
                }
            }
            None => self.section(&format!("[{name}]"), name, property, &schema),
        }
    }

    fn section(&mut self, header: &str, name: &str, property: &Value, schema: &Value) {
        self.heading(name, header, property, schema);
        let (mut rows, mut tables) = (String::new(), Vec::new());
        for (setting, property) in sorted(&schema["properties"]) {
            if self.resolve(property)["type"] == "object" {
                tables.push((setting, property));
                continue;
            }
            let default = match (&property["default"], required(schema, setting)) {
                (_, true) => "required".to_owned(),
                (Value::Null, false) => "none".to_owned(),
                (default, false) => format!("`{default}`"),
            };
            let _ = writeln!(
                rows,
                "| `{setting}` | {} | {default} | {} |",
                self.kind(property),
                self.meaning(property).replace('|', "\\|")
            );
        }
        if !rows.is_empty() {
            let _ = write!(self.text, "\n| setting | type | default | meaning |\n| --- | --- | --- | --- |\n{rows}");
        }
        for (setting, property) in tables {
            self.table(&format!("{name}.{setting}"), property);
        }
    }

    fn heading(&mut self, name: &str, header: &str, property: &Value, schema: &Value) {
        let level = "#".repeat(2 + name.matches('.').count());
        // The field says what it is for; its type adds what is more than a summary of itself.
        let own = schema["description"].as_str().unwrap_or_default();
        let (summary, more) = own.split_once("\n\n").unwrap_or((own, ""));
        let first = property["description"].as_str().unwrap_or(summary);
        let meaning = plain(&format!("{first} {more}"));
        let _ = write!(self.text, "\n{level} `{header}`\n\n{meaning}\n");
    }

    /// What a value is, in a word or as the list of what it may be.
    fn kind(&self, property: &Value) -> String {
        let schema = self.resolve(property);
        let words = self.words(schema);
        if !words.is_empty() {
            return words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ");
        }
        match type_of(schema) {
            "array" => format!("list of {}s", type_of(&schema["items"])),
            other => other.to_owned(),
        }
    }

    /// What a setting means, and what each of its words does.
    fn meaning(&self, property: &Value) -> String {
        let mut meaning = plain(property["description"].as_str().unwrap_or_default());
        for (word, what) in self.words(self.resolve(property)).into_iter().filter(|(_, what)| !what.is_empty()) {
            let _ = write!(meaning, " `{word}`: {what}");
        }
        meaning
    }

    /// The words of a choice, each with what it means.
    fn words(&self, schema: &Value) -> Vec<(String, String)> {
        let variants = schema["oneOf"].as_array().into_iter().flatten();
        variants
            .flat_map(|variant| {
                let one = variant["const"].as_str().into_iter();
                let several = variant["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let what = plain(variant["description"].as_str().unwrap_or_default());
                one.chain(several).map(move |word| (word.to_owned(), what.clone()))
            })
            .collect()
    }

    /// Follows references and looks through "or nothing".
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
            return self.resolve(&self.definitions[name]);
        }
        let either = schema["anyOf"].as_array().into_iter().flatten().find(|one| one["type"] != "null");
        either.map_or(schema, |one| self.resolve(one))
    }
}

fn type_of(schema: &Value) -> &str {
    let name = match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).find(|name| *name != "null"),
        name => name.as_str(),
    };
    name.unwrap_or("value")
}

fn required(schema: &Value, setting: &str) -> bool {
    schema["required"].as_array().is_some_and(|names| names.iter().any(|name| name == setting))
}

/// Documentation on one line, without links to Rust items.
fn plain(text: &str) -> String {
    text.replace("[`", "`").replace("`]", "`").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An object's entries by name, in whatever order the map keeps them.
fn sorted(object: &Value) -> BTreeMap<&String, &Value> {
    object.as_object().into_iter().flatten().collect()
}
