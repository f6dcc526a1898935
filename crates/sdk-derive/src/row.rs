//! `#[derive(Row)]`.

use crate::args::glue;
use crate::text::{self, doc, is_option, kebab, plain, title};
use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::ext::IdentExt;
use syn::{Data, DeriveInput, Error, Expr, Field, Fields, Ident, LitStr, Result, parenthesized};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "a row is a struct with named fields"));
    };
    let Fields::Named(fields) = &data.fields else {
        return Err(Error::new_spanned(&input.ident, "a row is a struct with named fields"));
    };
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "a row has no generic parameters"));
    }
    let fields: Vec<&Field> = fields.named.iter().collect();
    let declaration = declaration(input, &fields)?;
    let name = &input.ident;
    let mut parts = Parts::default();
    for field in fields {
        let ident = field.ident.as_ref().expect("the fields are named");
        let (kind, text) = (&field.ty, plain(ident));
        let optional = is_option(kind).then(|| quote!(#[serde(default)]));
        parts.shadows.push(quote!(#optional #ident: #kind));
        parts.moves.push(quote!(#ident: shadow.#ident));
        parts.writes.push(quote!(row.serialize_field(#text, &self.#ident)?));
    }
    let (Parts { shadows, moves, writes }, glue, text) = (parts, glue(name), name.to_string());
    let count = writes.len();
    Ok(quote! {
        const _: () = {
            #[derive(::sdk::serde::Deserialize, ::sdk::schemars::JsonSchema)]
            #[serde(crate = "::sdk::serde")]
            #[schemars(crate = "::sdk::schemars", inline)]
            struct Shadow { #(#shadows),* }
            impl ::core::convert::From<Shadow> for #name {
                fn from(shadow: Shadow) -> #name { #name { #(#moves),* } }
            }
            #glue
            impl ::sdk::serde::Serialize for #name {
                fn serialize<S: ::sdk::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
                    use ::sdk::serde::ser::SerializeStruct;
                    let mut row = to.serialize_struct(#text, #count)?;
                    #(#writes;)*
                    row.end()
                }
            }
            #declaration
        };
    })
}

#[derive(Default)]
struct Parts {
    shadows: Vec<TokenStream>,
    moves: Vec<TokenStream>,
    writes: Vec<TokenStream>,
}

/// `impl sdk::Row`, with the type's declaration as code that builds it.
fn declaration(input: &DeriveInput, fields: &[&Field]) -> Result<TokenStream> {
    let (ident, row) = (&input.ident, RowHints::read(input)?);
    let (mut keys, mut entries, mut status, mut label) = (Vec::new(), Vec::new(), row.status, row.label);
    for field in fields {
        let name = plain(field.ident.as_ref().expect("the fields are named"));
        if field.attrs.iter().any(|a| a.path().is_ident("key")) {
            label.get_or_insert_with(|| name.clone());
            keys.push(name.clone());
        }
        let named = keys.contains(&name) || label.as_ref() == Some(&name);
        let hints = FieldHints::read(field)?;
        if hints.kind.as_deref() == Some("status") {
            status.get_or_insert_with(|| name.clone());
        }
        entries.push(hints.entry(&name, named, field));
    }
    let first = fields.first().and_then(|f| f.ident.as_ref()).map(plain);
    let label = label.or(first).ok_or_else(|| Error::new_spanned(ident, "a row has at least one field"))?;
    let (name, title, plural) = (row.name, row.title, row.plural);
    let (history, extend, description) = (row.history, row.extend, doc(&input.attrs));
    let scope = if row.site { quote!(Site) } else { quote!(Machine) };
    let (status, icon, retention) = (option(status), option(row.icon), option(row.retention));
    Ok(quote! {
        impl ::sdk::Row for #ident {
            const NAME: &'static str = #name;
            fn declare() -> ::sdk::schema::Type {
                ::sdk::schema::Type {
                    title: #title.into(),
                    title_plural: #plural.into(),
                    description: #description.into(),
                    icon: #icon,
                    scope: ::sdk::schema::Scope::#scope,
                    key: ::std::vec![#(#keys.into()),*],
                    label: #label.into(),
                    status: #status,
                    fields: ::core::iter::IntoIterator::into_iter([#(#entries),*]).collect(),
                    stored: ::core::option::Option::Some(::sdk::schema::Stored {
                        history: #history,
                        retention: #retention,
                    }),
                    computed: ::core::option::Option::None,
                    extend: #extend,
                    extends: ::core::option::Option::None,
                }
            }
        }
    })
}

fn option(text: Option<String>) -> TokenStream {
    match text {
        Some(text) => quote!(::core::option::Option::Some(#text.into())),
        None => quote!(::core::option::Option::None),
    }
}

/// What `#[row(…)]` on the struct asks for.
#[derive(Default)]
struct RowHints {
    name: String,
    title: String,
    plural: String,
    label: Option<String>,
    status: Option<String>,
    icon: Option<String>,
    retention: Option<String>,
    site: bool,
    history: bool,
    extend: bool,
}

impl RowHints {
    fn read(input: &DeriveInput) -> Result<RowHints> {
        let name = kebab(&input.ident.to_string());
        let mut hints = RowHints { title: title(&name), name, ..RowHints::default() };
        for attribute in input.attrs.iter().filter(|a| a.path().is_ident("row")) {
            attribute.parse_nested_meta(|meta| {
                let text = || -> Result<String> { Ok(meta.value()?.parse::<LitStr>()?.value()) };
                match meta.path.get_ident().map(ToString::to_string).unwrap_or_default().as_str() {
                    "name" => hints.name = text()?,
                    "title" => hints.title = text()?,
                    "plural" => hints.plural = text()?,
                    "label" => hints.label = Some(text()?),
                    "status" => hints.status = Some(text()?),
                    "icon" => hints.icon = Some(text()?),
                    "retention" => hints.retention = Some(text()?),
                    "history" => hints.history = true,
                    "extend" => hints.extend = true,
                    "scope" => match text()?.as_str() {
                        "site" => hints.site = true,
                        "machine" => hints.site = false,
                        _ => return Err(meta.error("a scope is machine or site")),
                    },
                    _ => return Err(meta.error("there is no such hint for a row")),
                }
                Ok(())
            })?;
        }
        Ok(hints)
    }
}

/// What `#[field(…)]` on a field asks for.
#[derive(Default)]
struct FieldHints {
    kind: Option<String>,
    assignments: Vec<TokenStream>,
    values: Vec<TokenStream>,
}

impl FieldHints {
    fn read(field: &Field) -> Result<FieldHints> {
        let mut hints = FieldHints::default();
        for attribute in field.attrs.iter().filter(|a| a.path().is_ident("field")) {
            attribute.parse_nested_meta(|meta| {
                let key = meta.path.get_ident().map(IdentExt::unraw).map(|i| i.to_string()).unwrap_or_default();
                match key.as_str() {
                    "type" => hints.kind = Some(meta.value()?.parse::<LitStr>()?.value()),
                    "title" | "description" => {
                        let (name, text): (&Option<&Ident>, LitStr) = (&meta.path.get_ident(), meta.value()?.parse()?);
                        hints.assignments.push(quote!(field.#name = #text.into()));
                    }
                    "absent" => {
                        let value: LitStr = meta.value()?.parse()?;
                        hints.assignments.push(quote!(field.absent = ::core::option::Option::Some(#value.into())));
                    }
                    "ref" => {
                        let target: LitStr = meta.value()?.parse()?;
                        hints.assignments.push(quote!(field.target = ::core::option::Option::Some(#target.into())));
                    }
                    "priority" => {
                        let value: Expr = meta.value()?.parse()?;
                        hints.assignments.push(quote!(field.priority = #value));
                    }
                    "search" | "sort" | "facet" | "many" => {
                        let name = meta.path.get_ident();
                        hints.assignments.push(quote!(field.#name = true));
                    }
                    "warn" | "danger" => {
                        let (name, value): (&Option<&Ident>, Expr) = (&meta.path.get_ident(), meta.value()?.parse()?);
                        hints.assignments.push(quote!(field.#name = ::core::option::Option::Some(f64::from(#value))));
                    }
                    "width" => {
                        let value: Expr = meta.value()?.parse()?;
                        hints.assignments.push(quote!(field.width = ::core::option::Option::Some(#value)));
                    }
                    "values" => hints.read_values(meta.input)?,
                    _ => return Err(meta.error("there is no such hint for a field")),
                }
                Ok(())
            })?;
        }
        Ok(hints)
    }

    /// `(online("Online", Success), offline("Offline"))`, in the order to show them.
    fn read_values(&mut self, input: syn::parse::ParseStream<'_>) -> Result<()> {
        let list;
        parenthesized!(list in input);
        while !list.is_empty() {
            let value =
                if list.peek(LitStr) { list.parse::<LitStr>()?.value() } else { plain(&list.call(Ident::parse_any)?) };
            let inner;
            parenthesized!(inner in list);
            let title: LitStr = inner.parse()?;
            let tone = if inner.parse::<Option<syn::Token![,]>>()?.is_some() && !inner.is_empty() {
                inner.parse::<Ident>()?
            } else {
                Ident::new("Neutral", title.span())
            };
            let rank = self.values.len() as u16;
            self.values.push(quote! {(#value.into(), ::sdk::schema::StatusValue {
                title: #title.into(), tone: ::sdk::schema::Tone::#tone, rank: #rank, icon: ::core::option::Option::None,
            })});
            list.parse::<Option<syn::Token![,]>>()?;
        }
        Ok(())
    }

    /// `named`: the field is one that rows are known by.
    fn entry(&self, name: &str, named: bool, field: &Field) -> TokenStream {
        let (rust, description, title) = (&field.ty, doc(&field.attrs), title(name));
        let kind = match &self.kind {
            Some(kind) => {
                // An unknown name becomes an unknown variant, which the compiler reports at the field.
                let variant =
                    Ident::new(&text::title(kind), field.ident.as_ref().map_or(Span::call_site(), Ident::span));
                quote!(::sdk::schema::FieldType::#variant)
            }
            None => quote!(<#rust as ::sdk::FieldValue>::KIND),
        };
        // These domain types are lists by themselves.
        let is_list = matches!(self.kind.as_deref(), Some("tags" | "refs" | "series" | "json"));
        let many = if is_list { quote!(false) } else { quote!(<#rust as ::sdk::FieldValue>::MANY) };
        let (assignments, values) = (&self.assignments, &self.values);
        let priority = named.then(|| quote!(field.priority = 1;));
        quote! {(#name.into(), {
            let mut field = ::sdk::schema::Field::new(#title, #kind);
            field.many = #many;
            field.description = #description.into();
            #priority
            field.values = ::core::iter::IntoIterator::into_iter([#(#values),*]).collect();
            #(#assignments;)*
            field
        })}
    }
}
