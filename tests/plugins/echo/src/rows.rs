//! Rows of either scope, an extension of another plugin's type, and types that either role computes.

use sdk::prelude::*;

/// One row a machine, site-wide counters, and a column of every machine.
#[derive(Row)]
#[row(title = "Note", plural = "Notes", label = "text", history)]
pub(crate) struct Note {
    #[key]
    #[field(priority = 1)]
    id: String,
    #[field(priority = 1, search, sort)]
    text: String,
    #[field(type = "status", facet, values(fresh("Fresh", Success), stale("Stale", Warning)))]
    state: String,
    size: Option<Bytes>,
}

#[derive(Row)]
#[row(title = "Total", plural = "Totals", scope = "site")]
pub(crate) struct Total {
    #[key]
    name: String,
    #[field(sort)]
    value: i64,
}

#[derive(Row)]
#[row(name = "machine-note", title = "Machine note", label = "last_note")]
pub(crate) struct MachineNote {
    #[field(sort, search)]
    last_note: String,
}

#[derive(Row)]
#[row(title = "Letter", plural = "Letters", scope = "site")]
pub(crate) struct Letter {
    #[key]
    letter: String,
    position: u32,
}

#[derive(Row)]
#[row(name = "machine-letter", title = "Machine letter", label = "letter")]
pub(crate) struct MachineLetter {
    #[key]
    letter: String,
    position: u32,
}

#[derive(Args)]
struct Publish {
    /// How many notes there are to be
    #[arg(default = 3_u32, max = 100_000)]
    notes: u32,
    /// Publish a total for the whole site too
    #[arg(default = true)]
    total: bool,
}

async fn publish(ctx: Ctx, args: Publish) -> Result<Value> {
    let note = |n: u32| Note {
        id: format!("n{n}"),
        text: format!("note {n}"),
        state: if n.is_multiple_of(2) { "fresh" } else { "stale" }.into(),
        size: Some(Bytes(u64::from(n) * 1024)),
    };
    let notes: Vec<Note> = (0..args.notes).map(note).collect();
    let replaced = ctx.rows().section("all").replace(&notes).await?;
    let extended = ctx.rows().replace(&[MachineNote { last_note: format!("{} notes", args.notes) }]).await?;
    if args.total {
        ctx.rows().upsert(&[Total { name: "notes".into(), value: i64::from(args.notes) }]).await?;
        ctx.rows().upsert(&[Total { name: "gone".into(), value: 0 }]).await?;
        ctx.rows().delete(&[Total { name: "gone".into(), value: 0 }]).await?;
    }
    ctx.rows().append(&[note(args.notes)]).await?;
    let (back, _) = ctx.rows::<Note>().query(&Query::default()).await?;
    Ok(json!({"accepted": replaced.accepted + extended.accepted, "read": back.len()}))
}

pub(crate) async fn alive(ctx: &Ctx) -> Result<()> {
    ctx.rows().replace(&[MachineNote { last_note: "alive".into() }]).await.map(|_| ())
}

/// The letters from `a` on, in pages.
fn letters(query: &Query) -> (u32, u32, Option<String>) {
    let from = query.page.after.as_deref().and_then(|after| after.parse().ok()).unwrap_or(0);
    let to = (from + query.page.limit.unwrap_or(100)).min(26);
    (from, to, (to < 26).then(|| to.to_string()))
}

fn letter(n: u32) -> String {
    char::from_u32(u32::from('a') + n).map(String::from).unwrap_or_default()
}

async fn site_letters(_: Ctx, query: Query) -> Result<(Vec<Letter>, Option<String>)> {
    let (from, to, next) = letters(&query);
    Ok(((from..to).map(|n| Letter { letter: letter(n), position: n }).collect(), next))
}

async fn machine_letters(_: Ctx, query: Query) -> Result<(Vec<MachineLetter>, Option<String>)> {
    let (from, to, next) = letters(&query);
    Ok(((from..to).map(|n| MachineLetter { letter: letter(n), position: n }).collect(), next))
}

pub(crate) fn declare(app: App) -> App {
    app.command("publish", "Publish rows", publish)
        .command_options(|c| c.effect = Effect::Write)
        .stored::<Note>()
        .table("Notes")
        .view_options(|v| v.actions.push("publish".into()))
        .stored::<Total>()
        .table("Totals")
        .extend::<MachineNote>("fleet.machine")
        .query::<Letter, _, _>(AnsweredBy::Administrator, site_letters)
        .table("Letters")
        .query::<MachineLetter, _, _>(AnsweredBy::Machine, machine_letters)
        .table("Machine letters")
}
