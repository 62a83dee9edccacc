//! Texts with slots: how resource ids, addresses and requests are made from numbers and words.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::catalogue::{Target, WITHIN_BITS};
use crate::chance::mix;

/// Words by the name of their list.
pub(crate) type WordLists = BTreeMap<String, Vec<String>>;

/// Lists of words, and what goes around a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    pub lists: WordLists,
    pub frames: Vec<Frame>,
    pub codas: Codas,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Frame {
    /// Whether a whole sentence may stand in it.
    #[serde(default)]
    pub sentence: bool,
    pub open: String,
    pub close: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Codas {
    pub words: Vec<String>,
}

/// One piece of a [`Pattern`].
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    /// The resource's number.
    Number,
    /// One of these words.
    Word {
        words: Vec<String>,
        /// Makes two lists choose independently.
        salt: u64,
    },
    /// The organisation's mail domain.
    Domain,
    /// The agent's id.
    Agent,
    /// The agent's region.
    Region,
    /// The short name of the resource that holds this one.
    Holder,
    /// The short name of the resource that the session is about; the index counts the task's `about`.
    About(usize),
    /// A sum of money.
    Amount,
}

/// A text with slots.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pattern {
    pub pieces: Vec<Piece>,
}

/// What a pattern's slots stand for when the pattern names a resource.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub domain: &'a str,
    pub agent: &'a str,
    pub region: &'a str,
}

impl Pattern {
    /// Reads a pattern; every slot must be one of the fixed ones, a resource of `about`, a list of `fill` or of `words`.
    pub fn parse(text: &str, words: &Words, about: &[String], fill: &WordLists) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (slot, after) = after.split_once('}').ok_or_else(|| format!("`{text}`: a slot is not closed"))?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match slot {
                "n" => Piece::Number,
                "domain" => Piece::Domain,
                "agent" => Piece::Agent,
                "region" => Piece::Region,
                "amount" => Piece::Amount,
                "holder" => Piece::Holder,
                _ => {
                    if let Some(index) = about.iter().position(|name| name == slot) {
                        Piece::About(index)
                    } else if let Some(list) = fill.get(slot).or_else(|| words.lists.get(slot)) {
                        let salt = slot.bytes().fold(0, |salt, byte| mix(salt, byte.into()));
                        Piece::Word { words: list.clone(), salt }
                    } else {
                        return Err(format!("`{text}`: nothing fills the slot `{slot}`"));
                    }
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// Writes what the pattern makes of a resource; in ids, words have `-` for spaces.
    pub fn write(&self, target: Target, context: &Context<'_>, is_id: bool, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Number => {
                    let own = if target.of().within.is_some() { (1 << WITHIN_BITS) - 1 } else { u64::MAX };
                    push_number(target.of().from + (target.number & own), out);
                }
                Piece::Word { words, salt } => {
                    // The same slot of the same resource always gives the same word.
                    let word = &words[(mix(target.number, *salt) % words.len() as u64) as usize];
                    if is_id && word.contains(' ') {
                        out.extend(word.chars().map(|c| if c == ' ' { '-' } else { c }));
                    } else {
                        out.push_str(word);
                    }
                }
                Piece::Holder => {
                    if let Some(holder) = target.holder() {
                        holder.of().short.write(holder, context, is_id, out);
                    }
                }
                Piece::Domain => out.push_str(context.domain),
                Piece::Agent => out.push_str(context.agent),
                Piece::Region => out.push_str(context.region),
                // These stand in requests only, which `request.rs` writes.
                Piece::About(_) | Piece::Amount => {}
            }
        }
    }

    /// The pattern with `*` for every slot that differs between resources: what a `data_access` entry says.
    pub fn glob(&self, context: &Context<'_>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Domain => out.push_str(context.domain),
                Piece::Agent => out.push_str(context.agent),
                Piece::Region => out.push_str(context.region),
                _ => out.push('*'),
            }
        }
        out
    }
}

fn push_number(number: u64, out: &mut String) {
    use std::fmt::Write;
    // Writing to a string does not fail.
    let _ = write!(out, "{number}");
}
