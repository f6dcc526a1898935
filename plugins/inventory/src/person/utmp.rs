//! The system's binary lists of sign-ins: who is here (`utmp`) and who was (`wtmp`), as glibc writes them.

use super::{Accounts, Candidate, Evidence};
use crate::root::{Root, fact};
use jiff::Timestamp;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Bytes of a record: times are 32 bits wide where 32-bit programs must read the file too.
pub const UTMP_RECORD: usize = if cfg!(any(target_arch = "x86_64", target_arch = "powerpc64")) { 384 } else { 400 };
/// Where the seconds stand, and how wide they are.
const SECONDS: (usize, usize) = if UTMP_RECORD == 384 { (340, 4) } else { (344, 8) };
const USER_PROCESS: i16 = 7;
/// How much of the end of the log is looked through.
const TAIL: u64 = 4000 * UTMP_RECORD as u64;

struct Record {
    pid: i32,
    line: String,
    candidate: Candidate,
}

/// Who is signed in and whose process still lives; a crash leaves records behind.
pub(super) fn sign_ins(root: &Root, accounts: &Accounts) -> Vec<Candidate> {
    let bytes = root.bytes("/run/utmp").or_else(|| root.bytes("/var/run/utmp")).unwrap_or_default();
    let records = bytes.chunks_exact(UTMP_RECORD).filter_map(|bytes| record(bytes, accounts));
    let alive = records.filter(|r| r.pid > 0 && root.exists(&format!("/proc/{}", r.pid)));
    alive
        .map(|r| {
            let screen = r.line.starts_with(':');
            Candidate { evidence: if screen { Evidence::Screen } else { Evidence::SignIn }, ..r.candidate }
        })
        .collect()
}

/// Who signed in before, as far as the end of the log tells.
pub(super) fn past(root: &Root, accounts: &Accounts) -> Vec<Candidate> {
    let bytes = tail(root).unwrap_or_default();
    bytes.chunks_exact(UTMP_RECORD).filter_map(|bytes| record(bytes, accounts)).map(|r| r.candidate).collect()
}

fn tail(root: &Root) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(root.path("/var/log/wtmp"))?;
    let length = file.metadata()?.len();
    let whole = length - length % UTMP_RECORD as u64;
    file.seek(SeekFrom::Start(whole.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn record(bytes: &[u8], accounts: &Accounts) -> Option<Record> {
    let word = |at: usize| Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let text = |at: usize, length: usize| {
        let field = bytes.get(at..at + length)?;
        let end = field.iter().position(|b| *b == 0).unwrap_or(length);
        fact(&String::from_utf8_lossy(&field[..end]))
    };
    if i16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?) != USER_PROCESS {
        return None;
    }
    let seconds = match SECONDS {
        (at, 4) => i64::from(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?)),
        (at, _) => i64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?),
    };
    let account = text(44, 32)?;
    let from = text(76, 256).filter(|host| !host.starts_with(':')).unwrap_or_else(|| "local".to_owned());
    let candidate = Candidate {
        uid: accounts.uid(&account),
        account,
        evidence: Evidence::SignIn,
        since: Timestamp::from_second(seconds).ok().filter(|_| seconds > 0),
        from: Some(from),
    };
    Some(Record { pid: word(4)?, line: text(8, 32).unwrap_or_default(), candidate })
}
