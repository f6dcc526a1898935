//! The settings of a module that runs alone: options before the environment before `settings.toml` before the defaults.

use super::paths::absolute;
use schema::{FieldType, Manifest, Object, Problem, Setting, setting_variable};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

const FILE: &str = "settings.toml";

/// Every setting of a module, and which of them somebody gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InForce {
    values: Object,
    given: Vec<String>,
}

impl InForce {
    pub(super) fn values(self) -> Object {
        self.values
    }

    /// Those that are not just the default.
    pub(super) fn given(mut self) -> Object {
        self.values.retain(|name, _| self.given.contains(name));
        self.values
    }
}

/// Puts together what is in force. `options` are checked already; `here` is where the line was typed.
///
/// # Errors
/// A value of the environment or the file does not fit, or the file cannot be read.
pub(super) fn in_force(
    manifest: &Manifest,
    mut options: Object,
    directory: &Path,
    here: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<InForce, Problem> {
    let mut file = File::read(directory.join(FILE), manifest)?;
    let mut in_force = InForce::default();
    for (name, setting) in &manifest.settings {
        let place = setting_variable(&manifest.plugin.name, name);
        let from_environment = variable(&place).filter(|text| !text.is_empty());
        let from_file = file.take(name, setting)?;
        let given = match (options.remove(name), from_environment) {
            (Some(mut option), _) => {
                as_path(setting, &mut option, here);
                Some(option)
            }
            (None, Some(text)) => {
                let mut value = of_environment(name, setting, &place, text)?;
                as_path(setting, &mut value, here);
                Some(value)
            }
            (None, None) => from_file,
        };
        in_force.given.extend(given.is_some().then(|| name.clone()));
        in_force.values.insert(name.clone(), given.unwrap_or_else(|| setting.default.clone()));
    }
    Ok(in_force)
}

fn as_path(setting: &Setting, value: &mut Value, here: &Path) {
    if setting.kind == FieldType::Path {
        absolute(value, here);
    }
}

fn of_environment(name: &str, setting: &Setting, variable: &str, text: OsString) -> Result<Value, Problem> {
    let text = text.into_string().map_err(|_| Problem::bad_request("it is not UTF-8.").at(variable))?;
    let hidden = |problem: Problem| if setting.kind == FieldType::Secret { not_a_text() } else { problem };
    surface::setting_value(name, setting, &text).map_err(|problem| hidden(problem).at(variable))
}

/// What a secret can be wrong in is never shown.
fn not_a_text() -> Problem {
    Problem::bad_request("expected a text of at most 4096 bytes.")
}

/// What stands in the file, setting by setting.
struct File {
    path: PathBuf,
    values: BTreeMap<String, toml::Value>,
    others_may_read: bool,
}

impl File {
    fn read(path: PathBuf, manifest: &Manifest) -> Result<File, Problem> {
        let wrong = |message: String| Problem::bad_request(message).fix("Mend the file, or remove it.");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(wrong(format!("{} cannot be read: {error}.", path.display()))),
        };
        let values: BTreeMap<String, toml::Value> = toml::from_str(&text).map_err(|error| {
            let line = error.to_string().lines().map(str::trim).collect::<Vec<_>>().join(" ");
            wrong(format!("{} cannot be read: {}", path.display(), line.trim()))
        })?;
        if let Some(unknown) = values.keys().find(|name| !manifest.settings.contains_key(*name)) {
            let known: Vec<&str> = manifest.settings.keys().map(String::as_str).collect();
            let message = format!("{}: there is no setting {}.", path.display(), schema::neutral_text(unknown));
            return Err(Problem::bad_request(message).fix(format!("There are: {}.", known.join(", "))));
        }
        let mode = std::fs::metadata(&path).map_or(0, |metadata| metadata.permissions().mode());
        Ok(File { path, values, others_may_read: mode & 0o077 != 0 })
    }

    fn take(&mut self, name: &str, setting: &Setting) -> Result<Option<Value>, Problem> {
        let Some(value) = self.values.remove(name) else { return Ok(None) };
        let file = self.path.display();
        if setting.kind == FieldType::Secret && self.others_may_read {
            let message = format!("{file}: {name} is a secret, and others may read the file.");
            return Err(Problem::bad_request(message).fix(format!("Run: chmod 600 {file}")));
        }
        let value = match json(value) {
            Value::String(text) => surface::setting_value(name, setting, &text),
            other => setting.check(name, &other).map(|()| other),
        };
        let mut value = value.map_err(|problem| {
            let problem = if setting.kind == FieldType::Secret { not_a_text() } else { problem };
            problem.at(format!("{name} in {file}"))
        })?;
        as_path(setting, &mut value, self.path.parent().unwrap_or(Path::new("/")));
        Ok(Some(value))
    }
}

fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(n) => n.into(),
        toml::Value::Float(n) => n.into(),
        toml::Value::Boolean(on) => on.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(json).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(name, value)| (name, json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let setting =
            |kind: &str, default: Value| json!({"title": "S", "type": kind, "default": default, "merge": "priority"});
        let manifest = json!({"console": "1.0", "plugin": {"id": "a.b-c", "name": "b-c", "version": "1", "title": "B"},
            "settings": {"level": setting("int", json!(3)), "folder": setting("path", json!("")),
                "tags": setting("tags", json!([])), "limit": setting("bytes", json!(null)),
                "key": setting("secret", json!(null))}});
        Manifest::parse(manifest.to_string().as_bytes()).unwrap()
    }

    fn with(options: Value, variables: &[(&str, &str)], file: &str) -> Result<(Object, Object), Problem> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), file).unwrap();
        let Value::Object(options) = options else { unreachable!() };
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, text)| text.into());
        let in_force = in_force(&manifest(), options, dir.path(), Path::new("/here"), variable)?;
        Ok((in_force.clone().values(), in_force.given()))
    }

    fn value(options: Value, variables: &[(&str, &str)], file: &str, name: &str) -> Value {
        with(options, variables, file).unwrap().0[name].clone()
    }

    #[test]
    fn an_option_comes_before_the_environment_before_the_file_before_the_default() {
        let (option, variable, file) = (json!({"level": 9}), [("BAILIWICK_B_C_LEVEL", "8")], "level = 7");
        assert_eq!(value(option, &variable, file, "level"), 9);
        assert_eq!(value(json!({}), &variable, file, "level"), 8);
        assert_eq!(value(json!({}), &[("BAILIWICK_B_C_LEVEL", "")], file, "level"), 7);
        assert_eq!(value(json!({}), &[], "", "level"), 3);
        let (all, given) = with(json!({"tags": ["x"]}), &[], "limit = \"8MiB\"").unwrap();
        assert_eq!(given, *json!({"tags": ["x"], "limit": 8_388_608}).as_object().unwrap());
        assert_eq!((all.len(), &all["level"]), (5, &json!(3)));
    }

    #[test]
    fn a_relative_path_is_meant_where_it_was_written() {
        assert_eq!(value(json!({"folder": "x"}), &[], "", "folder"), "/here/x");
        assert_eq!(value(json!({}), &[("BAILIWICK_B_C_FOLDER", "../y")], "", "folder"), "/here/../y");
        let of_file = value(json!({}), &[], "folder = \"z\"", "folder");
        assert!(of_file.as_str().is_some_and(|path| path.starts_with('/') && path.ends_with("/z")), "{of_file}");
        assert_eq!(value(json!({}), &[], "", "folder"), "");
    }

    #[test]
    fn what_does_not_fit_is_named_with_its_place() {
        let wrong = |variables: &[(&str, &str)], file: &str| with(json!({}), variables, file).unwrap_err().to_string();
        let text = wrong(&[("BAILIWICK_B_C_LEVEL", "loud")], "");
        assert_eq!(text, r#"BAILIWICK_B_C_LEVEL: expected a whole number, not "loud"."#);
        let text = wrong(&[], "level = [1]");
        assert!(text.starts_with("level in /") && text.contains("settings.toml: expected a whole number"), "{text}");
        let text = wrong(&[], "levl = 1");
        assert!(text.contains("settings.toml: there is no setting levl. There are: level, folder"), "{text}");
        let text = wrong(&[], "level = ");
        assert!(text.contains("settings.toml cannot be read") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn a_secret_in_a_file_that_others_may_read_is_refused_and_a_wrong_one_is_not_shown() {
        let text = with(json!({}), &[], "key = \"s3cret\"").unwrap_err().to_string();
        assert!(text.contains("chmod 600") && !text.contains("s3cret"), "{text}");
        let long = "s3cret".repeat(1000);
        let text = with(json!({}), &[("BAILIWICK_B_C_KEY", &long)], "").unwrap_err().to_string();
        assert!(text.starts_with("BAILIWICK_B_C_KEY: expected") && !text.contains("s3cret"), "{text}");
        assert_eq!(value(json!({}), &[("BAILIWICK_B_C_KEY", "s3cret")], "", "key"), "s3cret");
    }
}
