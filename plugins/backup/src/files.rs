//! The files of a machine: read with everything that belongs to them, and written back.
//!
//! `walk` turns paths into one tree and feeds it to a vault; `restore` turns a tree back into files. Both work by
//! directory descriptor and one name at a time: no path is resolved twice, no link is followed that nobody named, and
//! neither depth nor the width of a folder matters. What the bytes of a snapshot look like is the vault's affair.

mod attributes;
mod exclude;
mod extents;
mod listing;
mod look;
mod mounts;
mod owners;
mod problem;
pub mod restore;
mod select;
mod trail;
pub mod walk;

pub use exclude::{BadPattern, Excludes};
pub use mounts::FileSystem;
pub use owners::{OwnerNames, Owners};
pub use problem::{Problem, ReadProblem, Severity, Shown, Unread};
pub use select::Selection;
