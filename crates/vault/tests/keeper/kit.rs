//! A small client: files are cut at fixed lengths, and *names* is a list of how many chunks each has.

use std::sync::Arc;
use vault::storage::{MemoryStorage, Storage};
use vault::{
    Access, Cost, Counts, DomainSecret, Draft, Fingerprint, Mode, Part, Reader, Received, Receiver, Sealer, Segment,
    SegmentKind, Session, SessionOptions, SnapshotId, StreamRef, Trust, Vault, VaultError, WayIn,
};

const CHUNK: usize = 16 << 10;
const SEGMENT: usize = 48 << 10;
/// Ids in a chunk of *refs*, at least and at most.
const IDS: std::ops::Range<usize> = 8..64;

pub(crate) type Files = Vec<Vec<u8>>;

/// Whether there is time for everything.
pub(crate) fn is_long() -> bool {
    std::env::var_os("BAILIWICK_LONG").is_some_and(|value| value == "1")
}

pub(crate) fn way() -> WayIn {
    WayIn::host([7; 32])
}

pub(crate) fn init(storage: &(impl Storage + Clone + 'static)) -> Arc<Vault> {
    Vault::init(Arc::new(storage.clone()), "host", &way(), Cost::NORMAL).unwrap()
}

pub(crate) fn open(storage: &(impl Storage + Clone + 'static)) -> Arc<Vault> {
    Vault::open(Arc::new(storage.clone()), &way(), Access::Write).unwrap()
}

pub(crate) fn new_vault() -> (MemoryStorage, Arc<Vault>) {
    let storage = MemoryStorage::default();
    let vault = init(&storage);
    (storage, vault)
}

/// Bytes that compress a little and differ for each seed.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut out = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
    out.iter_mut().for_each(|byte| *byte &= 0x3f);
    out
}

pub(crate) fn files(seed: u64, count: usize) -> Files {
    (0..count as u64).map(|n| bytes(seed * 1_000_000 + n, 100 + (n as usize * 7919) % 40_000)).collect()
}

pub(crate) fn options(source: &str) -> SessionOptions {
    SessionOptions {
        source: source.into(),
        domain: "site".into(),
        mode: Mode::Managed,
        basis: None,
        trust: Trust::Verify,
        now_ms: 1_700_000_000_000,
    }
}

pub(crate) fn private(source: &str) -> SessionOptions {
    SessionOptions { domain: "vip".into(), mode: Mode::Private, ..options(source) }
}

pub(crate) fn segment(chunks: &[Vec<u8>]) -> Segment {
    let plain = chunks.concat();
    Segment {
        lengths: chunks.iter().map(|chunk| chunk.len() as u32).collect(),
        names: chunks.iter().map(|chunk| Fingerprint::of(None, chunk)).collect(),
        kind: SegmentKind::Zstd,
        bytes: zstd::bulk::compress(&plain, 1).unwrap(),
    }
}

/// One backup that goes on.
pub(crate) struct Client<'a> {
    pub(crate) session: &'a Session,
    secret: Option<(DomainSecret, Sealer)>,
    waiting: Vec<Vec<u8>>,
    /// Chunks that were sent.
    pub(crate) sent: usize,
}

impl<'a> Client<'a> {
    pub(crate) fn new(session: &'a Session) -> Client<'a> {
        Client { session, secret: None, waiting: Vec::new(), sent: 0 }
    }

    pub(crate) fn sealing(session: &'a Session, secret: DomainSecret) -> Client<'a> {
        let sealer = Sealer::new(&secret, rand::random());
        Client { secret: Some((secret, sealer)), ..Client::new(session) }
    }

    fn name(&self, chunk: &[u8]) -> Fingerprint {
        Fingerprint::of(self.secret.as_ref().map(|(secret, _)| &secret.0), chunk)
    }

    /// Sends the chunks that the keeper does not have.
    pub(crate) fn send(&mut self, chunks: &[Vec<u8>], is_refs: bool) -> Result<Vec<Fingerprint>, VaultError> {
        let names: Vec<Fingerprint> = chunks.iter().map(|chunk| self.name(chunk)).collect();
        let have = self.session.have(&names)?;
        for (chunk, _) in chunks.iter().zip(have).filter(|(_, have)| !have) {
            self.waiting.push(chunk.clone());
            self.sent += 1;
            if self.waiting.iter().map(Vec::len).sum::<usize>() >= SEGMENT {
                self.flush(is_refs)?;
            }
        }
        self.flush(is_refs)?;
        Ok(names)
    }

    fn flush(&mut self, is_refs: bool) -> Result<(), VaultError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let chunks = std::mem::take(&mut self.waiting);
        let mut segment = segment(&chunks);
        segment.names = chunks.iter().map(|chunk| self.name(chunk)).collect();
        if let Some((_, sealer)) = self.secret.as_ref().filter(|_| !is_refs) {
            segment =
                Segment { kind: SegmentKind::Sealed, bytes: sealer.seal(segment.kind, &segment.bytes), ..segment };
        }
        self.session.put(segment)
    }

    /// Everything but the commit.
    pub(crate) fn upload(&mut self, files: &Files) -> Result<Draft, VaultError> {
        let (mut ids, mut names) = (Vec::new(), Vec::new());
        for file in files {
            let chunks: Vec<Vec<u8>> = file.chunks(CHUNK).map(<[u8]>::to_vec).collect();
            names.extend((chunks.len() as u32).to_le_bytes());
            ids.extend(self.send(&chunks, false)?.into_iter().map(|name| name.id));
        }
        let mut refs = vec![Vec::new()];
        for id in &ids {
            let last = refs.last_mut().unwrap();
            last.extend_from_slice(&id.0);
            if (id.0[0] < 16 && last.len() >= IDS.start * 32) || last.len() == IDS.end * 32 {
                refs.push(Vec::new());
            }
        }
        refs.retain(|chunk| !chunk.is_empty());
        let names: Vec<Vec<u8>> = names.chunks(4096).map(<[u8]>::to_vec).collect();
        Ok(Draft {
            refs: self.stream(&refs, true)?,
            names: self.stream(&names, false)?,
            counts: Counts {
                files: files.len() as u64,
                logical_bytes: files.iter().map(|file| file.len() as u64).sum(),
                ..Counts::default()
            },
            description: b"words".to_vec(),
            ..Draft::default()
        })
    }

    fn stream(&mut self, chunks: &[Vec<u8>], is_refs: bool) -> Result<StreamRef, VaultError> {
        let names = self.send(chunks, is_refs)?;
        Ok(StreamRef { chunks: names.iter().zip(chunks).map(|(name, chunk)| (name.id, chunk.len() as u32)).collect() })
    }
}

pub(crate) fn back_up(vault: &Arc<Vault>, source: &str, files: &Files) -> Result<Received, VaultError> {
    let session = vault.begin(options(source))?;
    let draft = Client::new(&session).upload(files)?;
    session.commit(draft)
}

/// The files of a snapshot.
pub(crate) fn files_of(reader: &Reader) -> Result<Files, VaultError> {
    let mut names = vec![0; reader.snapshot().names.length() as usize];
    reader.read_names(0, &mut names)?;
    let mut position = 0;
    let counts = names.chunks_exact(4).map(|count| u64::from(u32::from_le_bytes(count.try_into().unwrap())));
    let files = counts.map(|count| {
        let chunks = (position..position + count).map(|position| Ok(reader.chunk(position)?.to_vec()));
        position += count;
        Ok(chunks.collect::<Result<Vec<_>, VaultError>>()?.concat())
    });
    let files = files.collect::<Result<Files, VaultError>>()?;
    assert_eq!(position, reader.count(Part::Files));
    Ok(files)
}

pub(crate) fn restore(vault: &Arc<Vault>, snapshot: SnapshotId) -> Result<Files, VaultError> {
    files_of(&vault.reader(snapshot, None)?)
}
