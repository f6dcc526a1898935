//! Rows as text: a table that fits its terminal, or a form for programs.

use super::Format;
use super::text::{ABSENT, cell, plain};
use crate::shape::{Column, Shape};
use jiff::Timestamp;
use schema::{FieldType, Object, neutral_text};
use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Widest column of a table that had to be narrowed, before others go.
const WIDE: usize = 40;
/// Narrowest a column is made.
const NARROW: usize = 8;
const GAP: usize = 2;

/// Where rows are printed.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Columns of the terminal; `None` where it is a file or pipe: nothing is cut then.
    pub width: Option<usize>,
    pub now: Timestamp,
    /// Show one row with a line per field.
    pub detail: bool,
}

/// `rows`, as the API gives them, in `format`. Whatever a machine put into them is inert in every format.
pub fn render(rows: &[Object], shape: &Shape, format: Format, page: Page) -> String {
    match format {
        Format::Table if page.detail => details(rows, shape, page),
        Format::Table => table(rows, shape, page),
        Format::Json => json(rows),
        Format::Csv => csv(rows, shape),
        Format::Yaml => yaml(rows),
        Format::Name => rows.iter().map(|row| format!("{}\n", neutral_text(&label(row, shape)))).collect(),
    }
}

fn label(row: &Object, shape: &Shape) -> String {
    row.get(&shape.label).map(plain).unwrap_or_default()
}

fn shown(shape: &Shape) -> impl Iterator<Item = &Column> {
    shape.columns.iter().filter(|c| !matches!(c.field.kind, FieldType::Secret | FieldType::Icon))
}

fn right_aligned(column: &Column) -> bool {
    column.field.kind.is_number() && !column.field.many
}

fn details(rows: &[Object], shape: &Shape, page: Page) -> String {
    let columns: Vec<&Column> = shown(shape).collect();
    let widest = columns.iter().map(|c| neutral_text(&c.field.title).width()).max().unwrap_or(0);
    let mut text = String::new();
    for (n, row) in rows.iter().enumerate() {
        text.push_str(if n > 0 { "\n" } else { "" });
        for column in &columns {
            let value = cell(&column.field, row.get(&column.name).unwrap_or(&Value::Null), page.now);
            let title = pad(&neutral_text(&column.field.title), widest, false);
            text.push_str(&format!("{title}  {value}\n"));
        }
    }
    text
}

fn table(rows: &[Object], shape: &Shape, page: Page) -> String {
    if rows.is_empty() {
        return "Nothing to show.\n".to_owned();
    }
    let columns: Vec<&Column> = shown(shape).take(shape.shown).collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|c| cell(&c.field, row.get(&c.name).unwrap_or(&Value::Null), page.now)).collect())
        .collect();
    let titles: Vec<String> = columns.iter().map(|c| neutral_text(&c.field.title).to_uppercase()).collect();
    let natural: Vec<usize> = (0..columns.len())
        .map(|n| cells.iter().map(|row| row[n].width()).chain([titles[n].width()]).max().unwrap_or(0))
        .collect();
    let empty: Vec<bool> = (0..columns.len()).map(|n| cells.iter().all(|row| row[n] == ABSENT)).collect();
    let widths = fit(&columns, &natural, &empty, &shape.label, page.width);
    let line = |texts: &[String]| {
        let parts: Vec<String> = (widths.iter().enumerate())
            .filter_map(|(n, width)| width.map(|width| pad(&cut(&texts[n], width), width, right_aligned(columns[n]))))
            .collect();
        format!("{}\n", parts.join(&" ".repeat(GAP)).trim_end())
    };
    std::iter::once(&titles).chain(&cells).map(|texts| line(texts)).collect()
}

/// Width of each column, `None` for those there is no room for. Wide ones are narrowed before others go; those of low
/// priority go first, empty ones before all.
fn fit(columns: &[&Column], natural: &[usize], empty: &[bool], label: &str, room: Option<usize>) -> Vec<Option<usize>> {
    let Some(room) = room else { return natural.iter().copied().map(Some).collect() };
    let mut widths: Vec<Option<usize>> = natural.iter().copied().map(Some).collect();
    let total = |widths: &[Option<usize>]| {
        let kept: Vec<usize> = widths.iter().flatten().copied().collect();
        kept.iter().sum::<usize>() + GAP * kept.len().saturating_sub(1)
    };
    let narrow = |widths: &mut Vec<Option<usize>>, least: usize| {
        while total(widths) > room {
            let Some(widest) = widths.iter_mut().flatten().filter(|w| **w > least).max_by_key(|w| **w) else { return };
            *widest -= 1;
        }
    };
    narrow(&mut widths, WIDE);
    while total(&widths) > room {
        let rank = |n: &usize| (empty[*n], columns[*n].field.priority, *n);
        let candidates = (0..columns.len()).filter(|n| widths[*n].is_some() && columns[*n].name != label);
        // What is always shown is narrowed instead, as long as that leaves something to read.
        let gone = candidates.filter(|n| empty[*n] || columns[*n].field.priority > 1).max_by_key(rank);
        match gone {
            Some(n) => widths[n] = None,
            None => break,
        }
    }
    narrow(&mut widths, NARROW);
    while total(&widths) > room {
        let last = (0..columns.len()).rev().find(|n| widths[*n].is_some() && columns[*n].name != label);
        match last {
            Some(n) => widths[n] = None,
            None => break,
        }
    }
    narrow(&mut widths, 1);
    let used = total(&widths);
    grow(&mut widths, natural, room, used);
    widths
}

/// Gives back what was cut where columns that went have left room.
fn grow(widths: &mut [Option<usize>], natural: &[usize], room: usize, mut total: usize) {
    while total < room {
        let cut = widths.iter_mut().zip(natural).filter_map(|(w, n)| w.as_mut().filter(|w| **w < *n));
        let Some(narrowest) = cut.min_by_key(|w| **w) else { return };
        *narrowest += 1;
        total += 1;
    }
}

fn pad(text: &str, width: usize, right: bool) -> String {
    let blanks = " ".repeat(width.saturating_sub(text.width()));
    if right { blanks + text } else { text.to_owned() + &blanks }
}

pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let (mut kept, mut used) = (String::new(), 0);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        kept.push(c);
    }
    kept + "…"
}

/// JSON in which nothing steers a terminal: those characters stand as escapes, which any reader turns back.
fn json(rows: &[Object]) -> String {
    let text = serde_json::to_string_pretty(rows).expect("maps with text keys are JSON");
    let mut inert = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        if c != '\n' && neutral_text(c.encode_utf8(&mut [0; 4])) != *c.encode_utf8(&mut [0; 4]) {
            inert.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            inert.push(c);
        }
    }
    inert + "\n"
}

fn yaml(rows: &[Object]) -> String {
    let inert: Vec<Value> = rows.iter().map(|row| neutral_value(&Value::Object(row.clone()))).collect();
    serde_yaml_ng::to_string(&inert).expect("JSON values are YAML")
}

fn neutral_value(value: &Value) -> Value {
    match value {
        Value::String(text) => neutral_text(text).into(),
        Value::Array(list) => list.iter().map(neutral_value).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (neutral_text(key), neutral_value(value))).collect(),
        other => other.clone(),
    }
}

/// Comma-separated, with a heading of field names. A text that a spreadsheet would run as a formula gets a `'` in front.
fn csv(rows: &[Object], shape: &Shape) -> String {
    let columns: Vec<&Column> = shown(shape).collect();
    let heading = columns.iter().map(|c| csv_text(&c.name)).collect::<Vec<_>>().join(",");
    let lines = rows.iter().map(|row| {
        let values = columns.iter().map(|c| csv_value(row.get(&c.name).unwrap_or(&Value::Null)));
        values.collect::<Vec<_>>().join(",")
    });
    std::iter::once(heading).chain(lines).map(|line| line + "\r\n").collect()
}

fn csv_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(list) => csv_text(&list.iter().map(plain).collect::<Vec<_>>().join("; ")),
        other => csv_text(&plain(other)),
    }
}

fn csv_text(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let text = neutral_text(text).replace('"', "\"\"");
    if formula { format!("\"'{text}\"") } else { format!("\"{text}\"") }
}
