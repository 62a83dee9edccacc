//! What the simulated company consists of: tools, families of resources, kinds of agent with their tasks, and the words
//! that requests are made of. All of it is data in `catalogue/*.toml`; to add a kind of agent, write
//! `catalogue/kinds/KIND.toml` and name it in [`KINDS`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use driftline_core::{Access, ActionKind, RiskLevel, Sensitivity};
use serde::Deserialize;

use crate::pattern::{Context, Pattern, WordLists, Words};
use crate::rhythm::Rhythm;

const KINDS: &[&str] = &[
    include_str!("catalogue/kinds/support.toml"),
    include_str!("catalogue/kinds/billing.toml"),
    include_str!("catalogue/kinds/coding.toml"),
    include_str!("catalogue/kinds/sre.toml"),
    include_str!("catalogue/kinds/analyst.toml"),
    include_str!("catalogue/kinds/hr.toml"),
    include_str!("catalogue/kinds/sales.toml"),
    include_str!("catalogue/kinds/documents.toml"),
    include_str!("catalogue/kinds/procurement.toml"),
    include_str!("catalogue/kinds/secops.toml"),
    include_str!("catalogue/kinds/iam.toml"),
    include_str!("catalogue/kinds/batch.toml"),
    include_str!("catalogue/kinds/concierge.toml"),
];

#[expect(clippy::panic, reason = "the texts are part of the program, and a test reads them all")]
static CATALOGUE: LazyLock<Catalogue> =
    LazyLock::new(|| Catalogue::parse().unwrap_or_else(|error| panic!("built-in catalogue: {error}")));

/// The built-in catalogue.
pub(crate) fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

/// An index into [`Catalogue::tools`].
pub(crate) type ToolIndex = u16;
/// An index into [`Catalogue::families`].
pub(crate) type FamilyIndex = u16;

pub(crate) struct Catalogue {
    pub words: Words,
    pub tools: Vec<Tool>,
    pub families: Vec<Family>,
    pub kinds: Vec<Kind>,
    pub means: Means,
    /// Kinds repeated by their weight, spread out: the kinds of one round of agents.
    pub round: Vec<usize>,
}

/// What attackers reach for.
pub(crate) struct Means {
    pub ways_round: Vec<ToolIndex>,
    pub granting: Vec<ToolIndex>,
    pub senders: Vec<ToolIndex>,
    pub drops: FamilyIndex,
    pub receivers: Vec<FamilyIndex>,
}

/// Something an agent can call.
pub(crate) struct Tool {
    pub name: String,
    pub server: String,
    pub access: Access,
    pub kind: ActionKind,
    pub permission: String,
    /// What it is used on where a step does not say.
    pub on: Option<FamilyIndex>,
    pub bytes_in: f64,
    pub bytes_out: f64,
    pub millis: f64,
    pub records: f64,
    pub outward: bool,
    pub sensitive: bool,
    pub approval: bool,
}

/// Resources of one shape.
pub(crate) struct Family {
    pub name: String,
    pub id: Pattern,
    pub short: Pattern,
    pub kind: String,
    pub sensitivity: Option<Sensitivity>,
    pub pick: Pick,
    pub from: u64,
    pub pool: u64,
    pub zipf: f64,
    pub per_day: f64,
    pub external: bool,
    /// The family whose resources hold these: files are in a repository, addresses at a company.
    pub within: Option<FamilyIndex>,
}

/// A resource: its family, and its number in it; of a family within another one, the holder's number above
/// [`WITHIN_BITS`] bits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    pub family: FamilyIndex,
    pub number: u64,
}

/// Bits of a number that are its own where it is within another.
pub(crate) const WITHIN_BITS: u32 = 24;

impl Target {
    /// Its family.
    pub fn of(self) -> &'static Family {
        &catalogue().families[usize::from(self.family)]
    }

    /// The resource that holds it.
    pub fn holder(self) -> Option<Self> {
        self.of().within.map(|family| Self { family, number: self.number >> WITHIN_BITS })
    }

    /// Writes its id.
    pub fn write_id(self, context: &Context<'_>, out: &mut String) {
        self.of().id.write(self, context, true, out);
    }

    /// Writes what people call it.
    pub fn write_short(self, context: &Context<'_>, out: &mut String) {
        self.of().short.write(self, context, false, out);
    }
}

/// Which resources of a family an agent uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pick {
    /// The same few are everybody's favourites.
    Common,
    /// Each agent has favourites of its own among all.
    Personal,
    /// Each agent has a pool of its own.
    Own,
    /// Numbers grow with time, and recent ones are used.
    Recent,
}

/// A kind of agent; those of one kind are each other's peer group.
pub(crate) struct Kind {
    pub id: String,
    pub name: String,
    pub team: String,
    pub purpose: String,
    pub risk: RiskLevel,
    pub rhythm: Rhythm,
    pub sessions_per_day: f64,
    /// How many people ask such an agent for things; 0 where a service does.
    pub people: u64,
    pub platforms: Vec<String>,
    pub tasks: Vec<Task>,
    pub tools: Vec<ToolIndex>,
    /// Kinds it hands work to, by id.
    pub delegates_to: Vec<String>,
}

pub(crate) struct Task {
    pub kind: String,
    pub weight: f64,
    pub month_end: bool,
    pub about: Vec<FamilyIndex>,
    /// Ways to ask for it: what to do, and with `true` whole sentences.
    pub requests: Vec<(bool, Pattern)>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub tool: ToolIndex,
    pub on: Option<FamilyIndex>,
    pub to: Option<FamilyIndex>,
    pub chance: f64,
    pub times: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMeans {
    ways_round: Vec<String>,
    granting: Vec<String>,
    senders: Vec<String>,
    drops: String,
    receivers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTool {
    server: String,
    access: Access,
    #[serde(default)]
    kind: ActionKind,
    needs: String,
    on: Option<String>,
    #[serde(default = "small_message")]
    bytes_in: f64,
    #[serde(default = "small_message")]
    bytes_out: f64,
    millis: f64,
    #[serde(default = "one")]
    records: f64,
    #[serde(default)]
    outward: bool,
    #[serde(default)]
    sensitive: bool,
    #[serde(default)]
    approval: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFamily {
    id: String,
    short: String,
    kind: String,
    sensitivity: Option<Sensitivity>,
    pick: Pick,
    #[serde(default)]
    from: u64,
    #[serde(default = "large_pool")]
    pool: u64,
    #[serde(default = "one")]
    zipf: f64,
    #[serde(default = "one")]
    per_day: f64,
    #[serde(default)]
    external: bool,
    within: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKind {
    id: String,
    name: String,
    team: String,
    purpose: String,
    weight: usize,
    risk: RiskLevel,
    rhythm: Rhythm,
    sessions_per_day: f64,
    #[serde(default)]
    people: u64,
    platforms: Vec<String>,
    #[serde(default)]
    delegates_to: Vec<String>,
    tasks: Vec<RawTask>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTask {
    kind: String,
    weight: f64,
    when: Option<When>,
    #[serde(default)]
    about: Vec<String>,
    /// What to do, as it stands after "please".
    requests: Vec<String>,
    /// The same as sentences of their own.
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    fill: WordLists,
    steps: Vec<RawStep>,
}

/// When a task comes up, where not always.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum When {
    MonthEnd,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    tool: String,
    on: Option<String>,
    to: Option<String>,
    #[serde(default = "one")]
    chance: f64,
    #[serde(default = "one")]
    times: f64,
}

fn one() -> f64 {
    1.0
}

fn small_message() -> f64 {
    260.0
}

fn large_pool() -> u64 {
    1 << 20
}

impl Catalogue {
    fn parse() -> Result<Self, String> {
        let read_error = |file: &str, error: toml::de::Error| format!("{file}: {error}");
        let words: Words = toml::from_str(include_str!("catalogue/words.toml")).map_err(|e| read_error("words", e))?;
        let families: BTreeMap<String, RawFamily> =
            toml::from_str(include_str!("catalogue/families.toml")).map_err(|e| read_error("families", e))?;
        let tools: BTreeMap<String, RawTool> =
            toml::from_str(include_str!("catalogue/tools.toml")).map_err(|e| read_error("tools", e))?;

        let means: RawMeans =
            toml::from_str(include_str!("catalogue/attacks.toml")).map_err(|e| read_error("attacks", e))?;
        let none = Means { ways_round: vec![], granting: vec![], senders: vec![], drops: 0, receivers: vec![] };

        let mut catalogue = Self { words, tools: vec![], families: vec![], kinds: vec![], means: none, round: vec![] };
        let names: Vec<String> = families.keys().cloned().collect();
        for (name, raw) in families {
            let family = catalogue.family_from(name, raw, &names)?;
            catalogue.families.push(family);
        }
        for (name, raw) in tools {
            let tool = catalogue.tool_from(name, raw)?;
            catalogue.tools.push(tool);
        }
        catalogue.means = catalogue.means_from(&means)?;
        let mut weights = Vec::new();
        for text in KINDS {
            let raw: RawKind = toml::from_str(text).map_err(|e| read_error("kinds", e))?;
            weights.push(raw.weight);
            let kind = catalogue.kind_from(raw)?;
            catalogue.kinds.push(kind);
        }
        catalogue.round = spread(&weights);
        Ok(catalogue)
    }

    fn family_from(&self, name: String, raw: RawFamily, names: &[String]) -> Result<Family, String> {
        let pattern =
            |text: &str| Pattern::parse(text, &self.words, &[], &WordLists::new()).map_err(|e| format!("{name}: {e}"));
        let within = raw.within.map(|holder| {
            let index = names.iter().position(|name| *name == holder).and_then(|index| index.try_into().ok());
            index.ok_or_else(|| format!("{name}: no family `{holder}` in families.toml"))
        });
        Ok(Family {
            within: within.transpose()?,
            id: pattern(&raw.id)?,
            short: pattern(&raw.short)?,
            name,
            kind: raw.kind,
            sensitivity: raw.sensitivity,
            pick: raw.pick,
            from: raw.from,
            pool: raw.pool,
            zipf: raw.zipf,
            per_day: raw.per_day,
            external: raw.external,
        })
    }

    fn tool_from(&self, name: String, raw: RawTool) -> Result<Tool, String> {
        Ok(Tool {
            on: raw.on.map(|family| self.family(&family)).transpose()?,
            name,
            server: raw.server,
            access: raw.access,
            kind: raw.kind,
            permission: raw.needs,
            bytes_in: raw.bytes_in,
            bytes_out: raw.bytes_out,
            millis: raw.millis,
            records: raw.records,
            outward: raw.outward,
            sensitive: raw.sensitive,
            approval: raw.approval,
        })
    }

    fn means_from(&self, raw: &RawMeans) -> Result<Means, String> {
        let tools = |names: &[String]| names.iter().map(|name| self.tool(name)).collect::<Result<Vec<_>, _>>();
        Ok(Means {
            ways_round: tools(&raw.ways_round)?,
            granting: tools(&raw.granting)?,
            senders: tools(&raw.senders)?,
            drops: self.family(&raw.drops)?,
            receivers: raw.receivers.iter().map(|name| self.family(name)).collect::<Result<_, _>>()?,
        })
    }

    fn kind_from(&self, raw: RawKind) -> Result<Kind, String> {
        let id = raw.id.clone();
        let tasks = raw
            .tasks
            .into_iter()
            .map(|task| self.task_from(task))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("kind {id}: {error}"))?;
        let steps = || tasks.iter().flat_map(|task| &task.steps);
        let mut tools: Vec<_> = steps().map(|step| step.tool).collect();
        tools.sort_unstable();
        tools.dedup();
        Ok(Kind {
            id: raw.id,
            name: raw.name,
            team: raw.team,
            purpose: raw.purpose,
            risk: raw.risk,
            rhythm: raw.rhythm,
            sessions_per_day: raw.sessions_per_day,
            people: raw.people,
            platforms: raw.platforms,
            tasks,
            tools,
            delegates_to: raw.delegates_to,
        })
    }

    fn task_from(&self, raw: RawTask) -> Result<Task, String> {
        let about = raw.about.iter().map(|name| self.family(name)).collect::<Result<Vec<_>, _>>()?;
        let requests = raw.requests.iter().map(|text| (false, text)).chain(raw.says.iter().map(|text| (true, text)));
        let requests = requests
            .map(|(is_sentence, text)| {
                Ok::<_, String>((is_sentence, Pattern::parse(text, &self.words, &raw.about, &raw.fill)?))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let steps = raw
            .steps
            .iter()
            .map(|step| {
                let tool = self.tool(&step.tool)?;
                let on = match &step.on {
                    Some(family) => Some(self.family(family)?),
                    None => self.tools[usize::from(tool)].on,
                };
                let to = step.to.as_deref().map(|family| self.family(family)).transpose()?;
                Ok::<_, String>(Step { tool, on, to, chance: step.chance, times: step.times })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Task {
            kind: raw.kind,
            weight: raw.weight,
            month_end: matches!(raw.when, Some(When::MonthEnd)),
            about,
            requests,
            steps,
        })
    }

    /// The index of the tool called so.
    fn tool(&self, name: &str) -> Result<ToolIndex, String> {
        let index = self.tools.iter().position(|tool| tool.name == name);
        index.and_then(|index| index.try_into().ok()).ok_or_else(|| format!("no tool `{name}` in tools.toml"))
    }

    /// The index of the family called so.
    fn family(&self, name: &str) -> Result<FamilyIndex, String> {
        let index = self.families.iter().position(|family| family.name == name);
        index.and_then(|index| index.try_into().ok()).ok_or_else(|| format!("no family `{name}` in families.toml"))
    }
}

/// The indices of `weights`, each as often as its weight says, evenly spread, so that even a small fleet has all kinds.
fn spread(weights: &[usize]) -> Vec<usize> {
    let total: usize = weights.iter().sum();
    let mut round: Vec<(f64, usize)> = weights
        .iter()
        .enumerate()
        .flat_map(|(kind, &weight)| (0..weight).map(move |i| ((i as f64 + 0.5) * total as f64 / weight as f64, kind)))
        .collect();
    round.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    round.into_iter().map(|(_, kind)| kind).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_catalogue_is_sound() {
        let catalogue = Catalogue::parse().unwrap();
        for kind in &catalogue.kinds {
            assert!((6..=24).contains(&kind.tools.len()), "{} has {} tools", kind.id, kind.tools.len());
            assert!(kind.tasks.len() >= 3, "{}", kind.id);
            for peer in &kind.delegates_to {
                assert!(catalogue.kinds.iter().any(|other| other.id == *peer), "{} hands over to {peer}", kind.id);
            }
        }
    }

    #[test]
    fn a_round_has_every_kind_by_its_weight() {
        let round = spread(&[3, 1, 2]);
        assert_eq!(round.iter().filter(|&&kind| kind == 0).count(), 3);
        assert_eq!(round.iter().filter(|&&kind| kind == 1).count(), 1);
        assert_eq!(round.len(), 6);
    }
}
