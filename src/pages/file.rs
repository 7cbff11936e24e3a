//! Reading files for answers: off the worker's thread, bounded, and at most once per change.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::etag::ETag;
use crate::api::body_budget::BodyBudget;

/// A larger file is not served: answers are held in memory whole.
pub(super) const FILE_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Files read at the same time: with the limit above, what reading may hold beside the budget.
const READS_AT_ONCE: usize = 4;

/// Files remembered; small ones are not charged to the budget, so their number is bounded here.
const REMEMBERED_FILES: usize = 1024;

/// A file changed less than this ago may change again without its time changing: it is read every time.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The content of a file, shared by everyone who asks for it.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    pub(super) etag: ETag,
}

/// What was found at a path.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, and where it really is.
    File(PathBuf, Content),
    /// A directory that was asked for without a slash at its end.
    Directory,
    /// Nothing that may be served.
    Nothing,
}

/// Why a file is not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{}: cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: is over {FILE_LIMIT_BYTES} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("files that are still being read by clients hold all the memory set aside for them")]
    NoRoom,
    #[error("reading was ended")]
    Ended,
}

/// Reads files and remembers them until they change. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Files {
    budget: BodyBudget,
    remembered: Arc<Mutex<HashMap<PathBuf, Remembered>>>,
    reads: Arc<Semaphore>,
}

#[derive(Debug)]
struct Remembered {
    stamp: Stamp,
    content: Content,
}

/// What changes when a file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    len: u64,
    modified: Option<SystemTime>,
}

impl Files {
    /// A reader whose contents together hold at most `limit_bytes`, those still being sent included.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            budget: BodyBudget::new(limit_bytes),
            remembered: Arc::default(),
            reads: Arc::new(Semaphore::new(READS_AT_ONCE)),
        }
    }

    /// The file at `root` joined with `below`, if it exists and is really below `root`, whatever links lie on the way. Of
    /// a directory (`is_directory`), its `index.html`.
    pub(super) async fn find(&self, root: &Path, below: &Path, is_directory: bool) -> Result<Found, FileError> {
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| FileError::Ended)?;
        let (files, root, below) = (self.clone(), root.to_owned(), below.to_owned());
        let reading = tokio::task::spawn_blocking(move || {
            // Moved in: a request that is given up does not end its reading.
            let _permit = permit;
            files.find_blocking(&root, &below, is_directory)
        });
        reading.await.map_err(|_| FileError::Ended)?
    }

    /// As [`Files::find`], on this thread.
    pub(super) fn find_blocking(&self, root: &Path, below: &Path, is_directory: bool) -> Result<Found, FileError> {
        let wanted = if is_directory { root.join(below).join("index.html") } else { root.join(below) };
        let read = |source| FileError::Read { path: wanted.clone(), source };
        let path = match fs::canonicalize(&wanted) {
            Ok(path) => path,
            Err(error) if is_absence(&error) => return Ok(Found::Nothing),
            Err(error) => return Err(read(error)),
        };
        if !path.starts_with(root) {
            tracing::warn!(wanted = %wanted.display(), path = %path.display(), "a link leads out of the served directory");
            return Ok(Found::Nothing);
        }
        // Looked at before it is opened: opening a pipe would wait for its other end.
        let metadata = fs::metadata(&path).map_err(read)?;
        if metadata.is_dir() && !is_directory {
            return Ok(Found::Directory);
        }
        if !metadata.is_file() {
            return Ok(Found::Nothing);
        }
        let content = self.content(&path, &metadata)?;
        Ok(Found::File(path, content))
    }

    fn content(&self, path: &Path, metadata: &fs::Metadata) -> Result<Content, FileError> {
        let stamp = Stamp { inode: metadata.ino(), len: metadata.len(), modified: metadata.modified().ok() };
        if let Some(known) = self.lock().get(path).filter(|known| known.stamp == stamp) {
            return Ok(known.content.clone());
        }
        let bytes = read_whole(path, metadata.len())?;
        let etag = ETag::of(&bytes);
        let content = Content { bytes: self.hold(bytes)?, etag };
        let is_settled = stamp.modified.and_then(|at| at.elapsed().ok()).is_some_and(|age| age >= SETTLED_AFTER);
        if is_settled {
            let mut remembered = self.lock();
            if remembered.len() >= REMEMBERED_FILES {
                remembered.clear();
            }
            remembered.insert(path.to_owned(), Remembered { stamp, content: content.clone() });
        }
        Ok(content)
    }

    /// Charges `bytes`; forgets what is remembered if that makes the room.
    fn hold(&self, bytes: Vec<u8>) -> Result<Bytes, FileError> {
        let fits = |bytes: &Vec<u8>| bytes.capacity() <= self.budget.free_bytes();
        if !fits(&bytes) {
            self.lock().clear();
        }
        self.budget.hold(bytes).map_err(|_| FileError::NoRoom)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<PathBuf, Remembered>> {
        // What is remembered is whole at every moment, so a panic elsewhere does not spoil it.
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_whole(path: &Path, len: u64) -> Result<Vec<u8>, FileError> {
    let too_large = || FileError::TooLarge { path: path.to_owned() };
    if len > FILE_LIMIT_BYTES {
        return Err(too_large());
    }
    let read = |source| FileError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::with_capacity(usize::try_from(len).map_err(|_| too_large())?);
    // One byte more than allowed, so that a file that grows meanwhile is found out.
    File::open(path).and_then(|file| file.take(FILE_LIMIT_BYTES + 1).read_to_end(&mut bytes)).map_err(read)?;
    if bytes.len() as u64 > FILE_LIMIT_BYTES { Err(too_large()) } else { Ok(bytes) }
}

fn is_absence(error: &io::Error) -> bool {
    let is_loop = error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error());
    is_loop
        || matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename
        )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn site() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap().join("static");
        fs::create_dir_all(root.join("deep")).unwrap();
        fs::write(root.join("a.css"), "a{}").unwrap();
        fs::write(root.join("deep/index.html"), "<p>deep").unwrap();
        fs::write(root.parent().unwrap().join("secret"), "secret").unwrap();
        (directory, root)
    }

    fn settle(path: &Path) {
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    }

    fn file(found: Result<Found, FileError>) -> Content {
        match found {
            Ok(Found::File(_, content)) => content,
            other => panic!("expected a file, got {other:?}"),
        }
    }

    #[test]
    fn files_and_the_index_of_a_directory_are_found() {
        let (_keep, root) = site();
        let files = Files::new(1 << 20);
        assert_eq!(&file(files.find_blocking(&root, Path::new("a.css"), false)).bytes[..], b"a{}");
        assert_eq!(&file(files.find_blocking(&root, Path::new("deep"), true)).bytes[..], b"<p>deep");
        assert!(matches!(files.find_blocking(&root, Path::new("deep"), false), Ok(Found::Directory)));
        assert!(matches!(files.find_blocking(&root, Path::new(""), true), Ok(Found::Nothing)));
        assert!(matches!(files.find_blocking(&root, Path::new("b.css"), false), Ok(Found::Nothing)));
        assert!(matches!(files.find_blocking(&root, Path::new("a.css/b"), false), Ok(Found::Nothing)));
        let long = "x".repeat(300);
        assert!(matches!(files.find_blocking(&root, Path::new(&long), false), Ok(Found::Nothing)));
    }

    #[test]
    fn a_link_that_leads_out_is_not_followed_and_one_that_stays_is() {
        let (_keep, root) = site();
        symlink(root.parent().unwrap().join("secret"), root.join("out")).unwrap();
        symlink(root.parent().unwrap(), root.join("up")).unwrap();
        symlink(root.join("a.css"), root.join("in")).unwrap();
        symlink(root.join("loop"), root.join("loop")).unwrap();
        let files = Files::new(1 << 20);
        assert!(matches!(files.find_blocking(&root, Path::new("out"), false), Ok(Found::Nothing)));
        assert!(matches!(files.find_blocking(&root, Path::new("up/secret"), false), Ok(Found::Nothing)));
        assert!(matches!(files.find_blocking(&root, Path::new("loop"), false), Ok(Found::Nothing)));
        assert_eq!(&file(files.find_blocking(&root, Path::new("in"), false)).bytes[..], b"a{}");
    }

    #[test]
    fn a_directory_whose_name_only_starts_alike_is_outside() {
        let (_keep, root) = site();
        let sibling = root.parent().unwrap().join("static-private");
        fs::create_dir(&sibling).unwrap();
        fs::write(sibling.join("key"), "key").unwrap();
        symlink(&sibling, root.join("link")).unwrap();
        assert!(matches!(Files::new(1 << 20).find_blocking(&root, Path::new("link/key"), false), Ok(Found::Nothing)));
    }

    #[test]
    fn a_settled_file_is_read_once_and_shared_until_it_changes() {
        let (_keep, root) = site();
        settle(&root.join("a.css"));
        let files = Files::new(1 << 20);
        let first = file(files.find_blocking(&root, Path::new("a.css"), false));
        let again = file(files.find_blocking(&root, Path::new("a.css"), false));
        assert_eq!(first.bytes.as_ptr(), again.bytes.as_ptr());
        fs::write(root.join("a.css"), "b{}").unwrap();
        let changed = file(files.find_blocking(&root, Path::new("a.css"), false));
        assert_eq!(&changed.bytes[..], b"b{}");
        assert_ne!(changed.etag, first.etag);
    }

    #[test]
    fn a_file_that_just_changed_is_read_every_time() {
        let (_keep, root) = site();
        let files = Files::new(1 << 20);
        let first = file(files.find_blocking(&root, Path::new("a.css"), false));
        let again = file(files.find_blocking(&root, Path::new("a.css"), false));
        assert_ne!(first.bytes.as_ptr(), again.bytes.as_ptr());
        assert_eq!(first.etag, again.etag);
    }

    #[test]
    fn a_file_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
        let (_keep, root) = site();
        let sized = |name: &str, len: u64| File::create(root.join(name)).unwrap().set_len(len).unwrap();
        sized("at", FILE_LIMIT_BYTES);
        sized("over", FILE_LIMIT_BYTES + 1);
        let files = Files::new(usize::try_from(FILE_LIMIT_BYTES).unwrap() * 2);
        assert_eq!(file(files.find_blocking(&root, Path::new("at"), false)).bytes.len() as u64, FILE_LIMIT_BYTES);
        let over = files.find_blocking(&root, Path::new("over"), false);
        assert!(matches!(over, Err(FileError::TooLarge { .. })), "{over:?}");
    }

    #[test]
    fn remembered_files_make_room_but_those_being_sent_do_not() {
        let (_keep, root) = site();
        for name in ["one", "two"] {
            fs::write(root.join(name), vec![0; 12 * 1024]).unwrap();
            settle(&root.join(name));
        }
        let files = Files::new(16 * 1024);
        let sending = file(files.find_blocking(&root, Path::new("one"), false));
        assert!(matches!(files.find_blocking(&root, Path::new("two"), false), Err(FileError::NoRoom)));
        drop(sending);
        let _two = file(files.find_blocking(&root, Path::new("two"), false));
    }

    #[test]
    fn a_pipe_is_not_opened() {
        let (_keep, root) = site();
        let made = std::process::Command::new("mkfifo").arg(root.join("pipe")).status().unwrap();
        assert!(made.success());
        assert!(matches!(Files::new(1 << 20).find_blocking(&root, Path::new("pipe"), false), Ok(Found::Nothing)));
    }
}
