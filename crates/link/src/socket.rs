//! The WebSocket that carries frames, with buffers small enough for ten thousand of them.

use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// TLS over TCP, either side.
pub type TlsSocket = TlsStream<TcpStream>;
/// A WebSocket over it.
pub type Socket = WebSocketStream<TlsSocket>;

/// The default read buffer costs 145 KiB a connection, this one 16 with everything else.
const READ_BUFFER_BYTES: usize = 4096;

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(protocol::MAX_FRAME_BYTES + 1024)
        .max_message_size(Some(protocol::MAX_FRAME_BYTES))
        .max_frame_size(Some(protocol::MAX_FRAME_BYTES))
}

/// The server's end, after the HTTP upgrade. `read` is what the HTTP reader had taken too much.
pub async fn server_socket(stream: TlsSocket, read: Vec<u8>) -> Socket {
    WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config())).await
}

/// The client's end, after the HTTP upgrade.
pub async fn client_socket(stream: TlsSocket, read: Vec<u8>) -> Socket {
    WebSocketStream::from_partially_read(stream, read, Role::Client, Some(config())).await
}

/// Value of `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
pub fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}
