//! Numbers, words and bytes that are the same for the same seed, whatever library is used elsewhere.

/// A stream of even numbers drawn by SplitMix64.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From `least` to `most`; each doubling is as likely as any other.
    pub(super) fn size(&mut self, least: u64, most: u64) -> u64 {
        let doublings = (most / least).max(2).ilog2();
        let base = least << self.below(u64::from(doublings));
        base + self.below(base)
    }

    /// Bytes that nothing can compress.
    pub(super) fn noise(&mut self, length: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length as usize + 8);
        while bytes.len() < length as usize {
            bytes.extend(self.next().to_le_bytes());
        }
        bytes.truncate(length as usize);
        bytes
    }
}

/// Words of which few are used often and most are rare, as in any language.
pub(super) struct Words(Vec<String>);

impl Words {
    pub(super) fn new(seed: u64) -> Words {
        const SYLLABLES: [&str; 24] = [
            "an", "be", "con", "der", "el", "fi", "get", "ha", "in", "ko", "lo", "mer", "no", "or", "pa", "re", "set",
            "ti", "un", "val", "we", "ex", "ys", "map",
        ];
        let mut dice = Dice::new(seed);
        let word = |dice: &mut Dice| -> String {
            let syllables = 1 + dice.below(4);
            (0..syllables).map(|_| SYLLABLES[dice.below(24) as usize]).collect()
        };
        Words((0..12_000).map(|_| word(&mut dice)).collect())
    }

    fn word(&self, dice: &mut Dice) -> &str {
        // The cube of an even number leans to the front.
        let even = (dice.next() >> 11) as f64 / (1_u64 << 53) as f64;
        &self.0[(even.powi(3) * self.0.len() as f64) as usize]
    }

    /// Lines that look like code, with a number that occurs nowhere else now and then.
    pub(super) fn text(&self, dice: &mut Dice, length: u64) -> Vec<u8> {
        const BETWEEN: [&str; 8] = [" ", " ", " ", "_", ".", "(", ", ", " = "];
        let mut text = String::with_capacity(length as usize + 160);
        while text.len() < length as usize {
            text.push_str(&"        "[..4 * dice.below(3) as usize]);
            for _ in 0..2 + dice.below(8) {
                text.push_str(self.word(dice));
                text.push_str(BETWEEN[dice.below(8) as usize]);
            }
            if dice.below(6) == 0 {
                text.push_str(&format!("0x{:08x}", dice.next() as u32));
            }
            text.push('\n');
        }
        text.truncate(length as usize);
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_for_ever() {
        let mut dice = Dice::new(1);
        assert_eq!([dice.next(), dice.next()], [0x910a_2dec_8902_5cc1, 0xbeeb_8da1_658e_ec67]);
        let text = |seed| Words::new(7).text(&mut Dice::new(seed), 500);
        assert_eq!((text(3), text(3).len()), (text(3), 500));
        assert_ne!(text(3), text(4));
    }
}
