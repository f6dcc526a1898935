//! Hours of the day: when something may be done, or is slowed down, by the clock of the machine it is done on.

use crate::Problem;
use std::fmt;
use std::str::FromStr;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A part of every day, as in `21:00-05:00`: past midnight where it ends before it begins. `00:00-24:00` is all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    length: u16,
}

impl Hours {
    /// The minute of the day at which they begin.
    pub fn from(self) -> u16 {
        self.from
    }

    /// How many minutes they last, 1 to 1440.
    pub fn minutes(self) -> u16 {
        self.length
    }

    /// Whether this minute of the day is among them.
    pub fn contains(self, minute: u16) -> bool {
        self.since(minute) < self.length
    }

    /// Whether all of them are among the others.
    pub fn within(self, other: Hours) -> bool {
        other.length == DAY || other.since(self.from) + self.length <= other.length
    }

    /// Minutes from their beginning to this minute of the day.
    fn since(self, minute: u16) -> u16 {
        (minute % DAY + DAY - self.from) % DAY
    }
}

impl FromStr for Hours {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Hours, Problem> {
        let refuse = || Problem::bad_request("expected hours as in 21:00-05:00.");
        let (from, to) = text.split_once('-').ok_or_else(refuse)?;
        let (from, to) = (minute(from).ok_or_else(refuse)?, minute(to).ok_or_else(refuse)?);
        if from == DAY || from == to {
            return Err(refuse());
        }
        let length = if to > from { to - from } else { to + DAY - from };
        Ok(Hours { from, length })
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.from + self.length;
        let to = if end > DAY { end - DAY } else { end };
        write!(f, "{:02}:{:02}-{:02}:{:02}", self.from / 60, self.from % 60, to / 60, to % 60)
    }
}

/// `HH:MM`, to `24:00`.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(hours) || !digits(minutes) {
        return None;
    }
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (minutes < 60 && hours * 60 + minutes <= DAY).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    #[test]
    fn hours_read_back_and_wrong_ones_are_refused() {
        for text in ["21:00-05:00", "00:00-24:00", "08:30-17:45", "23:59-00:00"] {
            let again = hours(text).to_string();
            assert_eq!(hours(&again), hours(text), "{text} {again}");
        }
        assert_eq!(hours("21:00-05:00").to_string(), "21:00-05:00");
        for text in [
            "",
            "21:00",
            "21:00-21:00",
            "24:00-01:00",
            "9:00-10:00",
            "08:60-09:00",
            "25:00-26:00",
            "a-b",
            "+1:00-02:00",
        ] {
            assert!(text.parse::<Hours>().is_err(), "{text}");
        }
    }

    #[test]
    fn hours_may_pass_midnight() {
        let night = hours("21:00-05:00");
        assert_eq!(night.minutes(), 8 * 60);
        for (minute, inside) in [(20 * 60 + 59, false), (21 * 60, true), (0, true), (299, true), (300, false)] {
            assert_eq!(night.contains(minute), inside, "{minute}");
        }
    }

    #[test]
    fn only_a_part_is_within_the_whole() {
        let within = |inner: &str, outer: &str| hours(inner).within(hours(outer));
        assert!(within("22:00-04:00", "21:00-05:00") && within("21:00-05:00", "21:00-05:00"));
        assert!(within("01:00-02:00", "21:00-05:00") && within("21:00-05:00", "00:00-24:00"));
        assert!(!within("20:00-04:00", "21:00-05:00") && !within("22:00-06:00", "21:00-05:00"));
        assert!(!within("00:00-24:00", "21:00-05:00") && within("23:00-22:00", "00:00-24:00"));
    }
}
