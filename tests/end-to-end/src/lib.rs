//! Starts the real programs, machines of their own in network namespaces, and a real browser; asserts from outside.
//!
//! Nothing here knows the insides of the product: it uses the command line, HTTP and WebSocket like anybody else. Only the
//! tests of crashes read what was stored, to prove in which phase a job was.

pub mod alone;
pub mod backup_bench;
pub mod client;
pub mod effects;
pub mod inside;
pub mod network;
pub mod plugins;
pub mod process;
pub mod site;
pub mod socket;
pub mod tls;
pub mod wait;

pub use alone::Alone;
pub use client::{Client, Reply};
pub use inside::Case;
pub use network::{Machine, Network};
pub use site::{Site, Start};
pub use socket::Socket;
pub use wait::{soon, until};
