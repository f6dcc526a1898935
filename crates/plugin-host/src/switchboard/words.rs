//! What a plugin says to people: neutral, in lines, and never more than a screen shows.

use schema::{Code, Problem, Progress, neutral_text};

/// Most problems that are told as one: the problem and its causes.
const MOST_PROBLEMS: usize = 8;

/// The first line of a text, neutral and of bounded length.
pub(crate) fn one_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let mut short: String = line.chars().take(500).collect();
    if short.len() < line.len() {
        short.push('…');
    }
    neutral_text(&short)
}

/// A plugin's problem without what could steer a terminal or fill a screen.
pub(super) fn plain(problem: Problem) -> Problem {
    let mut left = MOST_PROBLEMS - 1;
    plain_within(problem, &mut left)
}

fn plain_within(mut problem: Problem, left: &mut usize) -> Problem {
    problem.message = one_line(&problem.message);
    for text in [&mut problem.field, &mut problem.fix, &mut problem.trace_id].into_iter().flatten() {
        *text = one_line(text);
    }
    let mut causes = Vec::new();
    for cause in problem.causes {
        if *left == 0 {
            break;
        }
        *left -= 1;
        causes.push(plain_within(cause, left));
    }
    problem.causes = causes;
    problem
}

pub(super) fn plain_progress(progress: Progress) -> Progress {
    let fraction = progress.fraction.map(|f| f.clamp(0.0, 1.0));
    Progress { fraction, text: one_line(&progress.text), amount: progress.amount }
}

pub(super) fn cut_off() -> Problem {
    Problem::new(Code::Unavailable, "the stream was cut off.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_any_size_becomes_a_few_plain_lines() {
        let long = format!("\u{1b}[31m{}\nmore", "\"".repeat(100_000));
        let mut problem = Problem::internal(&long).at(&long).fix(&long);
        for _ in 0..20 {
            let cause = problem.clone();
            problem = Problem::internal(&long).at(&long).caused_by(cause.clone()).caused_by(cause);
            problem = plain(problem);
        }
        let told = serde_json::to_string(&problem).unwrap();
        assert!(told.len() < 64 * 1024, "{} bytes", told.len());
        assert!(!told.contains("\\u001b") && !told.contains("\\n") && !told.contains("more"));
    }
}
