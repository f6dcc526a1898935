//! Long work with amounts, which may leave something out, on places that a command line takes in several ways.

use sdk::prelude::*;
use sdk::schema::{CliHints, Code, View};

#[derive(Args)]
struct Visit {
    /// Places to visit; one that begins with `no-` is not there, and at `hopeless` it fails
    #[arg(positional, type = "path")]
    places: Vec<String>,
    /// Milliseconds that each takes
    #[arg(default = 0_u64)]
    pause_ms: u64,
    /// What each place counts as; items where absent
    size: Option<Bytes>,
}

#[derive(Debug, PartialEq)]
enum Place {
    There,
    Missing,
    Hopeless,
}

fn look(place: &str) -> Place {
    // As a command line gives it, a place is an absolute path.
    match place.rsplit('/').next().unwrap_or_default() {
        "hopeless" => Place::Hopeless,
        name if name.starts_with("no-") => Place::Missing,
        _ => Place::There,
    }
}

async fn visit(ctx: Ctx, args: Visit) -> Result<Value> {
    let total = args.places.len() as u64;
    let mut visited = Vec::new();
    for (n, place) in args.places.iter().enumerate() {
        let n = n as u64;
        let amount = match &args.size {
            Some(Bytes(size)) => Amount::bytes(n * size).of(total * size),
            None => Amount::items(n).of(total),
        };
        ctx.amount(amount, place.as_str())?;
        ctx.sleep(Duration::from_millis(args.pause_ms)).await?;
        match look(place) {
            Place::There => visited.push(place),
            Place::Missing => ctx.in_part(fault(Code::NotFound, format!("there is no {place}."))),
            Place::Hopeless => return Err(fault(Code::Conflict, format!("{place} is hopeless."))),
        }
    }
    Ok(json!({"visited": visited, "standalone": ctx.is_standalone()}))
}

/// One param of a query, as the view was asked with it.
#[derive(Row)]
#[row(title = "Param", plural = "Params", scope = "site", label = "name")]
struct Param {
    #[key]
    #[field(priority = 1)]
    name: String,
    #[field(type = "json", priority = 1)]
    value: Value,
}

/// Says back with which params it was asked.
async fn params(_: Ctx, query: Query) -> Result<(Vec<Param>, Option<String>)> {
    Ok((query.params.into_iter().map(|(name, value)| Param { name, value }).collect(), None))
}

fn positional(view: &mut View) {
    for (name, kind) in [("shelf", FieldType::Int), ("folder", FieldType::Path)] {
        view.params.insert(name.to_owned(), sdk::schema::Field::new(name, kind));
    }
    view.cli = Some(CliHints { positional: vec!["folder".to_owned()], ..CliHints::default() });
}

pub(crate) fn declare(app: App) -> App {
    app.command("visit", "Visit places", visit)
        .query::<Param, _, _>(AnsweredBy::Machine, params)
        .table("Shelves")
        .view_options(positional)
}
