//! Which columns a view has, those of other plugins included.

use indexmap::IndexMap;
use schema::{Field, FieldType, Manifest, View};

/// One column: its name in JSON objects and its field.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    pub field: Field,
}

/// What the rows of a view look like.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Every column, those the view shows first and in its order.
    pub columns: Vec<Column>,
    /// How many of them the view shows.
    pub shown: usize,
    /// The column that names a row to a person.
    pub label: String,
}

impl Shape {
    /// The columns of a view that lists rows; `None` for other kinds of views and types that are not there.
    pub fn of(manifests: &[Manifest], manifest: &Manifest, view: &View) -> Option<Shape> {
        let type_id = manifest.type_id(view.of.as_deref().filter(|_| view.kind.has_rows())?);
        let owner = manifests.iter().chain([manifest]).find(|m| m.type_of(&type_id).is_some())?;
        let kind = owner.type_of(&type_id)?;
        let mut fields: IndexMap<String, Field> = IndexMap::new();
        if kind.scope == schema::Scope::Machine && !kind.fields.contains_key("machine") {
            let mut machine = Field::new("Machine", FieldType::Ref);
            (machine.target, machine.priority, machine.search) = (Some("fleet.machine".to_owned()), 1, true);
            fields.insert("machine".to_owned(), machine);
        }
        fields.extend(kind.fields.clone());
        for (plugin, name, field) in extensions(manifests, &type_id) {
            let free = !fields.contains_key(name);
            fields.insert(if free { name.to_owned() } else { format!("{plugin}:{name}") }, field.clone());
        }
        let mut columns: Vec<Column> = Vec::new();
        for name in &view.columns {
            let name = if fields.contains_key(name) { name } else { bare(name) };
            if let Some((name, field)) = fields.shift_remove_entry(name) {
                columns.push(Column { name, field });
            }
        }
        let listed = columns.len();
        columns.extend(fields.into_iter().map(|(name, field)| Column { name, field }));
        let shown = if view.columns.is_empty() { columns.len() } else { listed };
        Some(Shape { columns, shown, label: kind.label.clone() })
    }

    /// Only these columns, in this order; names that are none are left out.
    #[must_use]
    pub fn only(self, names: &[String]) -> Shape {
        let columns: Vec<Column> = names.iter().filter_map(|name| self.column(name).cloned()).collect();
        Shape { shown: columns.len(), columns, ..self }
    }

    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name).or_else(|| self.columns.iter().find(|c| c.name == bare(name)))
    }
}

/// The name without the plugin in front.
fn bare(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, field)| field)
}

/// Columns that plugins add to the rows of `type_id`: plugin, field name, field.
fn extensions<'a>(
    manifests: &'a [Manifest],
    type_id: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str, &'a Field)> + 'a {
    manifests.iter().flat_map(move |manifest| {
        let own = manifest.types.values().filter_map(|t| t.extends.as_ref().map(|e| (t, e)));
        own.filter(move |(_, extension)| extension.target == type_id).flat_map(move |(kind, extension)| {
            let all = extension.fields.is_empty();
            let wanted = kind.fields.iter().filter(move |(name, _)| all || extension.fields.contains(name));
            wanted.map(move |(name, field)| (manifest.plugin.name.as_str(), name.as_str(), field))
        })
    })
}

/// The one of `known` that `name` was most likely meant to be.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name: String = name.chars().take(100).collect::<String>().to_lowercase();
    known
        .map(|one| (strsim::damerau_levenshtein(&name, &one.to_lowercase()), one))
        .filter(|(distance, one)| *distance <= 1 + one.chars().count() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, one)| one)
}
