//! Records by their outline: nesting and lengths at the bounds (contract, `limits`), and what is no object at all.

use serde_json::{Value, json};

use crate::generator::{Expected, Generator, Hostile, NOT_EVENT, NOT_JSON, NOT_UTF8};

/// The bounds as they come: `limits.record_bytes`, `limits.depth`, `limits.string_bytes`.
pub const RECORD: usize = 1 << 20;
const DEPTH: usize = 64;
const STRING: usize = 64 << 10;

pub const TOO_LONG: Expected = Expected::DeadLetter("too_long");
const TOO_DEEP: Expected = Expected::DeadLetter("too_deep");
const STRING_TOO_LONG: Expected = Expected::DeadLetter("string_too_long");

pub fn any(generator: &mut Generator) -> Hostile {
    match generator.pick(&[0, 0, 0, 1, 2, 2, 3]) {
        0 => outline(generator),
        1 => crowded(generator),
        2 => nested(generator),
        _ => long_string(generator),
    }
}

/// What is no event to begin with.
fn outline(generator: &mut Generator) -> Hostile {
    let (bytes, expected): (&[u8], _) = generator.pick(&[
        (b"[]", NOT_EVENT),
        (b"{}", NOT_EVENT),
        (b"null", NOT_EVENT),
        (b"true", NOT_EVENT),
        (b"12", NOT_EVENT),
        (b"-0", NOT_EVENT),
        (b"1e5", NOT_EVENT),
        (b"\"event\"", NOT_EVENT),
        (b"[{}]", NOT_EVENT),
        (br#"[{"time":0,"agent":{"id":"a"},"action":{"name":"t"}}]"#, NOT_EVENT),
        (br#"{"":""}"#, NOT_EVENT),
        (br#""{\"time\":0}""#, NOT_EVENT),
        (b"{", NOT_JSON),
        (b"}", NOT_JSON),
        (b"{{}", NOT_JSON),
        (b"{]", NOT_JSON),
        (b":", NOT_JSON),
        (b"\0", NOT_JSON),
        (b"\0\0\0\0\0\0\0\0", NOT_JSON),
        (b"hello", NOT_JSON),
        (b"\\", NOT_JSON),
        (b"{'time':0}", NOT_JSON),
        (b"{time:0}", NOT_JSON),
        (br#"{"time"}"#, NOT_JSON),
        (br#"{"time":}"#, NOT_JSON),
        (br#"{"a":1,,"b":2}"#, NOT_JSON),
        (br#"{"a" 1}"#, NOT_JSON),
        (br#"{"a":1 "b":2}"#, NOT_JSON),
        (b"{1:2}", NOT_JSON),
        (b"<event/>", NOT_JSON),
        (b"time=0 agent=a", NOT_JSON),
        (b"a,b,c", NOT_JSON),
        (b"GET / HTTP/1.1", NOT_JSON),
        (b"\xef\xbb\xbf{}", NOT_JSON),
        (b"\xef\xbb\xbf", NOT_JSON),
        (b"{\0\"\0}\0", NOT_JSON),
        (b"--- {}", NOT_JSON),
        (b"\xff\xfe{\0}\0", NOT_UTF8),
        (b"\xfe\xff\0{\0}", NOT_UTF8),
        (b"\x1f\x8b\x08\0\0\0\0\0", NOT_UTF8),
        (b"\x28\xb5\x2f\xfd\x04\x58", NOT_UTF8),
        (b"\0\0\0\0\x01\x0a\xff", NOT_UTF8),
        (b"\x80", NOT_UTF8),
    ]);
    generator.bytes(&format!("`{}`", bytes.escape_ascii()), bytes, expected)
}

/// Many of something, which is no fault.
fn crowded(generator: &mut Generator) -> Hostile {
    let many = generator.within(100..600);
    match generator.pick(&[0, 1, 2, 3, 4]) {
        0 => generator.valid("many resources", |event| {
            event["resources"] = (0..many).map(|i| json!({"id": format!("r-{i}"), "role": "recipient"})).collect();
        }),
        1 => generator.valid("many unknown fields", |event| {
            let fields = event.as_object_mut().unwrap();
            fields.extend((0..many).map(|i| (format!("field-{i}"), json!(i))));
        }),
        2 => generator.valid("a long chain of custody", |event| {
            event["delegation"] = (0..many).map(|i| json!({"agent": format!("a-{i}"), "scopes": ["s"]})).collect();
        }),
        3 => generator.valid("many scopes", |event| event["permission"]["scopes"] = json!(vec!["files:read"; many])),
        _ => generator.valid("an agent of its own", |event| {
            event["agent"]["id"] = json!(format!("agent-{many}"));
            event["action"]["name"] = json!(format!("tool-{many}"));
        }),
    }
}

fn nested(generator: &mut Generator) -> Hostile {
    // The event itself is the first level.
    let (levels, expected) = generator.pick(&[
        (DEPTH - 2, Expected::Scored),
        (DEPTH - 1, Expected::Scored),
        (DEPTH, TOO_DEEP),
        (DEPTH + 1, TOO_DEEP),
        (10_000, TOO_DEEP),
    ]);
    let field = generator.pick(&["/attributes", "/surprise", "/agent/surprise"]);
    let levels = if field == "/agent/surprise" { levels - 1 } else { levels };
    let (open, close) = generator.pick(&[("[", "]"), (r#"{"a":"#, "}"), (r#"[1,{"":"#, "}]")]);
    let (levels, inner) = if open.len() > 5 { (levels / 2, levels % 2) } else { (levels, 0) };
    let inner = if inner == 1 { "[]" } else { "0" };
    let raw = format!("{}{inner}{}", open.repeat(levels), close.repeat(levels));
    generator.with("nesting", field, raw, expected)
}

fn long_string(generator: &mut Generator) -> Hostile {
    let (length, expected) =
        generator.pick(&[(STRING - 1, Expected::Scored), (STRING, Expected::Scored), (STRING + 1, STRING_TOO_LONG)]);
    let inside = match generator.pick(&[0, 1, 2]) {
        0 => "a".repeat(length),
        // Counted as they are written, escapes included.
        1 => format!("{}{}", r"\u0041".repeat(length / 6), "a".repeat(length % 6)),
        _ => format!("{}{}", r#"\""#.repeat(length / 2), "[".repeat(length % 2)),
    };
    let field = generator.pick(&["/agent/name", "/principal/id", "/resource/id", "/reason", "/attributes/x", "/id"]);
    generator.with("a long string", field, format!("\"{inside}\""), expected)
}

/// Records of about a mebibyte.
pub fn large(generator: &mut Generator) -> Hostile {
    let (length, expected) =
        generator.pick(&[(RECORD - 1, Expected::Scored), (RECORD, Expected::Scored), (RECORD + 1, TOO_LONG)]);
    match generator.pick(&[0, 1, 2, 3]) {
        0 => generator.mended("padded with spaces", expected, |mut text| {
            text.splice(1..1, std::iter::repeat_n(b' ', length - text.len()));
            text
        }),
        1 => {
            let mut event = generator.event();
            event["attributes"] = json!({"long": Value::Array(vec![json!("x".repeat(60_000)); 17]), "pad": ""});
            let missing = length - event.to_string().len();
            event["attributes"]["pad"] = json!("y".repeat(missing));
            generator.given("padded with strings", &event, event.to_string().into_bytes(), expected)
        }
        2 => {
            let (what, expected): (&[u8], _) = generator.pick(&[
                (b"[", TOO_DEEP),
                (b"{", TOO_DEEP),
                (b"[{", TOO_DEEP),
                (br#"{"a":"#, TOO_DEEP),
                (b"]", NOT_JSON),
                (b"\\", NOT_JSON),
                (b"-", NOT_JSON),
                (b"\0", NOT_JSON),
                (b",", NOT_JSON),
                (b"\xff", NOT_UTF8),
            ]);
            let bytes: Vec<u8> = what.iter().copied().cycle().take(RECORD).collect();
            generator.bytes(&format!("a mebibyte of `{}`", what.escape_ascii()), bytes, expected)
        }
        _ => {
            let (start, end, expected) = generator.pick(&[
                ("[", "]", NOT_EVENT),
                (r#"{"time":"#, "}", TOO_DEEP),
                (r#"{"time":""#, "", STRING_TOO_LONG),
            ]);
            let middle = match start {
                "[" => format!("{}1", "[],".repeat(100_000)),
                r#"{"time":"# => "[".repeat(500_000) + &"]".repeat(500_000),
                _ => "a".repeat(500_000),
            };
            generator.bytes("a large nothing", format!("{start}{middle}{end}"), expected)
        }
    }
}
