//! A machine backs up: *have?*, *put*, *commit*.

use super::last::{self, Seen};
use super::measure::{Measure, NO_QUOTA, added};
use super::{DOMAIN, fault_of, machine_of, open, source};
use crate::remote::VERSION;
use crate::settings::{Granted, Keeping};
use crate::wire::{
    Begin, Begun, Incoming, Kind, MAX_DRAFT, Message, Outgoing, Proposal, Stored, broken, decode_have, decode_segment,
    encode_yes,
};
use parking_lot::Mutex;
use sdk::prelude::*;
use sdk::schema::Code;
use sdk::tokio::sync::Semaphore;
use sdk::tokio::task::spawn_blocking;
use std::sync::Arc;
use vault::{Reader, Received, Receiver, Session, SessionOptions, Trust, Vault};

/// Messages of one machine that are worked on at a time; what comes beyond waits on the line.
const AT_ONCE: u32 = 8;

/// The event of a machine most of whose files have become something else.
pub(crate) const MASS_CHANGE: &str = "mass-change";

/// Serves one backup to its end.
pub(super) async fn serve(ctx: Ctx, stream: Stream) -> Result<()> {
    let (sender, receiver) = stream.split();
    let (out, mut incoming) = (Arc::new(Outgoing::new(sender)), Incoming::new(receiver));
    let ended = converse(&ctx, &out, &mut incoming).await;
    // The machine may have gone without a word, and the backup with it.
    let is_stored = matches!(ended, Ok(Ended::Stored));
    if let Some(machine) = ctx.machine().filter(|_| !is_stored && !ctx.is_standalone())
        && let Err(fault) = last::failed(&ctx, machine).await
    {
        sdk::tracing::warn!(problem = %fault.0, "the failed backup of a machine is not on screen");
    }
    if let Err(fault) = &ended {
        // Under no number, so that it reaches whoever only told. A machine that is gone cannot be told why.
        let _ = out.send_json(Kind::Problem, 0, &fault.0).await;
    }
    out.finish().await;
    ended.map(drop)
}

/// How a conversation ended that broke no rule.
enum Ended {
    Stored,
    WithoutSnapshot,
}

async fn converse(ctx: &Ctx, out: &Arc<Outgoing>, incoming: &mut Incoming) -> Result<Ended> {
    let Some(first) = incoming.next().await? else { return Ok(Ended::WithoutSnapshot) };
    if first.kind != Kind::Begin {
        return Err(broken("a backup has to begin with its beginning."));
    }
    let begin: Begin = first.json()?;
    let vault = open(ctx).await?;
    let session = Arc::new(begin_session(ctx, &vault, &begin).await?);
    let settings: Keeping = ctx.settings().await?;
    let basis = session.basis().map(super::read::opened);
    let begun = Begun {
        basis,
        compression_level: settings.compression_level(),
        names_trusted: ctx.is_standalone(),
        leave_out: settings.vault().map(|folder| folder.display().to_string()).into_iter().collect(),
    };
    out.send_json(Kind::Begin, first.number, &begun).await?;
    let basis = session.basis().map(|basis| vault.reader(basis.summary.id, None)).transpose().map_err(fault_of)?;
    let (basis, slots) = (basis.map(Arc::new), Arc::new(Semaphore::new(AT_ONCE as usize)));
    let measure = Arc::new(measure(ctx, &vault).await?);
    let serving = Serving { ctx, out, session, basis, slots, draft: Mutex::default(), measure };
    let mut ended = Ended::WithoutSnapshot;
    while let Some(message) = incoming.next().await? {
        let is_last = message.kind == Kind::Commit;
        serving.message(message).await?;
        if is_last {
            ended = Ended::Stored;
        }
    }
    Ok(ended)
}

async fn begin_session(ctx: &Ctx, vault: &Arc<Vault>, begin: &Begin) -> Result<Session> {
    if begin.version != VERSION {
        let text = format!("The machine speaks version {} of backup and the administrator {VERSION}.", begin.version);
        return Err(fault(Code::UnsupportedByHost, text).fix("Update whichever is older."));
    }
    // Alone there is one machine, and whoever starts it says what it is called.
    let source = if ctx.is_standalone() { begin.name.clone() } else { source(&machine_of(ctx)?, &begin.name) };
    let trust = if ctx.is_standalone() { Trust::Own } else { Trust::Verify };
    let vault = vault.clone();
    ctx.blocking(move || {
        let basis = vault.latest(&source, DOMAIN).map_err(fault_of)?.map(|summary| summary.id);
        let options = SessionOptions {
            source,
            domain: DOMAIN.to_owned(),
            mode: vault::Mode::Managed,
            basis,
            trust,
            now_ms: jiff::Timestamp::now().as_millisecond(),
        };
        match vault.begin(options.clone()) {
            // What is damaged is sent again, which heals it.
            Err(vault::VaultError::DamagedBasis { .. }) => vault.begin(SessionOptions { basis: None, ..options }),
            other => other,
        }
        .map_err(fault_of)
    })
    .await
}

/// Alone, whoever starts it minds the room.
async fn measure(ctx: &Ctx, vault: &Arc<Vault>) -> Result<Measure> {
    let Some(machine) = ctx.machine().filter(|_| !ctx.is_standalone()) else {
        return Ok(Measure::new(NO_QUOTA, 0));
    };
    let quota = ctx.settings_of::<Granted>(machine).await?.quota();
    let (vault, machine) = (vault.clone(), machine.to_owned());
    let before = ctx.blocking(move || Ok(added(&vault.snapshots().map_err(fault_of)?.snapshots, &machine)));
    Ok(Measure::new(quota, before.await?))
}

struct Serving<'a> {
    ctx: &'a Ctx,
    out: &'a Arc<Outgoing>,
    session: Arc<Session>,
    /// The snapshot that the session builds on.
    basis: Option<Arc<Reader>>,
    slots: Arc<Semaphore>,
    /// What came of the draft.
    draft: Mutex<Vec<u8>>,
    measure: Arc<Measure>,
}

impl Serving<'_> {
    async fn message(&self, message: Message) -> Result<()> {
        match message.kind {
            Kind::Have => self.have(message).await,
            Kind::Put => self.put(message).await,
            Kind::Part => self.part(&message.payload),
            Kind::Commit => self.commit(message).await,
            Kind::Names | Kind::Refs => {
                let basis = self.basis.clone().ok_or_else(|| broken("this backup has no basis to read."))?;
                super::read::answer(self.ctx, basis, self.out, message).await
            }
            other => Err(broken(format!("a backup has no message {other:?}."))),
        }
    }

    async fn have(&self, message: Message) -> Result<()> {
        let session = self.session.clone();
        let answer = self
            .ctx
            .blocking(move || {
                let names = decode_have(&message.payload, Session::BATCH)?;
                session.have(&names).map_err(fault_of)
            })
            .await?;
        self.out.send(Kind::Have, message.number, &encode_yes(&answer)).await
    }

    /// Takes a segment beside what comes next. The permit goes with the work: so many and no more are in memory.
    async fn put(&self, message: Message) -> Result<()> {
        let permit = self.slots.clone().acquire_owned().await?;
        let (session, out, runtime) = (self.session.clone(), self.out.clone(), sdk::tokio::runtime::Handle::current());
        let measure = self.measure.clone();
        spawn_blocking(move || {
            let taken = decode_segment(&message.payload).and_then(|segment| {
                measure.take(&segment)?;
                session.put(segment).map_err(fault_of)
            });
            if let Err(fault) = taken {
                // The session remembers it too, and refuses to commit what lacks this segment.
                let _ = runtime.block_on(out.send_json(Kind::Problem, 0, &fault.0));
            }
            drop(permit);
        });
        Ok(())
    }

    /// Brings a stored backup on screen, and what is alarming about it.
    async fn tell(&self, machine: &str, received: &Received, seen: &Seen) -> Result<()> {
        last::stored(self.ctx, machine, received, seen).await?;
        let before = self.session.basis().map(|basis| basis.summary.counts.logical_bytes);
        match before.and_then(|before| self.measure.alarm(before)) {
            Some(text) => self.ctx.event_of(machine, MASS_CHANGE, json!({"text": text})).await,
            None => Ok(()),
        }
    }

    /// Keeps the beginning of a draft until its end comes.
    fn part(&self, payload: &[u8]) -> Result<()> {
        let mut draft = self.draft.lock();
        if draft.len() + payload.len() > MAX_DRAFT {
            return Err(broken(format!("a draft has more than {MAX_DRAFT} bytes.")));
        }
        draft.extend_from_slice(payload);
        Ok(())
    }

    async fn commit(&self, mut message: Message) -> Result<()> {
        self.part(&message.payload)?;
        message.payload = std::mem::take(&mut *self.draft.lock());
        // All that was put before is in the session by then.
        let all = self.slots.clone().acquire_many_owned(AT_ONCE).await?;
        let draft = message.json::<Proposal>()?.draft()?;
        let (session, seen) = (self.session.clone(), Seen::from(&draft));
        let received = self.ctx.blocking(move || session.commit(draft).map_err(fault_of)).await?;
        drop(all);
        if let Some(machine) = self.ctx.machine().filter(|_| !self.ctx.is_standalone())
            && let Err(fault) = self.tell(machine, &received, &seen).await
        {
            // The snapshot is there all the same; the list of snapshots shows it.
            sdk::tracing::warn!(problem = %fault.0, "the last backup of a machine is not on screen");
        }
        let stored =
            Stored { snapshot: received.snapshot.0, time_ms: received.time_ms, stored_bytes: received.stored_bytes };
        self.out.send_json(Kind::Commit, message.number, &stored).await
    }
}
