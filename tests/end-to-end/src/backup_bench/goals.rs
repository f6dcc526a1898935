//! The goals that were set for backups, each beside what was measured.

use super::report::{Goal, Row};
use super::{Part, Report, keeper};

const FAST: &str = "bailiwick zstd,1";
const SMALL: &str = "bailiwick zstd,3";

/// Judges every goal that something was measured for.
pub(super) fn judge(report: &mut Report) {
    let goals = [mixed(report), small(report), clients(report), site(report)];
    report.goals = goals.into_iter().flatten().flatten().collect();
}

fn goal(what: &str, value: Option<f64>, limit: f64) -> Option<Goal> {
    Some(Goal { what: what.to_owned(), value: value?, limit })
}

fn row<'a>(report: &'a Report, part: Part, phase: &str, who: &str) -> Option<&'a Row> {
    report.of(part, phase).find(|row| row.who == who)
}

/// The least that any rival of this kind took.
fn best(report: &Report, part: Part, phase: &str, kind: &str, of: impl Fn(&Row) -> f64) -> Option<f64> {
    let rivals = report.of(part, phase).filter(|row| !row.is_ours && row.who.starts_with(kind));
    rivals.map(of).min_by(f64::total_cmp)
}

/// Ours as a share of the best rival of this kind.
fn share(report: &Report, (part, phase): (Part, &str), ours: &str, kind: &str, of: fn(&Row) -> f64) -> Option<f64> {
    Some(of(row(report, part, phase, ours)?) / best(report, part, phase, kind, of)?)
}

fn stored(row: &Row) -> f64 {
    row.size_mib().unwrap_or(f64::INFINITY)
}

fn mixed(report: &Report) -> Vec<Option<Goal>> {
    let (first, unchanged) = ((Part::Mixed, "first"), (Part::Mixed, "unchanged"));
    vec![
        goal("first backup, CPU / best rival's", share(report, first, FAST, "", Row::cpu), 1.0 / 3.0),
        goal("first backup, stored at zstd,1 / restic's", share(report, first, FAST, "restic", stored), 1.0),
        goal("first backup, stored at zstd,3 / borg's", share(report, first, SMALL, "borg", stored), 1.0),
        goal("unchanged, CPU / best rival's", share(report, unchanged, FAST, "", Row::cpu), 1.0 / 6.0),
    ]
}

fn small(report: &Report) -> Vec<Option<Goal>> {
    let (first, unchanged) = ((Part::Small, "first"), (Part::Small, "unchanged"));
    let files = report.trees.iter().find(|tree| tree.0 == "small").map(|tree| tree.1 as f64);
    let each = row(report, unchanged.0, unchanged.1, FAST).zip(files).map(|(row, files)| row.cpu() * 100_000.0 / files);
    vec![
        goal("unchanged, CPU s for each 100,000 files", each, 0.5),
        goal("unchanged small files, CPU / best rival's", share(report, unchanged, FAST, "", Row::cpu), 1.0 / 6.0),
        goal("small files, CPU / best rival's", share(report, first, FAST, "", Row::cpu), 1.0 / 3.0),
        goal("small files, stored / best rival's", share(report, first, FAST, "", stored), 0.8),
        goal("small files, wall / restic's", share(report, first, FAST, "restic", Row::wall), 1.0),
    ]
}

fn clients(report: &Report) -> Vec<Option<Goal>> {
    let ten = (Part::Clients, "ten clients");
    let agents = row(report, Part::Site, "ten clients", "agent").map(Row::cpu);
    let borg = best(report, ten.0, ten.1, "borg", Row::cpu);
    vec![
        goal("ten clients alone, CPU / borg's", share(report, ten, FAST, "borg", Row::cpu), 0.4),
        goal("ten agents' own CPU / borg's", agents.zip(borg).map(|(ours, borg)| ours / borg), 0.4),
    ]
}

fn site(report: &Report) -> Vec<Option<Goal>> {
    let figure = |what: &str| report.figures.iter().find(|figure| figure.what.starts_with(what));
    let peak = report.rows.iter().filter(|row| row.part == Part::Site && row.who == "agent").map(Row::peak_mib);
    let mut goals: Vec<Option<Goal>> = ["ten clients", "ten clients at once"]
        .map(|what| format!("{what}: bytes sent"))
        .map(|what| figure(&what).and_then(|figure| goal(&figure.what, Some(figure.value()), 1.05)))
        .into();
    goals.push(goal("an agent and its plugin, most memory, MiB", peak.max_by(f64::total_cmp), 64.0));
    let (memory, garbage) = (figure(keeper::MEMORY), figure(keeper::GARBAGE));
    goals.push(memory.and_then(|figure| goal(&figure.what, Some(figure.value()), 64.0)));
    goals.push(garbage.and_then(|figure| goal(&figure.what, Some(figure.value()), 10.0)));
    goals
}
