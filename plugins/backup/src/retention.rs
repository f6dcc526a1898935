//! Which snapshots stay: a pure function of when the keeper took them.
//!
//! There is deliberately no "keep the last n": whoever may add snapshots could push the good ones out by adding n. All
//! rules count spans of time by the keeper's clock, and the newest whole snapshot of every set stays whatever they say.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// How long what is kept. Of each day, week, month and year the last whole snapshot counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Everything younger than this stays.
    pub(crate) within: SignedDuration,
    pub(crate) daily: usize,
    pub(crate) weekly: usize,
    pub(crate) monthly: usize,
    pub(crate) yearly: usize,
}

/// A snapshot of one set of one source, as retention sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Candidate<I> {
    pub(crate) id: I,
    pub(crate) taken: Timestamp,
    pub(crate) complete: bool,
    /// Held by an operator: it stays.
    pub(crate) held: bool,
}

/// Why a snapshot stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    Held,
    Newest,
    Within,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reason::Held => "held",
            Reason::Newest => "newest",
            Reason::Within => "young",
            Reason::Daily => "daily",
            Reason::Weekly => "weekly",
            Reason::Monthly => "monthly",
            Reason::Yearly => "yearly",
        }
    }
}

/// What is to become of one snapshot; no reason means that it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict<I> {
    pub(crate) id: I,
    pub(crate) reasons: Vec<Reason>,
}

/// Judges all snapshots of one set, in any order; the verdicts come newest first. Days begin and end in `zone`.
pub(crate) fn judge<I: Copy + Ord>(
    rule: &Rule,
    candidates: &[Candidate<I>],
    now: Timestamp,
    zone: &TimeZone,
) -> Vec<Verdict<I>> {
    let mut sorted: Vec<&Candidate<I>> = candidates.iter().collect();
    sorted.sort_by_key(|candidate| std::cmp::Reverse((candidate.taken, candidate.id)));
    let newest = sorted.iter().find(|candidate| candidate.complete).or(sorted.first()).map(|candidate| candidate.id);
    let spans = [
        (Reason::Daily, chosen(&sorted, rule.daily, zone, |day| day)),
        (
            Reason::Weekly,
            chosen(&sorted, rule.weekly, zone, |day| day.iso_week_date().first_of_week().map_or(day, Date::from)),
        ),
        (Reason::Monthly, chosen(&sorted, rule.monthly, zone, |day| day.first_of_month())),
        (Reason::Yearly, chosen(&sorted, rule.yearly, zone, |day| day.first_of_year())),
    ];
    let verdict = |candidate: &Candidate<I>| {
        let mut reasons = Vec::new();
        let mut because = |holds: bool, reason| reasons.extend(holds.then_some(reason));
        because(candidate.held, Reason::Held);
        because(newest == Some(candidate.id), Reason::Newest);
        // A snapshot from the future stays: the clock is wrong now, or was then.
        because(now.duration_since(candidate.taken) < rule.within, Reason::Within);
        for (reason, ids) in &spans {
            because(ids.contains(&candidate.id), *reason);
        }
        Verdict { id: candidate.id, reasons }
    };
    sorted.into_iter().map(verdict).collect()
}

/// The last whole snapshot of each of the newest `count` spans that have any; the last at all where none is whole.
fn chosen<I: Copy + Ord>(
    newest_first: &[&Candidate<I>],
    count: usize,
    zone: &TimeZone,
    span: impl Fn(Date) -> Date,
) -> BTreeSet<I> {
    let mut spans: Vec<(Date, &Candidate<I>)> = Vec::new();
    for candidate in newest_first {
        let this = span(candidate.taken.to_zoned(zone.clone()).date());
        if let Some((_, kept)) = spans.last_mut().filter(|(last, _)| *last == this) {
            if candidate.complete && !kept.complete {
                *kept = candidate;
            }
        } else if spans.len() == count {
            break;
        } else {
            spans.push((this, candidate));
        }
    }
    spans.into_iter().map(|(_, candidate)| candidate.id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULE: Rule = Rule { within: SignedDuration::from_hours(24), daily: 3, weekly: 2, monthly: 3, yearly: 1 };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn taken(id: u32, text: &str) -> Candidate<u32> {
        Candidate { id, taken: at(text), complete: true, held: false }
    }

    fn kept(candidates: &[Candidate<u32>], now: &str) -> Vec<u32> {
        let verdicts = judge(&RULE, candidates, at(now), &TimeZone::UTC);
        assert_eq!(verdicts.len(), candidates.len());
        verdicts.into_iter().filter(|verdict| !verdict.reasons.is_empty()).map(|verdict| verdict.id).collect()
    }

    #[test]
    fn grandfathers_fathers_and_sons_stay() {
        let days: Vec<Candidate<u32>> = (1..=60)
            .map(|n| Candidate {
                taken: at("2026-01-01T03:00:00Z") + SignedDuration::from_hours(24 * i64::from(n)),
                ..taken(n, "2026-01-01T03:00:00Z")
            })
            .collect();
        // Days 60, 59, 58 of the year; weeks end on Sundays; the month before ends with day 30.
        assert_eq!(kept(&days, "2026-03-02T12:00:00Z"), [60, 59, 58, 30]);
        let weekly = judge(&RULE, &days, at("2026-03-02T12:00:00Z"), &TimeZone::UTC);
        assert_eq!(weekly[1].reasons, [Reason::Daily, Reason::Weekly], "Sunday is the last day of its week");
    }

    #[test]
    fn a_flood_pushes_nothing_out() {
        let good: Vec<Candidate<u32>> = (1..=3).map(|day| taken(day, &format!("2026-05-0{day}T03:00:00Z"))).collect();
        let flood = (100..5_000).map(|id| taken(id, "2026-05-04T10:00:00Z"));
        let all: Vec<Candidate<u32>> = good.iter().copied().chain(flood).collect();
        let kept = kept(&all, "2026-05-06T12:00:00Z");
        assert_eq!(kept, [4_999, 3, 2], "the flood counts as one day, its two neighbours stay");
    }

    #[test]
    fn the_newest_whole_snapshot_always_stays() {
        let partial = Candidate { complete: false, ..taken(2, "2020-01-02T00:00:00Z") };
        let none = Rule { within: SignedDuration::ZERO, daily: 0, weekly: 0, monthly: 0, yearly: 0 };
        let verdicts =
            judge(&none, &[partial, taken(1, "2020-01-01T00:00:00Z")], at("2026-01-01T00:00:00Z"), &TimeZone::UTC);
        assert!(verdicts[0].reasons.is_empty());
        assert_eq!(verdicts[1].reasons, [Reason::Newest]);
    }

    #[test]
    fn a_whole_snapshot_stands_for_its_day_before_a_later_incomplete_one() {
        let late = Candidate { complete: false, ..taken(2, "2026-05-01T20:00:00Z") };
        assert_eq!(kept(&[late, taken(1, "2026-05-01T03:00:00Z")], "2026-05-06T00:00:00Z"), [1]);
    }

    #[test]
    fn what_is_held_or_from_the_future_stays() {
        let held = Candidate { held: true, ..taken(1, "2019-01-01T00:00:00Z") };
        let all = [held, taken(2, "2026-05-01T00:00:00Z"), taken(3, "2031-01-01T00:00:00Z")];
        assert_eq!(kept(&all, "2026-05-06T00:00:00Z"), [3, 2, 1]);
    }

    #[test]
    fn judging_twice_removes_nothing_more() {
        let days: Vec<Candidate<u32>> = (0..400)
            .map(|n| Candidate {
                taken: at("2025-01-01T03:00:00Z") + SignedDuration::from_hours(7 * i64::from(n)),
                ..taken(n, "2025-01-01T03:00:00Z")
            })
            .collect();
        let first = kept(&days, "2026-01-01T00:00:00Z");
        let left: Vec<Candidate<u32>> = days.into_iter().filter(|one| first.contains(&one.id)).collect();
        assert_eq!(kept(&left, "2026-01-01T00:00:00Z"), first);
    }

    proptest! {
        /// A machine that was broken into adds snapshots by the thousand: they cost those of before as many days as it took.
        #[test]
        fn a_flood_pushes_out_days_however_large_it_is(
            good in prop::collection::vec((0_i64..20, 0_i64..24, any::<bool>()), 1..30),
            flood in prop::collection::vec((20_i64..23, 0_i64..24, any::<bool>()), 0..60),
            hours in 0_i64..100,
        ) {
            let taken = |id: usize, (day, hour, complete): &(i64, i64, bool)| {
                let hours = SignedDuration::from_hours(24 * day + hour);
                Candidate { id, taken: at("2026-05-01T00:00:00Z") + hours, complete: *complete, held: false }
            };
            let before: Vec<_> = good.iter().enumerate().map(|(id, one)| taken(id, one)).collect();
            let after = flood.iter().enumerate().map(|(id, one)| taken(id + 100, one));
            let all: Vec<_> = before.iter().copied().chain(after).collect();
            let now = at("2026-05-24T00:00:00Z") + SignedDuration::from_hours(hours);
            let rule = Rule { daily: 10, ..RULE };
            let days: BTreeSet<i64> = flood.iter().map(|(day, _, _)| *day).collect();
            let alone = Rule { daily: 10 - days.len(), weekly: 0, monthly: 0, yearly: 0, ..rule };
            let stays = |rule: &Rule, of: &[Candidate<usize>]| -> BTreeSet<usize> {
                let verdicts = judge(rule, of, now, &TimeZone::UTC);
                let by_time = |verdict: &Verdict<usize>| verdict.reasons.iter().any(|reason| *reason != Reason::Newest);
                verdicts.iter().filter(|verdict| by_time(verdict)).map(|verdict| verdict.id).collect()
            };
            prop_assert!(stays(&alone, &before).is_subset(&stays(&rule, &all)));
        }
    }
}
