//! Every way to go wrong.

#![allow(unsafe_code)] // to crash

use sdk::prelude::*;

#[derive(Args)]
enum Kind {
    /// Read from nowhere
    Segfault,
    Abort,
    Panic,
    /// Never wait and never end
    Loop,
    /// Take memory until there is none
    Leak,
    /// Wait in a system call for ever
    Hang,
    /// End the process
    Exit,
    /// Use up the stack
    Stack,
}

#[derive(Args)]
struct Crash {
    #[arg(positional)]
    kind: Kind,
}

async fn crash(_: Ctx, args: Crash) -> Result<Value> {
    match args.kind {
        Kind::Segfault => segfault(),
        Kind::Abort => std::process::abort(),
        Kind::Panic => panic!("asked to panic"),
        Kind::Loop => loop {
            std::hint::spin_loop();
        },
        Kind::Leak => loop {
            std::mem::forget(std::hint::black_box(vec![1_u8; 64 * 1024 * 1024]));
        },
        Kind::Hang => hang(),
        Kind::Exit => std::process::exit(7),
        Kind::Stack => Ok(json!(deeper(0))),
    }
}

fn segfault() -> ! {
    // SAFETY: none; this is to crash.
    let read = unsafe { std::ptr::read_volatile(std::hint::black_box(8 as *const u8)) };
    panic!("read {read} from nowhere")
}

fn hang() -> ! {
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets can be made");
    loop {
        use std::io::Read;
        // Nobody ever writes to the other end.
        let _ = (&ours).read(&mut [0; 1]);
    }
}

#[allow(unconditional_recursion)]
fn deeper(n: u64) -> u64 {
    let room = std::hint::black_box([n; 512]);
    deeper(n + 1) + room[0]
}

pub(crate) fn declare(app: App) -> App {
    app.command("crash", "Go wrong", crash).command_options(|c| c.effect = Effect::Destroy)
}
