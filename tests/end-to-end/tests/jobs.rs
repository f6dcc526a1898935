//! Filled in with the plugins that it needs.

pub(crate) fn cases() -> Vec<end_to_end::Case> {
    Vec::new()
}
