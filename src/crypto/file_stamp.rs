//! What tells that a file with a key or a certificate has changed, without reading it.
//!
//! A refused file is looked at again until it can be used: what was wrong may be put right without a trace in its
//! content (`chmod`, `chown`), or outside of it. Only the log is spared a repetition.

use std::fs::Metadata;
use std::path::Path;
use std::time::SystemTime;

/// What a file looks like from outside: modification time, length, and, where the system says so, which file it is and
/// when anything about it last changed. Keys are of one length, and two that were made in the same moment may change
/// places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileStamp {
    modified: SystemTime,
    length: u64,
    inode: Inode,
}

impl FileStamp {
    /// Of the file at `path`; `None` where there is none to look at.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: metadata.modified().ok()?,
            length: metadata.len(),
            inode: Inode::of(&metadata),
        })
    }
}

/// Number, and seconds and nanoseconds of the last change of anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Inode {
    number: u64,
    changed: (i64, i64),
}

impl Inode {
    #[cfg(unix)]
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { number: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }

    #[cfg(not(unix))]
    const fn of(_: &Metadata) -> Self {
        Self { number: 0, changed: (0, 0) }
    }
}

/// What is known of one file, or of several that belong together.
pub struct Watched<S> {
    taken: Option<S>,
    refused: Option<S>,
}

impl<S> Default for Watched<S> {
    fn default() -> Self {
        Self { taken: None, refused: None }
    }
}

impl<S: PartialEq> Watched<S> {
    /// With what was taken over looking like `stamp`.
    pub const fn taken(stamp: S) -> Self {
        Self { taken: Some(stamp), refused: None }
    }

    /// Reads it where it looks like `stamp` and not like what was taken over last. `None` where there is nothing to tell:
    /// nothing has changed, or what has been refused looks as it did.
    pub fn look<T, E>(&mut self, stamp: S, read: impl FnOnce() -> Result<T, E>) -> Option<Result<T, E>> {
        if self.is_current(&stamp) {
            return None;
        }
        match read() {
            Ok(read) => {
                self.take(stamp);
                Some(Ok(read))
            }
            Err(error) => self.refuse(stamp).then_some(Err(error)),
        }
    }

    fn is_current(&self, stamp: &S) -> bool {
        self.taken.as_ref() == Some(stamp)
    }

    /// Notes that it has been taken over. The stamp is from before it was read: a change meanwhile shows.
    pub fn take(&mut self, stamp: S) {
        *self = Self::taken(stamp);
    }

    /// Notes that it has been refused. Whether that is news.
    pub fn refuse(&mut self, stamp: S) -> bool {
        let is_news = self.refused.as_ref() != Some(&stamp);
        self.refused = Some(stamp);
        is_news
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs::{File, FileTimes, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the time stamps of a file system are real")]
    fn another_file_of_the_same_length_and_time_is_told_apart_and_so_is_a_change_of_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, other) = (folder.path().join("key"), folder.path().join("other"));
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        for file in [&path, &other] {
            std::fs::write(file, "0123").expect("written");
            let file = File::options().write(true).open(file).expect("open");
            file.set_times(FileTimes::new().set_modified(moment)).expect("set");
        }
        let first = FileStamp::of(&path).expect("a file");
        assert_eq!(FileStamp::of(&path), Some(first));
        std::fs::rename(&other, &path).expect("renamed");
        let second = FileStamp::of(&path).expect("a file");
        assert_eq!((first.modified, first.length), (second.modified, second.length));
        assert_ne!(first, second);
        // The clock of a file system advances by ticks.
        let changed = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
            FileStamp::of(&path) != Some(second)
        });
        assert!(changed);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(FileStamp::of(&path), None);
    }

    #[test]
    fn what_was_refused_is_not_current_and_is_news_once() {
        let mut watched = Watched::taken(1);
        assert!(watched.is_current(&1) && !watched.is_current(&2));
        assert!(watched.refuse(2) && !watched.refuse(2));
        assert!(!watched.is_current(&2), "it is looked at again");
        assert!(watched.refuse(3));
        watched.take(2);
        assert!(watched.is_current(&2) && watched.refuse(3));
    }

    #[test]
    fn a_refused_file_is_told_of_once_and_read_again_each_time() {
        let mut watched = Watched::taken(1);
        let never = || -> Result<(), &str> { panic!("it looks as it did") };
        assert_eq!(watched.look(1, never), None);
        let mut read = 0;
        let mut refuses = || {
            read += 1;
            Err::<(), _>("unusable")
        };
        assert_eq!(watched.look(2, &mut refuses), Some(Err("unusable")));
        assert_eq!(watched.look(2, &mut refuses), None);
        assert_eq!(read, 2);
        // Put right without a trace in the file.
        assert_eq!(watched.look(2, || Ok::<_, &str>("usable")), Some(Ok("usable")));
        assert_eq!(watched.look(2, never), None);
    }
}
