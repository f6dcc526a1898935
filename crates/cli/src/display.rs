//! What is told on stderr while a command runs: one line of progress on a terminal, one every few seconds elsewhere, and
//! whatever has to be said in between.

use schema::{JobState, Progress};
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use surface::cli::Meter;

/// How often the line on a terminal is drawn at most.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written at most where there is no terminal.
const WRITE_EVERY: Duration = Duration::from_secs(5);

/// The line at the bottom of the terminal. There is one stderr, whoever writes to it.
static BOTTOM: Mutex<String> = Mutex::new(String::new());

/// Says something in a line of its own, above the line of progress.
pub(crate) fn say(text: &str) {
    let bottom = BOTTOM.lock().unwrap_or_else(PoisonError::into_inner);
    if bottom.is_empty() {
        eprintln!("{text}");
    } else {
        eprint!("\r\x1b[K{text}\n{}", *bottom);
    }
}

/// Puts this line at the bottom of the terminal; an empty one takes it away.
fn put(line: &str) {
    let mut bottom = BOTTOM.lock().unwrap_or_else(PoisonError::into_inner);
    if *bottom == line {
        return;
    }
    let mut terminal = std::io::stderr().lock();
    // A terminal that is gone has nobody in front of it.
    let _ = write!(terminal, "\r\x1b[K{line}").and_then(|()| terminal.flush());
    line.clone_into(&mut bottom);
}

/// How far one command is. Ends with what is drawn being gone.
pub(crate) struct Display {
    meter: Meter,
    state: JobState,
    since: Instant,
    live: bool,
    drawn: Option<Instant>,
    /// What was drawn last; a line is not written twice.
    last: String,
}

impl Display {
    pub(crate) fn new(state: JobState) -> Display {
        let live = std::io::stderr().is_terminal();
        Display { meter: Meter::default(), state, since: Instant::now(), live, drawn: None, last: String::new() }
    }

    pub(crate) fn tell(&mut self, progress: &Progress) {
        self.meter.tell(self.since.elapsed(), progress);
    }

    /// A change of state is told at once.
    pub(crate) fn enter(&mut self, state: JobState) {
        if state != self.state {
            self.state = state;
            self.drawn = None;
        }
    }

    /// Draws what is new; may be called as often as one likes.
    pub(crate) fn draw(&mut self) {
        let pace = if self.live { DRAW_EVERY } else { WRITE_EVERY };
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < pace) {
            return;
        }
        let line = self.line();
        if line.is_empty() || line == self.last {
            return;
        }
        self.drawn = Some(Instant::now());
        if self.live {
            put(&line)
        } else {
            say(&line)
        }
        self.last = line;
    }

    fn line(&self) -> String {
        let width = self.live.then(width).flatten();
        let width = if self.live { Some(width.unwrap_or(80)) } else { None };
        let state = if self.state == JobState::Running { "" } else { self.state.as_str() };
        let room = width.map(|width| width.saturating_sub(state.len() + 1));
        let line = self.meter.line(self.since.elapsed(), room);
        let gap = if state.is_empty() || line.is_empty() { "" } else { " " };
        format!("{state}{gap}{line}")
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if self.live {
            put("");
        }
    }
}

/// Columns of the terminal behind stderr.
fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok()?;
    Some(usize::from(size.ws_col)).filter(|width| *width > 0)
}
