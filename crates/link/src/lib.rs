//! The connection between an agent and its administrator: always opened by the agent, TLS 1.3 with certificates of the
//! site's own authority on both sides, a WebSocket inside, frames of `protocol` inside that.
//!
//! It moves bytes and frames and checks who the other side is. What a message means, who is revoked and what is stored
//! is decided above. Who is believed is `identity`'s; an expired client certificate passes here, because only the
//! application knows that it may renew.

mod backoff;
mod bridge;
mod client;
mod duplex;
mod session;
mod socket;

pub use backoff::Backoff;
pub use bridge::carry;
pub use client::{DialError, Dialer, Reply};
pub use duplex::{Duplex, Incoming, StreamReceiver, StreamSender};
pub use session::{LinkError, Receiver, Sender, session};
pub use socket::{Socket, TlsSocket, accept_key, client_socket, server_socket};
