//! Reads what is in `dashboards/`: built dashboards, and the rules.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// A panel, or an annotation, of a dashboard.
pub struct Panel {
    /// The dashboard's file name without its ending.
    pub board: String,
    /// What it is called.
    pub title: String,
    /// What it tells people.
    pub description: String,
    /// Its queries in PromQL, with Grafana's variables in them.
    pub queries: Vec<String>,
}

/// A recording or an alerting rule.
pub struct Rule {
    /// What it records as, or the alert's name.
    pub name: String,
    /// In PromQL.
    pub expr: String,
    /// Empty for a recording rule.
    pub annotations: Value,
}

/// A path in the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn boards() -> Vec<(String, Value)> {
    let mut boards: Vec<(String, Value)> = fs::read_dir(repository("dashboards/built"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap())
        })
        .collect();
    boards.sort_by(|a, b| a.0.cmp(&b.0));
    boards
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// All panels that show something.
pub fn panels() -> Vec<Panel> {
    let mut panels = Vec::new();
    for (board, json) in boards() {
        let shown = json["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
        panels.extend(shown.map(|panel| Panel {
            board: board.clone(),
            title: text(&panel["title"]),
            description: text(&panel["description"]),
            queries: panel["targets"].as_array().into_iter().flatten().map(|query| text(&query["expr"])).collect(),
        }));
    }
    panels
}

/// What is drawn into the graphs of all panels, by board.
pub fn annotations() -> Vec<Panel> {
    let mut annotations = Vec::new();
    for (board, json) in boards() {
        annotations.extend(json["annotations"]["list"].as_array().unwrap().iter().map(|annotation| Panel {
            board: board.clone(),
            title: text(&annotation["name"]),
            description: String::new(),
            queries: vec![text(&annotation["expr"])],
        }));
    }
    annotations
}

/// The selectors that the choices of dashboards take their values from: `label_values(SELECTOR, LABEL)`.
pub fn choices() -> Vec<String> {
    let boards = boards();
    let variables = boards.iter().flat_map(|(_, json)| json["templating"]["list"].as_array().unwrap());
    variables
        .filter_map(|variable| variable["query"]["query"].as_str())
        .map(|query| {
            let (selector, _label) = query.strip_prefix("label_values(").unwrap().rsplit_once(',').unwrap();
            selector.to_owned()
        })
        .collect()
}

/// The rules of a file.
pub fn rules(file: &str) -> Vec<Rule> {
    let text = fs::read_to_string(repository("dashboards/rules").join(file)).unwrap();
    let document: Value = serde_saphyr::from_str(&text).unwrap();
    let groups = document["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules
        .map(|rule| Rule {
            name: rule.get("alert").or(rule.get("record")).unwrap().as_str().unwrap().to_owned(),
            expr: rule["expr"].as_str().unwrap().to_owned(),
            annotations: rule["annotations"].clone(),
        })
        .collect()
}

/// The series of ours, or of `up`, that an expression begins from, each with what narrows it down.
pub fn selectors(expr: &str) -> Vec<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    let mut found = Vec::new();
    let mut rest = expr;
    while let Some(start) = rest.find(is_name) {
        let (_, from) = rest.split_at(start);
        let end = from.find(|c| !is_name(c)).unwrap_or(from.len());
        let (name, after) = from.split_at(end);
        let narrowed = after.strip_prefix('{').and_then(|inner| inner.find('}')).map_or(0, |end| end + 2);
        let (series, after) = from.split_at(end + narrowed);
        if name.starts_with("driftline") || (name == "up" && narrowed > 0) {
            found.push(series.to_owned());
        }
        rest = after;
    }
    found
}
