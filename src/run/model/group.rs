//! A consumer group with static members and cooperative rebalances.

use std::collections::{BTreeMap, BTreeSet};

use super::broker::{Id, Place};

/// What a member says of itself with what it commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub id: Id,
    /// Which of the processes under that id.
    pub process: u64,
    pub generation: u32,
}

/// What the group has given to a member.
#[derive(Debug, Default)]
pub struct Share {
    process: u64,
    pub assigned: BTreeSet<Place>,
    /// Those of them that it is to give up.
    pub revoked: BTreeSet<Place>,
}

#[derive(Debug)]
pub struct Group {
    places: usize,
    generation: u32,
    members: BTreeMap<Id, Share>,
}

impl Group {
    pub fn new(places: usize) -> Self {
        Self { places, generation: 0, members: BTreeMap::new() }
    }

    /// A static member that comes back has what it had, and its process before is one no longer.
    pub fn join(&mut self, id: Id, process: u64) {
        if !self.members.contains_key(&id) {
            self.generation += 1;
        }
        self.members.entry(id).or_default().process = process;
    }

    /// A member has left, or was not heard of for too long.
    pub fn remove(&mut self, id: Id) {
        if self.members.remove(&id).is_some() {
            self.generation += 1;
        }
    }

    pub fn ids(&self) -> Vec<Id> {
        self.members.keys().copied().collect()
    }

    /// Gives partitions that nobody has to whom they are due, and asks for those that others have.
    pub fn balance(&mut self) {
        let ids = self.ids();
        let mut moved = false;
        for place in 0..self.places {
            let Some(&due) = ids.get(place % ids.len().max(1)) else { return };
            let owner = self.members.iter_mut().find(|(_, share)| share.assigned.contains(&place));
            match owner {
                Some((id, _)) if *id == due => {}
                Some((_, share)) => moved |= share.revoked.insert(place),
                None => moved |= self.members.entry(due).or_default().assigned.insert(place),
            }
        }
        self.generation += u32::from(moved);
    }

    /// What a process has, if it still is a member.
    pub fn share(&self, id: Id, process: u64) -> Option<(&Share, Member)> {
        let share = self.members.get(&id).filter(|share| share.process == process)?;
        Some((share, Member { id, process, generation: self.generation }))
    }

    pub fn is(&self, member: Member) -> bool {
        self.share(member.id, member.process).is_some_and(|(_, now)| now == member)
    }

    pub fn release(&mut self, id: Id, process: u64, place: Place) {
        if let Some(share) = self.members.get_mut(&id).filter(|share| share.process == process) {
            share.assigned.remove(&place);
            share.revoked.remove(&place);
        }
    }
}
