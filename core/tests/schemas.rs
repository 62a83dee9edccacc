//! The JSON Schemas in `core/schemas/` are made from the types, and the contract's examples hold under both.
//!
//! `UPDATE_SCHEMAS=1 cargo test --release -p driftline-core --test schemas` writes them anew.
#![cfg(test)]

use std::fs;
use std::path::PathBuf;

use driftline_core::{ActionEvent, Alert, Event, IdentityDocument, Limits, Settings};
use schemars::generate::{Contract, SchemaSettings};
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

/// A checked-in schema: its file's stem, and what `schema` holds in a document that follows it.
struct Document {
    stem: &'static str,
    title: &'static str,
    schema: Schema,
}

fn documents() -> Vec<Document> {
    vec![
        document::<ActionEvent>("event", "Driftline agent action event, v1", Contract::Deserialize),
        document::<IdentityDocument>("identity", "Driftline agent identity document, v1", Contract::Deserialize),
        document::<Alert>("alert", "Driftline alert, v1", Contract::Serialize),
        document::<Settings>("settings", "Driftline settings of a control record, v1", Contract::Deserialize),
    ]
}

/// The schema of `T` as producers must write it (`Deserialize`) or as readers will find it (`Serialize`).
fn document<T: JsonSchema>(stem: &'static str, title: &'static str, contract: Contract) -> Document {
    let generator = SchemaSettings::draft2020_12().with(|settings| settings.contract = contract).into_generator();
    let mut schema = generator.into_root_schema_for::<T>();
    schema.insert("$id".to_owned(), json!(format!("urn:driftline:{stem}:1")));
    schema.insert("title".to_owned(), json!(title));
    if let Some(name) = schema.pointer_mut("/properties/schema") {
        *name = json!({"description": "Names this schema.", "const": format!("driftline.{stem}/1")});
    }
    RecursiveTransform(plain_description).transform(&mut schema);
    Document { stem, title, schema }
}

/// Descriptions come from Rust documentation; its links mean nothing to who reads a schema.
fn plain_description(schema: &mut Schema) {
    let Some(Value::String(text)) = schema.get_mut("description") else { return };
    while let Some((before, rest)) = text.split_once(" ([`") {
        let (_, after) = rest.split_once("`])").expect("a link that opens also closes");
        *text = format!("{before}{after}");
    }
    let plain = text.replace("[`", "`").replace("`]", "`");
    *text = plain.split_whitespace().collect::<Vec<_>>().join(" ");
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn example(name: &str) -> String {
    let path = folder("../testdata/contract").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What is wrong with `value` by the checked-in schema `stem`.
fn violations(stem: &str, value: &Value) -> Vec<String> {
    let text = fs::read_to_string(folder("schemas").join(format!("{stem}.schema.json"))).unwrap();
    let schema = serde_json::from_str(&text).unwrap();
    let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whether to write or to compare is for who runs the test to say")]
fn checked_in_schemas_are_those_of_the_types() {
    for Document { stem, schema, .. } in documents() {
        let path = folder("schemas").join(format!("{stem}.schema.json"));
        if std::env::var_os("UPDATE_SCHEMAS").is_some() {
            fs::write(&path, serde_json::to_string_pretty(&schema).unwrap() + "\n").unwrap();
        }
        // The order of an object's fields depends on how serde_json was built, and means nothing.
        let checked_in = fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
        assert!(
            checked_in.as_ref() == Some(schema.as_value()),
            "{} is not what the types say; run with UPDATE_SCHEMAS=1 and look at the difference",
            path.display()
        );
    }
}

#[test]
fn schemas_are_schemas_and_say_what_they_are() {
    for Document { stem, title, schema } in documents() {
        jsonschema::meta::validate(schema.as_value()).unwrap_or_else(|error| panic!("{stem}: {error}"));
        assert_eq!(schema.get("title"), Some(&json!(title)));
        let text = schema.as_value().to_string();
        assert!(!text.contains("[`"), "{stem}: a link of the Rust documentation is left in a description");
    }
}

#[test]
fn the_contracts_event_validates_and_decodes() {
    let text = example("event.json");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(violations("event", &value), [""; 0]);

    let event = Event::decode(text.as_bytes(), &Limits::default()).unwrap();
    assert_eq!((event.id.as_str(), event.agent.id.as_str()), ("01J9ZC3V6M3T5R", "support-assistant"));
    assert_eq!(event.unknown_fields, 0, "the decoder knows every field of the contract");

    // Nothing of it is lost when it is read and written again, but for what says nothing.
    let whole: ActionEvent = serde_json::from_str(&text).unwrap();
    let mut expected = value;
    expected.as_object_mut().unwrap().remove("error");
    assert_eq!(serde_json::to_value(&whole).unwrap(), expected);
}

#[test]
fn the_contracts_identity_document_validates_and_parses() {
    let document = IdentityDocument::parse(&example("identity.yaml")).unwrap();
    assert_eq!((document.id.as_str(), document.tools[0].id.as_str()), ("support-assistant", "read_file"));
    assert_eq!(violations("identity", &serde_json::to_value(&document).unwrap()), [""; 0]);
}

#[test]
fn the_articles_form_of_identity_document_parses() {
    let document = IdentityDocument::parse(&example("identity-article.yaml")).unwrap();
    let capabilities: Vec<_> = document.capabilities.iter().map(|capability| capability.id.as_str()).collect();
    let tools: Vec<_> = document.tools.iter().map(|tool| tool.id.as_str()).collect();
    assert_eq!((capabilities, tools), (vec!["email-read", "refund"], vec!["read_file", "send_email"]));
    assert_eq!(document.data_access[0].access, driftline_core::Access::Read);
    assert_eq!(violations("identity", &serde_json::to_value(&document).unwrap()), [""; 0]);
}

#[test]
fn an_alert_as_it_is_written_validates() {
    let alert = json!({
        "schema": Alert::SCHEMA,
        "id": "1f0a6f2e-6a40-5d1b-9c61-0f1f0c9f7a11",
        "fingerprint": "00f067aa0ba902b7",
        "time": "2026-03-02T08:11:24.715Z",
        "detected_at": "2026-03-02T08:11:24.901Z",
        "status": "firing",
        "entities": [{"kind": "agent", "id": "support-assistant"}],
        "detector": "permission",
        "family": "grant",
        "kind": "undeclared_tool",
        "basis": ["undeclared", "unusual"],
        "title": "support-assistant called delete_user",
        "severity": "high",
        "risk": 71.5,
        "evidence": [{"feature": "tool", "observed": "delete_user", "expected": ["read_file (98 %)"]}],
        "events": ["e-1"],
        "summary": "It has never done so.",
        "recommendation": "Ask its owner.",
        "config": "00f067aa0ba902b7",
        "labels": {"tenant": "acme"}
    });
    let written = serde_json::to_value(serde_json::from_value::<Alert>(alert).unwrap()).unwrap();
    assert_eq!(violations("alert", &written), [""; 0]);
}

#[test]
fn the_default_settings_validate() {
    assert_eq!(violations("settings", &serde_json::to_value(Settings::default()).unwrap()), [""; 0]);
}

#[test]
fn what_the_contract_does_not_allow_is_refused() {
    let event: Value = serde_json::from_str(&example("event.json")).unwrap();
    let cases = [
        ("/time", json!("yesterday")),
        ("/action/kind", json!("dance")),
        ("/agent", json!({"name": "no id"})),
        ("/resource/sensitivity", json!("secret")),
        ("/schema", json!("driftline.event/2")),
    ];
    for (field, value) in cases {
        let mut broken = event.clone();
        *broken.pointer_mut(field).unwrap() = value;
        assert_ne!(violations("event", &broken), [""; 0], "{field}");
    }
}
