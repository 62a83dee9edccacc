//! Names, and what each kind of finding takes.

use std::collections::BTreeSet;

use driftline_core::Alert;
use driftline_detectors::{DETECTORS, DEVIATION};

use crate::cases;

fn kinds_of(alerts: &[Alert]) -> BTreeSet<&str> {
    alerts.iter().map(|alert| alert.kind.as_str()).collect()
}

#[test]
fn names_and_kinds_are_unique_words() {
    // A detector whose findings are of one kind may be called as they are.
    let words_of = |detector: &&'static dyn driftline_detectors::Detector| match detector.kinds() {
        &[kind] if kind == detector.name() => vec![kind],
        kinds => [&[detector.name()], kinds].concat(),
    };
    let words: Vec<_> = DETECTORS.iter().flat_map(words_of).collect();
    for word in &words {
        let is_snake_case =
            word.split('_').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()));
        assert!(is_snake_case, "{word}");
    }
    assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), words.len(), "{words:?}");
}

#[test]
fn every_kind_has_a_case() {
    let listed: BTreeSet<_> = DETECTORS.iter().flat_map(|detector| detector.kinds()).copied().collect();
    let covered: BTreeSet<_> = cases::all().iter().map(|case| case.kind).collect();
    assert_eq!(covered, listed);
}

#[test]
fn each_kind_is_provoked_and_its_honest_twin_raises_nothing() {
    for case in cases::all() {
        let (kind, what) = (case.kind, case.what);
        assert_eq!(kinds_of(&case.provoked.alerts()), BTreeSet::from([kind]), "{kind}: {what}");
        let honest = case.honest.alerts();
        assert_eq!(kinds_of(&honest), BTreeSet::new(), "{kind}: honest twin of {what}");
    }
}

#[test]
fn an_alert_says_which_detector_and_which_events() {
    for case in cases::all() {
        for alert in case.provoked.alerts() {
            let detector = DETECTORS.iter().find(|detector| detector.name() == alert.detector).unwrap();
            assert!(detector.kinds().contains(&alert.kind.as_str()), "{}: {}", alert.detector, alert.kind);
            assert!(alert.family == DEVIATION || alert.family == alert.kind);
            assert_eq!(alert.family == DEVIATION, alert.p_value.is_some(), "only what is learned has a p-value");
            // Silence is made of events that did not come.
            assert_eq!(alert.events.is_empty(), alert.kind == "silence", "{}", alert.kind);
            for text in [&alert.title, &alert.summary, &alert.recommendation] {
                assert!(!text.is_empty() && !text.contains("  "), "{}: {text:?}", alert.kind);
            }
            assert!(!alert.evidence.is_empty() && !alert.basis.is_empty(), "{}", alert.kind);
        }
    }
}

#[test]
fn a_deviating_session_is_alerted_on_once_a_severity() {
    // A session's evidence of novelty gathers; where it acts from is known at once.
    let gathers = |kind: &str| matches!(kind, "unusual_tool" | "unusual_resource");
    for case in cases::all().into_iter().filter(|case| gathers(case.kind)) {
        let alerts = case.provoked.alerts();
        let severities: Vec<_> = alerts.iter().map(|alert| alert.severity).collect();
        assert!(severities.len() > 1 && severities.is_sorted_by(|a, b| a < b), "{}: {severities:?}", case.kind);
    }
}
