//! How far a command is, as one line: a bar, percent, amounts, rate and time left. The rate is made here, of what was
//! told within the last seconds; the clock is the caller's.

use super::render::cut;
use super::text::{bytes, duration};
use schema::{Amount, Progress, Unit, neutral_text};
use std::collections::VecDeque;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// The rate is that of this time.
const WINDOW: Duration = Duration::from_secs(10);
/// No rate is told of a shorter time than this: it would jump.
const LEAST: Duration = Duration::from_secs(1);
/// Narrowest line that has room for a bar.
const ROOM_FOR_BAR: usize = 60;
const BAR: usize = 20;

/// What a command told of its progress, and when.
#[derive(Debug, Default)]
pub struct Meter {
    latest: Progress,
    /// How much was done at which moment; the oldest may be older than the window, so that it spans all of it.
    told: VecDeque<(Duration, f64)>,
}

impl Meter {
    /// Takes note of what was told at `at`, a moment of the caller's clock.
    pub fn tell(&mut self, at: Duration, progress: &Progress) {
        let unit = |progress: &Progress| progress.amount.map(|amount| amount.unit);
        let done = done(progress);
        let went_back = self.told.back().is_some_and(|(_, last)| done.is_none_or(|done| done < *last));
        if went_back || unit(progress) != unit(&self.latest) {
            self.told.clear();
        }
        self.told.extend(done.map(|done| (at, done)));
        while self.told.get(1).is_some_and(|(second, _)| at.saturating_sub(*second) >= WINDOW) {
            self.told.pop_front();
        }
        self.latest = progress.clone();
    }

    /// How much a second, in units of what is told; nothing before that can be said.
    fn rate(&self, now: Duration) -> Option<f64> {
        let ((first, from), (_, to)) = (self.told.front()?, self.told.back()?);
        let time = now.saturating_sub(*first);
        (time >= LEAST).then(|| (to - from) / time.as_secs_f64()).filter(|rate| *rate > 0.0)
    }

    fn seconds_left(&self, now: Duration) -> Option<f64> {
        let total = match self.latest.amount {
            Some(amount) => as_f64(amount.total?),
            None => 1.0,
        };
        let left = total - done(&self.latest)?;
        (left > 0.0).then(|| Some(left / self.rate(now)?))?
    }

    /// The line as it is at `now`. With a width it has a bar where there is room, and never more columns.
    pub fn line(&self, now: Duration, width: Option<usize>) -> String {
        let fraction = self.latest.amount.and_then(Amount::fraction).or(self.latest.fraction);
        let percent = fraction.map(|f| format!("{:.0} %", (f.clamp(0.0, 1.0) * 100.0).floor()));
        let amount = self.latest.amount.map(amount_text);
        let rate = self.latest.amount.and_then(|amount| Some(rate_text(amount.unit, self.rate(now)?)));
        let left = self.seconds_left(now).map(|left| format!("{} left", duration(left.ceil())));
        let text = Some(neutral_text(&self.latest.text)).filter(|text| !text.is_empty());
        let Some(width) = width else {
            let told: Vec<String> = [percent, amount, rate, left].into_iter().flatten().collect();
            let told = Some(told.join(", ")).filter(|told| !told.is_empty());
            return [told, text].into_iter().flatten().collect::<Vec<_>>().join(": ");
        };
        let bar = fraction.filter(|_| width >= ROOM_FOR_BAR).map(bar);
        let percent = percent.map(|percent| format!("{percent:>5}"));
        let mut line = String::new();
        // What is in front says more; a part that does not fit goes as a whole, but for the text.
        for part in [bar, percent, amount, rate, left].into_iter().flatten() {
            let gap = if line.is_empty() { 0 } else { 2 };
            if line.width() + gap + part.width() <= width {
                line.push_str(&" ".repeat(gap));
                line.push_str(&part);
            }
        }
        if let Some(text) = text {
            line.push_str(if line.is_empty() { "" } else { "  " });
            line.push_str(&text);
        }
        cut(line.trim_end(), width)
    }
}

fn done(progress: &Progress) -> Option<f64> {
    progress.amount.map(|amount| as_f64(amount.done)).or(progress.fraction)
}

#[allow(clippy::cast_precision_loss)] // it is shown rounded
fn as_f64(n: u64) -> f64 {
    n as f64
}

fn bar(fraction: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share of the bar's few characters
    let full = (fraction.clamp(0.0, 1.0) * BAR as f64) as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

fn amount_text(amount: Amount) -> String {
    let one = |n: u64| match amount.unit {
        Unit::Bytes => bytes(as_f64(n)),
        Unit::Items => n.to_string(),
    };
    match amount.total {
        Some(total) => format!("{} of {}", one(amount.done), one(total)),
        None => one(amount.done),
    }
}

fn rate_text(unit: Unit, rate: f64) -> String {
    match unit {
        Unit::Bytes => format!("{}/s", bytes(rate)),
        Unit::Items if rate < 10.0 => format!("{rate:.1}/s"),
        Unit::Items => format!("{rate:.0}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1024 * 1024;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn amount(amount: Amount, text: &str) -> Progress {
        Progress { fraction: amount.fraction(), text: text.into(), amount: Some(amount) }
    }

    #[test]
    fn bytes_have_a_rate_and_a_time_left() {
        let mut meter = Meter::default();
        meter.tell(at(0), &amount(Amount::bytes(0).of(100 * MIB), "reading"));
        assert_eq!(meter.line(at(0), None), "0 %, 0 B of 100 MiB: reading");
        meter.tell(at(5), &amount(Amount::bytes(50 * MIB).of(100 * MIB), "reading"));
        assert_eq!(meter.line(at(5), None), "50 %, 50 MiB of 100 MiB, 10 MiB/s, 5 s left: reading");
        let line = "[##########..........]   50 %  50 MiB of 100 MiB  10 MiB/s  5 s left  reading";
        assert_eq!(meter.line(at(5), Some(100)), line);
        assert_eq!(meter.line(at(5), Some(40)), " 50 %  50 MiB of 100 MiB  10 MiB/s  rea…");
        // Nothing has been told since: what was done takes longer now.
        assert_eq!(meter.line(at(10), None), "50 %, 50 MiB of 100 MiB, 5 MiB/s, 10 s left: reading");
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_of_what_is_counted_now() {
        let mut meter = Meter::default();
        for second in 0..=60 {
            meter.tell(at(second), &amount(Amount::items(second * if second > 40 { 10 } else { 1 }), "files"));
        }
        assert_eq!(meter.line(at(60), None), "600, 10/s: files");
        meter.tell(at(61), &amount(Amount::bytes(7), "writing"));
        assert_eq!(meter.line(at(63), None), "7 B: writing");
    }

    #[test]
    fn a_share_alone_has_a_time_left_and_a_text_alone_stands_as_it_is() {
        let mut meter = Meter::default();
        let share = |fraction| Progress { fraction: Some(fraction), text: "x\u{1b}y".into(), amount: None };
        meter.tell(at(0), &share(0.0));
        meter.tell(at(10), &share(0.25));
        assert_eq!(meter.line(at(10), None), "25 %, 30 s left: x␛y");
        meter.tell(at(11), &Progress { text: "waiting".into(), ..Progress::default() });
        assert_eq!(meter.line(at(11), Some(80)), "waiting");
        assert_eq!(Meter::default().line(at(0), Some(80)), "");
    }

    #[test]
    fn what_is_not_whole_yet_is_not_called_a_hundred_percent() {
        let mut meter = Meter::default();
        meter.tell(at(0), &amount(Amount::items(999).of(1000), ""));
        assert_eq!(meter.line(at(0), None), "99 %, 999 of 1000");
    }

    proptest! {
        #[test]
        fn a_line_never_has_more_columns_than_there_are(
            told in prop::collection::vec((0u64..100, any::<u64>(), any::<Option<u64>>(), any::<bool>()), 1..20),
            text in ".{0,60}",
            width in 1usize..120,
        ) {
            let (mut meter, mut now) = (Meter::default(), 0);
            for (pause, done, total, bytes) in told {
                now += pause;
                let unit = if bytes { Unit::Bytes } else { Unit::Items };
                meter.tell(at(now), &amount(Amount { done, total, unit }, &text));
                let line = meter.line(at(now), Some(width));
                prop_assert!(line.width() <= width, "{} columns: {line}", line.width());
                prop_assert!(!line.contains("NaN") && !line.contains("inf"), "{line}");
            }
        }
    }
}
