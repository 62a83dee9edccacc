//! Strings: bytes that are no text, text that is no JSON, and text that is both and means harm.

use serde_json::json;

use crate::generator::{Expected, Generator, Hostile, NOT_JSON, NOT_UTF8};

/// Strings that are read.
const READ: &[&str] = &[
    "/id",
    "/tenant",
    "/agent/id",
    "/agent/name",
    "/session/id",
    "/principal/id",
    "/task/intent",
    "/action/name",
    "/action/server",
    "/resource/id",
    "/resources/0/role",
    "/permission/required/0",
    "/credential/id",
    "/delegation/0/agent",
    "/approval/approver",
    "/verified/by",
    "/network/user_agent",
];

/// Values that are passed over.
const SKIPPED: &[&str] = &[
    "/schema",
    "/trace/trace_id",
    "/result/origin",
    "/message/sha256",
    "/peer/agent",
    "/attestation/environment",
    "/error",
    "/reason",
    "/attributes/x",
    "/surprise",
    "/agent/surprise",
    "/usage/surprise",
];

/// RFC 3629: a byte that never stands in text, overlong forms, a surrogate, what lies past the last character, a
/// character that is cut, one that has no start.
const NO_TEXT: &[&[u8]] = &[
    b"\xff",
    b"\xfe\xff",
    b"\xc0\xaf",
    b"\xc1\x81",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
    b"\x80",
    b"a\xbfb",
];

/// What RFC 8259 does not allow between quotes.
const NO_STRING: &[&str] = &[
    "a\0b",
    "a\u{1f}b",
    "a\tb",
    "a\u{1b}[2Jb",
    "a\nb",
    "a\rb",
    r"\x41",
    r"\'",
    r"\U0041",
    r"\0",
    r"\ ",
    r"\u12",
    r"\u",
];

/// Nor these.
const NO_HEX: &[&str] = &[r"\uZZZZ", r"\u00g0", r"\u-001", r"\u12 4"];

/// Escapes that are JSON and stand for no character.
const NO_CHARACTER: &[&str] = &[r"\ud800", r"\udc00", r"x\ud83d\u0041", r"\ud83d\ud83d", r"\ude00\ud83d", r"\udfffx"];

/// Text that plays tricks on terminals, logs, parsers and databases.
const TRICKS: &[&str] = &[
    r"\u0000",
    r"a\u0000b",
    r"\u001b[31mred\u001b[0m",
    r"\u001b]0;title\u0007",
    r"\u202egnp.exe",
    "\u{202e}gnp.exe",
    "\u{2066}x\u{2069}",
    "\u{feff}bom",
    r"\ufeff",
    r"\r\nX-Injected: 1",
    r"a\nb",
    "%s%n%x",
    "${HOME}",
    "{{7*7}}",
    "'; DROP TABLE agents; --",
    "../../etc/passwd",
    "\u{fffd}",
    "\u{10ffff}",
    r"\ud83d\ude00",
    "a/b/c",
    "é",
    "e\u{301}",
    "\u{7f}\u{80}\u{9b}31m",
    " ",
    "null",
    r#"\"quoted\""#,
    r"\\",
    "😀😀😀",
    "driftline.position",
    "h-",
    "-",
    "a:7",
];

pub fn any(generator: &mut Generator) -> Hostile {
    let read = generator.pick(READ);
    let skipped = generator.pick(SKIPPED);
    let anywhere = generator.pick(&[read, skipped]);
    match generator.pick(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
        0 => {
            let raw = quoted(generator.pick(NO_TEXT));
            generator.with("no text", anywhere, raw, NOT_UTF8)
        }
        1 => {
            let raw = quoted(generator.pick(NO_STRING).as_bytes());
            generator.with(&raw.escape_ascii().to_string(), anywhere, raw, NOT_JSON)
        }
        2 => {
            let raw = quoted(generator.pick(NO_CHARACTER).as_bytes());
            generator.with("no character", read, raw, NOT_JSON)
        }
        // The text is JSON, and nobody reads it.
        3 => {
            let raw = quoted(generator.pick(NO_CHARACTER).as_bytes());
            generator.with("no character", skipped, raw, Expected::Scored)
        }
        4 => {
            let key = generator.pick(NO_TEXT);
            generator
                .mended("no text in a key", NOT_UTF8, |text| [b"{\"", key, b"\":1,", text.get(1..).unwrap()].concat())
        }
        5 => {
            let key = generator.pick(NO_STRING);
            generator.mended("no string in a key", NOT_JSON, |text| {
                [b"{\"", key.as_bytes(), b"\":1,", text.get(1..).unwrap()].concat()
            })
        }
        6 => without_id(generator),
        7 => {
            // A quote that the parser passes over unseen, so that it and the bounds disagree about what is a string.
            // More than any thread's stack has room for.
            let levels = generator.within(1..30_000);
            let (open, close) = ("[".repeat(levels), "]".repeat(levels));
            let raw = format!(r#""\u12"," ,"deep":{open}{close},"after":" ""#);
            generator.with("brackets that hide in a string", "/surprise", raw, NOT_JSON)
        }
        8 => {
            let raw = quoted(generator.pick(NO_HEX).as_bytes());
            generator.with(&raw.escape_ascii().to_string(), anywhere, raw, NOT_JSON)
        }
        _ => {
            let raw = quoted(generator.pick(TRICKS).as_bytes());
            generator.with("a trick", anywhere, raw, Expected::Scored)
        }
    }
}

/// Ids that are missing, empty, or those of others.
fn without_id(generator: &mut Generator) -> Hostile {
    match generator.pick(&[0, 1, 2, 3]) {
        0 => generator.valid("no id", |event| drop(event.as_object_mut().unwrap().remove("id"))),
        1 => generator.valid("id null", |event| event["id"] = json!(null)),
        2 => generator.valid("an empty id", |event| event["id"] = json!("")),
        _ => generator.valid("an id that others use", |event| event["id"] = json!("the-same")),
    }
}

fn quoted(inside: &[u8]) -> Vec<u8> {
    [b"\"", inside, b"\""].concat()
}
