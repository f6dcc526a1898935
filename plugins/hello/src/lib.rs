//! The smallest whole plugin: a command with progress, a stored type and a table.
use sdk::prelude::*;

#[derive(Args)]
struct Greet {
    /// Whom to greet
    #[arg(positional, default = "world")]
    to: String,
    /// Seconds to take over it
    #[arg(default = 0.0, min = 0, max = 3600)]
    seconds: f64,
}

#[derive(Row)]
struct Greeting {
    #[key]
    who: String,
    #[field(priority = 1, sort)]
    at: Time,
    #[field(priority = 2, sort)]
    count: u64,
}

async fn greet(ctx: Ctx, args: Greet) -> Result<Greeting> {
    for step in 0..10 {
        ctx.progress(f64::from(step) / 10.0, format!("greeting {}", args.to))?;
        ctx.sleep(Duration::from_secs_f64(args.seconds / 10.0)).await?;
    }
    let (known, _) = ctx.rows::<Greeting>().query(&Query::default()).await?;
    let count = known.iter().find(|row| row.who == args.to).map_or(1, |row| row.count + 1);
    let greeting = Greeting { who: args.to, at: Time::now(), count };
    ctx.rows().upsert(std::slice::from_ref(&greeting)).await?;
    Ok(greeting)
}

pub fn app() -> App {
    let app = App::new("org.bailiwick.hello").command("greet", "Greet someone", greet);
    app.command_options(|c| c.effect = Effect::Write).stored::<Greeting>().table("Greetings")
}
export!(app);
