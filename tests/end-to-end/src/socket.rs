//! A WebSocket to the administrator, with a limit of time on every message.

use crate::Client;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::{HandshakeError, Message, WebSocket};

pub struct Socket(WebSocket<TcpStream>);

impl Socket {
    /// Opens a path with the client's headers; the error of a refusal is its status.
    pub fn open(client: &Client, path: &str) -> Result<Result<Socket, u16>> {
        let address = client.url.strip_prefix("http://").context("the console is on plain HTTP here")?;
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        for (name, value) in client.headers() {
            request.headers_mut().insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Ok(Socket(socket))),
            Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => Ok(Err(response.status().as_u16())),
            Err(error) => bail!("{path}: {error}"),
        }
    }

    pub fn send(&mut self, message: &Value) -> Result<()> {
        Ok(self.0.send(Message::text(message.to_string()))?)
    }

    /// Sends a text as it is.
    pub fn send_text(&mut self, text: &str) -> Result<()> {
        Ok(self.0.send(Message::text(text))?)
    }

    pub fn send_bytes(&mut self, bytes: Vec<u8>) -> Result<()> {
        Ok(self.0.send(Message::binary(bytes))?)
    }

    /// The next message that carries something.
    pub fn message(&mut self) -> Result<Message> {
        loop {
            match self.0.read()? {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return Ok(message),
            }
        }
    }

    /// Reads JSON messages until one is what is looked for.
    pub fn wait(&mut self, what: &str, limit: Duration, is_it: impl Fn(&Value) -> bool) -> Result<Value> {
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < limit {
            self.0.get_ref().set_read_timeout(Some((limit - begun.elapsed()).max(Duration::from_millis(1))))?;
            match self.message() {
                Ok(Message::Text(text)) => {
                    let value: Value = serde_json::from_str(&text)?;
                    if is_it(&value) {
                        return Ok(value);
                    }
                    last = text.to_string();
                }
                Ok(Message::Close(reason)) => bail!("closed before {what}: {reason:?}"),
                Ok(_) => {}
                Err(error) => bail!("waiting for {what}: {error}; last was {last}"),
            }
        }
        bail!("no message says that {what}; last was {last}")
    }
}
