//! The daily backup of a machine: begun by the machine itself, at a moment of its own within the hours that are set, by its own
//! clock. What was missed, since the machine slept or could not reach anyone, is made up as soon as it can be.

use crate::run::host_name;
use crate::settings::Running;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, civil};
use sdk::prelude::*;
use sdk::schema::Hours;
use sdk::serde::{Deserialize, Serialize};
use sdk::tokio::sync::Notify;
use sdk::{serde_json, tokio};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;

/// How often the clock is looked at: a machine that slept has no other way to know.
const LOOK: Duration = Duration::from_secs(20);
/// Name of the file that says until when all is done.
const STATE: &str = "daily.json";

/// The settings have changed.
static CHANGED: Notify = Notify::const_new();

/// What is kept between looks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(crate = "sdk::serde")]
struct Done {
    /// The hours that this was said of: others begin anew.
    hours: String,
    /// Every daily backup up to this moment was begun.
    until: Timestamp,
}

/// Wakes the service.
pub(crate) async fn settings_changed(_: Ctx) -> Result<()> {
    CHANGED.notify_one();
    Ok(())
}

/// Begins backups for as long as the plugin runs.
pub(crate) async fn keep(ctx: Ctx) -> Result<()> {
    if ctx.is_standalone() {
        return Ok(());
    }
    let file = ctx.files_dir().await?.join(STATE);
    let mut said = String::new();
    loop {
        if let Err(fault) = look(&ctx, &file, Timestamp::now(), &TimeZone::system()).await {
            // Tried again at the next look; said once.
            let text = fault.0.to_string();
            if text != said {
                sdk::tracing::warn!("the daily backup cannot be begun: {text}");
                said = text;
            }
        }
        tokio::select! {
            () = CHANGED.notified() => {}
            slept = ctx.sleep(LOOK) => slept?,
        }
    }
}

async fn look(ctx: &Ctx, file: &Path, now: Timestamp, zone: &TimeZone) -> Result<()> {
    let settings: Running = ctx.settings().await?;
    let Some(hours) = settings.daily() else { return Ok(()) };
    let done = match read(file) {
        Some(done) if done.hours == hours.to_string() && done.until <= now => done,
        // New hours, or a clock that was set back: what was before is not made up.
        _ => {
            let done = Done { hours: hours.to_string(), until: now };
            write(file, &done)?;
            done
        }
    };
    let Some(due) = last_due(hours, now, zone, seed()).filter(|due| *due > done.until) else { return Ok(()) };
    let job = ctx.start_job("run", json!({}), None, Some(&format!("daily {due}"))).await?;
    sdk::tracing::info!(%job, "the daily backup is begun");
    write(file, &Done { until: due, ..done })
}

/// The last moment, now or before, at which a daily backup was to begin.
fn last_due(hours: Hours, now: Timestamp, zone: &TimeZone, seed: u64) -> Option<Timestamp> {
    let today = now.to_zoned(zone.clone()).date();
    // The hours of yesterday may last until today.
    let days = [0, 1, 2].into_iter().filter_map(|back| today.checked_sub(back.days()).ok());
    days.filter_map(|day| due_on(day, hours, zone, seed)).find(|due| *due <= now)
}

/// When the backup of one day begins: the same each time it is asked, another on each machine and each day.
fn due_on(day: civil::Date, hours: Hours, zone: &TimeZone, seed: u64) -> Option<Timestamp> {
    let (hour, minute) = ((hours.from() / 60) as i8, (hours.from() % 60) as i8);
    let begin = day.at(hour, minute, 0, 0).to_zoned(zone.clone()).ok()?.timestamp();
    let mut hasher = DefaultHasher::new();
    (seed, day.to_string()).hash(&mut hasher);
    let seconds = hasher.finish() % (u64::from(hours.minutes()) * 60);
    begin.checked_add(SignedDuration::from_secs(seconds as i64)).ok()
}

/// A number of this machine's own.
fn seed() -> u64 {
    let mut hasher = DefaultHasher::new();
    std::fs::read("/etc/machine-id").unwrap_or_default().hash(&mut hasher);
    host_name().hash(&mut hasher);
    hasher.finish()
}

fn read(file: &Path) -> Option<Done> {
    serde_json::from_slice(&std::fs::read(file).ok()?).ok()
}

/// Whole or not at all.
fn write(file: &Path, done: &Done) -> Result<()> {
    let beside = file.with_extension("new");
    std::fs::write(&beside, serde_json::to_vec(done)?)?;
    Ok(std::fs::rename(&beside, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_backup_begins_once_a_day_within_its_hours() {
        let (hours, zone): (Hours, _) = ("21:00-05:00".parse().unwrap(), TimeZone::UTC);
        let (mut begun, mut until) = (Vec::new(), at("2026-03-01T12:00:00Z"));
        for minutes in 0..5 * 24 * 60 {
            let now = at("2026-03-01T12:00:00Z") + SignedDuration::from_mins(minutes);
            if let Some(due) = last_due(hours, now, &zone, 7).filter(|due| *due > until) {
                begun.push(now);
                until = due;
            }
        }
        assert_eq!(begun.len(), 5, "{begun:?}");
        for moment in begun {
            let time = moment.to_zoned(zone.clone()).time();
            let minute = time.hour() as u16 * 60 + time.minute() as u16;
            // Noticed within a minute of the moment.
            assert!(hours.contains(minute) || hours.contains(minute - 1), "{moment}");
        }
    }

    #[test]
    fn what_was_missed_is_made_up_once() {
        let (hours, zone): (Hours, _) = ("01:00-02:00".parse().unwrap(), TimeZone::UTC);
        let (slept, woke) = (at("2026-03-01T12:00:00Z"), at("2026-03-05T15:00:00Z"));
        let due = last_due(hours, woke, &zone, 7).unwrap();
        assert!(due > slept && due >= at("2026-03-05T01:00:00Z") && due < at("2026-03-05T02:00:00Z"), "{due}");
        assert_eq!(last_due(hours, woke + SignedDuration::from_hours(5), &zone, 7), Some(due));
    }

    #[test]
    fn a_day_on_which_the_clock_jumps_has_its_backup_too() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let hours: Hours = "02:15-02:45".parse().unwrap();
        // There is no half past two on that day.
        let due = due_on(civil::date(2026, 3, 29), hours, &zone, 1).unwrap();
        assert_eq!(due.to_zoned(zone).date(), civil::date(2026, 3, 29));
    }

    proptest! {
        #[test]
        fn machines_are_spread_over_the_hours(from in 0_u16..1440, minutes in 1_u16..1440, seed: u64, day in 1_i8..28) {
            let to = (from + minutes) % 1440;
            prop_assume!(to != from);
            let hours: Hours = format!("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60).parse().unwrap();
            let due = due_on(civil::date(2026, 5, day), hours, &TimeZone::UTC, seed).unwrap();
            let time = due.to_zoned(TimeZone::UTC).time();
            prop_assert!(hours.contains(time.hour() as u16 * 60 + time.minute() as u16));
        }
    }
}
