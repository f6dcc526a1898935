//! `#[derive(Args)]`.

use crate::text::{doc, plain};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Data, DataEnum, DeriveInput, Error, Expr, Field, Fields, LitStr, Result};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new_spanned(&input.generics, "an input has no generic parameters"));
    }
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => of_struct(input, &fields.named.iter().collect::<Vec<_>>()),
            _ => Err(Error::new_spanned(&input.ident, "an input is a struct with named fields")),
        },
        Data::Enum(data) => of_enum(input, data),
        Data::Union(_) => Err(Error::new_spanned(&input.ident, "a union cannot be an input")),
    }
}

/// What `#[arg(…)]` on a field asks for.
#[derive(Default)]
struct Hints {
    positional: bool,
    default: Option<Expr>,
    schemars: Vec<TokenStream>,
}

fn hints(field: &Field) -> Result<Hints> {
    let mut hints = Hints::default();
    let (mut ui, mut min, mut max) = (Vec::new(), None, None);
    for attribute in field.attrs.iter().filter(|a| a.path().is_ident("arg")) {
        attribute.parse_nested_meta(|meta| {
            let key = meta.path.get_ident().map(ToString::to_string).unwrap_or_default();
            match key.as_str() {
                "positional" => hints.positional = true,
                "default" => hints.default = Some(meta.value()?.parse()?),
                "type" => {
                    let kind: LitStr = meta.value()?.parse()?;
                    hints.schemars.push(quote!(extend("x-type" = #kind)));
                }
                "title" => {
                    let title: LitStr = meta.value()?.parse()?;
                    hints.schemars.push(quote!(title = #title));
                }
                "options" => {
                    let view: LitStr = meta.value()?.parse()?;
                    hints.schemars.push(quote!(extend("x-options" = { "view": #view })));
                }
                "advanced" => ui.push(quote!("level": "advanced")),
                "multiline" => ui.push(quote!("multiline": true)),
                "min" => min = Some(meta.value()?.parse::<Expr>()?),
                "max" => max = Some(meta.value()?.parse::<Expr>()?),
                _ => return Err(meta.error("there is no such hint for an argument")),
            }
            Ok(())
        })?;
    }
    if !ui.is_empty() {
        hints.schemars.push(quote!(extend("x-ui" = { #(#ui),* })));
    }
    let bounds: Vec<_> = min.map(|m| quote!(min = #m)).into_iter().chain(max.map(|m| quote!(max = #m))).collect();
    if !bounds.is_empty() {
        hints.schemars.push(quote!(range(#(#bounds),*)));
    }
    Ok(hints)
}

fn of_struct(input: &DeriveInput, fields: &[&Field]) -> Result<TokenStream> {
    let name = &input.ident;
    let (mut shadows, mut defaults, mut moves, mut positional) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for field in fields {
        let hints = hints(field)?;
        let ident = field.ident.as_ref().expect("the fields are named");
        let (kind, text) = (&field.ty, doc(&field.attrs));
        let help = (!text.is_empty()).then(|| quote!(#[doc = #text]));
        let schemars = hints.schemars.iter().map(|hint| quote!(#[schemars(#hint)]));
        let default = hints.default.map(|value| {
            let function = format_ident!("default_{}", plain(ident));
            defaults.push(quote!(fn #function() -> #kind { (#value).into() }));
            let path = function.to_string();
            quote!(#[serde(default = #path)])
        });
        shadows.push(quote!(#help #(#schemars)* #default #ident: #kind));
        moves.push(quote!(#ident: shadow.#ident));
        if hints.positional {
            positional.push(plain(ident));
        }
    }
    let glue = glue(name);
    Ok(quote! {
        const _: () = {
            #(#defaults)*
            #[derive(::sdk::serde::Deserialize, ::sdk::schemars::JsonSchema)]
            #[serde(crate = "::sdk::serde", deny_unknown_fields)]
            #[schemars(crate = "::sdk::schemars", inline)]
            struct Shadow { #(#shadows),* }
            impl ::core::convert::From<Shadow> for #name {
                fn from(shadow: Shadow) -> #name { #name { #(#moves),* } }
            }
            #glue
            impl ::sdk::Args for #name {
                const POSITIONAL: &'static [&'static str] = &[#(#positional),*];
            }
        };
    })
}

fn of_enum(input: &DeriveInput, data: &DataEnum) -> Result<TokenStream> {
    let name = &input.ident;
    let (mut shadows, mut into, mut from) = (Vec::new(), Vec::new(), Vec::new());
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new_spanned(variant, "a choice has no fields"));
        }
        let (ident, text) = (&variant.ident, doc(&variant.attrs));
        let help = (!text.is_empty()).then(|| quote!(#[doc = #text]));
        shadows.push(quote!(#help #ident));
        into.push(quote!(Shadow::#ident => #name::#ident));
        from.push(quote!(#name::#ident => Shadow::#ident));
    }
    let glue = glue(name);
    Ok(quote! {
        const _: () = {
            #[derive(::sdk::serde::Deserialize, ::sdk::serde::Serialize, ::sdk::schemars::JsonSchema)]
            #[serde(crate = "::sdk::serde", rename_all = "snake_case")]
            #[schemars(crate = "::sdk::schemars", inline)]
            enum Shadow { #(#shadows),* }
            impl ::core::convert::From<Shadow> for #name {
                fn from(shadow: Shadow) -> #name { match shadow { #(#into),* } }
            }
            #glue
            impl ::sdk::serde::Serialize for #name {
                fn serialize<S: ::sdk::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
                    ::sdk::serde::Serialize::serialize(&match self { #(#from),* }, to)
                }
            }
        };
    })
}

/// Reading and describing a type by its shadow.
pub(crate) fn glue(name: &syn::Ident) -> TokenStream {
    let text = name.to_string();
    quote! {
        impl<'de> ::sdk::serde::Deserialize<'de> for #name {
            fn deserialize<D: ::sdk::serde::Deserializer<'de>>(from: D) -> ::core::result::Result<#name, D::Error> {
                <Shadow as ::sdk::serde::Deserialize>::deserialize(from).map(::core::convert::Into::into)
            }
        }
        impl ::sdk::schemars::JsonSchema for #name {
            fn inline_schema() -> bool { true }
            fn schema_name() -> ::std::borrow::Cow<'static, str> { #text.into() }
            fn json_schema(generator: &mut ::sdk::schemars::SchemaGenerator) -> ::sdk::schemars::Schema {
                <Shadow as ::sdk::schemars::JsonSchema>::json_schema(generator)
            }
        }
    }
}
