//! Fossil deltas as a client applies them; written from the format, apart from the hub's.

const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// What `base` is changed to by `delta`, whose length and checksum have to be right.
#[track_caller]
pub(super) fn apply(base: &[u8], delta: &[u8]) -> Vec<u8> {
    let mut rest = delta;
    let (length, sign) = number(&mut rest);
    assert_eq!(sign, b'\n');
    let mut target = Vec::new();
    loop {
        let (count, sign) = number(&mut rest);
        match sign {
            b'@' => {
                let (offset, comma) = number(&mut rest);
                assert_eq!(comma, b',');
                target.extend_from_slice(base.get(offset..offset + count).expect("a copy from outside of the base"));
            }
            b':' => target.extend_from_slice(rest.split_off(..count).unwrap()),
            b';' => {
                let sum = target.chunks(4).fold(0_u32, |sum, word| {
                    let mut padded = [0; 4];
                    padded[..word.len()].copy_from_slice(word);
                    sum.wrapping_add(u32::from_be_bytes(padded))
                });
                assert_eq!((target.len(), sum as usize, rest), (length, count, &[][..]), "a delta to another base");
                return target;
            }
            other => panic!("{:?} in a delta", char::from(other)),
        }
    }
}

/// A number and the sign behind it.
#[track_caller]
fn number(rest: &mut &[u8]) -> (usize, u8) {
    let digit = |byte: &u8| DIGITS.iter().position(|one| one == byte);
    let count = rest.iter().take_while(|byte| digit(byte).is_some()).count();
    let digits = rest.split_off(..count).unwrap();
    let sign = *rest.split_off_first().expect("a delta ends too early");
    (digits.iter().filter_map(digit).fold(0, |number, digit| number << 6 | digit), sign)
}
