//! Requests in words: the same thing is asked for in many ways, and names what it is about.

use rand::RngExt;

use crate::catalogue::{Target, Task, catalogue};
use crate::chance::{Dice, exponential, one_of};
use crate::fleet::Agent;
use crate::pattern::Piece;

/// The request for a task about these resources (in the order of the task's `about`).
pub(crate) fn write(agent: &Agent, task: &Task, about: &[Target], dice: &mut Dice) -> String {
    let words = &catalogue().words;
    let mut text = String::with_capacity(96);
    let framed = !agent.is_automatic();
    let (is_sentence, pattern) = one_of(dice, &task.requests);
    let frame = loop {
        let frame = one_of(dice, &words.frames);
        if frame.sentence || !is_sentence {
            break frame;
        }
    };
    if framed {
        text.push_str(&frame.open);
    }
    for piece in &pattern.pieces {
        match piece {
            Piece::Text(part) => text.push_str(part),
            Piece::Word { words, .. } => text.push_str(one_of::<String>(dice, words)),
            Piece::About(index) => about[*index].write_short(&agent.context(), &mut text),
            Piece::Amount => {
                let cents = (800.0 + exponential(dice, 9000.0)) as u64;
                text.push_str(&format!("{}.{:02}", cents / 100, cents % 100));
            }
            Piece::Number => text.push_str(&dice.random_range(1..10_000).to_string()),
            Piece::Domain => text.push_str(&agent.domain),
            Piece::Agent => text.push_str(&agent.id),
            Piece::Region => text.push_str(agent.week.region.name),
            // A request is within nothing.
            Piece::Holder => {}
        }
    }
    if framed {
        text.push_str(&frame.close);
        if dice.random_bool(0.3) {
            text.push(' ');
            push_coda(one_of::<String>(dice, &words.codas.words), dice, &mut text);
        }
    } else {
        text.push('.');
    }
    if framed && (!frame.open.is_empty() || matches!(pattern.pieces.first(), Some(Piece::Text(_)))) {
        capitalise(&mut text);
    }
    text
}

/// A coda's slots are lists of words.
fn push_coda(coda: &str, dice: &mut Dice, text: &mut String) {
    let mut rest = coda;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((slot, after)) = after.split_once('}') else { return };
        if let Some(list) = catalogue().words.lists.get(slot) {
            text.push_str(one_of::<String>(dice, list));
        }
        rest = after;
    }
    text.push_str(rest);
}

fn capitalise(text: &mut str) {
    if let Some(first) = text.get_mut(0..1) {
        first.make_ascii_uppercase();
    }
}
