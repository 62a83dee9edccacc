//! Labels of sessions, and which of them a question asks about.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Which sessions are attacks, which are honest, and what a session's task is; by fields of its label.
///
/// ```
/// use driftline_evaluate::Question;
///
/// let question = Question {
///     positive: "label=hijacked".parse()?,
///     negative: "label=attack_resisted,exposed=false".parse()?,
///     task: "user_task".to_owned(),
/// };
/// assert_eq!(question.negative.to_string(), "label=attack_resisted,exposed=false");
/// # Ok::<(), driftline_evaluate::LabelError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Question {
    /// What an attack's label says. It must also name malicious events.
    pub positive: Conditions,
    /// What an honest session's label says. It must not name any.
    pub negative: Conditions,
    /// The field that names the task.
    pub task: String,
}

/// `FIELD=VALUE,…`: all of them must hold. A value is compared with the field's text, or its JSON form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conditions(Vec<(String, String)>);

/// On which side a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// It is an attack.
    Attack,
    /// It is honest.
    Honest,
}

/// A session that the question asks about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// On which side it is.
    pub side: Side,
    /// Its agent's id.
    pub agent: String,
    /// What was staged in it, where that is told.
    pub kind: Option<String>,
    /// Its agent and task: sessions that have it in common are alike.
    pub task: String,
    /// Ids of the malicious events.
    pub malicious: Vec<String>,
}

/// The sessions that a question asks about, by id.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    sessions: BTreeMap<String, Labelled>,
    /// Those that are on neither side.
    pub neither: u64,
}

/// What is wrong with labels.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// A condition that is none.
    #[error("`{0}` is no condition; write FIELD=VALUE, several with commas between them")]
    Condition(String),
    /// A line that is no label.
    #[error("line {line}: {why}; a label is a JSON object with `session`, `agent` and `malicious`")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A session that has two labels.
    #[error("line {line}: the session `{session}` has a label already")]
    Twice {
        /// From 1.
        line: usize,
        /// Its id.
        session: String,
    },
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing to tell apart.
    #[error(
        "{attacks} sessions are attacks and {honest} are honest by these labels, and some of either are needed; see \
         --positive ({positive}) and --negative ({negative})"
    )]
    OneSided {
        /// Sessions on either side.
        attacks: usize,
        /// The same.
        honest: usize,
        /// What attacks were told by.
        positive: Conditions,
        /// What honest sessions were told by.
        negative: Conditions,
    },
}

#[derive(Deserialize)]
struct Line {
    session: String,
    agent: String,
    #[serde(default)]
    kind: Option<String>,
    malicious: Vec<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Labels {
    /// Reads labels, a JSON object a line.
    ///
    /// # Errors
    ///
    /// [`LabelError`] names the line that is no label, or says that all sessions are on one side.
    pub fn read(input: impl BufRead, question: &Question) -> Result<Self, LabelError> {
        let mut labels = Self::default();
        for (i, text) in input.lines().enumerate() {
            let (text, line) = (text?, i + 1);
            if text.trim().is_empty() {
                continue;
            }
            let failed = |why: String| LabelError::Line { line, why };
            let label: Line = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
            let Some(side) = question.side(&label) else {
                labels.neither += 1;
                continue;
            };
            let task = match label.more.get(&question.task) {
                Some(task) => format!("{} / {}", label.agent, told(task)),
                None => {
                    return Err(failed(format!(
                        "it has no field `{}`, which is to name the task (--task)",
                        question.task
                    )));
                }
            };
            let Line { session, agent, kind, malicious, .. } = label;
            let known = labels.sessions.insert(session.clone(), Labelled { side, agent, kind, task, malicious });
            if known.is_some() {
                return Err(LabelError::Twice { line, session });
            }
        }
        let of = |side| labels.sessions.values().filter(|session| session.side == side).count();
        let (attacks, honest) = (of(Side::Attack), of(Side::Honest));
        if attacks == 0 || honest == 0 {
            let (positive, negative) = (question.positive.clone(), question.negative.clone());
            return Err(LabelError::OneSided { attacks, honest, positive, negative });
        }
        Ok(labels)
    }

    /// A session that is asked about, by its id, which comes with it.
    pub fn get(&self, session: &str) -> Option<(&str, &Labelled)> {
        self.sessions.get_key_value(session).map(|(session, label)| (session.as_str(), label))
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Labelled)> {
        self.sessions.iter().map(|(session, label)| (session.as_str(), label))
    }
}

impl Question {
    fn side(&self, label: &Line) -> Option<Side> {
        match label.malicious.is_empty() {
            false => self.positive.hold(label).then_some(Side::Attack),
            true => self.negative.hold(label).then_some(Side::Honest),
        }
    }
}

impl Conditions {
    fn hold(&self, label: &Line) -> bool {
        self.0.iter().all(|(field, value)| match field.as_str() {
            "session" => *value == label.session,
            "agent" => *value == label.agent,
            "kind" => Some(value) == label.kind.as_ref(),
            _ => label.more.get(field).is_some_and(|found| told(found) == *value),
        })
    }
}

/// A value as a condition has it.
fn told(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl FromStr for Conditions {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let condition = |text: &str| {
            let (field, value) = text.split_once('=').filter(|(field, _)| !field.trim().is_empty())?;
            Some((field.trim().to_owned(), value.trim().to_owned()))
        };
        let all = text.split(',').map(|text| condition(text).ok_or_else(|| LabelError::Condition(text.to_owned())));
        all.collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(|(field, value)| format!("{field}={value}")).collect();
        f.write_str(&all.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> Result<Labels, LabelError> {
        let question = Question {
            positive: "label=hijacked".parse().unwrap(),
            negative: "label=attack_resisted,exposed=false".parse().unwrap(),
            task: "task".to_owned(),
        };
        Labels::read(lines.as_bytes(), &question)
    }

    const ATTACK: &str =
        r#"{"session":"a","agent":"x","label":"hijacked","exposed":true,"task":"t","malicious":["a-1"]}"#;
    const HONEST: &str =
        r#"{"session":"b","agent":"x","label":"attack_resisted","exposed":false,"task":7,"malicious":[]}"#;

    #[test]
    fn a_session_is_on_the_side_that_its_label_says_or_on_none() {
        let exposed = HONEST.replace("\"b\"", "\"c\"").replace("false", "true");
        let harmless = ATTACK.replace("\"a\"", "\"d\"").replace("[\"a-1\"]", "[]");
        let labels = read(&[ATTACK, HONEST, &exposed, "", &harmless].join("\n")).unwrap();
        let sides: Vec<_> = labels.iter().map(|(id, label)| (id, label.side, label.task.as_str())).collect();
        assert_eq!(sides, [("a", Side::Attack, "x / t"), ("b", Side::Honest, "x / 7")]);
        assert_eq!(labels.neither, 2);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let said = |lines: &[&str]| read(&lines.join("\n")).unwrap_err().to_string();
        assert!(said(&[ATTACK, "{}"]).starts_with("line 2: missing field"), "{}", said(&[ATTACK, "{}"]));
        assert!(said(&[ATTACK, HONEST, ATTACK]).contains("line 3: the session `a`"));
        assert!(said(&[ATTACK]).contains("1 sessions are attacks and 0 are honest"));
        assert!(said(&[&ATTACK.replace("task", "other")]).contains("no field `task`"));
        assert!("label".parse::<Conditions>().is_err());
    }
}
