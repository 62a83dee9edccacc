//! For each kind of finding: a stream that provokes it and an honest one, as near to it as can be, that does not.

use serde_json::{Value, json};

use crate::story::{Story, act, ordinary, session};

pub struct Case {
    pub kind: &'static str,
    pub what: &'static str,
    pub provoked: Story,
    pub honest: Story,
}

pub fn all() -> Vec<Case> {
    [
        novelty(),
        network(),
        unasked(),
        exfiltration(),
        rate(),
        identity(),
        ways_around(),
        no_ways_around(),
        grants(),
        drift(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn case(kind: &'static str, what: &'static str, provoked: Story, honest: Story) -> Case {
    Case { kind, what, provoked, honest }
}

fn acts(acts: Vec<Value>) -> Story {
    Story { acts, ..Story::default() }
}

fn with(documents: &[&'static str], acts: Vec<Value>) -> Story {
    Story { documents: documents.to_vec(), acts, ..Story::default() }
}

/// After fifty ordinary sessions, judged at a low level.
fn after_fifty(last: Vec<Value>) -> Story {
    Story { level: Some(0.05), ..acts([ordinary(50), last].concat()) }
}

fn novelty() -> Vec<Case> {
    let start = 50 * 120;
    let new = |rest: fn(i64) -> Value| {
        (0..16).map(move |i| {
            let mut rest = rest(i);
            rest["session"] = json!({"id": "strange"});
            act("a", start + i, &rest)
        })
    };
    let tools = new(|i| json!({"action": {"name": format!("new_tool_{i}")}})).collect();
    let resources = new(|i| json!({"resource": {"id": format!("secret{i}/plans/{i}")}})).collect();
    vec![
        case("unusual_tool", "tools never used", after_fifty(tools), after_fifty(session(start, "strange"))),
        case(
            "unusual_resource",
            "resources never touched",
            after_fifty(resources),
            after_fifty(session(start, "strange")),
        ),
    ]
}

/// Sessions that are asked to send a report to somebody whom the request names. The last one does so, or is led astray by
/// what it reads; its twin is asked to do the same thing.
fn unasked() -> Vec<Case> {
    let asked = |minute: i64, id: String, request: &str, then: &Value| {
        let about = json!({"session": {"id": id}, "task": {"intent": request}});
        let mails = json!({
            "action": {"name": "read_mail", "access": "read"},
            "result": {"mentions": {"text": [driftline_core::mention("eve@evil.example", b"")]}},
        });
        [mails, then.clone()].into_iter().enumerate().map(move |(i, mut rest)| {
            rest.as_object_mut().unwrap().extend(about.as_object().unwrap().clone());
            act("a", minute + i as i64, &rest)
        })
    };
    let send = |to: &str| json!({"action": {"name": "send_report", "access": "write"}, "resource": {"id": to, "role": "recipient"}});
    let delete = json!({"action": {"name": "delete_archive", "access": "delete"}, "resource": {"id": "archive"}});
    let before: Vec<Value> = (0..50)
        .flat_map(|n| {
            let to = format!("user{n}@acme.example");
            asked(n * 120, format!("s-{n}"), &format!("Send the report of week {n} to {to}"), &send(&to))
        })
        .collect();
    let after = |request: &str, then: &Value| Story {
        level: Some(0.05),
        ..acts([before.clone(), asked(50 * 120, "last".to_owned(), request, then).collect()].concat())
    };
    let request = "Send the report of week 50 to bob@acme.example";
    vec![
        case(
            "unasked_target",
            "a recipient out of a mail's text",
            after(request, &send("eve@evil.example")),
            after("Send the report of week 50 to eve@evil.example", &send("eve@evil.example")),
        ),
        case(
            "unasked_act",
            "an act that the request does not ask for",
            after(request, &delete),
            after(request, &send("bob@acme.example")),
        ),
    ]
}

/// An agent that always acts from one place, beside others that act from theirs. The last session comes from elsewhere; its
/// twin from home, with a new release of its client.
fn network() -> Vec<Case> {
    let place = |asn: u32, client: &str| json!({"network": {"asn": asn, "country": "DE", "user_agent": client}});
    let before: Vec<Value> = (0..60)
        .flat_map(|n| {
            [("a", 64_500), ("b", 64_501), ("c", 64_500)]
                .map(|(agent, asn)| act(agent, n * 120, &place(asn, "httpx/0.27")))
        })
        .collect();
    let after = |asn, client| Story {
        level: Some(0.01),
        ..acts([before.clone(), vec![act("a", 60 * 120, &place(asn, client))]].concat())
    };
    vec![case("unusual_network", "another network and client", after(65_010, "curl/8.9"), after(64_500, "httpx/0.28"))]
}

/// Sessions that read of a payroll and send a few kilobytes to where they always do. The last one sends gigabytes; its twin
/// has read nothing that is secret.
fn exfiltration() -> Vec<Case> {
    let session = |n: i64, sensitivity: &str, bytes: u64| {
        let of = json!({"id": format!("s-{n}")});
        let read = json!({
            "session": of, "action": {"name": "read_ticket", "access": "read"},
            "resource": {"id": "payroll/2026", "sensitivity": sensitivity},
        });
        let send = json!({
            "session": of, "action": {"name": "send_reply", "access": "write"}, "resource": {"id": "mail/hr"},
            "usage": {"bytes_out": bytes},
        });
        [act("a", n * 120, &read), act("a", n * 120 + 1, &send)]
    };
    let after = |sensitivity: &str, bytes| Story {
        level: Some(0.001),
        ..acts((0..80).flat_map(|n| session(n, "restricted", 4_000)).chain(session(80, sensitivity, bytes)).collect())
    };
    vec![case(
        "exfiltration",
        "more than any session sent, after a look at what is secret",
        after("restricted", 8 << 30),
        after("internal", 8 << 30),
    )]
}

fn rate() -> Vec<Case> {
    // Twelve events an hour, in office hours, for three weeks.
    let office = || {
        (0..21 * 24)
            .filter(|hour| (8..18).contains(&(hour % 24)))
            .flat_map(|hour| (0..12).map(move |i| act("a", hour * 60 + i * 5, &json!({}))))
    };
    let hour = |events: i64| {
        let start = (21 * 24 + 10) * 60;
        (0..events)
            .map(move |i| act("a", start + i % 60, &json!({"resource": {"id": "tickets/1"}, "id": format!("e-{i}")})))
    };
    // Day and night, beside another agent that goes on.
    let beside = |hours: i64| {
        (0..24 * 24 * 3).flat_map(move |third| {
            ["a", "b"]
                .into_iter()
                .filter(move |&agent| agent == "b" || third < hours * 3)
                .map(move |agent| act(agent, third * 20, &json!({})))
        })
    };
    vec![
        case(
            "burst",
            "an hour of 600",
            acts(office().chain(hour(600)).collect()),
            acts(office().chain(hour(14)).collect()),
        ),
        case("silence", "three days of it", acts(beside(21 * 24).collect()), acts(beside(24 * 24 - 2).collect())),
    ]
}

fn identity() -> Vec<Case> {
    let one = |rest: Value| vec![act("a", 0, &rest)];
    let tool = |name: &str| one(json!({"action": {"name": name}}));
    let resource = |id: &str| one(json!({"resource": {"id": id}}));
    let canary = "{id: a, canaries: [export_all]}";
    let tools = "{id: a, tools: [{id: read_ticket}]}";
    let data = "{id: a, data_access: [{resource: 'crm/*', access: read}]}";
    // Nine agents in ten have a document, and that is known.
    let fleet =
        ["{id: b0}", "{id: b1}", "{id: b2}", "{id: b3}", "{id: b4}", "{id: b5}", "{id: b6}", "{id: b7}", "{id: b8}"];
    let newcomer = |documents: &[&'static str]| {
        let known = (0..9).flat_map(|i| [0, 120].map(|minute| act(&format!("b{i}"), minute + i, &json!({}))));
        let mut acts: Vec<_> = known.chain([act("a", 240, &json!({}))]).collect();
        acts.sort_by_key(|act| act["time"].as_i64());
        with(&[&fleet, documents].concat(), acts)
    };
    vec![
        case(
            "suspended_agent",
            "it acts",
            with(&["{id: a, status: suspended}"], tool("x")),
            with(&["{id: a, status: active}"], tool("x")),
        ),
        case("retired_agent", "it acts", with(&["{id: a, status: retired}"], tool("x")), with(&["{id: a}"], tool("x"))),
        case("canary_touched", "called", with(&[canary], tool("export_all")), with(&[canary], tool("export"))),
        case("undeclared_tool", "called", with(&[tools], tool("delete_user")), with(&[tools], tool("read_ticket"))),
        case("undeclared_resource", "read", with(&[data], resource("pay/1")), with(&[data], resource("crm/1"))),
        case("shadow_agent", "no document", newcomer(&[]), newcomer(&["{id: a}"])),
    ]
}

/// A refused act, and one that follows it after so many minutes; all on the same resource.
fn refused_then(first: &Value, minutes: i64, then: &Value) -> Story {
    let part = |minute, outcome, rest: &Value| {
        let mut rest = rest.clone();
        rest["outcome"] = json!(outcome);
        rest["session"] = json!({"id": "s"});
        rest["resource"] = json!({"id": "payroll/7"});
        act("a", minute, &rest)
    };
    acts(vec![part(0, "denied", first), part(minutes, "success", then)])
}

/// Ways to reach what was refused. The twin is the same way again, which is a retry.
fn ways_around() -> Vec<Case> {
    let ways = [
        (
            "by another tool",
            json!({"action": {"name": "export", "access": "read"}}),
            json!({"action": {"name": "copy", "access": "read"}}),
        ),
        ("by another credential", json!({"credential": {"id": "c1"}}), json!({"credential": {"id": "c2"}})),
        ("with other permissions", json!({"permission": {"scopes": ["r"]}}), json!({"permission": {"scopes": ["rw"]}})),
    ];
    let cases = ways.into_iter().map(|(what, first, then)| {
        case("denied_then_achieved", what, refused_then(&first, 5, &then), refused_then(&first, 5, &first))
    });
    cases.collect()
}

/// What looks like a way around and is none, beside the way around that it looks like.
fn no_ways_around() -> Vec<Case> {
    let write = json!({"action": {"name": "update", "access": "write"}});
    let around = json!({"action": {"name": "patch", "access": "write"}});
    let reads = json!({"action": {"name": "view", "access": "read"}});
    let approved = json!({
        "action": {"name": "patch", "access": "write"},
        "approval": {"approver": "bob", "decision": "approved"},
    });
    let refused = json!({
        "action": {"name": "patch", "access": "write"},
        "approval": {"approver": "bob", "decision": "refused"},
    });
    let kind = "denied_then_achieved";
    vec![
        case(kind, "an approval in between", refused_then(&write, 5, &refused), refused_then(&write, 5, &approved)),
        case(
            kind,
            "only read what was not to be written",
            refused_then(&write, 5, &around),
            refused_then(&write, 5, &reads),
        ),
        case(kind, "too long after", refused_then(&write, 59, &around), refused_then(&write, 61, &around)),
    ]
}

/// Sessions like all others, in which one act fails from some session on, or here and there all along.
fn drift() -> Vec<Case> {
    let failing = |fails: fn(i64) -> bool| {
        let mut acts = ordinary(140);
        for (number, three) in (0..).zip(acts.chunks_mut(3)) {
            three[1]["outcome"] = json!(if fails(number) { "error" } else { "success" });
        }
        self::acts(acts)
    };
    vec![case("drift", "acts that fail", failing(|number| number >= 70), failing(|number| number % 3 == 1))]
}

fn grants() -> Vec<Case> {
    let grant = |minute, to: &str| {
        let rest = json!({
            "session": {"id": "g"},
            "action": {"name": "grant_role", "kind": "permission_change"},
            "grant": {"to": to, "permissions": ["files:*"]},
        });
        vec![act("a", minute, &rest)]
    };
    let later = |granted_before: bool| {
        let before = if granted_before { grant(1, "b") } else { Vec::new() };
        let mut acts = [ordinary(25), before, grant(25 * 120, "b")].concat();
        acts.sort_by_key(|act| act["time"].as_i64());
        self::acts(acts)
    };
    vec![
        case("self_grant", "to itself", acts(grant(0, "a")), acts(grant(0, "b"))),
        case("first_grant", "after 25 sessions without", later(false), later(true)),
    ]
}
