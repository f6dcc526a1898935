//! A machine reads its own snapshots: by position, and nothing that is not in them.

use super::{DOMAIN, fault_of, machine_of, reading, source};
use crate::remote::VERSION;
use crate::wire::{Incoming, Kind, Message, Open, Opened, Outgoing, Range, broken, encode_batch, encode_ids, hex};
use sdk::prelude::*;
use sdk::schema::Code;
use sdk::tokio::runtime::Handle;
use std::sync::Arc;
use vault::{Part, Reader, Snapshot, SnapshotId, Vault};

/// Most bytes, or bytes of ids, in one answer.
const PART: u64 = 1 << 20;
/// Most chunks, and plain bytes of chunks, in one answer.
const CHUNKS: u64 = 4096;
const AT_ONCE: u64 = 8 << 20;

/// Serves one reader to its end.
pub(super) async fn serve(ctx: Ctx, stream: Stream) -> Result<()> {
    let (sender, receiver) = stream.split();
    let (out, mut incoming) = (Arc::new(Outgoing::new(sender)), Incoming::new(receiver));
    let mut open = None;
    let ended = loop {
        match incoming.next().await {
            Ok(Some(message)) => {
                let number = message.number;
                if let Err(fault) = converse(&ctx, &mut open, &out, message).await {
                    // What cannot be read is told to whoever asked; the rest can be read all the same.
                    out.send_json(Kind::Problem, number, &fault.0).await?;
                }
            }
            Ok(None) => break Ok(()),
            Err(fault) => break Err(fault),
        }
    };
    out.finish().await;
    ended
}

async fn converse(ctx: &Ctx, open: &mut Option<Arc<Reader>>, out: &Arc<Outgoing>, message: Message) -> Result<()> {
    if message.kind != Kind::Open {
        let reader = open.clone().ok_or_else(|| broken("no snapshot is open."))?;
        return answer(ctx, reader, out, message).await;
    }
    let asked: Open = message.json()?;
    if asked.version != VERSION {
        let text = format!("The machine speaks version {} of backup and the administrator {VERSION}.", asked.version);
        return Err(fault(Code::UnsupportedByHost, text).fix("Update whichever is older."));
    }
    // Alone, whoever opens the vault may read all of it.
    let owner = match ctx.is_standalone() {
        true => asked.name.clone(),
        false => Some(source(&machine_of(ctx)?, asked.name.as_deref().unwrap_or_default())),
    };
    let vault = reading(ctx).await?;
    let (from, snapshot) = (vault.clone(), asked.snapshot.clone());
    let own = ctx.blocking(move || {
        let id = find(&from, &snapshot, owner.as_deref())?;
        from.reader(id, owner.as_deref()).map_err(fault_of)
    });
    let reader = match own.await {
        Err(fault) if fault.0.code == Code::NotFound && is_ordered(ctx, &asked).await => {
            ctx.blocking(move || vault.reader(find(&vault, &asked.snapshot, None)?, None).map_err(fault_of)).await?
        }
        own => own?,
    };
    out.send_json(Kind::Open, message.number, &opened(reader.snapshot())).await?;
    *open = Some(Arc::new(reader));
    Ok(())
}

/// Whether an operator has this very machine restore this very snapshot now, whosever it is. What the machine says of it is
/// held against the job itself.
async fn is_ordered(ctx: &Ctx, asked: &Open) -> bool {
    let (Some(machine), Some(job)) = (ctx.machine(), &asked.job) else { return false };
    let Ok(job) = ctx.job(job).await else { return false };
    let says = |name: &str, value: &str| job.input.get(name).and_then(Value::as_str) == Some(value);
    matches!(job.command.as_str(), "restore" | "restore-preview")
        && job.machine.as_deref() == Some(machine)
        && !job.state.is_final()
        && asked.snapshot != "latest"
        && says("snapshot", &asked.snapshot)
}

/// The snapshot that `latest`, an id or the beginning of one means, among those of `source` where it is given.
pub(crate) fn find(vault: &Arc<Vault>, asked: &str, source: Option<&str>) -> Result<SnapshotId> {
    let ours = |summary: &vault::Summary| source.is_none_or(|source| summary.source == source);
    if asked == "latest" {
        let latest = match source {
            Some(source) => vault.latest(source, DOMAIN).map_err(fault_of)?,
            None => vault.snapshots().map_err(fault_of)?.snapshots.pop(),
        };
        return latest.map(|summary| summary.id).ok_or_else(|| {
            fault(Code::NotFound, "There is no snapshot yet.").fix("Back up first, or name another vault or machine.")
        });
    }
    let wanted = asked.to_ascii_lowercase();
    let ids = vault.snapshot_ids().map_err(fault_of)?;
    let mut matching = ids.into_iter().filter(|id| !wanted.is_empty() && id.to_string().starts_with(&wanted));
    let none = || {
        fault(Code::NotFound, format!("There is no snapshot {asked:?}."))
            .fix("Give an id from the list of snapshots, the beginning of one, or latest.")
    };
    let id = matching.next().ok_or_else(none)?;
    if matching.next().is_some() {
        let text = format!("Several snapshots begin with {asked}.");
        return Err(fault(Code::Conflict, text).fix("Give more of the id."));
    }
    // Another's snapshot is told as none: ids are no secret, but whose they are is.
    let summary = vault.summary(id).map_err(fault_of)?;
    if ours(&summary) { Ok(id) } else { Err(none()) }
}

/// What a reader needs to know of a snapshot.
pub(crate) fn opened(snapshot: &Snapshot) -> Opened {
    Opened {
        snapshot: snapshot.summary.id.to_string(),
        time_ms: snapshot.summary.time_ms,
        names_bytes: snapshot.names.length(),
        refs: snapshot.refs.length() / 32,
        root: snapshot.root,
        root_refs: snapshot.root_refs,
        counts: snapshot.summary.counts,
        incomplete: snapshot.summary.incomplete,
        description: hex(&snapshot.description),
    }
}

/// Answers one question about an open snapshot.
pub(super) async fn answer(ctx: &Ctx, reader: Arc<Reader>, out: &Arc<Outgoing>, message: Message) -> Result<()> {
    let Range { from, count } = message.json()?;
    let (out, runtime, number) = (out.clone(), Handle::current(), message.number);
    let is_one_process = ctx.is_standalone();
    ctx.blocking(move || {
        let send = |kind, payload: &[u8]| runtime.block_on(out.send(kind, number, payload));
        match message.kind {
            Kind::Names => {
                let mut bytes = vec![0; count.min(PART) as usize];
                reader.read_names(from, &mut bytes).map_err(fault_of)?;
                send(Kind::Names, &bytes)
            }
            Kind::Refs => {
                let positions = from..from.saturating_add(count.min(PART / 32));
                send(Kind::Refs, &encode_ids(&reader.ids(positions).map_err(fault_of)?))
            }
            Kind::Chunks => {
                let positions = from..from.saturating_add(count.min(CHUNKS));
                let fits = reader.fitting(positions, AT_ONCE).map_err(fault_of)?;
                send(Kind::Chunks, &sdk::serde_json::to_vec(&Range { from, count: fits })?)?;
                let positions = from..from + fits;
                let batches = reader.batches(Part::Files, positions).map_err(fault_of)?;
                for batch in if is_one_process { batches.plain() } else { batches } {
                    send(Kind::Chunks, &encode_batch(&batch.map_err(fault_of)?))?;
                }
                Ok(())
            }
            other => Err(broken(format!("a snapshot is not asked {other:?}."))),
        }
    })
    .await
}
