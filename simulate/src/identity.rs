//! Identity documents of the registered agents: what they do is inside them, and some allow more than is ever used.

use driftline_core::{
    Access, Capability, CredentialGrant, DataAccess, HumanOversight, IdentityDocument, Status, Timestamp, ToolGrant,
};

use crate::catalogue::{FamilyIndex, Step, ToolIndex, catalogue};
use crate::chance::{mix, unit};
use crate::fleet::{Agent, Fleet};
use crate::rhythm::DAY;

/// Share of documents that grant all that the kind has.
const LOOSE: f64 = 0.15;
/// Agents with more credentials than this over the simulation have none in their document: it would not be kept up.
const MOST_CREDENTIALS: usize = 40;

/// The document of a registered agent.
pub(crate) fn document(fleet: &Fleet, agent: &Agent) -> IdentityDocument {
    let kind = agent.kind;
    let is_loose = unit(mix(agent.seed, 0x100)) < LOOSE;
    let steps: Vec<&Step> =
        if is_loose { kind.tasks.iter().flat_map(|task| &task.steps).collect() } else { agent.steps().collect() };
    let created = fleet.start - 40 * DAY - (agent.seed % 300) as i64 * DAY;
    let created = if agent.born > fleet.start { agent.born - DAY } else { created };
    let at = |millis: i64| Some(Timestamp::MIN.plus_millis(millis));
    IdentityDocument {
        id: agent.id.clone(),
        tenant: (fleet.tenants > 1).then(|| agent.tenant.clone()),
        name: Some(format!("{} ({})", kind.name, agent.week.region.name)),
        version: Some("1".to_owned()),
        owner: Some(format!("{}@{}", kind.team, agent.domain)),
        team: Some(kind.team.clone()),
        platform: Some(agent.platform.to_owned()),
        purpose: Some(kind.purpose.clone()),
        tasks: agent.tasks().map(|(_, task)| task.kind.clone()).collect(),
        risk_level: kind.risk,
        status: Status::Active,
        capabilities: agent
            .tasks()
            .map(|(_, task)| Capability { id: task.kind.replace('_', "-"), description: None, risk_level: kind.risk })
            .collect(),
        data_access: data_access(agent, &steps),
        tools: tools(&steps),
        delegates_to: fleet.workers_of(agent).into_iter().map(|worker| worker.id).collect(),
        human_oversight: oversight(agent),
        credentials: credentials(fleet, agent),
        peer_group: Some(kind.id.clone()),
        reviewed_at: at(created + 10 * DAY),
        review_by: at(created + 700 * DAY),
        created_at: at(created),
        updated_at: at(created + 10 * DAY),
        ..IdentityDocument::default()
    }
}

fn tools(steps: &[&Step]) -> Vec<ToolGrant> {
    let mut used: Vec<ToolIndex> = steps.iter().map(|step| step.tool).collect();
    used.sort_unstable();
    used.dedup();
    let grant = |index: ToolIndex| {
        let tool = &catalogue().tools[usize::from(index)];
        ToolGrant {
            id: tool.name.clone(),
            mcp_server: Some(tool.server.clone()),
            permissions: vec![tool.permission.clone()],
            ..ToolGrant::default()
        }
    };
    used.into_iter().map(grant).collect()
}

/// One entry a family and kind of access, where reading, writing and deleting are one kind of rising strength.
fn data_access(agent: &Agent, steps: &[&Step]) -> Vec<DataAccess> {
    let mut uses: Vec<(FamilyIndex, Access)> = Vec::new();
    for step in steps {
        let access = catalogue().tools[usize::from(step.tool)].access;
        uses.extend(step.on.map(|family| (family, access)));
        uses.extend(step.to.map(|family| (family, Access::Write)));
    }
    uses.sort_unstable();
    uses.dedup();
    let includes = |weaker: Access, stronger: Access| stronger <= Access::Delete && weaker < stronger;
    let strongest = uses
        .iter()
        .filter(|(family, access)| !uses.iter().any(|(f, stronger)| f == family && includes(*access, *stronger)));
    strongest
        .map(|&(index, access)| {
            let family = &catalogue().families[usize::from(index)];
            DataAccess {
                resource: family.id.glob(&agent.context()),
                access,
                sensitivity: family.sensitivity,
                expires_at: None,
            }
        })
        .collect()
}

/// A person must agree to what the kind's tools all ask agreement for.
fn oversight(agent: &Agent) -> Option<HumanOversight> {
    let mut tools = agent.kind.tools.iter().map(|&tool| &catalogue().tools[usize::from(tool)]).peekable();
    let grants = || agent.kind.tools.iter().any(|&tool| catalogue().tools[usize::from(tool)].access == Access::Grant);
    let all_approved = tools.all(|tool| tool.access != Access::Grant || tool.approval);
    (grants() && all_approved).then(|| HumanOversight {
        required_for: vec!["grant".to_owned()],
        approvers: vec![format!("{}-lead", agent.kind.team)],
    })
}

fn credentials(fleet: &Fleet, agent: &Agent) -> Vec<CredentialGrant> {
    // The simulation may take longer than expected.
    let until = fleet.start + fleet.span * 3 / 2 + 7 * DAY;
    let listed: Vec<_> = agent.credentials(fleet.start, until).take(MOST_CREDENTIALS + 1).collect();
    if listed.len() > MOST_CREDENTIALS {
        return Vec::new();
    }
    // A session that began before the rotation ends on the old token.
    let grant = |(id, ends): (String, Timestamp)| CredentialGrant {
        id,
        expires_at: Some(ends.plus_millis(2 * DAY)),
        revoked: false,
    };
    listed.into_iter().map(grant).collect()
}
