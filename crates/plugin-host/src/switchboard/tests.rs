//! The switchboard by itself, with a plugin that keeps what it is told.

use super::*;
use crate::Level;
use futures::future::{BoxFuture, FutureExt};
use std::sync::atomic::AtomicUsize;

struct NoServices;

impl Services for NoServices {
    fn request(&self, _: &str, _: &CallMeta, _: &str, _: Value) -> BoxFuture<'static, Result<Value, Problem>> {
        async { Ok(Value::Null) }.boxed()
    }

    fn open_channel(
        &self,
        _: &str,
        _: &CallMeta,
        _: schema::ChannelOpen,
    ) -> BoxFuture<'static, Result<Duplex, Problem>> {
        async { Err(Problem::internal("there is none.")) }.boxed()
    }

    fn log(&self, _: &str, _: Level, _: &str, _: Value) {}
}

#[derive(Default)]
struct Told(AtomicUsize);

impl Link for Told {
    fn start(&self, _: u64, _: &str, _: Vec<u8>, _: Vec<u8>) {}

    fn signal(&self, _: u64, _: u32, _: u64, _: &[u8]) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn feed(&self, _: u64, _: u32, _: Bytes) {}
}

fn board() -> (Arc<Switchboard>, Arc<Told>) {
    let (notes, _) = mpsc::unbounded_channel();
    let board = Switchboard::new(Parts {
        plugin: "p".to_owned(),
        services: Arc::new(NoServices),
        limits: Limits::default(),
        files: String::new(),
        tasks: TaskTracker::new(),
        notes,
        force_ends_all: false,
    });
    let told = Arc::new(Told::default());
    board.join(told.clone());
    (board, told)
}

fn begin(board: &Switchboard) -> Operation {
    board.begin(&Method::Command("c".to_owned()), CallMeta::default(), &Value::Null).unwrap().unwrap()
}

fn say(board: &Switchboard, kind: u32, stream: u32, data: impl Into<Vec<u8>>) -> i64 {
    board.emitted(1, kind, stream, Bytes::from(data.into()))
}

const OPEN: &[u8] = br#"{"name":"x"}"#;

#[tokio::test]
async fn nothing_begins_once_the_instance_is_gone_and_all_that_runs_has_ended() {
    let (board, _) = board();
    let running = begin(&board);
    board.close(&Problem::new(Code::Crashed, "it crashed."));
    assert_eq!(running.result().await.unwrap_err().code, Code::Crashed);
    let late = board.begin(&Method::Command("c".to_owned()), CallMeta::default(), &Value::Null);
    assert!(late.unwrap().is_none());
    assert!(board.link().is_none(), "the plugin and its switchboard would hold each other for ever");
}

#[tokio::test]
async fn credit_that_is_overdrawn_is_none_and_not_an_answer_of_another_kind() {
    for short in [1, 2] {
        let (board, _) = board();
        let _operation = begin(&board);
        say(&board, emit::OPEN, 1, OPEN);
        // Down to a credit that one more frame overdraws to -1 or -2.
        let frames = INITIAL_CREDIT / (MAX_FRAME as i64 / 2 + 64);
        for _ in 0..frames {
            assert!(say(&board, emit::FRAME, 1, vec![0; MAX_FRAME / 2]) > 0);
        }
        let left = INITIAL_CREDIT - frames * (MAX_FRAME as i64 / 2 + 64);
        assert!(left > 0);
        assert_eq!(say(&board, emit::FRAME, 1, vec![0; (left - 64 + short) as usize]), 0);
        assert_eq!(say(&board, emit::FRAME, 1, vec![0; 1]), REFUSED, "there was no credit");
        assert_eq!(say(&board, emit::FRAME, 1, vec![0; 1]), GONE);
    }
    let (board, _) = board();
    let _operation = begin(&board);
    let text = |bytes: i64| format!("\"{}\"", "x".repeat(bytes as usize - 2));
    assert_eq!(say(&board, emit::CHECKPOINT, 0, text(INITIAL_CREDIT - 64 + 1)), 0);
}

#[tokio::test]
async fn empty_frames_cost_too() {
    let (board, _) = board();
    let _operation = begin(&board);
    say(&board, emit::OPEN, 1, OPEN);
    let mut sent = 0;
    while say(&board, emit::FRAME, 1, []) >= 0 {
        sent += 1;
    }
    assert_eq!(sent, INITIAL_CREDIT as usize / FRAME_COST);
}

#[tokio::test]
async fn a_stream_is_let_go_of_when_both_directions_have_ended_and_nothing_of_it_waits() {
    let (board, _) = board();
    let mut operation = begin(&board);
    for n in 0..10_000_u32 {
        assert!(say(&board, emit::OPEN, 2 * n + 1, OPEN) >= 0, "stream {n}");
        say(&board, emit::FRAME, 2 * n + 1, b"words".to_vec());
        say(&board, emit::END, 2 * n + 1, []);
        say(&board, emit::CREDIT, 2 * n + 1, 0_u64.to_le_bytes());
        let Some(OpEvent::Open { duplex, .. }) = operation.next().await else { panic!("it is opened") };
        let (_sender, mut receiver) = duplex.split();
        assert_eq!(receiver.recv().await.unwrap().unwrap(), "words");
        assert!(receiver.recv().await.is_none());
    }
    // What its caller has not read yet still counts.
    let unread = (0..).take_while(|n| {
        let id = 2 * n + 1;
        let opened = say(&board, emit::OPEN, id, OPEN);
        say(&board, emit::END, id, []);
        say(&board, emit::CREDIT, id, 0_u64.to_le_bytes());
        opened >= 0
    });
    assert_eq!(unread.count(), board.limits.streams);
}

#[tokio::test]
async fn too_much_is_a_quota_before_anybody_else_sees_it() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let long = format!("\"{}\"", "x".repeat(MAX_PAYLOAD));
    let problem = |text: &str| format!(r#"{{"code":"internal","message":{text}}}"#);
    for (kind, data) in [
        (emit::DONE, long.clone()),
        (emit::DONE, deep(schema::MAX_PAYLOAD_DEPTH + 1)),
        (emit::DONE, "[".repeat(100_000)),
        (emit::PROGRESS, format!(r#"{{"text":{long}}}"#)),
        (emit::ROWS, format!("[{{\"a\":{}}}]", deep(schema::MAX_PAYLOAD_DEPTH))),
        (emit::WARN, problem(&long)),
        (emit::FAULT, problem(&long)),
        (emit::CHECKPOINT, deep(schema::MAX_PAYLOAD_DEPTH + 1)),
    ] {
        let (board, _) = board();
        let operation = begin(&board);
        assert_eq!(say(&board, kind, 0, data), REFUSED, "{kind}");
        assert_eq!(operation.result().await.unwrap_err().code, Code::Quota, "{kind}");
    }
}

#[tokio::test]
async fn an_answer_in_rows_is_no_longer_than_a_message() {
    let (board, _) = board();
    let operation = begin(&board);
    let page = tokio::spawn(operation.page());
    let rows = format!(r#"[{{"a":"{}"}}]"#, "x".repeat(200_000));
    let mut told = 0;
    loop {
        match say(&board, emit::ROWS, 0, rows.clone()) {
            REFUSED | GONE => break,
            // The credit comes back once it was read.
            0 => tokio::task::yield_now().await,
            _ => {}
        }
        told += rows.len();
        while !page.is_finished() && board.operation(1).is_some_and(|op| !op.has_credit()) {
            tokio::task::yield_now().await;
        }
    }
    assert!(told <= MAX_PAYLOAD);
    assert_eq!(page.await.unwrap().unwrap_err().code, Code::Quota);
}

#[tokio::test]
async fn what_a_plugin_says_to_people_is_a_plain_line() {
    let (board, _) = board();
    let mut operation = begin(&board);
    say(&board, emit::PROGRESS, 0, r#"{"fraction":7.5,"text":"\u001b[2Jgone\nmore"}"#);
    let Some(OpEvent::Progress(progress)) = operation.next().await else { panic!("there is progress") };
    assert_eq!((progress.fraction, progress.text.as_str()), (Some(1.0), "␛[2Jgone"));
    say(&board, emit::OPEN, 1, OPEN);
    let Some(OpEvent::Open { duplex, .. }) = operation.next().await else { panic!("it is opened") };
    say(&board, emit::END, 1, r#"{"code":"internal","message":"\u001b[2Jgone\nmore"}"#);
    let (_sender, mut receiver) = duplex.split();
    assert_eq!(receiver.recv().await.unwrap().unwrap_err().message, "␛[2Jgone");
}

#[tokio::test]
async fn a_request_for_an_operation_that_is_over_is_not_answered() {
    let (board, told) = board();
    for request in 0..1000 {
        board.requested(77, request, "settings.get", b"{}");
    }
    assert_eq!(told.0.load(Ordering::Relaxed), 0);
}
