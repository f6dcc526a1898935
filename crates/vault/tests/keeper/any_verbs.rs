//! Whatever a client says, in whatever order: what was there before stays, as it was, and it claims only what it has.

use crate::kit::{back_up, bytes, files, init, is_long, open, options, restore, segment};
use proptest::prelude::*;
use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use vault::storage::MemoryStorage;
use vault::{
    ChunkId, CollectOptions, Counts, Draft, Fingerprint, OnDamage, Reader, Receiver, Segment, SegmentKind, Session,
    SessionOptions, SnapshotId, StreamRef, Summary, Tag, Vault, VaultError,
};

const HOSTILE: &str = "hostile";
const DOMAINS: [&str; 2] = ["site", "other"];
/// Chunks that only the victim has, and after them those that only the hostile client has.
const THEIRS: usize = 6;
const OWN: usize = 4;
/// Long after anything here.
const LATER: i64 = 1_900_000_000_000;

#[derive(Clone, Debug)]
enum Verb {
    /// Basis: none, one of its own snapshots, one of the victim's, or one that nobody made.
    Begin {
        domain: usize,
        basis: usize,
    },
    Have(Vec<(usize, TagOf)>),
    Put(Vec<usize>, Lie),
    Commit(Box<Proposal>),
    /// A snapshot of another, or its own, by position.
    Read(usize, u64),
    Leave,
    /// What the keeper and the others do meanwhile.
    Victim,
    Collect,
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum TagOf {
    Itself,
    Another,
    Nothing,
}

#[derive(Clone, Debug)]
enum Lie {
    None,
    /// Names of other chunks.
    Names(usize),
    Length(u32),
    Kind(SegmentKind),
    Bytes(Vec<u8>),
}

#[derive(Clone, Debug)]
struct Proposal {
    /// Named in *refs*, in a chunk that was put before.
    ids: Vec<usize>,
    /// Named as chunks of *names* and of *refs* itself, with a length.
    names: Vec<(usize, u32)>,
    refs: Vec<(usize, u32)>,
    root: u64,
    root_refs: u64,
    files: u64,
}

fn chunk() -> std::ops::Range<usize> {
    0..THEIRS + OWN
}

fn verb() -> impl Strategy<Value = Verb> {
    let tag = prop_oneof![Just(TagOf::Itself), Just(TagOf::Another), Just(TagOf::Nothing)];
    let kind = prop_oneof![Just(SegmentKind::Plain), Just(SegmentKind::Zstd), Just(SegmentKind::Sealed)];
    let lie = prop_oneof![
        3 => Just(Lie::None),
        2 => chunk().prop_map(Lie::Names),
        1 => any::<u32>().prop_map(Lie::Length),
        1 => kind.prop_map(Lie::Kind),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Lie::Bytes),
    ];
    let number = || prop_oneof![4 => Just(0_u64), 1 => any::<u64>()];
    let named = || prop::collection::vec((chunk(), prop_oneof![Just(1000_u32), any::<u32>()]), 0..2);
    let proposal = (prop::collection::vec(chunk(), 0..5), named(), named(), number(), number(), any::<u64>());
    let proposal = proposal.prop_map(|(ids, names, refs, root, root_refs, files)| {
        let (names, refs) = if files % 3 == 0 { (names, refs) } else { Default::default() };
        Verb::Commit(Box::new(Proposal { ids, names, refs, root, root_refs, files }))
    });
    prop_oneof![
        4 => (0..DOMAINS.len(), 0..4_usize).prop_map(|(domain, basis)| Verb::Begin { domain, basis }),
        6 => prop::collection::vec((chunk(), tag), 0..6).prop_map(Verb::Have),
        6 => (prop::collection::vec(THEIRS..THEIRS + OWN, 1..4), lie).prop_map(|(chunks, lie)| Verb::Put(chunks, lie)),
        8 => proposal,
        2 => (0..8_usize, any::<u64>()).prop_map(|(which, at)| Verb::Read(which, at)),
        1 => Just(Verb::Leave),
        1 => Just(Verb::Victim),
        1 => Just(Verb::Collect),
        1 => Just(Verb::Restart),
    ]
}

/// A vault with a victim in it, and a client that may say anything.
struct Stage {
    storage: MemoryStorage,
    vault: Arc<Vault>,
    session: Option<Session>,
    domain: usize,
    /// Ids that the running session has shown to have.
    proven: HashSet<ChunkId>,
    /// By the keeper's clock, which nobody else has a say in.
    now_ms: i64,
    plains: Vec<Vec<u8>>,
    victims: Vec<Kept>,
    own: Vec<Kept>,
}

/// A snapshot as it was when it was taken.
struct Kept {
    summary: Summary,
    files: Vec<Vec<u8>>,
    ids: Vec<ChunkId>,
    /// Chunks that its two streams are made of.
    streams: Vec<ChunkId>,
}

impl Stage {
    fn new() -> Stage {
        let storage = MemoryStorage::default();
        let plains: Vec<Vec<u8>> = (0..(THEIRS + OWN) as u64).map(|seed| bytes(seed + 77, 1000)).collect();
        let vault = init(&storage);
        let mut stage = Stage {
            storage,
            vault,
            session: None,
            domain: 0,
            proven: HashSet::new(),
            now_ms: options("").now_ms,
            plains,
            victims: Vec::new(),
            own: Vec::new(),
        };
        stage.victim();
        stage
    }

    fn name(&self, chunk: usize) -> Fingerprint {
        Fingerprint::of(None, &self.plains[chunk])
    }

    fn keep(&self, id: SnapshotId, files: Vec<Vec<u8>>) -> Kept {
        let reader = self.vault.reader(id, None).unwrap();
        let snapshot = reader.snapshot();
        let streams = snapshot.names.chunks.iter().chain(&snapshot.refs.chunks).map(|(id, _)| *id).collect();
        Kept { summary: snapshot.summary.clone(), files, ids: ids(&reader), streams }
    }

    fn victim(&mut self) {
        let mut files = files(self.victims.len() as u64, 3);
        files.extend_from_slice(&self.plains[..THEIRS]);
        let id = back_up(&self.vault, "victim", &files).unwrap().snapshot;
        let kept = self.keep(id, files);
        self.victims.push(kept);
    }

    fn begin(&mut self, domain: usize, basis: usize) {
        self.session = None;
        self.proven.clear();
        self.now_ms += 1000;
        let own = self.own.iter().rev().find(|kept| kept.summary.domain == DOMAINS[domain]);
        let chosen = match basis {
            0 => None,
            1 => own.map(|kept| kept.summary.id),
            2 => Some(self.victims[0].summary.id),
            _ => Some(SnapshotId([9; 16])),
        };
        let (source, domain_name) = (HOSTILE.to_owned(), DOMAINS[domain].to_owned());
        let options = options("");
        let begun = self.vault.begin(SessionOptions {
            source,
            domain: domain_name,
            basis: chosen,
            now_ms: self.now_ms,
            ..options
        });
        assert_eq!(begun.is_ok(), basis < 2, "another's snapshot is no basis");
        if let (Some(own), 1) = (own, basis) {
            self.proven.extend(own.ids.iter().chain(&own.streams));
        }
        (self.session, self.domain) = (begun.ok(), domain);
    }

    fn have(&mut self, asked: &[(usize, TagOf)]) {
        let Some(session) = &self.session else { return };
        let name = |(chunk, tag): &(usize, TagOf)| {
            let tag = match tag {
                TagOf::Itself => self.name(*chunk).tag,
                TagOf::Another => self.name((chunk + 1) % self.plains.len()).tag,
                TagOf::Nothing => Tag([0; 16]),
            };
            Fingerprint { tag, ..self.name(*chunk) }
        };
        let names: Vec<Fingerprint> = asked.iter().map(name).collect();
        let answers = session.have(&names).unwrap();
        for (((chunk, tag), name), yes) in asked.iter().zip(&names).zip(answers) {
            assert!(!yes || matches!(tag, TagOf::Itself), "a yes without the tag");
            assert!(!yes || *chunk >= THEIRS || self.domain == 0, "a yes across domains");
            if yes {
                self.proven.insert(name.id);
            }
        }
    }

    fn put(&mut self, chunks: &[usize], lie: &Lie) {
        let Some(session) = &self.session else { return };
        let plains: Vec<Vec<u8>> = chunks.iter().map(|chunk| self.plains[*chunk].clone()).collect();
        let good = segment(&plains);
        let sent = match lie.clone() {
            Lie::None => good,
            Lie::Names(chunk) => Segment { names: vec![self.name(chunk); chunks.len()], ..good },
            Lie::Length(length) => Segment { lengths: vec![length; chunks.len()], ..good },
            Lie::Kind(kind) => Segment { kind, ..good },
            Lie::Bytes(bytes) => Segment { bytes, ..good },
        };
        // What is stored goes by what it is, whatever it is called.
        if session.put(sent).is_ok()
            && matches!(lie, Lie::None | Lie::Names(_) | Lie::Length(1000) | Lie::Kind(SegmentKind::Zstd))
        {
            self.proven.extend(plains.iter().map(|plain| Fingerprint::of(None, plain).id));
        }
    }

    fn commit(&mut self, proposal: &Proposal) {
        let Some(session) = &self.session else { return };
        let ids: Vec<ChunkId> = proposal.ids.iter().map(|chunk| self.name(*chunk).id).collect();
        let stream = |named: &[(usize, u32)]| -> Vec<(ChunkId, u32)> {
            named.iter().map(|(chunk, length)| (self.name(*chunk).id, *length)).collect()
        };
        let mut refs = stream(&proposal.refs);
        if !ids.is_empty() {
            let list: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
            refs.push((Fingerprint::of(None, &list).id, list.len() as u32));
            if session.put(segment(&[list])).is_err() {
                return;
            }
        }
        let draft = Draft {
            names: StreamRef { chunks: stream(&proposal.names) },
            refs: StreamRef { chunks: refs },
            root: proposal.root,
            root_refs: proposal.root_refs,
            counts: Counts { files: proposal.files, ..Counts::default() },
            ..Draft::default()
        };
        if let Ok(received) = session.commit(draft) {
            assert!(ids.iter().all(|id| self.proven.contains(id)), "it claimed what it did not have");
            let named = proposal.names.iter().chain(&proposal.refs);
            assert!(named.into_iter().all(|(chunk, _)| self.proven.contains(&self.name(*chunk).id)));
            assert!((self.now_ms..self.now_ms + 60_000).contains(&received.time_ms), "another clock counted");
            let kept = self.keep(received.snapshot, Vec::new());
            self.own.push(kept);
            self.session = None;
        }
    }

    fn read(&self, which: usize, at: u64) {
        for victim in &self.victims {
            let refused = self.vault.reader(victim.summary.id, Some(HOSTILE));
            assert!(matches!(refused, Err(VaultError::OtherSource { .. })));
        }
        if let Some(own) = self.own.get(which) {
            let reader = self.vault.reader(own.summary.id, Some(HOSTILE)).unwrap();
            let read = reader.chunk(at);
            assert_eq!(read.is_ok(), at < own.ids.len() as u64);
        }
    }

    fn play(&mut self, verb: &Verb) {
        match verb {
            Verb::Begin { domain, basis } => self.begin(*domain, *basis),
            Verb::Have(asked) => self.have(asked),
            Verb::Put(chunks, lie) => self.put(chunks, lie),
            Verb::Commit(proposal) => self.commit(proposal),
            Verb::Read(which, at) => self.read(*which, *at),
            Verb::Leave => self.session = None,
            Verb::Victim => self.victim(),
            Verb::Collect => {
                let options = CollectOptions { repack_below_percent: 100, ..CollectOptions::new(LATER) };
                self.vault.collect(&options, &mut |_| ControlFlow::Continue(())).unwrap();
            }
            Verb::Restart => {
                self.session = None;
                // The keeper lets go of its lock before it takes it again.
                let storage = self.storage.copy();
                self.vault = open(&storage);
                self.storage = storage;
            }
        }
    }

    /// Every snapshot that was ever taken is listed, in order, and is what it was.
    fn check(&self) {
        let listing = self.vault.snapshots().unwrap();
        assert!(listing.damaged.is_empty());
        let mut expected: Vec<&Summary> = self.victims.iter().chain(&self.own).map(|kept| &kept.summary).collect();
        expected.sort_by_key(|summary| summary.id);
        assert_eq!(listing.snapshots.iter().collect::<Vec<_>>(), expected);
        let latest = self.vault.latest("victim", "site").unwrap();
        assert_eq!(latest.as_ref(), self.victims.last().map(|kept| &kept.summary));
        for kept in &self.victims {
            assert_eq!(restore(&self.vault, kept.summary.id).unwrap(), kept.files);
        }
        for kept in &self.own {
            let reader = self.vault.reader(kept.summary.id, Some(HOSTILE)).unwrap();
            assert_eq!(ids(&reader), kept.ids);
            for (at, id) in kept.ids.iter().enumerate() {
                assert_eq!(Fingerprint::of(None, &reader.chunk(at as u64).unwrap()).id, *id);
            }
        }
        assert!(self.vault.scrub(OnDamage::Report, &mut |_| ControlFlow::Continue(())).unwrap().is_clean());
    }
}

fn ids(reader: &Reader) -> Vec<ChunkId> {
    reader.ids(0..reader.snapshot().refs.length() / 32).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if is_long() { 4000 } else { 160 }))]

    #[test]
    fn whatever_a_client_says_earlier_snapshots_stay_as_they_were(verbs in prop::collection::vec(verb(), 1..40)) {
        let mut stage = Stage::new();
        for verb in &verbs {
            stage.play(verb);
        }
        stage.check();
        // It was no keeper that refuses everything: who says what is so is served.
        let all: Vec<usize> = (THEIRS..THEIRS + OWN).collect();
        let before = stage.own.len();
        stage.begin(0, 0);
        stage.put(&all, &Lie::None);
        let (names, refs) = Default::default();
        stage.commit(&Proposal { ids: all, names, refs, root: 0, root_refs: 0, files: 4 });
        prop_assert_eq!(stage.own.len(), before + 1);
        stage.check();
    }
}
