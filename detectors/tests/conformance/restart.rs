//! An engine that is taken out of the process and put back between any two events raises what one that runs on raises.

use driftline_core::Alert;

use crate::cases;
use crate::store::Store;
use crate::story::Story;

/// The alerts of a story in which the engine ends after every event, and goes on from its records with room for so many
/// agents in memory.
fn restarted(story: &Story, room: usize) -> Vec<Alert> {
    let mut stage = story.stage();
    stage.engines[0].track_changes(true);
    let mut store = Store::default();
    for act in &story.acts {
        crate::check(&stage.observe(act.to_string().as_bytes()));
        store.save(&mut stage.engines[0]);
        stage.engines[0] = store.engine_of(stage.conductor.world().clone(), room);
    }
    stage.into_alerts().into_iter().filter(|alert| alert.agent.is_some()).collect()
}

#[test]
fn a_restart_between_any_two_events_changes_no_alert() {
    for case in cases::all() {
        for story in [&case.provoked, &case.honest] {
            for room in [0, usize::MAX] {
                let same = restarted(story, room) == story.alerts();
                assert!(same, "{} ({}): a restart changed an alert", case.kind, case.what);
            }
        }
    }
}
