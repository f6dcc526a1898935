//! Operators' streams in both directions, and a channel to the other role.

use sdk::prelude::*;
use sdk::schema::Stream as Declared;

#[derive(Args)]
struct Send {
    /// How many bytes to send
    #[arg(default = 1_048_576_u64)]
    bytes: u64,
    /// Bytes of a piece
    #[arg(default = 65_536_u32, min = 1, max = 1_048_576)]
    piece: u32,
}

/// Bytes whose values can be checked at the other end.
fn pattern(from: u64, bytes: usize) -> Vec<u8> {
    (from..from + bytes as u64).map(|n| (n % 251) as u8).collect()
}

async fn send(ctx: Ctx, args: Send) -> Result<u64> {
    let (mut sender, _receiver) = ctx.open_stream("out").await?.split();
    // The first piece is sent again and again where only speed matters.
    let whole = pattern(0, args.piece as usize);
    let mut sent = 0;
    while sent < args.bytes {
        let piece = (args.bytes - sent).min(u64::from(args.piece)) as usize;
        sender.send(whole[..piece].to_vec()).await?;
        sent += piece as u64;
    }
    sender.finish();
    Ok(sent)
}

/// Sends back what comes in, in capitals.
async fn shout(ctx: Ctx, (): ()) -> Result<u64> {
    let mut stream = ctx.open_stream("terminal").await?;
    let mut bytes = 0;
    while let Some(frame) = stream.recv().await? {
        bytes += frame.len() as u64;
        stream.send(frame.to_ascii_uppercase()).await?;
    }
    stream.finish();
    Ok(bytes)
}

/// Swallows what comes in.
async fn swallow(ctx: Ctx, (): ()) -> Result<u64> {
    let mut stream = ctx.open_stream("in").await?;
    let mut bytes = 0;
    while let Some(frame) = stream.recv().await? {
        bytes += frame.len() as u64;
    }
    stream.finish();
    Ok(bytes)
}

#[derive(Args)]
struct Channel {
    /// `echo`: everything comes back; `slow`: the other end takes its time; `refuse`: it fails
    #[arg(default = "echo")]
    key: String,
    #[arg(default = 262_144_u64)]
    bytes: u64,
    /// Machine to open it to, from the administrator
    #[arg(advanced)]
    machine_id: Option<String>,
}

/// Sends bytes to the other role and counts what comes back.
async fn channel(ctx: Ctx, args: Channel) -> Result<Value> {
    let stream = match &args.machine_id {
        Some(machine) => ctx.channel_to(machine, &args.key).await?,
        None => ctx.channel(&args.key).await?,
    };
    let (mut sender, mut receiver) = stream.split();
    let sending = async {
        let mut sent = 0;
        while sent < args.bytes {
            let piece = (args.bytes - sent).min(65_536) as usize;
            sender.send(pattern(sent, piece)).await?;
            sent += piece as u64;
            ctx.progress(sent as f64 / args.bytes as f64, format!("{sent} bytes"))?;
        }
        sender.finish();
        Ok(sent)
    };
    let receiving = async {
        let (mut received, mut right) = (0, true);
        while let Some(frame) = receiver.recv().await? {
            right &= *frame == pattern(received, frame.len())[..];
            received += frame.len() as u64;
        }
        Ok::<_, sdk::Fault>((received, right))
    };
    let (sent, (received, right)) = sdk::futures::future::try_join(sending, receiving).await?;
    Ok(json!({"sent": sent, "received": received, "right": right}))
}

#[derive(Args)]
struct Channels {
    #[arg(default = 10_u32)]
    count: u32,
}

/// Opens one channel after the other, and now and then a stream to whoever follows the command.
async fn channels(ctx: Ctx, args: Channels) -> Result<u32> {
    let mut back = 0;
    for n in 0..args.count {
        let mut channel = ctx.channel("echo").await?;
        channel.send(n.to_le_bytes().to_vec()).await?;
        channel.finish();
        while let Some(frame) = channel.recv().await? {
            back += u32::from(*frame == n.to_le_bytes());
        }
        if n.is_multiple_of(10) {
            ctx.open_stream("out").await?.finish();
        }
    }
    Ok(back)
}

async fn accept(ctx: Ctx, mut stream: Stream) -> Result<()> {
    if ctx.name() == "refuse" {
        return Err(fault(sdk::schema::Code::PermissionDenied, "this key is refused."));
    }
    while let Some(frame) = stream.recv().await? {
        if ctx.name() == "slow" {
            ctx.sleep(Duration::from_millis(20)).await?;
        }
        stream.send(frame.into_vec()).await?;
    }
    stream.finish();
    Ok(())
}

fn stream(name: &str, direction: StreamDirection) -> Declared {
    Declared::new(name, direction)
}

pub(crate) fn declare(app: App) -> App {
    app.command("send", "Send bytes to the operator", send)
        .command_options(|c| c.streams.push(stream("out", StreamDirection::Out)))
        .command("shout", "Say back in capitals", shout)
        .command_options(|c| {
            c.effect = Effect::Write;
            c.streams.push(stream("terminal", StreamDirection::Both));
        })
        .command("swallow", "Swallow bytes", swallow)
        .command_options(|c| c.streams.push(stream("in", StreamDirection::In)))
        .command("channel", "Send bytes to the other role", channel)
        .command("channel-down", "Send bytes to a machine", channel)
        .command_options(|c| c.target.on = sdk::schema::TargetKind::Administrator)
        .command("channels", "Open many channels to the other role", channels)
        .command_options(|c| c.streams.push(stream("out", StreamDirection::Out)))
        .accept(accept)
}
