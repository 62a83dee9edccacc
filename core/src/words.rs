//! The words of a request and of a tool's name: cut, stemmed and hashed, so that a request can be compared without being
//! kept.

use std::cell::RefCell;

use rust_stemmers::{Algorithm, Stemmer};
use xxhash_rust::xxh3;

/// Most tokens of a text that are looked at: what comes later in a longer one is not compared.
const TOKENS: usize = 256;
/// Longest token, in bytes, that is stemmed; no word is as long.
const LONGEST: usize = 64;
/// Words whose stems are remembered, by thread: 64 KiB.
const RECENT_STEMS: usize = 4_096;

/// The words of a request: sets of 32-bit hashes, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words {
    /// Every token as it stands, in lower case: numbers, names and words; and each two that follow one another as one.
    pub tokens: Vec<u32>,
    /// The stems of tokens without digits (Porter's algorithm for English, which leaves words of other languages mostly as
    /// they are): what two requests for the same have in common.
    pub stems: Vec<u32>,
}

impl Words {
    /// The words of a text.
    ///
    /// ```
    /// use driftline_core::Words;
    /// let (one, two) = (Words::of("Refund order 1042, please"), Words::of("please: refund orders 7"));
    /// assert_eq!(one.stems, two.stems);
    /// assert_ne!(one.tokens, two.tokens);
    /// ```
    pub fn of(text: &str) -> Self {
        let text = text.to_lowercase();
        let (mut words, mut pair, mut before) = (Self::default(), String::new(), "");
        for token in tokens(&text).take(TOKENS) {
            words.tokens.push(hash(token));
            if !before.is_empty() {
                pair.clear();
                pair.push_str(before);
                pair.push_str(token);
                words.tokens.push(hash(&pair));
            }
            before = token;
            if !token.bytes().any(|byte| byte.is_ascii_digit()) && token.len() <= LONGEST {
                words.stems.push(stem(token));
            }
        }
        for list in [&mut words.tokens, &mut words.stems] {
            list.sort_unstable();
            list.dedup();
        }
        words
    }

    /// One key for all requests of the same stems, in whatever order; 0 where there is none.
    pub fn key(&self) -> u64 {
        if self.stems.is_empty() {
            return 0;
        }
        let bytes: Vec<u8> = self.stems.iter().flat_map(|stem| stem.to_le_bytes()).collect();
        xxh3::xxh3_64(&bytes).max(1)
    }
}

/// The tokens of a text, in order: runs of letters and digits.
pub fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|token| !token.is_empty())
}

/// The hash of a token or stem.
pub fn hash(word: &str) -> u32 {
    xxh3::xxh3_64(word.as_bytes()) as u32
}

/// The hash of a word's stem; the word is in lower case. Those met of late are remembered, since stemming takes long.
pub fn stem(word: &str) -> u32 {
    thread_local! {
        static RECENT: RefCell<Vec<(u64, u32)>> = RefCell::new(vec![(0, 0); RECENT_STEMS]);
    }
    let word_hash = xxh3::xxh3_64(word.as_bytes());
    RECENT.with_borrow_mut(|recent| {
        let known = &mut recent[word_hash as usize % RECENT_STEMS];
        if known.0 != word_hash {
            *known = (word_hash, hash(&Stemmer::create(Algorithm::English).stem(word)));
        }
        known.1
    })
}

/// The stems of the words that a name is made of, in order: cut at punctuation and where a capital begins a word.
///
/// ```
/// use driftline_core::words::{hash, name_stems};
/// assert_eq!(name_stems("send_direct_message"), name_stems("sendDirectMessages"));
/// assert_eq!(name_stems("GetURL"), [hash("get"), hash("url")]);
/// ```
pub fn name_stems(name: &str) -> Vec<u32> {
    let mut stems = Vec::new();
    for part in name.split(|c: char| !c.is_alphanumeric()) {
        let mut start = 0;
        let letters: Vec<(usize, char)> = part.char_indices().collect();
        for i in 1..letters.len() {
            let (before, (at, letter)) = (letters[i - 1].1, letters[i]);
            let next_is_small = letters.get(i + 1).is_some_and(|(_, next)| next.is_lowercase());
            if letter.is_uppercase() && (!before.is_uppercase() || next_is_small) {
                stems.extend(part.get(start..at).map(|word| stem(&word.to_lowercase())));
                start = at;
            }
        }
        let last = part.get(start..).filter(|word| !word.is_empty());
        stems.extend(last.map(|word| stem(&word.to_lowercase())));
    }
    stems
}
