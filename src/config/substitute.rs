//! Environment variables in strings: `${NAME}`, `${NAME:-default}`, and `$${` for a literal `${`.

/// Why a string cannot be filled in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SubstituteError {
    #[error("the environment variable `{0}` is not set; set it, or give a default as in ${{{0}:-default}}")]
    Missing(String),
    #[error("`${{` is not followed by a variable's name and `}}`; write `$${{` for a literal `${{`")]
    Malformed,
}

/// A string with its variables filled in, and what was filled in: (name, value).
pub(super) type Filled = (String, Vec<(String, String)>);

/// Fills in the variables of `text` once: what a variable holds is not looked at again. `None` where there are none.
pub(super) fn substitute(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Filled>, SubstituteError> {
    if !text.contains("${") {
        return Ok(None);
    }
    let (mut filled, mut used) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            filled.push_str(before);
            filled.push_str("${");
            rest = after;
            continue;
        }
        let (inside, after) = after.split_once('}').ok_or(SubstituteError::Malformed)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default.to_owned())),
            None => (inside, None),
        };
        if !is_name(name) {
            return Err(SubstituteError::Malformed);
        }
        // As in a shell, `:-` also stands in for a variable that is set to nothing.
        let value = match (lookup(name), default) {
            (Some(value), None) => value,
            (Some(value), Some(_)) if !value.is_empty() => value,
            (_, Some(default)) => default,
            (None, None) => return Err(SubstituteError::Missing(name.to_owned())),
        };
        filled.push_str(before);
        filled.push_str(&value);
        used.push((name.to_owned(), value));
        rest = after;
    }
    filled.push_str(rest);
    Ok(Some((filled, used)))
}

fn is_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str) -> Result<String, SubstituteError> {
        let lookup = |name: &str| match name {
            "HOST" => Some("broker".to_owned()),
            "TRICK" => Some("${HOST}\"\n[http]".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        Ok(substitute(text, &lookup)?.map_or_else(|| text.to_owned(), |(filled, _)| filled))
    }

    #[test]
    fn variables_and_defaults_are_filled_in() {
        assert_eq!(fill("${HOST}:9092").unwrap(), "broker:9092");
        assert_eq!(fill("${HOST}-${HOST}").unwrap(), "broker-broker");
        assert_eq!(fill("${PORT:-9092}").unwrap(), "9092");
        assert_eq!(fill("${HOST:-other}").unwrap(), "broker");
        assert_eq!(fill("${EMPTY:-other}").unwrap(), "other");
        assert_eq!(fill("[${EMPTY}]").unwrap(), "[]");
        assert_eq!(fill("costs $5, $${HOST}").unwrap(), "costs $5, ${HOST}");
    }

    #[test]
    fn what_a_variable_holds_is_data() {
        assert_eq!(fill("${TRICK}").unwrap(), "${HOST}\"\n[http]");
    }

    #[test]
    fn what_cannot_be_filled_in_is_an_error() {
        assert_eq!(fill("${PORT}"), Err(SubstituteError::Missing("PORT".to_owned())));
        for text in ["${", "${HOST", "${}", "${1A}", "${A B}", "${HOST:default}"] {
            assert_eq!(fill(text), Err(SubstituteError::Malformed), "{text}");
        }
    }
}
