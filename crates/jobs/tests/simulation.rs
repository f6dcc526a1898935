//! Thousands of seeded histories of an administrator, its agents and a link that loses, repeats and reorders, all of
//! which crash and come back. `SEED=n cargo test -p jobs --test simulation` replays one.

#![allow(clippy::unwrap_used)] // a test may stop at what it did not expect

#[path = "simulation/agent.rs"]
mod agent;
#[path = "simulation/memory.rs"]
mod memory;
#[path = "simulation/world.rs"]
mod world;

use schema::{JobState, OnInterrupt};
use world::World;

const HISTORIES: u64 = 5_000;

#[test]
fn nothing_is_lost_nothing_runs_twice_and_everything_ends() {
    let only: Option<u64> = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..HISTORIES, |seed| seed..seed + 1);
    let mut seen = Seen::default();
    for seed in seeds {
        let world = World::lived(seed);
        check(&world, seed, &mut seen);
    }
    if only.is_none() {
        seen.must_have_been_hit();
    }
}

/// Each kind of end and each kind of mishap must occur in the histories, or they prove nothing.
#[derive(Debug, Default)]
struct Seen {
    succeeded: u64,
    cancelled: u64,
    expired: u64,
    unknown: u64,
    incomplete: u64,
    done_in_part: u64,
    reruns: u64,
    agent_crashes: u64,
    administrator_crashes: u64,
    repeats: u64,
}

impl Seen {
    fn must_have_been_hit(&self) {
        let each = [
            self.succeeded,
            self.cancelled,
            self.expired,
            self.unknown,
            self.incomplete,
            self.done_in_part,
            self.reruns,
            self.agent_crashes,
            self.administrator_crashes,
            self.repeats,
        ];
        assert!(each.iter().all(|n| *n >= 50), "{self:?}");
    }
}

fn check(world: &World, seed: u64, seen: &mut Seen) {
    for job in world.store.jobs.values() {
        let at = format!("seed {seed}: {:?} {:?} in {:?}", job.id, job.on_interrupt, job.state);
        assert!(job.state.is_final(), "{at}: it did not end: {job:#?}");
        match job.state {
            JobState::Succeeded => seen.succeeded += 1,
            JobState::Cancelled => seen.cancelled += 1,
            JobState::Expired => seen.expired += 1,
            JobState::Unknown => seen.unknown += 1,
            JobState::Incomplete if job.is_parent => seen.incomplete += 1,
            JobState::Incomplete => seen.done_in_part += 1,
            _ => {}
        }
        if job.is_parent {
            let children: Vec<JobState> =
                world.store.jobs.values().filter(|c| c.parent == Some(job.id)).map(|c| c.state).collect();
            assert_eq!(job.state, jobs::derive(&children.into_iter().collect()), "{at}: not what its children are");
            continue;
        }
        let runs = world.runs.get(&job.id).copied().unwrap_or(0);
        let cut_off = world.cut_off.get(&job.id).copied().unwrap_or(0);
        seen.reruns += u64::from(runs > 1);
        let here = job.machine.is_none();
        match job.on_interrupt {
            _ if job.attempt == jobs::MOST_ATTEMPTS && here => assert!(runs <= u64::from(jobs::MOST_ATTEMPTS), "{at}"),
            OnInterrupt::Resume if here => assert!(runs <= 1 + cut_off, "{at}: ran {runs} times"),
            OnInterrupt::Rerun => assert!(runs <= 1 + cut_off, "{at}: ran {runs} times, cut off {cut_off} times"),
            _ => {
                assert!(runs <= 1, "{at}: ran {runs} times");
                assert!(cut_off == 0 || job.state == JobState::Unknown, "{at}: cut off, and nobody was told");
            }
        }
        match job.state {
            JobState::Expired => assert_eq!(runs, 0, "{at}: it ran although it expired"),
            JobState::Succeeded | JobState::Incomplete => assert!(runs > 0, "{at}: it never ran"),
            JobState::Unknown => assert!(cut_off > 0, "{at}: nothing cut it off"),
            JobState::Cancelled => assert!(world.cancelled.contains(&job.id), "{at}: nobody cancelled it"),
            _ => {}
        }
        if let Some(told) = world.acknowledged.get(&job.id) {
            assert_eq!(job.state, *told, "{at}: what was acknowledged is not what is stored");
        }
    }
    assert_eq!(world.store.jobs.values().filter(|j| j.parent.is_none()).count(), world.submitted, "seed {seed}");
    seen.agent_crashes += world.agent_crashes;
    seen.administrator_crashes += world.administrator_crashes;
    seen.repeats += world.repeats;
}
