//! "Did you mean": the nearest of the words that would have been right.

/// The candidate nearest to `word`, if it is near enough to be what was meant: at most a third of the letters wrong, or
/// one a prefix of the other. Cost: the product of the lengths per candidate, so give it words, not documents.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase().replace('-', "_");
    if word.is_empty() || word.len() > LONGEST_WORD_BYTES {
        return None;
    }
    let near = |candidate: &&'a str| {
        let other = candidate.to_lowercase().replace('-', "_");
        let wrong = distance(&word, &other);
        let prefix = word.len() >= 3 && (other.starts_with(&word) || word.starts_with(&other));
        let length = word.chars().count().max(other.chars().count());
        // Fingers slip less at the first letter: among equals, the one that begins alike was meant.
        (wrong * 3 <= length || prefix).then_some((wrong, other.chars().next() != word.chars().next()))
    };
    candidates.into_iter().filter_map(|one| near(&one).map(|rank| (rank, one))).min().map(|(_, one)| one)
}

/// Words over this are not compared: nobody meant them, and the cost is quadratic.
const LONGEST_WORD_BYTES: usize = 64;

/// Insertions, deletions, replacements and swaps of neighbours that turn one word into the other.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let replaced = above[j] + usize::from(a != b);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == other[j - 1] && one[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_a_swap_of_neighbours_as_one() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("message", "mesage"), 1);
        assert_eq!(distance("topics", "topisc"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn a_slip_of_the_fingers_finds_its_word_and_nonsense_finds_nothing() {
        let keys = ["message", "mailbox", "header", "header_timeout", "outbound_total"];
        assert_eq!(nearest("mesage", keys), Some("message"));
        assert_eq!(nearest("Header-Timeout", keys), Some("header_timeout"));
        assert_eq!(nearest("outbound", keys), Some("outbound_total"));
        assert_eq!(nearest("colour", keys), None);
        assert_eq!(nearest("", keys), None);
        assert_eq!(nearest(&"m".repeat(1000), keys), None);
    }
}
