//! Rows of a type, and which domain type a Rust type stands for.

use schema::FieldType;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One row of a type of this plugin. Made by `#[derive(Row)]`.
pub trait Row: Serialize + DeserializeOwned + JsonSchema + Send + 'static {
    /// Short name of the type.
    const NAME: &'static str;

    /// The type as the manifest has it.
    fn declare() -> schema::Type;
}

/// A Rust type that a field may have without saying `#[field(type = "…")]`.
pub trait FieldValue {
    const KIND: FieldType;
    /// It is a list of values of `KIND`.
    const MANY: bool = false;
}

impl<T: FieldValue> FieldValue for Option<T> {
    const KIND: FieldType = T::KIND;
    const MANY: bool = T::MANY;
}

impl<T: FieldValue> FieldValue for Vec<T> {
    const KIND: FieldType = T::KIND;
    const MANY: bool = true;
}

macro_rules! field_values {
    ($($kind:ident: $($rust:ty),*;)*) => {
        $($(impl FieldValue for $rust { const KIND: FieldType = FieldType::$kind; })*)*
    };
}

field_values! {
    Text: String;
    Int: u8, u16, u32, u64, usize, i8, i16, i32, i64, isize;
    Decimal: f32, f64;
    Bool: bool;
    Ip: IpAddr, Ipv4Addr, Ipv6Addr;
    Json: serde_json::Value, schema::Object;
    Progress: schema::Progress;
}
