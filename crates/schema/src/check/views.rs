//! Checks the views of a manifest.

use super::{Check, Limits, is_slug};
use crate::{FieldType, Predicate, Type, View, ViewKind};
use std::collections::BTreeSet;

impl Check<'_> {
    pub(super) fn views(&mut self) {
        let mut seen = BTreeSet::new();
        self.require(self.manifest.views.len() <= Limits::default().views, "views", "too many views");
        for (n, view) in self.manifest.views.iter().enumerate() {
            let path = format!("views[{n}]");
            self.require(
                is_slug(&view.id),
                format!("{path}.id"),
                "a view's id is 1 to 32 lower-case letters, digits and -",
            );
            self.require(seen.insert(&view.id), format!("{path}.id"), format!("there are two views {}", view.id));
            self.one_view(&path, view);
        }
    }

    fn one_view(&mut self, path: &str, view: &View) {
        if view.kind.has_rows() && view.of.is_none() {
            self.fault(format!("{path}.of"), "this kind of view says of which type its rows are");
        }
        if let Some(of) = view.of.as_deref() {
            match self.manifest.type_of(of) {
                Some(kind) => self.view_fields(path, view, kind),
                None if of.contains('.') && !of.starts_with(&format!("{}.", self.manifest.plugin.name)) => {}
                None => self.fault(format!("{path}.of"), format!("there is no type {of}")),
            }
        }
        for (list, ids) in [("actions", &view.actions), ("row", &view.row), ("bulk", &view.bulk)] {
            for id in ids {
                self.own_command(format!("{path}.{list}"), id);
            }
        }
        if let Some(action) = view.empty.as_ref().and_then(|e| e.action.as_ref()) {
            self.own_command(format!("{path}.empty.action"), action);
        }
        for id in
            view.drill.iter().chain(view.fallback.iter()).chain(view.sections.iter().filter_map(|s| s.view.as_ref()))
        {
            let found = self.manifest.view(id).is_some() || self.is_foreign(id);
            self.require(found, path, format!("there is no view {id}"));
        }
        for name in view.cli.iter().flat_map(|cli| cli.positional.iter().chain(&cli.trailing)) {
            let known = view.params.contains_key(name);
            self.require(known, format!("{path}.x-cli"), format!("{name} is not a param of the view"));
        }
        for (name, field) in &view.params {
            let refers = matches!(field.kind, FieldType::Ref | FieldType::Refs);
            let at = format!("{path}.params.{name}.ref");
            self.require(!refers || field.target.is_some(), at, "a reference says to which type");
        }
        self.tree(path, view);
        match (view.kind, &view.command, &view.text) {
            (ViewKind::Form, None, _) => self.fault(format!("{path}.command"), "a form says of which command"),
            (ViewKind::Markdown, _, None) => self.fault(format!("{path}.text"), "a markdown view has a text"),
            (_, Some(id), _) => self.own_command(format!("{path}.command"), &id.clone()),
            _ => {}
        }
    }

    fn view_fields(&mut self, path: &str, view: &View, kind: &Type) {
        let known = |name: &str| name.contains(':') || name == "machine" || kind.fields.contains_key(name);
        let sorted = view.sort.iter().map(|s| s.strip_prefix('-').unwrap_or(s));
        let in_sections = view.sections.iter().flat_map(|s| s.fields.iter().map(String::as_str));
        let named = view.columns.iter().map(String::as_str).chain(sorted).chain(in_sections);
        let filtered = view.filter.iter().map(|f| f.field.as_str()).chain(view.summary.as_deref());
        let unknown: Vec<String> = named.chain(filtered).filter(|n| !known(n)).map(str::to_owned).collect();
        for name in unknown {
            self.fault(path, format!("{name} is not a field of {}", view.of.as_deref().unwrap_or_default()));
        }
    }

    /// Whether it can be told what lies below a row.
    fn tree(&mut self, path: &str, view: &View) {
        let Some(tree) = &view.tree else {
            let declared = view.kind != ViewKind::Tree;
            return self.require(declared, format!("{path}.tree"), "a tree says how its rows lie below one another");
        };
        let fits = view.kind == ViewKind::Tree;
        self.require(fits, format!("{path}.tree"), "only a view of kind tree has rows below rows");
        let known = view.params.contains_key(&tree.param);
        self.require(known, format!("{path}.tree.param"), format!("{} is not a param of the view", tree.param));
        let Some(kind) = view.of.as_deref().and_then(|of| self.manifest.type_of(of)) else { return };
        let plain = kind.fields.get(&tree.field).is_some_and(|field| !field.many && !field.kind.is_structured());
        let message = format!("{} is not a field with a single plain value", tree.field);
        self.require(plain, format!("{path}.tree.field"), message);
        for name in tree.branch.iter().flat_map(Predicate::fields) {
            let message = format!("{name} is not a field of {}", view.of.as_deref().unwrap_or_default());
            self.require(kind.fields.contains_key(name), format!("{path}.tree.branch"), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Manifest;
    use serde_json::{Value, json};

    fn sample() -> Value {
        json!({"console": "1.0", "plugin": {"id": "com.acme.shelf", "name": "shelf", "version": "1.0.0", "title": "Shelf"},
            "types": {"book": {"title": "Book", "scope": "site", "key": ["place"], "label": "title",
                "computed": {"answered_by": "administrator"},
                "fields": {"place": {"title": "Place", "type": "path"}, "title": {"title": "Title", "type": "text"},
                    "kind": {"title": "Kind", "type": "enum"}, "marks": {"title": "Marks", "type": "tags"}}}},
            "views": [{"id": "books", "kind": "tree", "title": "Books", "of": "book",
                "params": {"below": {"title": "Below", "type": "path"}, "room": {"title": "Room", "type": "ref", "ref": "fleet.machine"}},
                "tree": {"param": "below", "field": "place", "branch": {"field": "kind", "op": "eq", "value": "shelf"}}}]})
    }

    fn faults(change: impl FnOnce(&mut Value)) -> Vec<String> {
        let mut manifest = sample();
        change(&mut manifest["views"][0]);
        match Manifest::parse(manifest.to_string().as_bytes()) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_tree_says_where_the_rows_below_a_row_are() {
        assert_eq!(faults(|_| ()), Vec::<String>::new());
        assert_eq!(faults(|view| drop(view["tree"].as_object_mut().unwrap().remove("branch"))), Vec::<String>::new());
    }

    #[test]
    fn what_is_wrong_with_a_tree_is_named_by_its_path() {
        let one = |at: &str, value: Value| {
            let found = faults(|view| *view.pointer_mut(at).unwrap() = value);
            assert_eq!(found.len(), 1, "{found:?}");
            found[0].clone()
        };
        assert_eq!(one("/tree/param", json!("nope")), "views[0].tree.param: nope is not a param of the view");
        let plain = |name: &str| format!("views[0].tree.field: {name} is not a field with a single plain value");
        assert_eq!(one("/tree/field", json!("nope")), plain("nope"));
        assert_eq!(one("/tree/field", json!("marks")), plain("marks"));
        let branch = json!({"any": [{"field": "kind", "op": "eq"}, {"not": {"field": "colour", "op": "empty"}}]});
        assert_eq!(one("/tree/branch", branch), "views[0].tree.branch: colour is not a field of book");
        assert_eq!(one("/kind", json!("table")), "views[0].tree: only a view of kind tree has rows below rows");
        let bare = faults(|view| drop(view.as_object_mut().unwrap().remove("tree")));
        assert_eq!(bare, ["views[0].tree: a tree says how its rows lie below one another"]);
    }

    #[test]
    fn a_param_that_refers_says_to_what() {
        let found = faults(|view| drop(view["params"]["room"].as_object_mut().unwrap().remove("ref")));
        assert_eq!(found, ["views[0].params.room.ref: a reference says to which type"]);
    }
}
