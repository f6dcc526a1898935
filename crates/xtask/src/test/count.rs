//! Reads the sums that test runners print.

use std::fmt;

/// How many tests passed, failed, and could not run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Count {
    pub(crate) fn add(&mut self, other: &Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Takes in one line of a test runner's output; lines that are no sum change nothing.
    pub(crate) fn read(&mut self, line: &str) {
        let line = line.trim();
        if line.starts_with("test result: ") {
            // test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s
            self.passed += before(line, " passed").unwrap_or(0);
            self.failed += before(line, " failed").unwrap_or(0);
            self.skipped += before(line, " ignored").unwrap_or(0);
        } else if let Some(sum) = line.strip_prefix("Tests ") {
            // Tests  1 failed | 41 passed | 2 skipped (44)
            self.passed += before(sum, " passed").unwrap_or(0);
            self.failed += before(sum, " failed").unwrap_or(0);
            self.skipped += before(sum, " skipped").unwrap_or(0);
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// The number right before `word`.
fn before(line: &str, word: &str) -> Option<u64> {
    let head = &line[..line.find(word)?];
    head.rsplit(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sums_of_cargo_and_vitest_are_read() {
        let mut count = Count::default();
        count.read("test result: FAILED. 5 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.0s");
        assert_eq!(count, Count { passed: 5, failed: 2, skipped: 1 });
        count.read("      Tests  1 failed | 41 passed | 3 skipped (45)");
        assert_eq!(count, Count { passed: 46, failed: 3, skipped: 4 });
        count.read("test some::passed_thing ... ok");
        assert_eq!(count.to_string(), "46 passed, 3 failed, 4 skipped");
    }

    #[test]
    fn the_closing_line_has_no_skips_where_there_are_none() {
        assert_eq!(Count { passed: 3, ..Count::default() }.to_string(), "3 passed, 0 failed");
    }
}
