//! The connection between an agent and its administrator: always opened by the agent, TLS 1.3 with certificates of the
//! site's own authority on both sides, a WebSocket inside, frames of `protocol` inside that.
//!
//! It moves bytes and frames and checks who the other side is. What a message means, who is revoked and what is stored
//! is decided above; an expired client certificate passes here, because only the application knows that it may renew.

mod backoff;
mod client;
mod duplex;
mod session;
mod socket;
mod tls;

pub use backoff::Backoff;
pub use client::{DialError, Dialer, Reply};
pub use duplex::{Duplex, Incoming, StreamReceiver, StreamSender};
pub use session::{LinkError, Receiver, Sender, session};
pub use socket::{Socket, TlsSocket, accept_key, client_socket, server_socket};
pub use tls::{Identity, PinnedAuthority, TlsError, Trust, client_config, server_config};
