//! Text from outside, made safe to show.

use std::borrow::Cow;

/// Text safe to print on a terminal or in a log line: control characters (escape sequences, line breaks), and the
/// characters that reorder or hide text (bidirectional overrides, zero-width), are shown as `\u{…}`.
///
/// ```
/// assert_eq!(driftline_core::terminal("a\u{1b}[31mb"), "a\\u{1b}[31mb");
/// ```
pub fn terminal(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hazardous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_hazardous(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

fn is_hazardous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// At most `chars` characters of `text`, the last of them `…` where something was cut.
///
/// ```
/// assert_eq!(driftline_core::truncate("support-assistant", 8), "support…");
/// ```
pub fn truncate(text: &str, chars: usize) -> Cow<'_, str> {
    if text.len() <= chars || text.chars().count() <= chars {
        return Cow::Borrowed(text);
    }
    let kept: String = text.chars().take(chars.saturating_sub(1)).collect();
    Cow::Owned(kept + "…")
}
