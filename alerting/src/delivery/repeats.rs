//! Repeats of one cause, gathered so that they are told once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use driftline_core::{Alert, AlertStatus, Severity};

use crate::group::Group;

/// What repeats have in common.
type Cause = (String, AlertStatus);

/// Tells first alerts from repeats and holds the repeats for a while.
#[derive(Debug)]
pub(super) struct Repeats {
    window: Duration,
    most: usize,
    /// When, and how severe, the last alert of a cause was that went out.
    told: HashMap<Cause, (Instant, Severity)>,
    /// Repeats that wait, in the order of their first.
    waiting: Vec<Group>,
    /// When the first of these came.
    since: Option<Instant>,
    held: usize,
}

impl Repeats {
    pub(super) fn new(window: Duration, most: usize) -> Self {
        Self { window, most, told: HashMap::new(), waiting: Vec::new(), since: None, held: 0 }
    }

    /// The alert as a group where it goes out now: it is the first of its cause for a while, or worse than before. Else
    /// it is held.
    pub(super) fn admit(&mut self, alert: Alert, now: Instant) -> Option<Group> {
        let cause = (alert.fingerprint.clone(), alert.status);
        match self.told.get(&cause) {
            Some(&(told, severity)) if now < told + self.window && alert.severity <= severity => {
                self.hold(alert, now);
                None
            }
            _ => {
                self.told.insert(cause, (now, alert.severity));
                Some(alert.into())
            }
        }
    }

    fn hold(&mut self, alert: Alert, now: Instant) {
        self.since.get_or_insert(now);
        self.held += 1;
        let same = |group: &&mut Group| {
            (group.alert.fingerprint.as_str(), group.alert.status) == (alert.fingerprint.as_str(), alert.status)
        };
        match self.waiting.iter_mut().find(same) {
            Some(group) => group.repeats.push(alert.id),
            None => self.waiting.push(alert.into()),
        }
    }

    /// Everything that is held, once the first of it has waited for the window or there is too much of it. All of it at
    /// once, so that the position, which waits as long as anything is held, is never more than a window behind.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Group> {
        self.told.retain(|_, (told, _)| now < *told + self.window);
        if self.held < self.most && self.since.is_none_or(|since| now < since + self.window) {
            return Vec::new();
        }
        let groups = self.drain();
        for group in &groups {
            let severity = group.alert.severity;
            self.told.insert((group.alert.fingerprint.clone(), group.alert.status), (now, severity));
        }
        groups
    }

    /// Everything that is held.
    pub(super) fn drain(&mut self) -> Vec<Group> {
        (self.since, self.held) = (None, 0);
        std::mem::take(&mut self.waiting)
    }

    /// How many alerts are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    const WINDOW: Duration = Duration::from_secs(300);

    #[test]
    fn repeats_wait_for_the_window_and_come_as_one() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let first = samples::hijacked();
        let [second, third, fourth] = ["2", "3", "4"].map(|anchor| samples::repeat(&first, anchor));
        let mut repeats = Repeats::new(WINDOW, 100);
        assert_eq!(repeats.admit(first.clone(), at(0)), Some(first.clone().into()));
        assert_eq!(repeats.admit(second.clone(), at(10)), None);
        assert_eq!(repeats.admit(third.clone(), at(20)), None);
        assert_eq!(repeats.due(at(309)), []);
        assert_eq!(repeats.held(), 2);
        assert_eq!(repeats.due(at(310)), [Group { alert: second, repeats: vec![third.id] }]);
        assert_eq!(repeats.held(), 0);
        assert_eq!(repeats.admit(fourth, at(311)), None, "what was told at 310 starts a new window");
    }

    #[test]
    fn a_worse_one_another_cause_and_an_end_go_out_at_once() {
        let now = Instant::now();
        let mut repeats = Repeats::new(WINDOW, 100);
        let high = Alert { severity: Severity::High, ..samples::hijacked() };
        assert!(repeats.admit(high.clone(), now).is_some());
        assert!(repeats.admit(samples::hijacked(), now).is_some(), "critical after high");
        assert!(repeats.admit(high.clone(), now).is_none(), "high after critical");
        assert!(repeats.admit(samples::escalation(), now).is_some());
        assert!(repeats.admit(Alert { status: AlertStatus::Resolved, ..high }, now).is_some());
    }

    #[test]
    fn what_is_held_and_what_is_remembered_have_bounds() {
        let now = Instant::now();
        let mut repeats = Repeats::new(WINDOW, 3);
        for i in 0..4 {
            repeats.admit(samples::repeat(&samples::hijacked(), &i.to_string()), now);
        }
        assert_eq!(repeats.due(now).iter().map(Group::count).sum::<usize>(), 3, "sent before the window ends");
        for alert in samples::many(50) {
            repeats.admit(alert, now);
        }
        repeats.due(now + WINDOW);
        assert!(repeats.told.is_empty());
    }
}
