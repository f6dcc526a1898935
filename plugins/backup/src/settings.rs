//! What operators may decide. Alone on a machine, each is an option of the command line.

use crate::keeper::NO_QUOTA;
use crate::retention::Rule;
use crate::wire::Limit;
use jiff::SignedDuration;
use sdk::App;
use sdk::prelude::*;
use sdk::schema::{FieldType, Hours, Setting, SettingMerge, Stricter};
use std::path::PathBuf;

/// As many bytes a second as no line carries: what is not limited.
const NO_LIMIT: f64 = (1_u64 << 40) as f64;

/// Where snapshots are kept and for how long: the administrator's.
#[derive(Clone, Debug, sdk::serde::Deserialize)]
#[serde(crate = "sdk::serde")]
pub(crate) struct Keeping {
    vault: String,
    password_file: String,
    compression: i32,
    immutable_days: u32,
    keep_days: u32,
    keep_daily: u32,
    keep_weekly: u32,
    keep_monthly: u32,
    keep_yearly: u32,
    drill_days: u32,
}

/// What a machine backs up, when and how fast.
#[derive(Clone, Debug, sdk::serde::Deserialize)]
#[serde(crate = "sdk::serde")]
pub(crate) struct Running {
    pub(crate) paths: Vec<String>,
    pub(crate) exclude: Vec<String>,
    daily: String,
    allowed_hours: String,
    limit: f64,
    limit_hours: String,
    pub(crate) gentle: bool,
    pub(crate) restore_allowed: bool,
}

/// What the administrator grants a machine.
#[derive(Clone, Debug, sdk::serde::Deserialize)]
#[serde(crate = "sdk::serde")]
pub(crate) struct Granted {
    quota: f64,
}

impl Granted {
    /// Bytes that its snapshots may add to the vault.
    pub(crate) fn quota(&self) -> u64 {
        self.quota as u64
    }
}

impl Running {
    /// When a backup is begun by itself, where it is.
    pub(crate) fn daily(&self) -> Option<Hours> {
        self.daily.parse().ok()
    }

    /// When a backup may begin at all; never where there are none.
    pub(crate) fn allowed_hours(&self) -> Option<Hours> {
        self.allowed_hours.parse().ok()
    }

    /// How fast is sent, where that is limited.
    pub(crate) fn limit(&self) -> Option<Limit> {
        let hours = self.limit_hours.parse().ok()?;
        (self.limit < NO_LIMIT).then_some(Limit { bytes_per_second: self.limit, hours })
    }
}

impl Keeping {
    /// The vault's folder, where one was named.
    pub(crate) fn vault(&self) -> Option<PathBuf> {
        (!self.vault.is_empty()).then(|| PathBuf::from(&self.vault))
    }

    /// The file with the vault's password, where one was named.
    pub(crate) fn password_file(&self) -> Option<PathBuf> {
        (!self.password_file.is_empty()).then(|| PathBuf::from(&self.password_file))
    }

    pub(crate) fn compression_level(&self) -> i32 {
        self.compression.clamp(1, 19)
    }

    /// How often the recovery sheet is to be tried.
    pub(crate) fn drill(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.drill_days))
    }

    /// How long nothing at all is removed.
    pub(crate) fn immutable(&self) -> SignedDuration {
        SignedDuration::from_hours(24 * i64::from(self.immutable_days))
    }

    pub(crate) fn rule(&self) -> Rule {
        Rule {
            within: SignedDuration::from_hours(24 * i64::from(self.keep_days)).max(self.immutable()),
            daily: self.keep_daily as usize,
            weekly: self.keep_weekly as usize,
            monthly: self.keep_monthly as usize,
            yearly: self.keep_yearly as usize,
        }
    }
}

fn setting(title: &str, description: &str, kind: FieldType, default: Value) -> Setting {
    Setting {
        title: title.to_owned(),
        description: description.to_owned(),
        kind,
        default,
        merge: SettingMerge::Priority,
        stricter: None,
    }
}

fn count(title: &str, description: &str, default: u32) -> Setting {
    Setting { merge: SettingMerge::Max, ..setting(title, description, FieldType::Int, json!(default)) }
}

/// Adds all settings to the plugin.
pub(crate) fn declare(app: App) -> App {
    let list = |title, description, default: Value, stricter| Setting {
        merge: SettingMerge::Union,
        stricter: Some(stricter),
        ..setting(title, description, FieldType::Tags, default)
    };
    let app = app
        .setting(
            "paths",
            list(
                "Back up",
                "Files and directories with all that is below them; nothing outside of them is backed up, whoever asks.",
                json!(["/"]),
                Stricter::Beneath,
            ),
        )
        .setting(
            "exclude",
            list(
                "Leave out",
                "Patterns as in a .gitignore file, from the root of the machine.",
                json!(["/tmp", "/var/tmp", "/var/cache", "/swapfile", "/swap.img"]),
                Stricter::More,
            ),
        )
        .setting(
            "daily",
            Setting {
                stricter: Some(Stricter::Fewer),
                ..setting(
                    "Back up daily",
                    "Begins once a day at a moment within these hours, by the machine's clock; what was missed is made up. \
                     Empty, only when it is asked for.",
                    FieldType::Hours,
                    json!(""),
                )
            },
        )
        .setting(
            "allowed_hours",
            Setting {
                stricter: Some(Stricter::Fewer),
                ..setting(
                    "Hours of backups",
                    "At other hours no backup begins, whoever asks.",
                    FieldType::Hours,
                    json!("00:00-24:00"),
                )
            },
        )
        .setting(
            "limit",
            Setting {
                merge: SettingMerge::Min,
                stricter: Some(Stricter::Lower),
                ..setting(
                    "Send at most",
                    "How fast a backup is sent, so that the line is left to others.",
                    FieldType::Rate,
                    json!(NO_LIMIT as u64),
                )
            },
        )
        .setting(
            "limit_hours",
            Setting {
                stricter: Some(Stricter::More),
                ..setting(
                    "Hours of that limit",
                    "At other hours a backup is sent as fast as it can be.",
                    FieldType::Hours,
                    json!("00:00-24:00"),
                )
            },
        )
        .setting(
            "gentle",
            Setting {
                merge: SettingMerge::Any,
                stricter: Some(Stricter::On),
                ..setting(
                    "Give way to other programs",
                    "A backup takes only what of the processor nobody else wants.",
                    FieldType::Bool,
                    json!(true),
                )
            },
        )
        .setting(
            "restore_allowed",
            Setting {
                merge: SettingMerge::All,
                stricter: Some(Stricter::Off),
                ..setting(
                    "Let operators restore",
                    "Off, nothing is written back to the machine.",
                    FieldType::Bool,
                    json!(true),
                )
            },
        );
    keeping(app)
}

fn keeping(app: App) -> App {
    let path = |title, description| setting(title, description, FieldType::Path, json!(""));
    app.setting("vault", path("Vault", "Folder that holds the snapshots; one of the administrator's own where empty."))
        .setting(
            "password_file",
            path(
                "Password file",
                "File whose first line opens the vault; without it, a key that the administrator keeps.",
            ),
        )
        .setting("compression", setting("Compression", "1 is fast, 19 is small.", FieldType::Int, json!(1)))
        .setting(
            "immutable_days",
            count("Nothing is removed for", "Days for which no rule and nobody can remove a snapshot.", 7),
        )
        .setting("keep_days", count("Keep everything for", "Days for which every snapshot is kept.", 7))
        .setting("keep_daily", count("Daily snapshots", "Of how many days the last snapshot is kept.", 14))
        .setting("keep_weekly", count("Weekly snapshots", "Of how many weeks the last snapshot is kept.", 8))
        .setting("keep_monthly", count("Monthly snapshots", "Of how many months the last snapshot is kept.", 12))
        .setting("keep_yearly", count("Yearly snapshots", "Of how many years the last snapshot is kept.", 3))
        .setting(
            "quota",
            Setting {
                merge: SettingMerge::Min,
                ..setting(
                    "Room of each machine",
                    "What the snapshots of one machine may add to the vault; a backup that needs more fails, and no other.",
                    FieldType::Bytes,
                    json!(NO_QUOTA),
                )
            },
        )
        .setting(
            "drill_days",
            setting(
                "Recovery drill every",
                "Days after which it is asked to try the recovery sheet again.",
                FieldType::Int,
                json!(90),
            ),
        )
}
