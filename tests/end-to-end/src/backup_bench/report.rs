//! What was measured, as tables or JSON. Medians over the rounds.

use super::Part;
use super::measure::Cost;
use serde_json::{Value, json};
use std::fmt;

/// One contestant doing one thing once.
pub(super) struct Sample {
    pub(super) part: Part,
    pub(super) phase: &'static str,
    pub(super) who: String,
    pub(super) is_ours: bool,
    pub(super) cost: Cost,
    /// Of the repository.
    pub(super) size_mib: Option<f64>,
}

/// All rounds of one contestant doing one thing.
pub(super) struct Row {
    pub(super) part: Part,
    pub(super) phase: &'static str,
    pub(super) who: String,
    pub(super) is_ours: bool,
    costs: Vec<Cost>,
    sizes: Vec<f64>,
}

/// A number beside the tables, one value for each round.
pub(super) struct Figure {
    pub(super) what: String,
    values: Vec<f64>,
}

/// A goal, and whether it was reached.
pub(super) struct Goal {
    pub(super) what: String,
    pub(super) value: f64,
    /// At most.
    pub(super) limit: f64,
}

/// Everything that a run found out.
#[derive(Default)]
pub struct Report {
    pub(super) contestants: Vec<(String, String)>,
    /// Name, files, bytes and hash.
    pub(super) trees: Vec<(&'static str, u64, u64, String)>,
    pub(super) notes: Vec<String>,
    pub(super) rows: Vec<Row>,
    pub(super) figures: Vec<Figure>,
    pub(super) goals: Vec<Goal>,
}

impl Row {
    pub(super) fn cpu(&self) -> f64 {
        self.median(Cost::cpu)
    }

    pub(super) fn user(&self) -> f64 {
        self.median(|cost| cost.user)
    }

    pub(super) fn wall(&self) -> f64 {
        self.median(|cost| cost.wall)
    }

    pub(super) fn peak_mib(&self) -> f64 {
        self.median(|cost| cost.peak_mib)
    }

    pub(super) fn size_mib(&self) -> Option<f64> {
        (!self.sizes.is_empty()).then(|| median(self.sizes.clone()))
    }

    fn median(&self, of: impl Fn(&Cost) -> f64) -> f64 {
        median(self.costs.iter().map(of).collect())
    }
}

impl Figure {
    pub(super) fn value(&self) -> f64 {
        median(self.values.clone())
    }
}

impl Goal {
    pub(super) fn is_met(&self) -> bool {
        self.value <= self.limit
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

impl Report {
    pub(super) fn add(&mut self, sample: Sample) {
        let Sample { part, phase, who, is_ours, cost, size_mib } = sample;
        eprintln!("  {phase:20} {who:24} {:7.2} CPU s", cost.cpu());
        let at = self.rows.iter().position(|row| (row.part, row.phase) == (part, phase) && row.who == who);
        let at = at.unwrap_or_else(|| {
            self.rows.push(Row { part, phase, who, is_ours, costs: Vec::new(), sizes: Vec::new() });
            self.rows.len() - 1
        });
        self.rows[at].costs.push(cost);
        self.rows[at].sizes.extend(size_mib);
    }

    pub(super) fn figure(&mut self, what: impl Into<String>, value: f64) {
        let what = what.into();
        match self.figures.iter_mut().find(|figure| figure.what == what) {
            Some(figure) => figure.values.push(value),
            None => self.figures.push(Figure { what, values: vec![value] }),
        }
    }

    /// Rows of one phase.
    pub(super) fn of(&self, part: Part, phase: &str) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.part == part && row.phase == phase)
    }

    /// Everything, for programs.
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "part": format!("{:?}", row.part).to_lowercase(), "phase": row.phase, "who": row.who,
                "rounds": row.costs.len(), "cpu_seconds": row.cpu(), "user_seconds": row.user(),
                "wall_seconds": row.wall(), "peak_mib": row.peak_mib(), "repository_mib": row.size_mib(),
            })
        };
        let goal =
            |goal: &Goal| json!({"what": goal.what, "value": goal.value, "at_most": goal.limit, "met": goal.is_met()});
        let contestant = |(name, about): &(String, String)| json!({"name": name, "about": about});
        let tree = |(name, files, bytes, hash): &(&str, u64, u64, String)| json!({"name": name, "files": files, "bytes": bytes, "hash": hash});
        let figure = |figure: &Figure| json!({"what": figure.what, "value": figure.value()});
        json!({
            "contestants": self.contestants.iter().map(contestant).collect::<Vec<_>>(),
            "trees": self.trees.iter().map(tree).collect::<Vec<_>>(),
            "notes": self.notes,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "figures": self.figures.iter().map(figure).collect::<Vec<_>>(),
            "goals": self.goals.iter().map(goal).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, about) in &self.contestants {
            writeln!(f, "{name:24} {about}")?;
        }
        for (name, files, bytes, hash) in &self.trees {
            writeln!(f, "{name:24} {files} files, {} MiB, blake3 {hash}", bytes >> 20)?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let mut last = None;
        for row in &self.rows {
            let heading = (row.part, row.phase);
            if last != Some(heading) {
                let part = format!("{:?}", row.part).to_lowercase();
                let title = format!("{part}: {}", row.phase);
                writeln!(
                    f,
                    "\n{title:28} {:>8} {:>8} {:>8} {:>9} {:>12}",
                    "CPU s", "user s", "wall s", "peak MiB", "stored MiB"
                )?;
                last = Some(heading);
            }
            let size = row.size_mib().map_or(String::new(), |size| format!("{size:.1}"));
            let (cpu, user, wall, peak) = (row.cpu(), row.user(), row.wall(), row.peak_mib());
            writeln!(f, "  {:26} {cpu:8.2} {user:8.2} {wall:8.2} {peak:9.0} {size:>12}", row.who)?;
        }
        writeln!(f)?;
        for figure in &self.figures {
            writeln!(f, "{:64} {:>9.3}", figure.what, figure.value())?;
        }
        for goal in &self.goals {
            let verdict = if goal.is_met() { "met" } else { "missed" };
            writeln!(f, "goal: {:58} {:>9.3} of {:>7.3} {verdict}", goal.what, goal.value, goal.limit)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_become_medians() {
        let mut report = Report::default();
        for (wall, size) in [(3.0, 30.0), (1.0, 10.0), (9.0, 20.0)] {
            let cost = Cost { wall, ..Cost::default() };
            let who = "one".to_owned();
            report.add(Sample { part: Part::Small, phase: "first", who, is_ours: true, cost, size_mib: Some(size) });
            report.figure("ratio", wall);
        }
        assert_eq!((report.rows.len(), report.rows[0].wall(), report.rows[0].size_mib()), (1, 3.0, Some(20.0)));
        assert_eq!(report.figures[0].value(), 3.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}
