//! Events of the wrong form: fields of other types, twice or not at all, records that end early or go on.

use serde_json::Value;

use crate::generator::{Expected, Generator, Hostile, NOT_EVENT, NOT_JSON, NOT_UTF8};

const STRINGS: &[&str] = &[
    "/id",
    "/tenant",
    "/agent/id",
    "/agent/name",
    "/agent/version",
    "/agent/platform",
    "/agent/model",
    "/agent/vendor",
    "/agent/instance",
    "/agent/spiffe_id",
    "/session/id",
    "/session/context_sha256",
    "/principal/id",
    "/task/id",
    "/task/kind",
    "/task/intent",
    "/action/name",
    "/action/server",
    "/action/definition_sha256",
    "/resource/id",
    "/resource/kind",
    "/resource/role",
    "/resource/subject",
    "/resource/origin",
    "/resources/0/id",
    "/grant/to",
    "/permission/required/0",
    "/permission/scopes/0",
    "/grant/permissions/0",
    "/credential/id",
    "/credential/kind",
    "/credential/scopes/0",
    "/delegation/0/agent",
    "/delegation/0/principal",
    "/delegation/0/scopes/0",
    "/approval/id",
    "/approval/approver",
    "/approval/roles/0",
    "/approval/decision",
    "/approval/for",
    "/verified/by",
    "/verified/identity",
    "/network/ip",
    "/network/country",
    "/network/user_agent",
    "/position",
];
const OBJECTS: &[&str] = &[
    "/agent",
    "/session",
    "/principal",
    "/task",
    "/action",
    "/resource",
    "/resources/0",
    "/permission",
    "/grant",
    "/credential",
    "/delegation/0",
    "/approval",
    "/verified",
    "/usage",
    "/network",
    "/result",
    "/result/mentions",
];
const LISTS: &[&str] = &[
    "/resources",
    "/delegation",
    "/permission/required",
    "/permission/scopes",
    "/grant/permissions",
    "/credential/scopes",
    "/delegation/0/scopes",
    "/approval/roles",
    "/result/mentions/field",
];
const WORDS: &[&str] = &[
    "/action/kind",
    "/action/access",
    "/resource/sensitivity",
    "/resources/0/sensitivity",
    "/principal/kind",
    "/outcome",
];
const SKIPPED: &[&str] = &[
    "/schema",
    "/trace",
    "/trace/trace_id",
    "/result/origin",
    "/message",
    "/peer",
    "/attestation",
    "/error",
    "/reason",
    "/attributes",
    "/attributes/x",
    "/surprise",
    "/agent/surprise",
    "/action/surprise",
];
/// The contract has words here, so this would be `not_event`; the parser that names the fault takes a value of another
/// type for no JSON.
const NO_WORD: Expected = NOT_JSON;
/// The contract has objects here, or a word, so this would be `not_event`; fields in their order are taken for an object,
/// and an object of one field for a word.
const LIST_FOR_OBJECT: Expected = Expected::Scored;

/// Of everything else, `null` says that there is none.
const REQUIRED: &[&str] = &["/time", "/agent", "/agent/id", "/action", "/action/name"];
const OPTIONAL: &[&str] = &[
    "/id",
    "/tenant",
    "/session",
    "/principal",
    "/task",
    "/resource",
    "/resources",
    "/permission",
    "/grant",
    "/credential",
    "/delegation",
    "/approval",
    "/verified",
    "/outcome",
    "/usage",
    "/network",
    "/result",
    "/result/mentions",
    "/result/mentions/field",
    "/agent/name",
    "/action/server",
    "/action/access",
    "/resource/kind",
    "/principal/kind",
    "/usage/bytes_in",
    "/usage/cost_usd",
    "/network/asn",
    "/verified/attestation",
    "/approval/time",
];

pub fn any(generator: &mut Generator) -> Hostile {
    match generator.pick(&[0, 0, 1, 1, 2, 3, 4, 5]) {
        0 => wrong_type(generator),
        5 => lenient(generator),
        1 => truncated(generator),
        2 => missing(generator),
        3 => twice(generator),
        _ => trailing(generator),
    }
}

fn wrong_type(generator: &mut Generator) -> Hostile {
    let (fields, raws): (&[&str], &[&str]) = generator.pick(&[
        (STRINGS, &["7", "1.5", "true", "[]", "{}", r#"["x"]"#, r#"{"id":"x"}"#]),
        (OBJECTS, &["7", "true", r#""x""#, r#""""#, "[]", r#"["x"]"#]),
        (LISTS, &["7", "true", r#""x""#, "{}", r#"{"0":"x"}"#, "[7]", "[[]]"]),
        (WORDS, &[r#""""#, r#""dance""#, r#""READ""#, r#""Success""#, r#"" read""#]),
        (&["/verified/attestation"], &["7", r#""true""#, "[]", "{}"]),
        (&["/usage/bytes_in", "/usage/cost_usd", "/network/asn"], &[r#""7""#, "true", "[]", "{}", r#""NaN""#]),
        (SKIPPED, &["7", "true", r#""x""#, "null", "[]", "{}", "[[],{}]", r#"{"":""}"#]),
    ]);
    let (field, raw) = (generator.pick(fields), generator.pick(raws));
    if raw == "[]" && ["/permission", "/usage", "/result", "/result/mentions"].contains(&field) {
        return lenient(generator);
    }
    let expected = if fields == SKIPPED { Expected::Scored } else { NOT_EVENT };
    generator.with(&format!("`{raw}`"), field, raw, expected)
}

fn lenient(generator: &mut Generator) -> Hostile {
    if generator.pick(&[true, false]) {
        let (field, raw) = (generator.pick(WORDS), generator.pick(&["7", "true", "[]", "{}"]));
        return generator.with(&format!("`{raw}`"), field, raw, NO_WORD);
    }
    let (field, raw) = generator.pick(&[
        ("/permission", "[]"),
        ("/usage", "[]"),
        ("/principal", r#"["x",null]"#),
        ("/action/access", r#"{"read":null}"#),
    ]);
    generator.with(&format!("`{raw}`"), field, raw, LIST_FOR_OBJECT)
}

fn missing(generator: &mut Generator) -> Hostile {
    match generator.pick(&[0, 1, 2, 3]) {
        0 => {
            let field = generator.pick(REQUIRED);
            generator.with("null", field, "null", NOT_EVENT)
        }
        1 => {
            let field = generator.pick(OPTIONAL);
            generator.with("null", field, "null", Expected::Scored)
        }
        2 => {
            let field = generator.pick(&["/agent/id", "/action/name"]);
            generator.with("empty", field, r#""""#, NOT_EVENT)
        }
        _ => {
            let mut event = generator.event();
            let field = generator.pick(REQUIRED);
            let (table, name) = field.rsplit_once('/').unwrap();
            event.pointer_mut(table).and_then(Value::as_object_mut).unwrap().remove(name);
            generator.bytes(&format!("no {field}"), event.to_string(), NOT_EVENT)
        }
    }
}

fn twice(generator: &mut Generator) -> Hostile {
    let first = |insert: &'static str| move |text: Vec<u8>| [b"{", insert.as_bytes(), &text[1..]].concat();
    match generator.pick(&[0, 1, 2, 3]) {
        // Known fields, read or passed over, and one that is spelt with an escape.
        0 => {
            let field = generator.pick(&[
                r#""time":0,"#,
                r#""agent":{"id":"b"},"#,
                r#""id":"other","#,
                r#""id":null,"#,
                r#""tenant":"x","#,
                r#""action":{"name":"other"},"#,
                r#""attributes":{},"#,
                r#""trace":null,"#,
                r#""error":null,"#,
                r#""\u0074ime":0,"#,
                r#""usage":{},"#,
                r#""resources":[],"#,
            ]);
            generator.mended(&format!("twice: {field}"), NOT_EVENT, first(field))
        }
        1 => {
            let (field, raw) = generator.pick(&[
                ("/agent", r#"{"id":"a","id":"b"}"#),
                ("/agent", r#"{"id":"a","name":"x","name":"y"}"#),
                ("/action", r#"{"name":"a","n\u0061me":"b"}"#),
                ("/usage", r#"{"bytes_in":1,"bytes_in":1}"#),
                ("/resources", r#"[{"id":"a","id":"a"}]"#),
                ("/network", r#"{"asn":null,"asn":1}"#),
            ]);
            generator.with("twice", field, raw, NOT_EVENT)
        }
        // Which of two unknown fields counts is nobody's business.
        2 => generator.mended("unknown fields twice", Expected::Scored, first(r#""x":1,"x":2,"":3,"":4,"#)),
        _ => {
            let field = generator.pick(&["/attributes", "/trace", "/surprise", "/agent/surprise"]);
            generator.with("twice where nobody reads", field, r#"{"a":1,"a":2,"b":{"c":1,"c":1}}"#, Expected::Scored)
        }
    }
}

fn truncated(generator: &mut Generator) -> Hostile {
    let text = generator.event().to_string().into_bytes();
    let kept = generator.within(1..text.len());
    let start = text[..kept].to_vec();
    // A cut inside a character leaves no text, one anywhere else no JSON.
    let expected = if text[kept] & 0xc0 == 0x80 { NOT_UTF8 } else { NOT_JSON };
    generator.bytes(&format!("cut after {kept} bytes"), start, expected)
}

fn trailing(generator: &mut Generator) -> Hostile {
    let rest: &[u8] = generator.pick(&[
        b"x",
        b"{}",
        b"[]",
        b",",
        b"}",
        b"]",
        b"\0",
        b" null",
        b"\"",
        b"\xef\xbb\xbf",
        b"//",
        b"\x1e",
        b"\x0b",
        b"\x0cx",
    ]);
    match generator.pick(&[0, 1, 2, 3]) {
        0 => generator.mended("something after it", NOT_JSON, |text| [&text, rest].concat()),
        1 => generator.mended("white space around it", Expected::Scored, |text| [b" \t ", &*text, b"\t  "].concat()),
        // Nothing that might be a value of its own: whether that one or what follows is at fault is a matter of taste.
        2 => {
            let first: &[u8] =
                generator.pick(&[b"x", b",", b"}", b"]", b"\0", b"\xef\xbb\xbf", b"//", b"\x1e", b"\x0b", b"\x0cx"]);
            generator.mended("something before it", NOT_JSON, |text| [first, &text].concat())
        }
        _ => generator.mended("a comma too many", NOT_JSON, |mut text| {
            text.pop();
            [&*text, b",}"].concat()
        }),
    }
}
