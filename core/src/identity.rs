//! What an agent is and may do: identity document v1, read from YAML or JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Access, Sensitivity, Timestamp};

/// How much harm a thing can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum RiskLevel {
    /// Little.
    Low,
    /// Some; also where the document does not say.
    #[default]
    Medium,
    /// Much.
    High,
    /// Very much.
    Critical,
}

/// Where the agent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It may act; also where the document does not say.
    #[default]
    Active,
    /// It must not act for now.
    Suspended,
    /// It must not act again.
    Retired,
}

/// Something the agent is for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// Its id.
    pub id: String,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How much harm it can do.
    #[serde(default)]
    pub risk_level: RiskLevel,
}

/// Data the agent may touch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataAccess {
    /// A resource id; `*` stands for any run of characters.
    pub resource: String,
    /// The most that the agent may do with it; writing includes reading, and deleting includes writing.
    pub access: Access,
    /// The most sensitive that the data may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensitivity: Option<Sensitivity>,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A tool the agent may call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolGrant {
    /// The tool's name.
    pub id: String,
    /// The server that must offer it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_server: Option<String>,
    /// The permissions it may use there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permissions: Vec<String>,
    /// Digest of the definition that was reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition_sha256: Option<String>,
    /// When it may be called (`Mon-Fri 08:00-18:00 Europe/Berlin`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<String>,
}

/// Where a person must agree.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HumanOversight {
    /// For which accesses and kinds of act.
    pub required_for: Vec<String>,
    /// Which roles may agree.
    pub approvers: Vec<String>,
}

/// What the agent must attest.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExpectedAttestation {
    /// Digests of code that was reviewed.
    pub code_sha256: Vec<String>,
    /// Digests of configuration that was reviewed.
    pub config_sha256: Vec<String>,
    /// Where it may run.
    pub environments: Vec<String>,
}

/// A credential the agent holds.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialGrant {
    /// Its id; never the secret itself.
    pub id: String,
    /// Until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Whether it was taken back.
    #[serde(default)]
    pub revoked: bool,
}

/// A signature over the document without it, in canonical form (RFC 8785).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Which key.
    pub key_id: String,
    /// The signature, in base64.
    pub ed25519: String,
}

/// Agent identity document, v1.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityDocument {
    /// `driftline.identity/1`; may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The agent's id, as its events give it.
    pub id: String,
    /// The organisation; where absent, the document holds in every tenant that has no document of its own for the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The document's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Their team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Its SPIFFE ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spiffe_id: Option<String>,
    /// What it is for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// Kinds of task it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// The language model it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Who makes the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// How much harm it can do.
    #[serde(default)]
    pub risk_level: RiskLevel,
    /// Whether it may act at all.
    #[serde(default)]
    pub status: Status,
    /// What it is for, one by one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Capability>,
    /// Data it may touch; where empty, the document says nothing about data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_access: Vec<DataAccess>,
    /// Tools it may call; where empty, the document says nothing about tools.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolGrant>,
    /// Agents it may hand work to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegates_to: Vec<String>,
    /// Where a person must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human_oversight: Option<HumanOversight>,
    /// What it must attest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attestation: Option<ExpectedAttestation>,
    /// Credentials it holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialGrant>,
    /// Tools that no honest run ever calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canaries: Vec<String>,
    /// Whom it is compared with; where absent, platform and team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer_group: Option<String>,
    /// Id or version whose baseline this one inherits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<String>,
    /// Id or version that takes over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// When it was last reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewed_at: Option<Timestamp>,
    /// When it must be reviewed next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review_by: Option<Timestamp>,
    /// When the agent was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When the document was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
    /// Who wrote this version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// Who agreed to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// Over the document without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// Why a text is no identity document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The text is neither YAML nor JSON.
    #[error("{0}")]
    Syntax(String),
    /// It is, but not as the contract has it.
    #[error("not an identity document: {0}")]
    Shape(String),
    /// A field holds what it cannot mean.
    #[error("field `{field}`: {message}")]
    Field {
        /// Which.
        field: String,
        /// What was wrong and what to give instead.
        message: String,
    },
}

impl IdentityDocument {
    /// Reads a document from YAML or JSON (JSON is YAML), in the contract's form or in the form of the article on agent
    /// identity: everything under `agent_identity:`, ids as `agent_id`, `capability_id` and `tool_id`, access as
    /// `access_type`, capabilities and tools as plain strings.
    ///
    /// # Errors
    ///
    /// [`DocumentError`] names the line, or the field, and what to give instead.
    ///
    /// ```
    /// let document = driftline_core::IdentityDocument::parse("agent_identity: {agent_id: a, capabilities: [email-read]}")?;
    /// assert_eq!((document.id.as_str(), document.capabilities[0].id.as_str()), ("a", "email-read"));
    /// # Ok::<(), driftline_core::DocumentError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        let value: Value = serde_saphyr::from_str(text).map_err(|error| DocumentError::Syntax(error.to_string()))?;
        let document: Self =
            serde_json::from_value(normalise(value)).map_err(|error| DocumentError::Shape(error.to_string()))?;
        document.validate()?;
        Ok(document)
    }

    fn validate(&self) -> Result<(), DocumentError> {
        let field = |field: &str, message: &str| {
            Err(DocumentError::Field { field: field.to_owned(), message: message.to_owned() })
        };
        if self.id.is_empty() {
            return field("id", "is empty; give the id that the agent's events carry");
        }
        if self.id.contains('\0') {
            return field("id", "holds a NUL character");
        }
        if let Some(i) = self.tools.iter().position(|tool| tool.id.is_empty()) {
            return field(&format!("tools[{i}].id"), "is empty");
        }
        if let Some(i) = self.data_access.iter().position(|data| data.resource.is_empty()) {
            return field(&format!("data_access[{i}].resource"), "is empty; `*` stands for everything");
        }
        Ok(())
    }
}

/// Turns the article's form into the contract's.
fn normalise(value: Value) -> Value {
    let Value::Object(mut root) = value else { return value };
    if root.len() == 1
        && let Some(inner) = root.remove("agent_identity")
    {
        return normalise(inner);
    }
    rename(&mut root, "agent_id", "id");
    rename(&mut root, "agent_name", "name");
    for (list, id) in [("capabilities", "capability_id"), ("tools", "tool_id"), ("data_access", "")] {
        let Some(Value::Array(items)) = root.get_mut(list) else { continue };
        for item in items {
            match item {
                Value::String(text) if !id.is_empty() => *item = serde_json::json!({ "id": text }),
                Value::Object(fields) => {
                    rename(fields, id, "id");
                    rename(fields, "access_type", "access");
                }
                _ => {}
            }
        }
    }
    Value::Object(root)
}

fn rename(fields: &mut serde_json::Map<String, Value>, from: &str, to: &str) {
    if !fields.contains_key(to)
        && let Some(value) = fields.remove(from)
    {
        fields.insert(to.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_form_and_the_articles_are_one_document() {
        let contract = IdentityDocument::parse(
            "id: a\nname: A\ncapabilities: [{id: email-read}]\ntools: [{id: read_file}]\ndata_access: [{resource: crm/*, access: read}]",
        );
        let article = IdentityDocument::parse(
            "agent_identity:\n  agent_id: a\n  name: A\n  capabilities: [email-read]\n  tools: [{tool_id: read_file}]\n  data_access: [{resource: crm/*, access_type: read}]",
        );
        assert_eq!(contract.unwrap(), article.unwrap());
    }

    #[test]
    fn errors_say_where_and_what_to_do() {
        let error = |text: &str| IdentityDocument::parse(text).unwrap_err().to_string();
        assert!(error("id: [").contains("line"), "{}", error("id: ["));
        assert!(error("id: a\nnmae: b").contains("unknown field `nmae`"));
        assert!(error("id: ''").contains("field `id`"));
        assert!(error("name: A").contains("missing field `id`"));
        assert!(error("id: a\nstatus: asleep").contains("`active`"));
    }
}
