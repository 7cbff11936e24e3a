//! What payloads hold behind their stamp: bytes that compress as the real thing does. Pure.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// The kinds of filler.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Filler {
    /// Random lower-case letters: no words, so that nothing but the alphabet can be saved.
    #[default]
    Letters,
    /// Lines of chat: common English words in no order.
    Chat,
    /// Readings of sensors, an object each, as an API would write them.
    Json,
    /// Rows of a list, with classes and attributes.
    Html,
    /// Random bytes, as of images and what is encrypted; binary payloads only.
    Noise,
}

const WORDS: [&str; 64] = [
    "the", "of", "and", "to", "in", "is", "that", "it", "for", "was", "on", "are", "with", "they", "be", "at", "one",
    "have", "this", "from", "had", "hot", "but", "some", "what", "there", "we", "can", "out", "other", "were", "all",
    "your", "when", "up", "use", "word", "how", "said", "each", "she", "which", "their", "time", "will", "way",
    "about", "many", "then", "them", "would", "write", "like", "these", "her", "long", "make", "thing", "see", "him",
    "two", "has", "look", "more",
];

const SENSORS: [&str; 6] = ["temperature", "humidity", "pressure", "battery", "brightness", "signal"];

impl Filler {
    /// `count` bytes, the same for the same `seed`. All but [`Filler::Noise`] are ASCII.
    pub(crate) fn bytes(self, seed: u64, count: usize) -> Vec<u8> {
        let mut dice = Dice(seed | 1);
        let mut bytes = Vec::with_capacity(count + 256);
        let mut text = String::new();
        while bytes.len() < count {
            text.clear();
            match self {
                Self::Letters => bytes.push(b'a' + dice.below(26) as u8),
                Self::Noise => bytes.push(dice.below(256) as u8),
                Self::Chat => {
                    text.push_str(WORDS[dice.below(64) as usize]);
                    text.push_str(if dice.below(9) == 0 { ". " } else { " " });
                }
                Self::Json => reading(&mut dice, &mut text),
                Self::Html => row(&mut dice, &mut text),
            }
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes.truncate(count);
        bytes
    }
}

// Writing to a String does not fail.
fn reading(dice: &mut Dice, out: &mut String) {
    let (id, sensor) = (dice.below(1 << 32), SENSORS[dice.below(6) as usize]);
    let (whole, part) = (dice.below(90), dice.below(100));
    let (minute, second, milli) = (dice.below(60), dice.below(60), dice.below(1000));
    let ok = dice.below(10) > 0;
    let _ = write!(
        out,
        "{{\"id\":\"{id:08x}\",\"sensor\":\"{sensor}\",\"value\":{whole}.{part:02},\"unit\":\"si\",\
         \"at\":\"2026-11-27T16:{minute:02}:{second:02}.{milli:03}Z\",\"ok\":{ok}}},"
    );
}

fn row(dice: &mut Dice, out: &mut String) {
    let (id, count) = (dice.below(1 << 20), dice.below(500));
    let _ = write!(out, "<li class=\"message unread\" data-id=\"{id}\"><span class=\"author\">");
    let word = |dice: &mut Dice| WORDS[dice.below(64) as usize];
    let _ = write!(out, "{}</span><p class=\"text\">", word(dice));
    for _ in 0..12 {
        let _ = write!(out, "{} ", word(dice));
    }
    let _ = writeln!(out, "</p><a href=\"/messages/{id}\">{count} replies</a></li>");
}

/// A linear congruential generator (Knuth).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 32) * limit) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    fn share(filler: Filler, count: usize) -> f64 {
        let bytes = filler.bytes(7, count);
        assert_eq!(bytes.len(), count);
        let mut out = Vec::with_capacity(2 * count + 100);
        Compress::new(Compression::new(6), false).compress_vec(&bytes, &mut out, FlushCompress::Sync).unwrap();
        out.len() as f64 / count as f64
    }

    #[test]
    fn each_kind_compresses_like_what_it_stands_for() {
        for (filler, least, most) in [
            (Filler::Letters, 0.6, 0.7),
            (Filler::Chat, 0.3, 0.5),
            (Filler::Json, 0.15, 0.4),
            (Filler::Html, 0.15, 0.4),
            (Filler::Noise, 1.0, 1.1),
        ] {
            let share = share(filler, 16 * 1024);
            assert!((least..most).contains(&share), "{filler:?}: {share}");
        }
    }

    #[test]
    fn all_but_noise_is_text() {
        for filler in [Filler::Letters, Filler::Chat, Filler::Json, Filler::Html] {
            assert!(filler.bytes(1, 5000).is_ascii(), "{filler:?}");
        }
    }
}
