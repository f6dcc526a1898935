//! The same transcript over both transports.

use crate::bed::{Bed, follow};
use plugin_host::Transport;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    for transport in [Transport::InProcess, Transport::Runner] {
        let bed = Bed::new(transport).await;
        bed.load("hello").await;
        let mut op = bed.start("hello", "greet", json!({"to": "Ada"})).await;
        let told = follow(&mut op).await;
        println!("{transport:?} {told:?} {:?}", bed.host.plugins());
    }
}
