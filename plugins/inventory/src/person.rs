//! Who uses the machine now, or did last.
//!
//! Sessions of logind, the system's list of sign-ins (utmp), and processes at terminals or displays are candidates; a
//! person comes before a system account, one at a screen before one at a terminal, the latest before others.

pub(crate) mod logind;
mod processes;
pub(crate) mod utmp;

use crate::root::{Root, fact};
use jiff::Timestamp;
use sdk::serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "sdk::serde")]
pub struct Person {
    /// Full name where the account has one, else the account.
    pub name: String,
    pub account: String,
    pub presence: Presence,
    pub since: Option<Timestamp>,
    /// `local`, or the host they came from.
    pub from: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(crate = "sdk::serde", rename_all = "snake_case")]
pub enum Presence {
    Now,
    Last,
}

impl Presence {
    pub fn as_str(self) -> &'static str {
        match self {
            Presence::Now => "now",
            Presence::Last => "last",
        }
    }
}

/// How sure it is that somebody is there. Later ones win.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    Terminal,
    SignIn,
    Session,
    ActiveSession,
    Screen,
}

/// Somebody who may be using the machine.
#[derive(Clone, Debug)]
struct Candidate {
    uid: Option<u32>,
    account: String,
    evidence: Evidence,
    since: Option<Timestamp>,
    from: Option<String>,
}

impl Candidate {
    fn is_human(&self) -> bool {
        self.uid.is_some_and(is_human)
    }

    fn is_nobody(&self) -> bool {
        !self.is_human() && self.uid != Some(0)
    }
}

/// Accounts of people, as distributions and directories number them.
fn is_human(uid: u32) -> bool {
    (1000..60_000).contains(&uid) || uid >= 65_536 && uid != u32::MAX
}

/// Who uses the machine now.
pub(crate) fn now(root: &Root) -> Option<Person> {
    let accounts = Accounts::read(root);
    let mut candidates = logind::sessions(root);
    candidates.extend(utmp::sign_ins(root, &accounts));
    candidates.extend(processes::at_terminals(root, &accounts));
    let best = candidates.into_iter().filter(|c| !c.is_nobody()).max_by_key(|c| (c.is_human(), c.evidence, c.since))?;
    Some(accounts.person(best, Presence::Now))
}

/// Who used it last, by the system's log.
pub(crate) fn last(root: &Root) -> Option<Person> {
    let accounts = Accounts::read(root);
    let candidates = utmp::past(root, &accounts).into_iter().filter(|c| !c.is_nobody());
    let best = candidates.max_by_key(|c| (c.is_human(), c.since))?;
    Some(accounts.person(best, Presence::Last))
}

/// The owner of a shell that has no terminal: all that there is to see in a container.
pub(crate) fn without_terminal(root: &Root) -> Option<Person> {
    let accounts = Accounts::read(root);
    let shells = processes::shells(root, &accounts).into_iter().filter(|c| !c.is_nobody());
    let best = shells.max_by_key(|c| (c.is_human(), c.since.map(std::cmp::Reverse)))?;
    Some(accounts.person(best, Presence::Now))
}

/// The system's accounts.
struct Accounts(Vec<Account>);

struct Account {
    name: String,
    uid: u32,
    full_name: Option<String>,
}

impl Accounts {
    fn read(root: &Root) -> Accounts {
        let text = root.text("/etc/passwd").unwrap_or_default();
        let accounts = text.lines().filter_map(|line| {
            let mut parts = line.split(':');
            let (name, _, uid, _, gecos) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            let capital: String =
                name.chars().take(1).flat_map(char::to_uppercase).chain(name.chars().skip(1)).collect();
            let full_name = fact(&gecos.split(',').next().unwrap_or_default().replace('&', &capital));
            Some(Account { name: name.to_owned(), uid: uid.parse().ok()?, full_name })
        });
        Accounts(accounts.collect())
    }

    fn uid(&self, name: &str) -> Option<u32> {
        self.0.iter().find(|a| a.name == name).map(|a| a.uid)
    }

    /// Name of the account with this number; the number where it is of a directory that is not on this machine.
    fn name(&self, uid: u32) -> String {
        self.0.iter().find(|a| a.uid == uid).map_or_else(|| uid.to_string(), |a| a.name.clone())
    }

    fn person(&self, candidate: Candidate, presence: Presence) -> Person {
        let account = self.0.iter().find(|a| a.name == candidate.account);
        let name = account.and_then(|a| a.full_name.clone()).unwrap_or_else(|| candidate.account.clone());
        Person { name, account: candidate.account, presence, since: candidate.since, from: candidate.from }
    }
}
