//! Secrets that plugins keep: one private file an owner, outside the database, so that a copy of the database holds none.

use schema::{Code, Object, Problem};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Most secrets of one owner, and longest value in bytes.
const MAX_SECRETS: usize = 100;
const MAX_VALUE: usize = 64 * 1024;

/// The directory of secrets; one change at a time.
pub(crate) struct SecretsStore {
    directory: PathBuf,
    changing: Arc<Mutex<()>>,
}

impl SecretsStore {
    /// # Errors
    /// The directory cannot be made.
    pub(crate) fn open(directory: PathBuf) -> io::Result<SecretsStore> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(SecretsStore { directory, changing: Arc::default() })
    }

    /// `secrets.get`, `secrets.set` or `secrets.delete` of `name` for `owner`.
    ///
    /// # Errors
    /// A name or value that is too long, or a file that cannot be read or written; then nothing has changed.
    pub(crate) async fn run(&self, owner: &str, method: &str, name: &str, value: Value) -> Result<Value, Problem> {
        if name.is_empty() || name.len() > 100 {
            return Err(Problem::bad_request("the name of a secret has 1 to 100 bytes.").at("name"));
        }
        if value.to_string().len() > MAX_VALUE {
            return Err(Problem::new(Code::Quota, format!("a secret has at most {MAX_VALUE} bytes.")).at("value"));
        }
        let one = self.changing.clone().lock_owned().await;
        let path = self.directory.join(format!("{}.json", blake3::hash(owner.as_bytes()).to_hex()));
        let (method, name) = (method.to_owned(), name.to_owned());
        let work = move || {
            let _one = one;
            change(&path, &method, &name, value)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|e| Problem::internal(format!("secrets could not be used: {e}.")))?
    }
}

fn change(path: &PathBuf, method: &str, name: &str, value: Value) -> Result<Value, Problem> {
    let failed = |e: io::Error| Problem::internal(format!("the secrets cannot be kept: {e}."));
    let mut secrets: Object = match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| failed(e.into()))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Object::new(),
        Err(error) => return Err(failed(error)),
    };
    match method {
        "secrets.get" => return Ok(secrets.get(name).cloned().unwrap_or_default()),
        "secrets.set" => drop(secrets.insert(name.to_owned(), value)),
        _ => drop(secrets.shift_remove(name)),
    }
    if secrets.len() > MAX_SECRETS {
        return Err(Problem::new(Code::Quota, format!("a plugin keeps at most {MAX_SECRETS} secrets.")));
    }
    write(path, &secrets).map_err(failed)?;
    Ok(Value::Null)
}

fn write(path: &PathBuf, secrets: &Object) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    serde_json::to_writer(&mut file, secrets)?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test]
    async fn a_secret_is_its_owners_alone_and_its_file_private() {
        let dir = tempfile::tempdir().unwrap();
        let store = SecretsStore::open(dir.path().join("secrets")).unwrap();
        store.run("a", "secrets.set", "key", json!("s3cret")).await.unwrap();
        assert_eq!(store.run("a", "secrets.get", "key", Value::Null).await.unwrap(), json!("s3cret"));
        assert_eq!(store.run("a@b", "secrets.get", "key", Value::Null).await.unwrap(), Value::Null);
        for entry in fs::read_dir(dir.path().join("secrets")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
        }
        store.run("a", "secrets.delete", "key", Value::Null).await.unwrap();
        assert_eq!(store.run("a", "secrets.get", "key", Value::Null).await.unwrap(), Value::Null);
        assert!(store.run("a", "secrets.set", "key", json!("x".repeat(MAX_VALUE))).await.is_err());
    }
}
