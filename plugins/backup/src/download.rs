//! Sends files of a snapshot to an operator: one as it is, several or a folder as an archive. Or the beginning of one, to
//! be looked at.

use crate::browse::{At, Opened, clean, open};
use crate::keeper::fault_of;
use crate::tar::{Archive, Item};
use sdk::StreamSender;
use sdk::prelude::*;
use sdk::schema::{Code, Object, Problem, TakenAs};
use sdk::schemars::JsonSchema;
use sdk::serde::Serialize;
use sdk::tokio::runtime::Handle;
use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::ControlFlow;
use vault::{Content, Entry, Kind, VaultError};

/// Name of the stream.
pub(crate) const CONTENT: &str = "content";
/// Bytes of one frame.
const PIECE: usize = 256 << 10;
/// Bytes of a file that are looked at.
const BEGINNING: u64 = 256 << 10;
/// Files with several names that are remembered, so that the next name is a link to the first.
const MOST_LINKS: usize = 1 << 20;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The stream as the manifest declares it.
pub(crate) fn stream(taken_as: TakenAs) -> sdk::schema::Stream {
    sdk::schema::Stream::file(CONTENT, taken_as, "files.tar")
}

#[derive(Args)]
pub(crate) struct Download {
    /// Id of the snapshot, the beginning of one, or latest
    #[arg(title = "Snapshot", default = "latest", options = "snapshots")]
    snapshot: String,
    /// What to send: one file as it is, several or a folder as a tar archive
    #[arg(title = "Files", type = "path")]
    path: Vec<String>,
}

#[derive(Args)]
pub(crate) struct Peek {
    /// Id of the snapshot, the beginning of one, or latest
    #[arg(title = "Snapshot", default = "latest", options = "snapshots")]
    snapshot: String,
    /// The file to look at
    #[arg(title = "File", type = "path")]
    path: String,
}

/// What was sent.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(crate = "sdk::serde")]
#[schemars(crate = "sdk::schemars")]
pub(crate) struct Sent {
    files: u64,
    bytes: Bytes,
    /// Sockets, which an archive cannot hold
    left_out: u64,
}

pub(crate) async fn download(ctx: Ctx, args: Download) -> Result<Sent> {
    let opened = snapshot(&ctx, &args.snapshot).await?;
    let paths = args.path;
    let (opened, found) = ctx.blocking(move || wanted(&opened, &paths).map(|found| (opened, found))).await?;
    let file = name_of(&found);
    let (sender, _) = ctx.open_file(CONTENT, &file).await?.split();
    let to = Sending::new(&ctx, sender);
    let sent = ctx.blocking(move || send(&opened, &found, to)).await;
    // What ended it early is why nobody took the rest.
    if ctx.is_cancelled() { Err(fault(Code::Cancelled, "it was cancelled.")) } else { sent }
}

pub(crate) async fn peek(ctx: Ctx, args: Peek) -> Result<Sent> {
    let opened = snapshot(&ctx, &args.snapshot).await?;
    let (opened, found) = ctx.blocking(move || wanted(&opened, &[args.path]).map(|found| (opened, found))).await?;
    let Some(Kind::File(content)) = found.first().map(|found| found.entry.kind.clone()) else {
        return Err(Problem::bad_request("Only a file can be looked at.").at("path").into());
    };
    let (sender, _) = ctx.open_file(CONTENT, &name_of(&found)).await?.split();
    let mut to = Sending::new(&ctx, sender);
    ctx.blocking(move || {
        let mut left = BEGINNING.min(content.size);
        let bytes = left;
        let taken = read(&opened, &content, &mut |bytes| {
            let length = left.min(bytes.len() as u64) as usize;
            left -= length as u64;
            to.write_all(&bytes[..length])?;
            Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        taken?;
        to.finish()?;
        Ok(Sent { files: 1, bytes: bytes.into(), left_out: 0 })
    })
    .await
}

async fn snapshot(ctx: &Ctx, asked: &str) -> Result<Opened> {
    let query = Query { params: Object::from_iter([("snapshot".to_owned(), json!(asked))]), ..Query::default() };
    open(ctx, &query).await
}

/// Something that was asked for.
struct Found {
    /// Names between slashes.
    path: Vec<u8>,
    /// The root of the snapshot has none.
    entry: Entry,
}

fn wanted(opened: &Opened, paths: &[String]) -> Result<Vec<Found>> {
    if paths.is_empty() {
        return Err(Problem::bad_request("It is not said what to send.").at("path").into());
    }
    let mut paths: Vec<String> = paths.iter().map(|path| clean(path)).collect();
    paths.sort_unstable();
    paths.dedup();
    // What lies below something that was named comes with it.
    let mut kept: Vec<String> = Vec::new();
    for path in paths {
        let is_within = |above: &String| {
            above.is_empty() || path.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        if !kept.iter().any(is_within) {
            kept.push(path);
        }
    }
    let mut found = Vec::new();
    for path in kept {
        let entry = match opened.at(&path)? {
            At::Other(_, entry) => entry,
            At::Directory(_) if path.is_empty() => root(opened)?,
            At::Directory(_) => opened.tree.find(path.as_bytes())?.ok_or_else(|| Problem::not_found("It is gone."))?,
        };
        found.push(Found { path: path.into_bytes(), entry });
    }
    Ok(found)
}

/// The root of the snapshot, which has no entry of its own.
fn root(opened: &Opened) -> Result<Entry> {
    let first = opened.tree.list(opened.tree.root())?.next().transpose()?;
    let mut entry = first.ok_or_else(|| fault(Code::NotFound, "There is nothing in this snapshot."))?;
    (entry.mode, entry.kind, entry.attributes) = (0o755, Kind::Directory(opened.tree.root()), Vec::new());
    entry.name = Vec::new();
    Ok(entry)
}

/// A file by its own name; everything else in an archive that is called by the one thing in it, or by what it is.
fn name_of(found: &[Found]) -> String {
    let [one] = found else { return "files.tar".to_owned() };
    let name = String::from_utf8_lossy(&one.entry.name).into_owned();
    match one.entry.kind {
        Kind::File(_) => name,
        _ if name.is_empty() => "files.tar".to_owned(),
        _ => format!("{name}.tar"),
    }
}

fn send(opened: &Opened, found: &[Found], mut to: Sending) -> Result<Sent> {
    if let [Found { entry: Entry { kind: Kind::File(content), .. }, .. }] = found {
        let sent = Sent { files: 1, bytes: content.size.into(), left_out: 0 };
        read(opened, content, &mut |bytes| to.write_all(bytes).map(|()| ControlFlow::Continue(())))?;
        to.finish()?;
        return Ok(sent);
    }
    let mut packing = Packing { opened, archive: Archive::new(to), known: HashMap::new(), sent: Sent::default() };
    for one in found {
        // One folder stands in the archive by its own name, several with all that is above them.
        let name = if found.len() == 1 { &one.entry.name } else { &one.path };
        packing.put(name, &one.entry)?;
        if let Kind::Directory(place) = one.entry.kind {
            for below in opened.tree.walk(place)? {
                let (path, entry) = below?;
                let path = if name.is_empty() { path } else { [name.as_slice(), &path].join(&b'/') };
                packing.put(&path, &entry)?;
            }
        }
    }
    let Packing { archive, sent, .. } = packing;
    archive.finish()?.finish()?;
    Ok(sent)
}

struct Packing<'a> {
    opened: &'a Opened,
    archive: Archive<Sending>,
    /// Where files with several names were put.
    known: HashMap<(u64, u64), Vec<u8>>,
    sent: Sent,
}

impl Packing<'_> {
    fn put(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        if path.is_empty() {
            return Ok(());
        }
        if entry.kind == Kind::Socket {
            self.sent.left_out += 1;
            return Ok(());
        }
        let is_linked = entry.linked && !matches!(entry.kind, Kind::Directory(_));
        let same_as = self.known.get(&(entry.device, entry.inode)).filter(|_| is_linked).cloned();
        let name =
            |names: &std::collections::BTreeMap<u32, String>, id: u32| names.get(&id).cloned().unwrap_or_default();
        let (owner, group) = (name(&self.opened.said.users, entry.uid), name(&self.opened.said.groups, entry.gid));
        let item = Item { path, entry, owner: &owner, group: &group, same_as: same_as.as_deref() };
        self.archive.begin(&item)?;
        self.sent.files += 1;
        if same_as.is_some() {
            return Ok(());
        }
        if is_linked && self.known.len() < MOST_LINKS {
            self.known.insert((entry.device, entry.inode), path.to_vec());
        }
        if let Kind::File(content) = &entry.kind {
            let archive = &mut self.archive;
            read(self.opened, content, &mut |bytes| archive.content(bytes).map(|()| ControlFlow::Continue(())))?;
            archive.end(content.size)?;
            self.sent.bytes.0 += content.size;
        }
        Ok(())
    }
}

type Take<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<ControlFlow<()>>;

/// Hands over all bytes of a file in order, zeros for its holes, until `take` has enough.
fn read(opened: &Opened, content: &Content, take: Take<'_>) -> Result<()> {
    let mut chunks = Chunks::default();
    let (mut at, mut data) = (0, content.data().into_iter());
    let mut extent = data.next();
    let mut ended = None;
    let positions = content.first..content.first + content.chunks.len() as u64;
    let reader = opened.tree.streams();
    let read: Result<(), VaultError> = reader.each(positions, &mut |mut bytes| {
        while !bytes.is_empty() {
            let Some((offset, length)) = extent else {
                ended = Some(Err(io::Error::other("a file has more bytes than its extents")));
                return ControlFlow::Break(());
            };
            let within = chunks.within;
            let piece = bytes.len().min((length - within) as usize);
            let (now, rest) = bytes.split_at(piece);
            let handed = zeros(offset + within - at, take).and_then(|flow| match flow {
                ControlFlow::Continue(()) => take(now),
                enough => Ok(enough),
            });
            match handed {
                Ok(ControlFlow::Continue(())) => {}
                other => {
                    ended = Some(other.map(|_| ()));
                    return ControlFlow::Break(());
                }
            }
            at = offset + within + piece as u64;
            bytes = rest;
            chunks.within += piece as u64;
            if chunks.within == length {
                chunks.within = 0;
                extent = data.next();
            }
        }
        ControlFlow::Continue(())
    });
    if let Some(ended) = ended {
        return Ok(ended?);
    }
    read.map_err(fault_of)?;
    let _all = zeros(content.size.saturating_sub(at), take)?;
    Ok(())
}

/// How far one is in an extent.
#[derive(Default)]
struct Chunks {
    within: u64,
}

fn zeros(mut count: u64, take: Take<'_>) -> io::Result<ControlFlow<()>> {
    while count > 0 {
        let length = count.min(ZEROS.len() as u64) as usize;
        if take(&ZEROS[..length])?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        count -= length as u64;
    }
    Ok(ControlFlow::Continue(()))
}

/// The stream as something to write into, from a thread that may wait.
struct Sending {
    sender: StreamSender,
    runtime: Handle,
    ctx: Ctx,
    gathered: Vec<u8>,
}

impl Sending {
    fn new(ctx: &Ctx, sender: StreamSender) -> Sending {
        Sending { sender, runtime: Handle::current(), ctx: ctx.clone(), gathered: Vec::with_capacity(PIECE) }
    }

    fn push(&mut self) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let bytes = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE));
        if self.ctx.is_cancelled() {
            return Err(io::Error::other("it was cancelled"));
        }
        self.runtime.block_on(self.sender.send(bytes)).map_err(|fault| io::Error::other(fault.0.to_string()))
    }

    /// Sends what is left and says that this was all.
    fn finish(mut self) -> Result<()> {
        self.push()?;
        self.sender.finish();
        Ok(())
    }
}

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(PIECE - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..length]);
        if self.gathered.len() == PIECE {
            self.push()?;
        }
        Ok(length)
    }

    /// Frames are sent as they fill.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
