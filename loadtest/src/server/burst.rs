//! What one turn of a floor owes to whom, when connections are on several topics: pieces of bytes, and for each client those
//! it gets, joined. Pure.

use std::ops::Range;

/// The pieces of a turn. Keeps its memory from turn to turn.
#[derive(Debug, Default)]
pub(crate) struct Burst {
    pieces: Vec<Range<usize>>,
    /// For each client, the pieces it is owed.
    owed: Vec<Vec<u32>>,
    /// The clients that are owed something.
    debtors: Vec<usize>,
    joined: Vec<u8>,
}

impl Burst {
    /// Owes `piece` of the turn's bytes to `members`.
    pub(crate) fn owe(&mut self, piece: Range<usize>, members: &[usize]) {
        let number = self.pieces.len() as u32;
        self.pieces.push(piece);
        for &member in members {
            if member >= self.owed.len() {
                self.owed.resize_with(member + 1, Vec::new);
            }
            let owed = &mut self.owed[member];
            if owed.is_empty() {
                self.debtors.push(member);
            }
            owed.push(number);
        }
    }

    /// Shows `pay` every client that is owed something, and all of that in one slice; then nothing is owed any more.
    ///
    /// Errors: the first one of `pay`.
    pub(crate) fn settle<E>(
        &mut self,
        bytes: &[u8],
        mut pay: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for client in self.debtors.drain(..) {
            let owed = &mut self.owed[client];
            if let [only] = owed[..] {
                pay(client, &bytes[self.pieces[only as usize].clone()])?;
            } else {
                self.joined.clear();
                for &piece in &*owed {
                    self.joined.extend_from_slice(&bytes[self.pieces[piece as usize].clone()]);
                }
                pay(client, &self.joined)?;
            }
            owed.clear();
        }
        self.pieces.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(burst: &mut Burst, bytes: &[u8]) -> Vec<(usize, String)> {
        let mut paid = Vec::new();
        let pay = |client, bytes: &[u8]| {
            paid.push((client, String::from_utf8_lossy(bytes).into_owned()));
            Ok::<(), ()>(())
        };
        burst.settle(bytes, pay).unwrap();
        paid
    }

    #[test]
    fn each_client_gets_all_its_pieces_at_once_in_the_order_they_came() {
        let mut burst = Burst::default();
        burst.owe(0..2, &[0, 1]);
        burst.owe(2..3, &[1, 5]);
        burst.owe(3..6, &[1]);
        let paid = settled(&mut burst, b"aabccc");
        assert_eq!(paid, [(0, "aa".into()), (1, "aabccc".into()), (5, "b".into())]);
    }

    #[test]
    fn nothing_is_owed_twice() {
        let mut burst = Burst::default();
        burst.owe(0..1, &[3]);
        assert_eq!(settled(&mut burst, b"a").len(), 1);
        assert_eq!(settled(&mut burst, b"a"), []);
        burst.owe(0..1, &[3]);
        assert_eq!(settled(&mut burst, b"z"), [(3, "z".into())]);
    }
}
