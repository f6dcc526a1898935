//! What an agent and its administrator say to each other, and nothing about how it travels.
//!
//! Every exchange is a [`Frame`]: a fixed header and a JSON payload that is decoded into a closed enum. Unknown fields
//! and variants of the negotiated version are refused, sizes and nesting are bounded before anything is parsed, and
//! decoding arbitrary bytes never panics. There are no sockets, no clock and no storage here.

mod enrol;
mod frame;
mod hello;
mod message;
mod stream;

pub use enrol::{EnrolReply, EnrolRequest};
pub use frame::{Frame, FrameError, HEADER_BYTES, Header, Kind, MAX_DEPTH};
pub use hello::{Evidence, Facts, Hello, KnownJob, PluginOffer, Refused, Welcome, negotiate};
pub use message::{
    Assign, FromAgent, JobReport, Outcome, PluginReport, PluginState, SectionHash, SectionName, ToAgent, section_hash,
};
pub use stream::{MAX_STREAM_CHUNK, STREAM_WINDOW, StreamFrame};

/// Newest version of the messages that this build speaks.
pub const VERSION: u16 = 1;
/// Oldest version of the messages that this build still speaks.
pub const OLDEST_VERSION: u16 = 1;
/// Optional behaviour of this build. A side uses one only where the other named it too.
pub const FEATURES: &[&str] = &["streams", "channels", "section-hashes", PROGRESS_AMOUNTS];
/// The progress of a job may carry an amount.
pub const PROGRESS_AMOUNTS: &str = "progress-amounts";
/// Largest frame of the control channel.
pub const MAX_FRAME_BYTES: usize = schema::MAX_MESSAGE;
/// Largest first frame of a connection. It lists every job of the agent's journal whose end is not acknowledged.
pub const MAX_HELLO_BYTES: usize = 1024 * 1024;
/// Largest body of an enrolment, which anybody may send.
pub const MAX_ENROLMENT_BYTES: usize = 256 * 1024;
/// Path of the control channel on the agents' port.
pub const LINK_PATH: &str = "/link";
