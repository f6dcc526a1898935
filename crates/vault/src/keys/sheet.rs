//! The code of the recovery sheet: 256 bits as people copy them from paper.
//!
//! Eight groups of eight characters of Crockford's base 32: four bytes and a check byte each. The check is a CRC whose polynomial
//! has no factor in common with x^5+1 and which starts from the number of the group, so one wrong character, two neighbours
//! exchanged and two groups exchanged are always found, and the group is named.

use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

const GROUPS: usize = 8;
const CHARACTERS: usize = 8;
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A way in that is printed and put in a safe.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoverySheet(pub(super) Zeroizing<[u8; 32]>);

impl RecoverySheet {
    pub fn generate() -> RecoverySheet {
        RecoverySheet(Zeroizing::new(rand::random()))
    }

    /// The code for printing: eight groups with a space between them.
    pub fn print(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(GROUPS * (CHARACTERS + 1)));
        for (number, group) in self.0.chunks_exact(4).enumerate() {
            if number > 0 {
                text.push(' ');
            }
            let bits =
                group.iter().chain([&check(number, group)]).fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
            for place in (0..CHARACTERS).rev() {
                text.push(char::from(ALPHABET[(bits >> (5 * place)) as usize & 31]));
            }
        }
        text
    }
}

/// A secret is never printed by accident.
impl fmt::Debug for RecoverySheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoverySheet(…)")
    }
}

/// What was typed is no code of a recovery sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    #[error("the code has {found} characters and should have {expected}, in {GROUPS} groups", expected = GROUPS * CHARACTERS)]
    Length { found: usize },
    #[error("group {group} of the code has {found} characters and should have {CHARACTERS}")]
    GroupLength { group: usize, found: usize },
    #[error("group {group} of the code contains {character:?}, which no code contains")]
    Character { group: usize, character: char },
    #[error("group {group} of the code has a typing error")]
    Typo { group: usize },
}

impl FromStr for RecoverySheet {
    type Err = SheetError;

    /// Takes small letters too, O for 0, I and L for 1, and anything that is no letter or digit between groups.
    fn from_str(text: &str) -> Result<RecoverySheet, SheetError> {
        let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
        if words.len() == GROUPS
            && let Some((number, word)) = words.iter().enumerate().find(|(_, word)| word.chars().count() != CHARACTERS)
        {
            return Err(SheetError::GroupLength { group: number + 1, found: word.chars().count() });
        }
        let characters: Zeroizing<Vec<char>> = Zeroizing::new(words.iter().flat_map(|word| word.chars()).collect());
        if characters.len() != GROUPS * CHARACTERS {
            return Err(SheetError::Length { found: characters.len() });
        }
        let mut code = Zeroizing::new([0; 32]);
        for (number, group) in characters.chunks_exact(CHARACTERS).enumerate() {
            let mut bits = 0_u64;
            for character in group {
                let value =
                    value(*character).ok_or(SheetError::Character { group: number + 1, character: *character })?;
                bits = bits << 5 | value;
            }
            let bytes = bits.to_be_bytes();
            if check(number, &bytes[3..7]) != bytes[7] {
                return Err(SheetError::Typo { group: number + 1 });
            }
            code[4 * number..][..4].copy_from_slice(&bytes[3..7]);
        }
        Ok(RecoverySheet(code))
    }
}

fn value(character: char) -> Option<u64> {
    let character = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().position(|known| char::from(*known) == character).map(|at| at as u64)
}

/// x^8+x^4+x^3+x^2+1 cannot be divided, so it has no factor in common with x^5+1.
fn check(group: usize, bytes: &[u8]) -> u8 {
    bytes.iter().fold(group as u8, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x1d })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sheet() -> impl Strategy<Value = RecoverySheet> {
        any::<[u8; 32]>().prop_map(|code| RecoverySheet(Zeroizing::new(code)))
    }

    proptest! {
        #[test]
        fn a_code_comes_back_however_it_is_typed(sheet in sheet()) {
            let text = sheet.print();
            prop_assert_eq!(text.parse::<RecoverySheet>().unwrap(), sheet.clone());
            let sloppy = text.to_lowercase().replace('0', "o").replace('1', "l").replace(' ', " - ");
            prop_assert_eq!(sloppy.parse::<RecoverySheet>().unwrap(), sheet.clone());
            prop_assert_eq!(text.replace(' ', "").parse::<RecoverySheet>().unwrap(), sheet);
        }

        #[test]
        fn a_wrong_character_is_found_in_its_group(sheet in sheet(), at in 0..64_usize, other in 0..31_usize) {
            let mut text = sheet.print().replace(' ', "").into_bytes();
            let right = ALPHABET.iter().position(|known| *known == text[at]).unwrap();
            text[at] = ALPHABET[(right + 1 + other) % 32];
            let result = String::from_utf8(text).unwrap().parse::<RecoverySheet>();
            prop_assert_eq!(result, Err(SheetError::Typo { group: at / 8 + 1 }));
        }

        #[test]
        fn exchanged_neighbours_are_found(sheet in sheet(), at in (0..64_usize).prop_filter("inside", |at| at % 8 < 7)) {
            let mut text = sheet.print().replace(' ', "").into_bytes();
            prop_assume!(text[at] != text[at + 1]);
            text.swap(at, at + 1);
            let result = String::from_utf8(text).unwrap().parse::<RecoverySheet>();
            prop_assert_eq!(result, Err(SheetError::Typo { group: at / 8 + 1 }));
        }

        #[test]
        fn exchanged_groups_are_found(sheet in sheet(), a in 0..8_usize, b in 0..8_usize) {
            let text = sheet.print();
            let mut groups: Vec<&str> = text.split(' ').collect();
            prop_assume!(a != b);
            groups.swap(a, b);
            let result = groups.join(" ").parse::<RecoverySheet>();
            prop_assert_eq!(result, Err(SheetError::Typo { group: a.min(b) + 1 }));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let text = RecoverySheet::generate().print();
        let short = text.replacen(' ', "", 1);
        assert_eq!(text[1..].parse::<RecoverySheet>(), Err(SheetError::GroupLength { group: 1, found: 7 }));
        assert_eq!(short[1..].parse::<RecoverySheet>(), Err(SheetError::Length { found: 63 }));
        let odd = format!("U{}", &text[1..]);
        assert_eq!(odd.parse::<RecoverySheet>(), Err(SheetError::Character { group: 1, character: 'U' }));
        assert_eq!("".parse::<RecoverySheet>(), Err(SheetError::Length { found: 0 }));
    }
}
