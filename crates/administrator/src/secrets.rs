//! Secrets that plugins keep: one private file an owner, outside the database, so that a copy of the database holds none.

use schema::{Code, Problem};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Most secrets of one owner, and longest value in bytes.
const MAX_SECRETS: usize = 100;
const MAX_VALUE: usize = 64 * 1024;
/// All values of one owner together, in bytes.
const MAX_TOTAL: usize = 256 * 1024;

type Secrets = BTreeMap<String, String>;

/// The directory of secrets; one change at a time, also where several programs have it open.
pub struct SecretsStore {
    directory: PathBuf,
    changing: Arc<Mutex<()>>,
}

impl SecretsStore {
    /// # Errors
    /// The directory cannot be made.
    pub fn open(directory: PathBuf) -> io::Result<SecretsStore> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(SecretsStore { directory, changing: Arc::default() })
    }

    /// # Errors
    /// The name is too long, or the file cannot be read.
    pub async fn get(&self, owner: &str, name: &str) -> Result<Option<String>, Problem> {
        let name = check_name(name)?;
        self.alone(owner, move |path| Ok(read(path)?.remove(&name))).await
    }

    /// Keeps a secret; without a value it is deleted.
    ///
    /// # Errors
    /// A name or value that is too long, or a file that cannot be read or written; then nothing has changed.
    pub async fn set(&self, owner: &str, name: &str, value: Option<String>) -> Result<(), Problem> {
        let name = check_name(name)?;
        if value.as_ref().is_some_and(|value| value.len() > MAX_VALUE) {
            return Err(Problem::new(Code::Quota, format!("a secret has at most {MAX_VALUE} bytes.")).at("value"));
        }
        let change = move |path: &PathBuf| {
            let mut secrets = read(path)?;
            match value {
                Some(value) => drop(secrets.insert(name, value)),
                None => drop(secrets.remove(&name)),
            }
            if secrets.len() > MAX_SECRETS {
                return Err(Problem::new(Code::Quota, format!("a plugin keeps at most {MAX_SECRETS} secrets.")));
            }
            if secrets.values().map(String::len).sum::<usize>() > MAX_TOTAL {
                return Err(Problem::new(Code::Quota, format!("a plugin keeps at most {MAX_TOTAL} bytes of secrets.")));
            }
            write(path, &secrets).map_err(failed)
        };
        self.alone(owner, change).await
    }

    /// Works on the file of `owner` while nobody else works on one.
    async fn alone<T: Send + 'static>(
        &self,
        owner: &str,
        work: impl FnOnce(&PathBuf) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let one = self.changing.clone().lock_owned().await;
        let path = self.directory.join(format!("{}.json", blake3::hash(owner.as_bytes()).to_hex()));
        let lock = self.directory.join("lock");
        let work = move || {
            let _one = one;
            let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(lock);
            let held = lock.and_then(|lock| lock.lock().map(|()| lock)).map_err(failed)?;
            let worked = work(&path);
            drop(held);
            worked
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|e| Problem::internal(format!("secrets could not be used: {e}.")))?
    }
}

fn check_name(name: &str) -> Result<String, Problem> {
    if name.is_empty() || name.len() > 100 {
        return Err(Problem::bad_request("the name of a secret has 1 to 100 bytes.").at("name"));
    }
    Ok(name.to_owned())
}

fn failed(e: io::Error) -> Problem {
    Problem::internal(format!("the secrets cannot be kept: {e}."))
}

fn read(path: &PathBuf) -> Result<Secrets, Problem> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| failed(e.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Secrets::new()),
        Err(error) => Err(failed(error)),
    }
}

fn write(path: &PathBuf, secrets: &Secrets) -> io::Result<()> {
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
    use std::os::unix::fs::PermissionsExt as _;

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_programs_at_once_neither_loses_the_others_secret() {
        let dir = tempfile::tempdir().unwrap();
        let keep = |name: String| {
            let store = SecretsStore::open(dir.path().join("secrets")).unwrap();
            tokio::spawn(async move { store.set("a", &name, Some("s3cret".to_owned())).await.unwrap() })
        };
        let all: Vec<_> = (0..50).map(|n| keep(format!("key {n}"))).collect();
        for one in all {
            one.await.unwrap();
        }
        let store = SecretsStore::open(dir.path().join("secrets")).unwrap();
        for n in 0..50 {
            assert!(store.get("a", &format!("key {n}")).await.unwrap().is_some(), "key {n} is lost");
        }
    }

    #[tokio::test]
    async fn a_secret_is_its_owners_alone_and_its_file_private() {
        let dir = tempfile::tempdir().unwrap();
        let store = SecretsStore::open(dir.path().join("secrets")).unwrap();
        store.set("a", "key", Some("s3cret".to_owned())).await.unwrap();
        assert_eq!(store.get("a", "key").await.unwrap().as_deref(), Some("s3cret"));
        assert_eq!(store.get("a@b", "key").await.unwrap(), None);
        for entry in fs::read_dir(dir.path().join("secrets")).unwrap() {
            assert_eq!(entry.unwrap().metadata().unwrap().permissions().mode() & 0o077, 0);
        }
        store.set("a", "key", None).await.unwrap();
        assert_eq!(store.get("a", "key").await.unwrap(), None);
        assert!(store.set("a", "key", Some("x".repeat(MAX_VALUE + 1))).await.is_err());
    }
}
