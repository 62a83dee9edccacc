//! Which alerts go to which sink, in Alertmanager's words: routes, matchers, silences.

use std::fmt;
use std::str::FromStr;

use driftline_core::{Alert, Severity, Timestamp};
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sends alerts to a sink: those that are at least this severe and that every matcher matches.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The sink's name.
    pub sink: String,
    /// The least severity. Default `info`: all.
    #[serde(default)]
    pub min_severity: Severity,
    /// All of them must match. Default none: any alert.
    #[serde(default)]
    pub matchers: Vec<Matcher>,
}

/// Holds back, for a time, alerts that every matcher matches. They are in the alert log all the same.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// All of them must match; a silence without one silences nothing.
    pub matchers: Vec<Matcher>,
    /// From when, by the machine's clock. Default: at once.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// Until when (exclusive).
    pub ends_at: Timestamp,
    /// Why, for people.
    #[serde(default)]
    pub comment: String,
}

/// All routes and silences.
#[derive(Debug, Clone, Default)]
pub struct Routing {
    /// An alert goes to a sink where any of its routes takes it.
    pub routes: Vec<Route>,
    /// Silences hold for all sinks.
    pub silences: Vec<Silence>,
}

/// What is done with an alert at a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is sent.
    Send,
    /// No route takes it there.
    NotRouted,
    /// A silence holds it back.
    Silenced,
}

impl Routing {
    /// Every alert to one sink.
    pub fn all_to(sink: &str) -> Self {
        let route = Route { sink: sink.to_owned(), min_severity: Severity::Info, matchers: Vec::new() };
        Self { routes: vec![route], silences: Vec::new() }
    }

    /// What to do with an alert at the sink of this name, at `now` by the machine's clock.
    pub fn decide(&self, sink: &str, alert: &Alert, now: Timestamp) -> Decision {
        let routed = |route: &Route| {
            route.sink == sink && alert.severity >= route.min_severity && all_match(&route.matchers, alert)
        };
        let silenced = |silence: &Silence| {
            !silence.matchers.is_empty()
                && silence.starts_at.is_none_or(|start| start <= now)
                && now < silence.ends_at
                && all_match(&silence.matchers, alert)
        };
        if !self.routes.iter().any(routed) {
            Decision::NotRouted
        } else if self.silences.iter().any(silenced) {
            Decision::Silenced
        } else {
            Decision::Send
        }
    }
}

fn all_match(matchers: &[Matcher], alert: &Alert) -> bool {
    matchers.iter().all(|matcher| matcher.matches(alert.labels.get(&matcher.label).map_or("", String::as_str)))
}

/// A condition on one of [`Alert::labels`], written as Alertmanager writes it: `team="payments"`, `agent!="a"`,
/// `agent=~"support-.*"`, `environment!~"dev|test"`. The quotes may be left out; a regular expression matches the whole
/// value; a label that is absent is empty.
///
/// ```
/// use driftline_alerting::routing::Matcher;
///
/// let matcher: Matcher = r#"agent =~ "support-.*""#.parse()?;
/// assert!(matcher.matches("support-assistant"));
/// assert!(!matcher.matches("billing-support-assistant"));
/// # Ok::<(), driftline_alerting::routing::MatcherError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Matcher {
    label: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Is(String),
    IsNot(String),
    Like(Pattern),
    Unlike(Pattern),
}

/// A regular expression that matches whole values, and its text as it was given.
#[derive(Debug, Clone)]
struct Pattern {
    text: String,
    regex: Regex,
}

impl Matcher {
    /// Whether a label's value satisfies it.
    pub fn matches(&self, value: &str) -> bool {
        match &self.test {
            Test::Is(text) => value == text,
            Test::IsNot(text) => value != text,
            Test::Like(pattern) => pattern.regex.is_match(value),
            Test::Unlike(pattern) => !pattern.regex.is_match(value),
        }
    }
}

/// A text that is no matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a matcher: {why}; give label=\"value\", with one of = != =~ !~")]
pub struct MatcherError {
    text: String,
    why: String,
}

impl FromStr for Matcher {
    type Err = MatcherError;

    fn from_str(text: &str) -> Result<Self, MatcherError> {
        let error = |why: &str| MatcherError { text: text.to_owned(), why: why.to_owned() };
        let at = text.find(['=', '!']).ok_or_else(|| error("it has no operator"))?;
        let (label, rest) = text.split_at(at);
        let label = label.trim();
        if label.is_empty() || !label.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Err(error("its label is empty or holds more than letters, digits, `_`, `-` and `.`"));
        }
        let (operator, value) = ["=~", "!~", "!=", "="]
            .into_iter()
            .find_map(|operator| Some((operator, rest.strip_prefix(operator)?)))
            .ok_or_else(|| error("it has no operator"))?;
        let value = unquote(value.trim()).ok_or_else(|| error("a quote is missing"))?;
        let pattern = || Pattern::new(&value).map_err(|why| error(&why));
        let test = match operator {
            "=" => Test::Is(value),
            "!=" => Test::IsNot(value),
            "=~" => Test::Like(pattern()?),
            _ => Test::Unlike(pattern()?),
        };
        Ok(Self { label: label.to_owned(), test })
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        // Checked by itself first: `a)(b` must not become valid by what is put around it.
        Regex::new(text)
            .and_then(|_| Regex::new(&format!("^(?s:{text})$")))
            .map(|regex| Self { text: text.to_owned(), regex })
            .map_err(|error| error.to_string())
    }
}

/// The text inside quotes, with `\"` and `\\` resolved, or the text itself where it has none.
fn unquote(text: &str) -> Option<String> {
    if !text.contains('"') {
        return Some(text.to_owned());
    }
    let inside = text.strip_prefix('"')?.strip_suffix('"')?;
    let mut value = String::with_capacity(inside.len());
    let mut chars = inside.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return None,
            '\\' => match chars.next()? {
                escaped @ ('"' | '\\') => value.push(escaped),
                // A backslash of a regular expression.
                other => value.extend(['\\', other]),
            },
            c => value.push(c),
        }
    }
    Some(value)
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (operator, value) = match &self.test {
            Test::Is(text) => ("=", text),
            Test::IsNot(text) => ("!=", text),
            Test::Like(pattern) => ("=~", &pattern.text),
            Test::Unlike(pattern) => ("!~", &pattern.text),
        };
        write!(f, "{}{operator}\"{}\"", self.label, value.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

impl TryFrom<String> for Matcher {
    type Error = MatcherError;

    fn try_from(text: String) -> Result<Self, MatcherError> {
        text.parse()
    }
}

impl From<Matcher> for String {
    fn from(matcher: Matcher) -> Self {
        matcher.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    const NOW: Timestamp = Timestamp::MIN;

    fn matchers(texts: &[&str]) -> Vec<Matcher> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn an_alert_is_routed_by_severity_and_by_all_matchers() {
        let alert = samples::hijacked();
        let decide = |min_severity, texts: &[&str]| {
            let routes = vec![Route { sink: "slack".into(), min_severity, matchers: matchers(texts) }];
            Routing { routes, silences: Vec::new() }.decide("slack", &alert, NOW)
        };
        assert_eq!(decide(Severity::Critical, &[]), Decision::Send);
        assert_eq!(decide(Severity::Info, &["team=support", r#"agent=~"support-.+""#]), Decision::Send);
        assert_eq!(decide(Severity::Info, &["team=support", "agent!=support-assistant"]), Decision::NotRouted);
        assert_eq!(decide(Severity::Info, &["missing=\"\"", "missing!~.+"]), Decision::Send);
        assert_eq!(Routing::all_to("pager").decide("slack", &alert, NOW), Decision::NotRouted);
        let high = Alert { severity: Severity::High, ..alert.clone() };
        let critical = Route { sink: "slack".into(), min_severity: Severity::Critical, matchers: Vec::new() };
        let routing = Routing { routes: vec![critical], silences: Vec::new() };
        assert_eq!(routing.decide("slack", &high, NOW), Decision::NotRouted);
    }

    #[test]
    fn a_silence_holds_between_its_times_and_needs_a_matcher() {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        let silence = |texts: &[&str]| Silence {
            matchers: matchers(texts),
            starts_at: Some(at(1_000)),
            ends_at: at(2_000),
            comment: String::new(),
        };
        let decide = |silence, now| {
            let routing = Routing { silences: vec![silence], ..Routing::all_to("slack") };
            routing.decide("slack", &samples::hijacked(), at(now))
        };
        assert_eq!(decide(silence(&["team=support"]), 999), Decision::Send);
        assert_eq!(decide(silence(&["team=support"]), 1_000), Decision::Silenced);
        assert_eq!(decide(silence(&["team=support"]), 1_999), Decision::Silenced);
        assert_eq!(decide(silence(&["team=support"]), 2_000), Decision::Send);
        assert_eq!(decide(silence(&["team=other"]), 1_500), Decision::Send);
        assert_eq!(decide(silence(&[]), 1_500), Decision::Send);
    }

    #[test]
    fn matchers_are_read_as_they_are_written() {
        for text in [r#"a="b""#, r#"a!="x\"y\\z""#, r#"a.b=~"(?i)x|y""#, r#"a-b!~"\\d+""#] {
            let matcher: Matcher = text.parse().unwrap();
            assert_eq!(matcher.to_string(), text);
            assert_eq!(
                serde_json::from_str::<Matcher>(&serde_json::to_string(&matcher).unwrap()).unwrap().to_string(),
                text
            );
        }
        assert!("a=~b|c".parse::<Matcher>().unwrap().matches("c"));
        assert!(!"a=~b|c".parse::<Matcher>().unwrap().matches("bc"));
        for text in ["", "a", "=b", "a b=c", "a=\"b", "a=~(", "a=~b)(c", "a!b", "a=\"b\"c\""] {
            let error = text.parse::<Matcher>().unwrap_err().to_string();
            assert!(error.contains("label=\"value\""), "{text}: {error}");
        }
    }
}
