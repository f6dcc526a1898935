//! Notices sign-ins and updates when they happen, so that an idle machine is not woken to look.

use crate::root::Root;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use sdk::tokio::net::unix::pipe::Receiver;
use std::io::ErrorKind;
use std::path::PathBuf;

/// Where to look, and for what. Terminals come and go in `/dev/pts`, which is all there is without logind and utmp.
const PLACES: &[(&str, WatchFlags)] = &[
    ("/run/systemd/sessions", WatchFlags::MOVED_TO.union(WatchFlags::DELETE)),
    ("/run/utmp", WatchFlags::MODIFY),
    ("/dev/pts", WatchFlags::CREATE.union(WatchFlags::DELETE)),
    ("/etc/os-release", WatchFlags::MODIFY.union(WatchFlags::DELETE_SELF)),
    ("/usr/lib/os-release", WatchFlags::MODIFY.union(WatchFlags::DELETE_SELF)),
    ("/etc/passwd", WatchFlags::MODIFY.union(WatchFlags::DELETE_SELF)),
];

pub(crate) struct Watch {
    /// Absent where the system grants none: the regular look remains.
    events: Option<Receiver>,
    places: Vec<(PathBuf, WatchFlags)>,
}

impl Watch {
    pub(crate) fn new(root: &Root) -> Watch {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        // Events are read as the bytes of a pipe are: that there are some is all that matters.
        let events = events.ok().and_then(|fd| Receiver::from_owned_fd_unchecked(fd).ok());
        Watch { events, places: PLACES.iter().map(|(path, flags)| (root.path(path), *flags)).collect() }
    }

    /// Watches every place there is now; those that were replaced since are watched anew. Call it before looking, so
    /// that nothing is missed in between.
    pub(crate) fn arm(&mut self) {
        let Some(events) = &self.events else { return };
        for (path, flags) in &self.places {
            // A place that is not there, or not to be watched, is seen by the regular look.
            if let Err(error) = inotify::add_watch(events, path, *flags) {
                sdk::tracing::trace!(path = %path.display(), %error, "not watched");
            }
        }
    }

    /// Waits until something happened at one of the places.
    pub(crate) async fn changed(&mut self) {
        let Some(events) = &self.events else { return std::future::pending().await };
        let (mut buffer, mut any) = ([0u8; 4096], false);
        while !any {
            if events.readable().await.is_err() {
                return std::future::pending().await;
            }
            loop {
                match events.try_read(&mut buffer) {
                    Ok(length) if length > 0 => any = true,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    _ => return std::future::pending().await,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_noticed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = dir.path().join("run/systemd/sessions");
        std::fs::create_dir_all(&sessions).unwrap();
        let runtime = sdk::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut watch = Watch::new(&Root::at(dir.path()));
            watch.arm();
            std::fs::write(dir.path().join("fresh"), "UID=1000").unwrap();
            std::fs::rename(dir.path().join("fresh"), sessions.join("1")).unwrap();
            watch.changed().await;
            std::fs::remove_file(sessions.join("1")).unwrap();
            watch.changed().await;
            let idle = sdk::tokio::time::timeout(std::time::Duration::from_millis(50), watch.changed()).await;
            assert!(idle.is_err(), "it wakes for nothing");
        });
    }
}
