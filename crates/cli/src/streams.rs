//! Binds the byte streams of a running job to the terminal or to files: over the administrator's WebSocket, or without
//! one where the command runs in this process.
//!
//! Nothing is taken from the administrator that was not written here first, and nothing is read here that the command
//! has no room for: a slow end slows the other end down, and nobody keeps what is on its way.

use crate::client::Client;
use anyhow::{Context as _, Result, anyhow};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use plugin_host::Duplex;
use schema::{Command, Problem, StreamDirection, neutral_text};
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::thread::JoinHandle;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Bytes that may be sent before the command's end grants more.
const FIRST_CREDIT: usize = 256 * 1024;
/// Most bytes of one message.
const PIECE: usize = 64 * 1024;

/// Where the bytes of one stream come from and go to.
pub(crate) struct Binding {
    name: String,
    reads: Option<Source>,
    writes: Option<Target>,
}

enum Source {
    Stdin,
    File(PathBuf),
}

enum Target {
    Stdout,
    File(PathBuf),
}

/// The streams of one job, as they are bound.
pub(crate) struct Streams {
    bindings: Vec<Binding>,
    /// Stdout carries the bytes of a stream, and so nothing else.
    pub(crate) takes_stdout: bool,
}

trait Connection: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Connection for T {}

type Socket = WebSocketStream<Box<dyn Connection>>;

/// What the administrator says beside bytes.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    credit: usize,
    #[serde(default)]
    end: bool,
    error: Option<Problem>,
}

impl Streams {
    /// Binds every stream of a command: to the file that is named for it, else to stdin and stdout.
    ///
    /// # Errors
    /// A file for a stream that there is not, or two streams that would need the same end of the terminal.
    pub(crate) fn bind(command: &Command, files: &[(String, String)]) -> Result<Streams, Problem> {
        if let Some((name, _)) = files.iter().find(|(name, _)| !command.streams.iter().any(|s| s.name == *name)) {
            return Err(Problem::bad_request(format!("there is no stream {name}.")).at("stream"));
        }
        let (mut stdin_is_free, mut stdout_is_free) = (true, true);
        let mut bindings = Vec::new();
        for stream in &command.streams {
            let file = files.iter().find(|(name, _)| *name == stream.name).map(|(_, file)| PathBuf::from(file));
            let (sends, receives) = match stream.direction {
                StreamDirection::Out => (false, true),
                StreamDirection::In => (true, false),
                StreamDirection::Both => (true, true),
            };
            let taken = |end: &str| {
                Problem::bad_request(format!("{end} is taken by another stream than {}.", stream.name))
                    .fix(format!("Give --stream {}=FILE.", stream.name))
            };
            let reads = match &file {
                _ if !sends => None,
                Some(file) if !receives => Some(Source::File(file.clone())),
                _ if !std::mem::take(&mut stdin_is_free) => return Err(taken("stdin")),
                _ => Some(Source::Stdin),
            };
            let writes = match file {
                _ if !receives => None,
                Some(file) => Some(Target::File(file)),
                None if !std::mem::take(&mut stdout_is_free) => return Err(taken("stdout")),
                None => Some(Target::Stdout),
            };
            bindings.push(Binding { name: stream.name.clone(), reads, writes });
        }
        Ok(Streams { bindings, takes_stdout: !stdout_is_free })
    }

    /// What is bound to the stream of this name, for who carries it without an administrator.
    pub(crate) fn take(&mut self, name: &str) -> Option<Binding> {
        let at = self.bindings.iter().position(|binding| binding.name == name)?;
        Some(self.bindings.swap_remove(at))
    }

    /// Carries the streams of a job in a thread of its own, which ends with them.
    pub(crate) fn carry(self, client: &Client, job: &str) -> Result<JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (client, job) = (client.clone(), job.to_owned());
        Ok(std::thread::spawn(move || {
            runtime.block_on(async {
                let each = self.bindings.into_iter().map(|binding| async {
                    let name = neutral_text(&binding.name);
                    if let Err(error) = carry(&client, &job, binding).await {
                        eprintln!("{name}: {}", neutral_text(&format!("{error:#}")));
                    }
                });
                futures::future::join_all(each).await;
            });
            // A read of stdin that nobody waits for any more must not hold the program.
            runtime.shutdown_background();
        }))
    }
}

impl Binding {
    /// Carries a stream that a command of this very process opened, until it takes and gives no more.
    pub(crate) async fn carry_here(self, duplex: Duplex) -> Result<()> {
        let name = neutral_text(&self.name);
        let (sender, receiver) = duplex.split();
        let reading = read_into(sender, self.reads);
        let writing = write_from(receiver, self.writes);
        // What the command says last ends it: it may have no use for the rest of what is read here.
        let ended = tokio::select! {
            written = writing => written,
            failed = reading => failed.and(Ok(())),
        };
        ended.with_context(|| name)
    }
}

/// Reads what the command takes; only a failure ends it.
async fn read_into(mut sender: plugin_host::Sender, from: Option<Source>) -> Result<()> {
    if let Some(from) = from {
        let (mut source, mut buffer) = (from.open().await?, vec![0; PIECE]);
        loop {
            let length = source.read(&mut buffer).await.context("the input cannot be read")?;
            if length == 0 || sender.send(buffer[..length].to_vec().into()).await.is_err() {
                break;
            }
        }
    }
    sender.finish();
    std::future::pending().await
}

async fn write_from(mut receiver: plugin_host::Receiver, to: Option<Target>) -> Result<()> {
    let mut target = Target::open(to).await?;
    while let Some(frame) = receiver.recv().await {
        let bytes = frame.map_err(|problem| anyhow!("{problem}"))?;
        target.write_all(&bytes).await.context("the output cannot be written")?;
    }
    target.flush().await.context("the output cannot be written")
}

impl Source {
    async fn open(&self) -> Result<Box<dyn AsyncRead + Unpin + Send>> {
        Ok(match self {
            Source::Stdin => Box::new(tokio::io::stdin()),
            Source::File(file) => {
                let opened = tokio::fs::File::open(file).await;
                Box::new(opened.with_context(|| format!("{} cannot be read", file.display()))?)
            }
        })
    }
}

impl Target {
    async fn open(target: Option<Target>) -> Result<Box<dyn AsyncWrite + Unpin + Send>> {
        Ok(match target {
            None => Box::new(tokio::io::sink()),
            Some(Target::Stdout) => Box::new(tokio::io::stdout()),
            Some(Target::File(file)) => {
                let created = tokio::fs::File::create(&file).await;
                Box::new(created.with_context(|| format!("{} cannot be written", file.display()))?)
            }
        })
    }
}

async fn carry(client: &Client, job: &str, binding: Binding) -> Result<()> {
    let (sink, stream) = open(client, &format!("/api/v1/jobs/{job}/streams/{}", binding.name)).await?.split();
    let (say, said) = mpsc::channel(4);
    let room = Room::default();
    let sending = send(sink, said, &room, binding.reads);
    let receiving = receive(stream, say, &room, binding.writes);
    // What the other end says last ends it: it may have no use for the rest of what is read here.
    tokio::select! {
        ended = receiving => ended,
        failed = sending => failed.and(Ok(())),
    }
}

/// Bytes that may be sent now.
struct Room {
    bytes: std::sync::Mutex<usize>,
    more: Notify,
}

impl Default for Room {
    fn default() -> Room {
        Room { bytes: std::sync::Mutex::new(FIRST_CREDIT), more: Notify::new() }
    }
}

impl Room {
    fn add(&self, bytes: usize) {
        *self.bytes.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += bytes;
        self.more.notify_one();
    }

    /// Waits for room and takes at most `most` of it.
    async fn take(&self, most: usize) -> usize {
        loop {
            {
                let mut bytes = self.bytes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if *bytes > 0 {
                    let taken = most.min(*bytes);
                    *bytes -= taken;
                    return taken;
                }
            }
            self.more.notified().await;
        }
    }
}

/// Sends what is read here as far as there is room for it, and credit for what was written here.
async fn send(
    mut sink: SplitSink<Socket, Message>,
    mut said: mpsc::Receiver<Message>,
    room: &Room,
    from: Option<Source>,
) -> Result<()> {
    let mut source: Box<dyn AsyncRead + Unpin + Send> = match &from {
        None => Box::new(tokio::io::empty()),
        Some(source) => source.open().await?,
    };
    let mut reading = from.is_some();
    let (mut buffer, mut may) = (vec![0; PIECE], 0);
    loop {
        let read = async {
            if may == 0 {
                may = room.take(PIECE).await;
            }
            source.read(&mut buffer[..may]).await
        };
        let message = tokio::select! {
            message = said.recv() => match message {
                Some(message) => message,
                // The other direction has ended, and with it the socket.
                None => return std::future::pending().await,
            },
            read = read, if reading => match read.context("the input cannot be read")? {
                0 => {
                    reading = false;
                    Message::text(json!({"end": true}).to_string())
                }
                length => {
                    room.add(may - length);
                    may = 0;
                    Message::binary(buffer[..length].to_vec())
                }
            },
        };
        sink.send(message).await.context("the connection to the administrator broke")?;
    }
}

/// Writes what comes and grants as much again.
async fn receive(
    mut stream: SplitStream<Socket>,
    say: mpsc::Sender<Message>,
    room: &Room,
    to: Option<Target>,
) -> Result<()> {
    let mut target = Target::open(to).await?;
    while let Some(message) = stream.next().await {
        match message.context("the connection to the administrator broke")? {
            Message::Binary(bytes) => {
                target.write_all(&bytes).await.context("the output cannot be written")?;
                target.flush().await.context("the output cannot be written")?;
                say.send(Message::text(json!({"credit": bytes.len()}).to_string())).await.ok();
            }
            Message::Text(text) => {
                let said: Said = serde_json::from_str(&text).context("the administrator said something unknown")?;
                room.add(said.credit);
                if let Some(problem) = said.error {
                    return Err(problem.into());
                }
                if said.end {
                    target.flush().await.context("the output cannot be written")?;
                }
            }
            Message::Close(_) => break,
            _ => {}
        }
    }
    Ok(())
}

async fn open(client: &Client, path: &str) -> Result<Socket> {
    let (address, request) = client.socket_request(path)?;
    let connection = TcpStream::connect(&address).await.with_context(|| format!("{address} cannot be reached"))?;
    connection.set_nodelay(true)?;
    let connection: Box<dyn Connection> = match client.tls_config()? {
        None => Box::new(connection),
        Some(config) => {
            let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
            let name = host.trim_matches(['[', ']']).to_owned().try_into().context("the address has no name")?;
            Box::new(tokio_rustls::TlsConnector::from(config).connect(name, connection).await?)
        }
    };
    match tokio_tungstenite::client_async(request, connection).await {
        Ok((socket, _)) => Ok(socket),
        Err(tokio_tungstenite::tungstenite::Error::Http(refusal)) => {
            let problem = refusal.body().as_deref().and_then(|body| serde_json::from_slice::<Problem>(body).ok());
            Err(problem.map_or_else(|| anyhow!("refused with status {}", refusal.status()), anyhow::Error::from))
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(streams: &[(&str, &str)]) -> Command {
        let streams: Vec<_> = streams.iter().map(|(name, way)| json!({"name": name, "direction": way})).collect();
        serde_json::from_value(json!({"id": "a", "title": "A", "streams": streams})).unwrap()
    }

    #[test]
    fn a_stream_has_the_terminal_or_its_file_and_two_never_share() {
        let file = |name: &str| (name.to_owned(), "f".to_owned());
        let both = command(&[("in", "in"), ("out", "out")]);
        assert!(Streams::bind(&both, &[]).unwrap().takes_stdout);
        assert!(!Streams::bind(&both, &[file("out")]).unwrap().takes_stdout);
        let two = command(&[("one", "out"), ("two", "out")]);
        let refused = Streams::bind(&two, &[]).err().unwrap();
        assert!(refused.to_string().contains("two=FILE"), "{refused}");
        assert!(Streams::bind(&two, &[file("two")]).is_ok());
        assert!(Streams::bind(&two, &[file("three")]).is_err());
    }
}
