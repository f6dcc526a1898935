//! What a plugin asks of its host and what it writes into its log.

use super::{Note, Op, Switchboard, one_line};
use crate::{Level, OpEvent};
use abi::signal;
use schema::{
    ChannelOpen, ChannelOpened, Code, FilesDir, FilesPath, HostRequest, MAX_MESSAGE, Problem, Reply, neutral_text,
    read_payload,
};
use serde_json::Value;
use std::sync::Arc;

/// Longest log record in bytes.
const LONGEST_RECORD: usize = 64 * 1024;

impl Switchboard {
    /// `request` of a plugin, on whichever way it came.
    pub(crate) fn requested(&self, op: u64, request: u64, method: &str, payload: &[u8]) {
        // Whoever asks for an operation that is over was told its end, and waits for no answer.
        let Some(op) = self.operation(op) else { return };
        let payload = match read_payload::<Value>(payload) {
            Ok(payload) if method.len() <= 100 => payload,
            Ok(_) => return self.reply(op.id, request, Err(Problem::bad_request("the request cannot be read."))),
            Err(problem) => return self.reply(op.id, request, Err(problem)),
        };
        if !op.begin_request(self.limits.requests) {
            let busy = Problem::new(Code::Busy, "the operation has too many requests at a time.");
            return self.reply(op.id, request, Err(busy));
        }
        let (Some(board), method) = (self.me.upgrade(), method.to_owned()) else { return };
        self.tasks.spawn_on(
            async move {
                let answer = tokio::select! {
                    answer = board.answer(&op, &method, payload) => answer,
                    () = op.over.cancelled() => Err(Problem::new(Code::Cancelled, "the operation has ended.")),
                };
                op.end_request();
                board.reply(op.id, request, answer);
            },
            &self.runtime,
        );
    }

    async fn answer(&self, op: &Arc<Op>, method: &str, payload: Value) -> Result<Value, Problem> {
        match method {
            FilesDir::METHOD => {
                FilesDir::read(payload)?;
                FilesDir::reply(&FilesPath { path: self.files.clone() })
            }
            ChannelOpen::METHOD => {
                let open = ChannelOpen::read(payload)?;
                let other = self.services.open_channel(&self.plugin, &op.call, open).await?;
                let (stream, duplex) = self.open_numbered(op, "channel")?;
                self.tasks.spawn_on(duplex.carry_until(other, op.over.clone()), &self.runtime);
                ChannelOpen::reply(&ChannelOpened { stream })
            }
            _ => self.services.request(&self.plugin, &op.call, method, payload).await,
        }
    }

    fn reply(&self, op: u64, request: u64, answer: Result<Value, Problem>) {
        let reply = match answer {
            Ok(value) => Reply::Ok(value),
            Err(problem) => Reply::Fault(problem),
        };
        let mut data = serde_json::to_vec(&reply).unwrap_or_default();
        if data.len() > MAX_MESSAGE {
            let text = format!("the answer of {} bytes is longer than {MAX_MESSAGE}.", data.len());
            let quota = Reply::Fault(Problem::new(Code::Quota, text).fix("Ask for less at a time."));
            data = serde_json::to_vec(&quota).unwrap_or_default();
        }
        self.signal(op, signal::REPLY, request, &data);
    }

    /// `log` of a plugin, on whichever way it came.
    pub(crate) fn logged(&self, level: u8, target: &str, json: &[u8]) {
        if json.len() > LONGEST_RECORD || target.len() > 200 {
            return;
        }
        let Ok(record @ Value::Object(_)) = read_payload::<Value>(json) else { return };
        let target = &neutral_text(target);
        let level = Level::from_wire(level);
        if record.get("panic") == Some(&Value::Bool(true)) {
            let text = record.get("message").and_then(Value::as_str).unwrap_or_default();
            // Nobody listens once the plugin is stopped.
            let _ = self.notes.send(Note::Panicked(one_line(text)));
        }
        let op = record.get("op").and_then(Value::as_u64);
        if let Some(op) = op.and_then(|op| self.operation(op)) {
            op.log(OpEvent::Log { level, target: target.to_owned(), record: record.clone() });
        }
        self.services.log(&self.plugin, level, target, record);
    }
}
