//! Narrows, orders and pages rows that a plugin has in memory, as the host does with rows that it keeps.

use crate::rows::object;
use crate::{Result, Row, fault};
use schema::{Code, DEFAULT_LIMIT, Filter, MAX_LIMIT, Object, Op, Query, Type};
use serde_json::Value;
use std::cmp::Ordering;

/// The page of `rows` that `query` asks for, and where the next one begins.
///
/// # Errors
/// The query names a field that there is none of, or a page that there never was.
pub fn select<T: Row>(rows: &[T], query: &Query) -> Result<(Vec<Object>, Option<String>)> {
    let kind = T::declare();
    let order = Order::of(&kind, query)?;
    let mut kept = Vec::new();
    for row in rows {
        let row = object(row)?;
        if matches(&kind, query, &row) {
            kept.push((order.key(&row), row));
        }
    }
    kept.sort_by(|(one, _), (other, _)| order.compare(one, other));
    if let Some(after) = &query.page.after {
        let after: Vec<Value> = serde_json::from_str(after)
            .ok()
            .filter(|after: &Vec<Value>| after.len() == order.fields.len())
            .ok_or_else(|| fault(Code::BadRequest, "there is no page that begins there."))?;
        kept.retain(|(key, _)| order.compare(key, &after) == Ordering::Greater);
    }
    let limit = query.page.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT) as usize;
    let more = kept.len() > limit;
    kept.truncate(limit);
    let next = match kept.last() {
        Some((key, _)) if more => Some(serde_json::to_string(key)?),
        _ => None,
    };
    Ok((kept.into_iter().map(|(_, row)| row).collect(), next))
}

fn matches(kind: &Type, query: &Query, row: &Object) -> bool {
    let narrowed = query.filters.iter().all(|filter| match filter.field.as_str() {
        "$key" => filter.op.holds(&Value::String(key_text(kind, row)), &filter.value),
        field => holds(filter, row.get(field).unwrap_or(&Value::Null)),
    });
    let words = query.q.as_deref().unwrap_or_default().to_lowercase();
    let texts: Vec<String> = kind
        .fields
        .iter()
        .filter(|(_, field)| field.search)
        .filter_map(|(name, _)| row.get(name).filter(|value| !value.is_null()))
        .map(|value| text(value).map_or_else(|| value.to_string(), str::to_owned).to_lowercase())
        .collect();
    narrowed && words.split_whitespace().all(|word| texts.iter().any(|text| text.contains(word)))
}

/// A reference is met by its key and by what people call it.
fn holds(filter: &Filter, value: &Value) -> bool {
    let Some((id, label)) = reference(value) else { return filter.op.holds(value, &filter.value) };
    let (id, label) = (filter.op.holds(id, &filter.value), filter.op.holds(label, &filter.value));
    if matches!(filter.op, Op::Ne | Op::Empty) { id && label } else { id || label }
}

fn reference(value: &Value) -> Option<(&Value, &Value)> {
    let parts = value.as_object()?;
    Some((parts.get("id")?, parts.get("label")?))
}

/// What a person reads of a text or a reference.
fn text(value: &Value) -> Option<&str> {
    reference(value).map_or(value, |(_, label)| label).as_str()
}

/// The key of a row as hosts write it.
fn key_text(kind: &Type, row: &Object) -> String {
    let parts: Vec<&Value> = kind.key.iter().map(|name| row.get(name).unwrap_or(&Value::Null)).collect();
    serde_json::to_string(&parts).unwrap_or_default()
}

/// Fields to order by, and whether downwards; the key comes last.
struct Order {
    fields: Vec<(String, bool)>,
}

impl Order {
    fn of(kind: &Type, query: &Query) -> Result<Order> {
        let mut fields = Vec::new();
        for sort in &query.sort {
            let (name, down) = sort.strip_prefix('-').map_or((sort.as_str(), false), |name| (name, true));
            if !kind.fields.contains_key(name) {
                return Err(fault(Code::BadRequest, format!("there is no field {name} to sort by.")));
            }
            fields.push((name.to_owned(), down));
        }
        fields.extend(kind.key.iter().map(|name| (name.clone(), false)));
        Ok(Order { fields })
    }

    fn key(&self, row: &Object) -> Vec<Value> {
        self.fields.iter().map(|(name, _)| row.get(name).cloned().unwrap_or_default()).collect()
    }

    fn compare(&self, one: &[Value], other: &[Value]) -> Ordering {
        let fields = self.fields.iter().zip(one.iter().zip(other));
        let mut each = fields.map(|((_, down), (one, other))| match down {
            true => compare(other, one),
            false => compare(one, other),
        });
        each.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// Absent values come first, as in the host's tables.
fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one.as_f64().unwrap_or_default().total_cmp(&other.as_f64().unwrap_or_default())
        }
        (Value::String(one), Value::String(other)) => one.cmp(other),
        (Value::Bool(one), Value::Bool(other)) => one.cmp(other),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (one, other) => match (text(one), text(other)) {
            (Some(one), Some(other)) => one.cmp(other),
            _ => one.to_string().cmp(&other.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Clone, Debug, PartialEq, crate::Row)]
    struct Planet {
        #[key]
        id: u32,
        #[field(search)]
        name: String,
        moons: Option<u32>,
        #[field(search, ref = "acme.star")]
        star: crate::Reference,
    }

    fn star(id: &str, label: &str) -> crate::Reference {
        crate::Reference { id: id.to_owned(), label: label.to_owned() }
    }

    fn planets() -> Vec<Planet> {
        let all = [("Mercury", None), ("Venus", None), ("Earth", Some(1)), ("Mars", Some(2)), ("Jupiter", Some(95))];
        let planet = |(id, (name, moons)): (usize, &(&str, Option<u32>))| Planet {
            id: id as u32,
            name: (*name).to_owned(),
            moons: *moons,
            star: if id < 3 { star("s1", "Sol") } else { star("s2", "Alpha") },
        };
        all.iter().enumerate().map(planet).collect()
    }

    fn names(query: Value) -> (Vec<String>, Option<String>) {
        let query: Query = serde_json::from_value(query).unwrap();
        let (rows, next) = select(&planets(), &query).unwrap();
        (rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect(), next)
    }

    #[test]
    fn rows_are_narrowed_ordered_and_found_by_their_words() {
        assert_eq!(names(json!({"sort": ["-moons"]})).0, ["Jupiter", "Mars", "Earth", "Mercury", "Venus"]);
        assert_eq!(names(json!({"q": "er"})).0, ["Mercury", "Jupiter"]);
        assert_eq!(names(json!({"where": [{"field": "moons", "op": "ge", "value": 2}]})).0, ["Mars", "Jupiter"]);
        assert_eq!(names(json!({"where": [{"field": "$key", "value": "[2]"}]})).0, ["Earth"]);
    }

    #[test]
    fn references_are_found_by_their_key_and_by_what_they_are_called() {
        let of = |op: &str, value: &str| names(json!({"where": [{"field": "star", "op": op, "value": value}]})).0;
        assert_eq!((of("eq", "s2"), of("eq", "Alpha")), (of("ne", "s1"), of("ne", "Sol")));
        assert_eq!(of("eq", "s2"), ["Mars", "Jupiter"]);
        assert_eq!((of("eq", "s3").len(), of("empty", "").len()), (0, 0));
        assert_eq!(names(json!({"q": "alp", "sort": ["star"]})).0, ["Mars", "Jupiter"]);
        assert_eq!(names(json!({"sort": ["star"]})).0[..2], ["Mars", "Jupiter"]);
    }

    #[test]
    fn pages_follow_one_another_without_gap_or_repeat() {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = names(json!({"sort": ["-moons"], "page": {"limit": 2, "after": after}}));
            all.extend(page);
            after = next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(all, ["Jupiter", "Mars", "Earth", "Mercury", "Venus"]);
    }

    #[test]
    fn a_field_or_page_that_is_not_there_is_named() {
        let wrong = |query: Value| select(&planets(), &serde_json::from_value(query).unwrap()).unwrap_err().0;
        assert!(wrong(json!({"sort": ["weight"]})).message.contains("weight"));
        assert_eq!(wrong(json!({"page": {"after": "[1,2,3]"}})).code, Code::BadRequest);
    }
}
