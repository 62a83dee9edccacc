//! Text objects of Block Kit: escaped, and cut to a length that holds after escaping.

use serde_json::{Value, json};

/// `text` with `& < >` escaped, at most `limit` long, ended by `…` where it was cut; never cut inside a character or an
/// entity.
///
/// The length is counted in UTF-16 units: no way of counting characters gives more.
pub(super) fn escape(text: &str, limit: usize) -> String {
    let mut escaped = String::with_capacity(text.len().min(limit) + 8);
    let mut length = 0;
    // Where to cut back to if the rest does not fit: the longest prefix that leaves room for the `…`.
    let mut fits = 0;
    for c in text.chars() {
        let mut buffer = [0; 4];
        let shown = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            c => c.encode_utf8(&mut buffer),
        };
        length += shown.encode_utf16().count();
        if length > limit {
            escaped.truncate(fits);
            escaped.push('…');
            return escaped;
        }
        escaped.push_str(shown);
        if length < limit {
            fits = escaped.len();
        }
    }
    escaped
}

/// A `plain_text` object, in which Slack reads no markup; `None` where nothing would be seen (Slack refuses it).
pub(super) fn plain(text: &str, limit: usize) -> Option<Value> {
    let text = text.trim();
    (!text.is_empty()).then(|| json!({"type": "plain_text", "text": escape(text, limit), "emoji": false}))
}

/// Text for a message's top level, where Slack makes links of addresses: web addresses are written so that they are
/// none.
pub(super) fn unlinked(text: &str) -> String {
    text.replace("://", "[:]//")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_cut_ends_in_an_ellipsis_and_never_inside_an_entity() {
        assert_eq!(escape("a<b>&c", 100), "a&lt;b&gt;&amp;c");
        assert_eq!(escape("abcd", 4), "abcd");
        assert_eq!(escape("abcde", 4), "abc…");
        assert_eq!(escape("ab<", 6), "ab&lt;");
        assert_eq!(escape("ab<", 5), "ab…");
        assert_eq!(escape("a🚨🚨", 4), "a🚨…");
        assert_eq!(escape("a🚨🚨", 5), "a🚨🚨");
    }

    proptest! {
        #[test]
        fn the_limit_holds_after_escaping(text in "[a&<>🚨é\u{301}]{0,60}", limit in 1usize..80) {
            let escaped = escape(&text, limit);
            prop_assert!(escaped.encode_utf16().count() <= limit);
            let back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            match back.strip_suffix('…') {
                Some(start) => prop_assert!(text.starts_with(start)),
                None => prop_assert_eq!(back, text),
            }
            let entities = escaped.matches("&lt;").count() + escaped.matches("&gt;").count() + escaped.matches("&amp;").count();
            prop_assert_eq!(escaped.matches('&').count(), entities);
            let has_brackets = escaped.contains(['<', '>']);
            prop_assert!(!has_brackets);
        }
    }
}
