//! How far back a compressed message may refer: the classes of windows that the hub compresses with.

/// A class of windows. Clients ask for at most 9 to 15 bits; each is served with the largest class that is not larger,
/// so that a publication is compressed at most three times, whatever its subscribers asked for.
///
/// Fifteen bits is what browsers and nearly all libraries take. Twelve is for devices that save memory: 16 KiB of JSON
/// become 2 % larger with it, but 20 % with nine bits, which also take twice the time. Nine is for whoever asks for less.
/// Eight, which RFC 7692 §7.1.2.1 allows as well, zlib cannot do without its own header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// 512 bytes.
    Bits9,
    /// 4 KiB.
    Bits12,
    /// 32 KiB.
    Bits15,
}

impl Window {
    /// How many there are.
    pub const COUNT: usize = 3;

    /// All of them, in the order of [`Window::index`].
    pub const ALL: [Self; Self::COUNT] = [Self::Bits9, Self::Bits12, Self::Bits15];

    /// Its place in arrays of [`Window::COUNT`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The base-two logarithm of its size in bytes.
    pub const fn bits(self) -> u8 {
        match self {
            Self::Bits9 => 9,
            Self::Bits12 => 12,
            Self::Bits15 => 15,
        }
    }

    /// The largest class of at most `bits`; `None` below nine.
    pub const fn at_most(bits: u8) -> Option<Self> {
        match bits {
            0..=8 => None,
            9..=11 => Some(Self::Bits9),
            12..=14 => Some(Self::Bits12),
            15.. => Some(Self::Bits15),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_that_is_asked_for_is_served_with_the_largest_class_that_fits_in_it() {
        assert_eq!(Window::at_most(8), None);
        for bits in 9..=15 {
            let window = Window::at_most(bits).unwrap();
            assert!(window.bits() <= bits);
            assert!(Window::ALL.iter().all(|one| one.bits() > bits || one.bits() <= window.bits()), "{bits}");
        }
    }

    #[test]
    fn every_window_has_its_own_place() {
        for (place, window) in Window::ALL.into_iter().enumerate() {
            assert_eq!(window.index(), place);
        }
    }
}
