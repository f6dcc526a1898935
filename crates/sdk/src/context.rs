//! What a function of a plugin is given: whom it runs for, and everything it may ask of the host.

use crate::operation::Operation;
use crate::runtime::has;
use crate::{Fault, Result, Row, Rows, Stream};
use abi::emit;
use schema::{
    Amount, CallMeta, ChannelOpen, EventsEmit, FEATURE_AMOUNT, FilesDir, HostRequest, JobsGet, JobsStart,
    ListedMachine, MachinesList, Object, OpenConfig, PeerCall, Progress, Role, SecretsDelete, SecretsGet, SecretsSet,
    SeenJob, SettingsGet, Start,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bytes of rows that are put into one message.
const ROWS_OF_A_MESSAGE: usize = 128 * 1024;

/// The context of one running operation. Cheap to clone.
#[derive(Clone)]
pub struct Ctx {
    pub(crate) op: Arc<Operation>,
    pub(crate) start: Arc<Start>,
    pub(crate) host: Arc<OpenConfig>,
}

impl Ctx {
    /// Tells how far it is, 0 to 1. Fails once the operation is cancelled, so that `?` ends the command.
    ///
    /// # Errors
    /// It was cancelled.
    pub fn progress(&self, fraction: f64, text: impl Into<String>) -> Result<()> {
        self.tell(Progress { fraction: Some(fraction.clamp(0.0, 1.0)), text: text.into(), amount: None })
    }

    /// Tells how much is done, as `Amount::bytes(done).of(total)` or `Amount::items(done)`: whoever shows it makes rate
    /// and time left of it. May be told as often as one likes; only the latest counts.
    ///
    /// # Errors
    /// It was cancelled.
    pub fn amount(&self, amount: Amount, text: impl Into<String>) -> Result<()> {
        let told = has(&self.host, FEATURE_AMOUNT).then_some(amount);
        self.tell(Progress { fraction: amount.fraction(), text: text.into(), amount: told })
    }

    /// Tells what is going on where the end cannot be told.
    ///
    /// # Errors
    /// It was cancelled.
    pub fn doing(&self, text: impl Into<String>) -> Result<()> {
        self.tell(Progress { fraction: None, text: text.into(), amount: None })
    }

    fn tell(&self, progress: Progress) -> Result<()> {
        self.check()?;
        self.op.host.emit(self.op.id, emit::PROGRESS, 0, serde_json::to_vec(&progress)?);
        Ok(())
    }

    /// Something of what was asked for is left out, and the rest goes on: once the function returns its result, the
    /// command has not failed and not succeeded but ends as done in part, with this problem. May be said many times:
    /// the first seven are told, and how many there were; for a whole list of them, say each by [`Ctx::warn`] and that
    /// there are any by this. Where the command fails after all, they are among the causes. Has no meaning but in a
    /// command.
    pub fn in_part(&self, problem: impl Into<Fault>) {
        self.op.left_out.note(problem.into().0);
    }

    pub fn is_cancelled(&self) -> bool {
        self.op.cancel.is_cancelled()
    }

    /// Waits until the operation is cancelled or the plugin is stopped.
    pub async fn cancelled(&self) {
        self.op.cancel.cancelled().await;
    }

    /// The token behind [`Ctx::cancelled`].
    pub fn cancellation(&self) -> CancellationToken {
        self.op.cancel.clone()
    }

    /// # Errors
    /// It was cancelled.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Fault::cancelled()) } else { Ok(()) }
    }

    /// Waits.
    ///
    /// # Errors
    /// It was cancelled meanwhile.
    pub async fn sleep(&self, time: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            () = self.cancelled() => Err(Fault::cancelled()),
        }
    }

    /// Runs `work`, which may block, beside everything else.
    ///
    /// # Errors
    /// What `work` fails with; a panic in it.
    pub async fn blocking<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(Fault::cancelled()),
            },
        }
    }

    /// Publishes and reads rows of a stored type of this plugin.
    pub fn rows<T: Row>(&self) -> Rows<T> {
        Rows::new(self.clone())
    }

    /// Sends rows of the answer to a query.
    pub(crate) async fn answer(&self, rows: Vec<Object>) -> Result<()> {
        let (mut part, mut bytes) = (Vec::new(), 0);
        for row in rows {
            bytes += serde_json::to_vec(&row)?.len();
            part.push(row);
            if bytes >= ROWS_OF_A_MESSAGE {
                self.op.message(emit::ROWS, 0, serde_json::to_vec(&std::mem::take(&mut part))?).await?;
                bytes = 0;
            }
        }
        if part.is_empty() { Ok(()) } else { self.op.message(emit::ROWS, 0, serde_json::to_vec(&part)?).await }
    }

    /// All settings in force, read into `S`.
    ///
    /// # Errors
    /// The host cannot tell, or `S` does not fit.
    pub async fn settings<S: DeserializeOwned>(&self) -> Result<S> {
        Ok(serde_json::from_value(Value::Object(self.ask(&SettingsGet::default()).await?))?)
    }

    /// In the administrator role, all settings as they hold for a machine, but for what its own file tightens.
    ///
    /// # Errors
    /// There is no such machine, or `S` does not fit.
    pub async fn settings_of<S: DeserializeOwned>(&self, machine: &str) -> Result<S> {
        let asked = SettingsGet { machine: Some(machine.to_owned()) };
        Ok(serde_json::from_value(Value::Object(self.ask(&asked).await?))?)
    }

    /// A secret that the plugin or an operator stored under this name.
    ///
    /// # Errors
    /// The host has no secrets here.
    pub async fn secret(&self, name: &str) -> Result<Option<String>> {
        Ok(self.ask(&SecretsGet { name: name.to_owned() }).await?.value)
    }

    /// Keeps a secret; `None` deletes it.
    ///
    /// # Errors
    /// The host has no secrets here.
    pub async fn set_secret(&self, name: &str, value: Option<&str>) -> Result<()> {
        let name = name.to_owned();
        match value {
            Some(value) => self.ask(&SecretsSet { name, value: value.to_owned() }).await,
            None => self.ask(&SecretsDelete { name }).await,
        }
    }

    /// A directory of this plugin's own, kept across versions.
    ///
    /// # Errors
    /// The host could not make it.
    pub async fn files_dir(&self) -> Result<PathBuf> {
        Ok(PathBuf::from(self.ask(&FilesDir {}).await?.path))
    }

    /// Reports an event of a kind that the manifest declares.
    ///
    /// # Errors
    /// The host does not take it.
    pub async fn event(&self, id: &str, data: impl Serialize) -> Result<()> {
        self.ask(&EventsEmit { event: id.to_owned(), data: serde_json::to_value(data)?, machine: None }).await
    }

    /// In the administrator role, reports an event of one machine; the plugin is told of it there too, if the machine is
    /// connected.
    ///
    /// # Errors
    /// The host does not take it.
    pub async fn event_of(&self, machine: &str, id: &str, data: impl Serialize) -> Result<()> {
        let machine = Some(machine.to_owned());
        self.ask(&EventsEmit { event: id.to_owned(), data: serde_json::to_value(data)?, machine }).await
    }

    /// Records what a resumed run needs. It comes back by [`Ctx::resumed`].
    ///
    /// # Errors
    /// It was cancelled.
    pub async fn checkpoint(&self, state: impl Serialize) -> Result<()> {
        self.op.message(emit::CHECKPOINT, 0, serde_json::to_vec(&state)?).await
    }

    /// The last checkpoint of the run that was cut off, if this one resumes it.
    ///
    /// # Errors
    /// It does not fit `S`.
    pub fn resumed<S: DeserializeOwned>(&self) -> Result<Option<S>> {
        Ok(self.start.call.checkpoint.clone().map(serde_json::from_value).transpose()?)
    }

    /// Tells of something wrong that does not end the operation.
    ///
    /// # Errors
    /// It was cancelled.
    pub async fn warn(&self, warning: Fault) -> Result<()> {
        self.op.message(emit::WARN, 0, serde_json::to_vec(&warning.0)?).await
    }

    /// Opens a stream that the command declares; an operator's client is attached to it.
    ///
    /// # Errors
    /// It was cancelled.
    pub async fn open_stream(&self, name: &str) -> Result<Stream> {
        self.op.open(name, None).await
    }

    /// As [`Ctx::open_stream`], of bytes that are a file of this name: whoever saves it calls it so.
    ///
    /// # Errors
    /// It was cancelled.
    pub async fn open_file(&self, name: &str, file: &str) -> Result<Stream> {
        self.op.open(name, Some(file)).await
    }

    /// Opens a channel to this plugin in its other role.
    ///
    /// # Errors
    /// The other role cannot be reached.
    pub async fn channel(&self, key: &str) -> Result<Stream> {
        let opened = self.ask(&ChannelOpen { key: key.to_owned(), machine: None }).await?;
        self.op.take_offered(Some(opened.stream)).await
    }

    /// In the administrator role, opens a channel to this plugin on the machine of this id.
    ///
    /// # Errors
    /// The machine cannot be reached.
    pub async fn channel_to(&self, machine: &str, key: &str) -> Result<Stream> {
        let open = ChannelOpen { key: key.to_owned(), machine: Some(machine.to_owned()) };
        let opened = self.ask(&open).await?;
        self.op.take_offered(Some(opened.stream)).await
    }

    /// Asks this plugin in its other role: on a machine the administrator, there the machine of this id.
    ///
    /// # Errors
    /// The other role cannot be reached or fails.
    pub async fn peer_call<R: DeserializeOwned>(&self, machine: Option<&str>, message: impl Serialize) -> Result<R> {
        let call = PeerCall { machine: machine.map(str::to_owned), payload: serde_json::to_value(message)? };
        Ok(serde_json::from_value(self.ask(&call).await?)?)
    }

    /// The machines of the site, in the administrator role.
    ///
    /// # Errors
    /// The host does not tell them here.
    pub async fn machines(&self) -> Result<Vec<ListedMachine>> {
        self.ask(&MachinesList {}).await
    }

    /// Has a command of this plugin run as a job, and tells its id: on a machine there, in the administrator role on the
    /// machine that is named, or there itself. The command says that it may be put on a schedule. What was begun under
    /// `key` before, and what has still to end, is not begun a second time.
    ///
    /// # Errors
    /// The host cannot be reached or does not take it; alone, nothing is started but by a person.
    pub async fn start_job(
        &self,
        command: &str,
        input: impl Serialize,
        machine: Option<&str>,
        key: Option<&str>,
    ) -> Result<String> {
        let Value::Object(input) = serde_json::to_value(input)? else {
            return Err(schema::Problem::bad_request("the input of a command is an object.").into());
        };
        let (command, machine, key) = (command.to_owned(), machine.map(str::to_owned), key.map(str::to_owned));
        Ok(self.ask(&JobsStart { command, input, machine, key }).await?.job)
    }

    /// In the administrator role, a job of one of this plugin's commands as it stands now.
    ///
    /// # Errors
    /// There is no such job, or it is another plugin's.
    pub async fn job(&self, id: &str) -> Result<SeenJob> {
        self.ask(&JobsGet { job: id.to_owned() }).await
    }

    /// A host service by its request.
    ///
    /// # Errors
    /// What the host answers.
    pub async fn ask<R: HostRequest>(&self, request: &R) -> Result<R::Reply> {
        Ok(serde_json::from_value(self.request(R::METHOD, &serde_json::to_value(request)?).await?)?)
    }

    /// Any host service by its name.
    ///
    /// # Errors
    /// What the host answers.
    pub async fn request(&self, method: &str, payload: &Value) -> Result<Value> {
        self.op.request(method, payload).await
    }

    /// Runs `work` until the operation is cancelled.
    ///
    /// # Errors
    /// It was cancelled, or what `work` fails with.
    pub async fn until_cancelled<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            () = self.cancelled() => Err(Fault::cancelled()),
        }
    }

    /// The role the plugin runs in here.
    pub fn role(&self) -> Role {
        self.host.role
    }

    /// Whether both roles run in one process, for the person who started it, without a site: what the other role says
    /// is then as good as what this one knows, and no machine but this one is meant.
    pub fn is_standalone(&self) -> bool {
        self.host.standalone
    }

    /// Short name of the command or type, id of the event, key of the channel.
    pub fn name(&self) -> &str {
        &self.start.name
    }

    /// Id of the machine it is about.
    pub fn machine(&self) -> Option<&str> {
        self.start.call.machine.as_deref()
    }

    /// For whom it runs.
    pub fn call(&self) -> &CallMeta {
        &self.start.call
    }
}
