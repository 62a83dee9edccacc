//! Realistic alerts, as the engine writes them, and hostile ones.

#![allow(dead_code, reason = "each test takes what it needs")]

use driftline_core::{
    Access, Action, ActionKind, Alert, AlertAgent, AlertStatus, BaselineRef, Basis, Delegation, Drift, EntityRef,
    Evidence, Impact, Principal, PrincipalKind, Resource, RuleRef, Sensitivity, Session, Severity, Step, Task,
    Timestamp, alert_id, fingerprint,
};

/// All four.
pub fn all() -> Vec<Alert> {
    vec![hijacked(), escalation(), shadow(), unregistered()]
}

/// `count` alerts with a fingerprint each.
pub fn many(count: usize) -> Vec<Alert> {
    (0..count)
        .map(|i| Alert {
            id: alert_id("acme", "agent", &format!("agent-{i}"), "deviation", "e-1"),
            fingerprint: fingerprint("acme", "agent", &format!("agent-{i}"), "deviation", "sequence"),
            title: format!("agent-{i} departs from its usual behaviour"),
            ..hijacked()
        })
        .collect()
}

/// The same cause again: another id, the same fingerprint.
pub fn repeat(alert: &Alert, anchor: &str) -> Alert {
    Alert { id: alert_id(&alert.tenant, "agent", "repeat", &alert.family, anchor), ..alert.clone() }
}

/// An alert that says next to nothing.
pub fn blank() -> Alert {
    base("", "", "", "blank")
}

/// An alert whose every text is long, of characters that grow when they are escaped.
pub fn huge() -> Alert {
    hostile(&"<!everyone> *b* _i_ ~s~ `c` & \u{202e}\u{1b}[31m https://x.example 🚨\r\n".repeat(200), 20)
}

/// An alert that has `text` wherever an outsider may put something, and `rows` of whatever is a list.
pub fn hostile(text: &str, rows: usize) -> Alert {
    let some = || Some(text.to_owned());
    let mut alert = hijacked();
    alert.agent = Some(AlertAgent {
        id: text.into(),
        version: some(),
        name: some(),
        owner: some(),
        team: some(),
        verified: false,
    });
    alert.tenant = text.into();
    alert.session = Some(Session { id: text.into(), ..Session::default() });
    alert.principal = Some(Principal { id: text.into(), kind: None });
    alert.task = Some(Task { id: some(), kind: some(), intent: some() });
    alert.delegation = vec![Delegation { agent: some(), principal: some(), ..Delegation::default() }; rows];
    alert.action = Some(Action { name: text.into(), server: some(), ..Action::default() });
    alert.resource = Some(Resource {
        id: text.into(),
        kind: some(),
        role: some(),
        origin: some(),
        subject: some(),
        sensitivity: None,
    });
    alert.entities = vec![EntityRef { kind: text.into(), id: text.into() }; rows];
    let evidence = Evidence {
        feature: text.into(),
        observed: text.into(),
        expected: vec![text.to_owned(); 5],
        baseline_count: Some(u64::MAX),
        peers: some(),
        p_value: Some(f64::NAN),
    };
    alert.evidence = vec![evidence; rows];
    alert.steps = vec![Step { time: Timestamp::MAX, event: text.into(), what: text.into() }; rows];
    alert.drift = Some(Drift { dimension: text.into(), since: Timestamp::MIN, from: text.into(), to: text.into() });
    alert.events = vec![text.to_owned(); rows];
    alert.attack = vec![text.to_owned(); rows];
    alert.baseline = Some(BaselineRef { version: some(), events: u64::MAX, since: None });
    alert.rule = Some(RuleRef { id: text.into(), version: some(), source: some() });
    alert.identity = some();
    alert.title = text.into();
    alert.summary = text.into();
    alert.recommendation = text.into();
    alert.family = text.into();
    alert
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or(Timestamp::MIN)
}

fn base(entity: &str, family: &str, kind: &str, anchor: &str) -> Alert {
    let labels = [("tenant", "acme"), ("agent", entity), ("environment", "prod-eu")];
    Alert {
        schema: Alert::SCHEMA.to_owned(),
        id: alert_id("acme", "agent", entity, family, anchor),
        fingerprint: fingerprint("acme", "agent", entity, family, kind),
        time: time("2026-03-02T08:11:24.715Z"),
        detected_at: time("2026-03-02T08:11:25.030Z"),
        status: AlertStatus::Firing,
        entities: vec![EntityRef { kind: "agent".into(), id: entity.into() }],
        tenant: "acme".into(),
        agent: None,
        session: None,
        principal: None,
        task: None,
        delegation: Vec::new(),
        action: None,
        resource: None,
        credential: None,
        network: None,
        detector: kind.into(),
        family: family.into(),
        kind: kind.into(),
        basis: Vec::new(),
        title: String::new(),
        severity: Severity::Info,
        risk: 0.0,
        p_value: None,
        e_value: None,
        evidence: Vec::new(),
        steps: Vec::new(),
        drift: None,
        impact: None,
        events: Vec::new(),
        attack: Vec::new(),
        atlas: Vec::new(),
        owasp: Vec::new(),
        summary: String::new(),
        recommendation: String::new(),
        baseline: None,
        rule: None,
        identity: None,
        config: "c0ffee00".into(),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    }
}

/// A hijacked support assistant mails customer records to an outsider.
pub fn hijacked() -> Alert {
    let mut alert = base("support-assistant", "deviation", "sequence", "01J9ZC3V6M3T5R");
    alert.labels.insert("team".into(), "support".into());
    alert.labels.insert("severity".into(), "critical".into());
    Alert {
        agent: Some(AlertAgent {
            id: "support-assistant".into(),
            version: Some("1.4.0".into()),
            name: Some("Customer support".into()),
            owner: Some("support-team@acme.example".into()),
            team: Some("support".into()),
            verified: true,
        }),
        session: Some(Session { id: "s-1042".into(), ..Session::default() }),
        principal: Some(Principal { id: "alice@acme.example".into(), kind: Some(PrincipalKind::User) }),
        task: Some(Task {
            id: Some("t-9".into()),
            kind: Some("refund".into()),
            intent: Some("Refund order 1042 for the customer".into()),
        }),
        delegation: vec![Delegation {
            agent: Some("orchestrator".into()),
            principal: Some("alice@acme.example".into()),
            ..Delegation::default()
        }],
        action: Some(Action {
            kind: ActionKind::ToolCall,
            name: "send_email".into(),
            server: Some("mcp://mail".into()),
            access: Some(Access::Write),
            definition_sha256: None,
        }),
        resource: Some(Resource {
            id: "dropbox@collector.example".into(),
            kind: Some("email".into()),
            role: Some("recipient".into()),
            origin: Some("external".into()),
            ..Resource::default()
        }),
        basis: vec![Basis::Undeclared, Basis::Unusual],
        title: "support-assistant sent customer records to dropbox@collector.example".into(),
        severity: Severity::Critical,
        risk: 94.0,
        p_value: Some(0.000_08),
        e_value: Some(5_200.0),
        evidence: vec![
            Evidence {
                feature: "recipient".into(),
                observed: "dropbox@collector.example".into(),
                expected: vec!["*@acme.example (97 %)".into(), "the customer of the task (3 %)".into()],
                baseline_count: Some(12_400),
                peers: Some("0 of 11 peers".into()),
                p_value: Some(0.000_08),
            },
            Evidence {
                feature: "records".into(),
                observed: "1240".into(),
                expected: vec!["1 to 3".into()],
                baseline_count: Some(12_400),
                ..Evidence::default()
            },
            Evidence {
                feature: "tool sequence".into(),
                observed: "read_ticket, read_file, send_email".into(),
                expected: vec!["read_ticket, search_orders, refund (71 %)".into()],
                ..Evidence::default()
            },
        ],
        steps: vec![
            Step {
                time: time("2026-03-02T08:10:51.100Z"),
                event: "01J9ZC3V6M3T5P".into(),
                what: "read_ticket returned text that outsiders can write".into(),
            },
            Step {
                time: time("2026-03-02T08:11:20.900Z"),
                event: "01J9ZC3V6M3T5Q".into(),
                what: "read_file read /data/customer_records.csv (restricted)".into(),
            },
            Step {
                time: time("2026-03-02T08:11:24.715Z"),
                event: "01J9ZC3V6M3T5R".into(),
                what: "send_email to dropbox@collector.example, named in the ticket".into(),
            },
        ],
        impact: Some(Impact {
            bytes_out: Some(5_242_880),
            records: Some(1_240),
            resources: Some(1),
            sensitivity: Some(Sensitivity::Restricted),
            cost_usd: None,
        }),
        events: vec!["01J9ZC3V6M3T5P".into(), "01J9ZC3V6M3T5Q".into(), "01J9ZC3V6M3T5R".into()],
        attack: vec!["T1567".into()],
        atlas: vec!["AML.T0051.001".into()],
        owasp: vec!["ASI01".into()],
        summary: "After reading a ticket from outside it read the customer records and mailed them to an address that \
                  stood in the ticket."
            .into(),
        recommendation: "Suspend the agent, revoke its mail credential, and read ticket 1042 for instructions to it."
            .into(),
        baseline: Some(BaselineRef {
            version: Some("2026-02-28".into()),
            events: 48_210,
            since: Some(time("2025-12-01T00:00:00Z")),
        }),
        identity: Some("7".into()),
        ..alert
    }
}

/// An agent is denied, gives itself the permission, and then achieves what it was denied.
pub fn escalation() -> Alert {
    let mut alert = base("deploy-bot", "denied_then_achieved", "denied_then_achieved", "e-771");
    alert.labels.insert("team".into(), "platform".into());
    Alert {
        time: time("2026-03-02T22:40:03.000Z"),
        agent: Some(AlertAgent {
            id: "deploy-bot".into(),
            version: Some("3.0.1".into()),
            owner: Some("platform@acme.example".into()),
            team: Some("platform".into()),
            verified: false,
            name: None,
        }),
        session: Some(Session { id: "s-88".into(), ..Session::default() }),
        principal: Some(Principal { id: "ci-runner".into(), kind: Some(PrincipalKind::Service) }),
        action: Some(Action {
            kind: ActionKind::ApiCall,
            name: "iam:AttachRolePolicy".into(),
            access: Some(Access::Grant),
            ..Action::default()
        }),
        resource: Some(Resource {
            id: "role/deploy-bot".into(),
            kind: Some("role".into()),
            sensitivity: Some(Sensitivity::Confidential),
            ..Resource::default()
        }),
        basis: vec![Basis::OutsideGrant],
        title: "deploy-bot was denied secrets:GetValue, granted itself secrets:*, and read the secret".into(),
        severity: Severity::High,
        risk: 71.0,
        evidence: vec![Evidence {
            feature: "permission".into(),
            observed: "secrets:*".into(),
            expected: vec!["deploy:write".into(), "registry:read".into()],
            ..Evidence::default()
        }],
        steps: vec![
            Step {
                time: time("2026-03-02T22:39:40.000Z"),
                event: "e-770".into(),
                what: "secrets:GetValue on prod/db-password was denied".into(),
            },
            Step {
                time: time("2026-03-02T22:39:58.000Z"),
                event: "e-771".into(),
                what: "iam:AttachRolePolicy gave secrets:* to deploy-bot".into(),
            },
            Step {
                time: time("2026-03-02T22:40:03.000Z"),
                event: "e-772".into(),
                what: "secrets:GetValue on prod/db-password succeeded".into(),
            },
        ],
        events: vec!["e-770".into(), "e-771".into(), "e-772".into()],
        attack: vec!["T1098".into()],
        owasp: vec!["ASI03".into()],
        summary: "23 seconds after a denial the same agent widened its own role and repeated the call with success."
            .into(),
        recommendation: "Detach the policy, rotate prod/db-password, and ask platform who approved the change.".into(),
        identity: Some("12".into()),
        ..alert
    }
}

/// An agent that nobody has registered.
pub fn shadow() -> Alert {
    let alert = base("gpt-helper (beta)", "shadow_agent", "shadow_agent", "e-1");
    Alert {
        time: time("2026-03-03T05:00:00.000Z"),
        agent: Some(AlertAgent { id: "gpt-helper (beta)".into(), ..AlertAgent::default() }),
        action: Some(Action { name: "list_customers".into(), server: Some("mcp://crm".into()), ..Action::default() }),
        basis: vec![Basis::Undeclared],
        title: "“gpt-helper (beta)” acts without an identity document".into(),
        severity: Severity::Medium,
        risk: 40.0,
        events: vec!["h-8f3a".into()],
        owasp: vec!["ASI10".into()],
        summary: "96 % of this tenant's agents are registered; this one is not, and nobody answers for it.".into(),
        recommendation: "Find who runs it; register it or take its access away.".into(),
        ..alert
    }
}

/// A finding about many: an hour's epoch shows a flood of unregistered agents.
pub fn unregistered() -> Alert {
    let alert = base("acme", "unregistered_agents", "unregistered_agents", "epoch-412");
    Alert {
        time: time("2026-03-03T06:00:00.000Z"),
        entities: (0..40).map(|i| EntityRef { kind: "agent".into(), id: format!("worker-{i:02}") }).collect(),
        title: "40 agents act without an identity document".into(),
        severity: Severity::Low,
        risk: 20.0,
        p_value: Some(0.004),
        evidence: vec![Evidence {
            feature: "unregistered agents in an hour".into(),
            observed: "40".into(),
            expected: vec!["0 to 2".into()],
            baseline_count: Some(1_344),
            ..Evidence::default()
        }],
        summary: "In the hour to 06:00 UTC 40 agents without an identity document were seen for the first time.".into(),
        recommendation: "See `driftline inventory`; register them or find what starts them.".into(),
        ..alert
    }
}
