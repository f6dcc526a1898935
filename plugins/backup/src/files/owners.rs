//! Names of users and groups: noted beside a backup, and asked for when files are restored by name.
//!
//! Files know numbers only. Whoever is not in the machine's own lists is asked for with `getent`, which knows
//! directories on the network too; where that is missing, a number stays a number.

use super::attributes::{ACCESS_LIST, DEFAULT_ACCESS_LIST};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Names by number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnerNames {
    pub users: BTreeMap<u32, String>,
    pub groups: BTreeMap<u32, String>,
}

/// Whom restored files belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owners {
    /// The numbers of the snapshot. For anybody but root it is `Mine`, as the system allows nothing else.
    #[default]
    ByNumber,
    /// Whoever has the same name on this machine now; the number, where nobody has.
    ByName,
    /// Whoever restores.
    Mine,
}

/// Which number on the disk belongs to which in the snapshot.
#[derive(Debug)]
pub(super) struct Renumbering {
    kept: bool,
    users: BTreeMap<u32, u32>,
    groups: BTreeMap<u32, u32>,
    me: (u32, u32),
}

impl Renumbering {
    pub(super) fn new(owners: Owners, then: &OwnerNames) -> Renumbering {
        let me = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let (users, groups) = match owners {
            Owners::ByName => Directory::of_machine().numbers(then),
            Owners::ByNumber | Owners::Mine => Default::default(),
        };
        Renumbering { kept: owners != Owners::Mine && me.0 == 0, users, groups, me }
    }

    /// Nothing where files belong to whoever restores them.
    pub(super) fn of(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        self.kept.then(|| (*self.users.get(&uid).unwrap_or(&uid), *self.groups.get(&gid).unwrap_or(&gid)))
    }

    /// What belongs to whoever restores belonged to the same before.
    pub(super) fn are_mine(&self, uid: u32, gid: u32) -> bool {
        (uid, gid) == self.me
    }

    /// Numbers stand in access lists too.
    pub(super) fn attribute<'a>(&self, name: &[u8], value: &'a [u8]) -> Cow<'a, [u8]> {
        let renumbers = !self.users.is_empty() || !self.groups.is_empty();
        if !renumbers || ![ACCESS_LIST, DEFAULT_ACCESS_LIST].contains(&name) {
            return Cow::Borrowed(value);
        }
        let mut list = value.to_vec();
        for (kind, number) in list_entries(value) {
            let numbers = if kind == Named::User { &self.users } else { &self.groups };
            let old = u32::from_le_bytes(value[number..number + 4].try_into().expect("a number has four bytes"));
            let new = numbers.get(&old).unwrap_or(&old);
            list[number..number + 4].copy_from_slice(&new.to_le_bytes());
        }
        Cow::Owned(list)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    User,
    Group,
}

/// Where the numbers of users and groups stand in an access list: after four bytes of version come entries of a kind and
/// permissions of two bytes each, and a number of four.
fn list_entries(list: &[u8]) -> impl Iterator<Item = (Named, usize)> {
    let (entries, _) = list.get(4..).unwrap_or_default().as_chunks::<8>();
    entries.iter().enumerate().filter_map(|(at, entry)| {
        let kind = match u16::from_le_bytes([entry[0], entry[1]]) {
            0x02 => Named::User,
            0x08 => Named::Group,
            _ => return None,
        };
        Some((kind, 4 + at * 8 + 4))
    })
}

/// Everyone who owns something, or is named in an access list.
#[derive(Debug, Default)]
pub(super) struct Seen {
    users: BTreeSet<u32>,
    groups: BTreeSet<u32>,
    last: Option<(u32, u32)>,
}

impl Seen {
    pub(super) fn entry(&mut self, entry: &vault::Entry) {
        if self.last != Some((entry.uid, entry.gid)) {
            self.last = Some((entry.uid, entry.gid));
            self.users.insert(entry.uid);
            self.groups.insert(entry.gid);
        }
        for (_, list) in
            entry.attributes.iter().filter(|(name, _)| [ACCESS_LIST, DEFAULT_ACCESS_LIST].contains(&&name[..]))
        {
            for (kind, at) in list_entries(list) {
                let number = u32::from_le_bytes(list[at..at + 4].try_into().expect("a number has four bytes"));
                if kind == Named::User {
                    self.users.insert(number)
                } else {
                    self.groups.insert(number)
                };
            }
        }
    }

    pub(super) fn names(&self) -> OwnerNames {
        Directory::of_machine().names(&self.users, &self.groups)
    }
}

/// The machine's users and groups.
struct Directory {
    root: PathBuf,
    asks: bool,
}

impl Directory {
    fn of_machine() -> Directory {
        Directory { root: PathBuf::from("/"), asks: true }
    }

    /// Lists below another root, which nobody can be asked about.
    #[cfg(test)]
    fn at(root: &std::path::Path) -> Directory {
        Directory { root: root.to_path_buf(), asks: false }
    }

    /// Names of those who own something.
    fn names(&self, users: &BTreeSet<u32>, groups: &BTreeSet<u32>) -> OwnerNames {
        OwnerNames { users: self.by_number("passwd", users), groups: self.by_number("group", groups) }
    }

    /// Which number here belongs to which of the numbers in `then`.
    fn numbers(&self, then: &OwnerNames) -> (BTreeMap<u32, u32>, BTreeMap<u32, u32>) {
        (self.by_name("passwd", &then.users), self.by_name("group", &then.groups))
    }

    fn by_number(&self, list: &str, wanted: &BTreeSet<u32>) -> BTreeMap<u32, String> {
        let keys = wanted.iter().map(u32::to_string);
        let found = self.lines(list, keys.collect(), |line| line.number.to_string());
        found.into_iter().filter(|line| wanted.contains(&line.number)).map(|line| (line.number, line.name)).collect()
    }

    fn by_name(&self, list: &str, then: &BTreeMap<u32, String>) -> BTreeMap<u32, u32> {
        let found = self.lines(list, then.values().cloned().collect(), |line| line.name.clone());
        let now: BTreeMap<String, u32> = found.into_iter().map(|line| (line.name, line.number)).collect();
        then.iter().filter_map(|(number, name)| Some((*number, *now.get(name)?))).collect()
    }

    /// The lines of a list, and of what `getent` knows of the keys that are not in it.
    fn lines(&self, list: &str, mut wanted: BTreeSet<String>, key: impl Fn(&Line) -> String) -> Vec<Line> {
        let text = std::fs::read(self.root.join("etc").join(list)).unwrap_or_default();
        // The first line with a number or a name counts, as for the system.
        let mut lines: Vec<Line> = parse(&text).into_iter().filter(|line| wanted.remove(&key(line))).collect();
        if self.asks {
            // What would be taken for an option, or ends a line, is nobody's name.
            let wanted = wanted.into_iter().filter(|key| !key.starts_with('-') && !key.contains(['\n', '\0', ':']));
            let wanted: Vec<String> = wanted.collect();
            for some in wanted.chunks(200) {
                let asked =
                    Command::new("getent").arg(list).args(some).stderr(Stdio::null()).stdin(Stdio::null()).output();
                lines.extend(asked.map(|answer| parse(&answer.stdout)).unwrap_or_default());
            }
        }
        lines
    }
}

struct Line {
    name: String,
    number: u32,
}

/// `name:x:number:…`, the same in both lists.
fn parse(text: &[u8]) -> Vec<Line> {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        Some(Line { name: name.to_owned(), number: fields.nth(1)?.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(passwd: &str, group: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        std::fs::write(root.path().join("etc/group"), group).unwrap();
        root
    }

    #[test]
    fn numbers_follow_names_from_one_machine_to_another() {
        let old = machine("root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/\nbob:x:1001:100::/:/\n", "staff:x:50:\n");
        let new = machine("ann:x:2000:2000::/:/\nnonsense\n:x:5:\n", "staff:x:51:\nx:y:z\n");
        let used = OwnerNames {
            users: BTreeMap::from([(0, "root".into()), (1000, "ann".into())]),
            groups: BTreeMap::from([(50, "staff".into())]),
        };
        let names = Directory::at(old.path()).names(&BTreeSet::from([0, 1000, 4711]), &BTreeSet::from([50]));
        assert_eq!(names, used);
        let (users, groups) = Directory::at(new.path()).numbers(&names);
        assert_eq!(users, BTreeMap::from([(1000, 2000)]));
        assert_eq!(groups, BTreeMap::from([(50, 51)]));
    }

    /// Version 2, with an entry for each (kind, number).
    fn list(entries: &[(u16, u32)]) -> Vec<u8> {
        let mut list = 2u32.to_le_bytes().to_vec();
        for (kind, number) in entries {
            list.extend(kind.to_le_bytes());
            list.extend(6u16.to_le_bytes());
            list.extend(number.to_le_bytes());
        }
        list
    }

    #[test]
    fn those_named_in_access_lists_are_renumbered_like_owners() {
        const NOBODY: u32 = u32::MAX;
        let before = list(&[(0x01, NOBODY), (0x02, 1000), (0x04, NOBODY), (0x08, 50), (0x08, 1000), (0x10, NOBODY)]);
        let after = list(&[(0x01, NOBODY), (0x02, 2000), (0x04, NOBODY), (0x08, 51), (0x08, 1000), (0x10, NOBODY)]);
        let (users, groups) = (BTreeMap::from([(1000, 2000)]), BTreeMap::from([(50, 51)]));
        let numbers = Renumbering { kept: true, users, groups, me: (0, 0) };
        assert_eq!(*numbers.attribute(ACCESS_LIST, &before), after);
        assert_eq!(*numbers.attribute(b"user.x", &before), before);
        assert_eq!(numbers.of(1000, 1000), Some((2000, 1000)));
        // What is cut off or empty is passed on for the kernel to refuse.
        assert_eq!(*numbers.attribute(ACCESS_LIST, &before[..9]), before[..9]);
        assert_eq!(*numbers.attribute(ACCESS_LIST, b""), b""[..]);
    }

    #[test]
    fn this_machine_knows_root() {
        let names = Directory::of_machine().names(&BTreeSet::from([0, 3_999_999_999]), &BTreeSet::from([0]));
        assert_eq!(names.users, BTreeMap::from([(0, "root".to_owned())]));
        assert_eq!(names.groups, BTreeMap::from([(0, "root".to_owned())]));
    }
}
