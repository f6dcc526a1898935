//! administrator
