//! A disk that is full when a new grant is to be stored.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::session::Session;
use perennial::store::{Store, StoredGrant, Swap, Version};
use perennial::testing::VirtualTime;
use perennial::time::Timestamp;
use perennial::token::{Grant, Secret};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);
const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A small file system of its own, which goes with this value.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this user may not mount one.
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs"]).arg(directory.path());
        let mounted = mount.output().is_ok_and(|it| it.status.success());
        mounted.then_some(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

/// Writes until there is no space left.
fn fill(filler: &Path) {
    let mut file = File::create(filler).expect("there is space for a name");
    while file.write_all(&[0; 512]).is_ok() {}
}

/// Where the disk is filled, by the first refresh.
fn session(path: &Path, filler: PathBuf, time: &VirtualTime, requests: &Arc<AtomicU32>) -> Session {
    let (requests, filler) = (Arc::clone(requests), Mutex::new(Some(filler)));
    Session::builder_blocking(move |_| {
        let number = requests.fetch_add(1, Ordering::SeqCst) + 2;
        if let Some(filler) = filler.lock().expect("no panic").take() {
            fill(&filler);
        }
        Ok(Grant::new(format!("at-{number}"), format!("rt-{number}"), HOUR))
    })
    .store(FileStore::open(path).expect("a store"))
    .clock(time.clone())
    .timer(time.clone())
    .without_jitter()
    .build()
    .expect("nothing to check")
}

// Rules F2, F5.
#[test]
fn a_grant_that_a_full_disk_does_not_take_is_used_and_is_stored_once_there_is_space() {
    let Some(disk) = SmallDisk::mount() else {
        // Not captured, as the macros are.
        let text = b"SKIPPED the full disk: this user may not mount a small one\n";
        std::io::stderr().write_all(text).expect("somebody who listens");
        return;
    };
    let (path, filler) = (disk.path().join("grant.json"), disk.path().join("filler"));
    let store = FileStore::open(&path).expect("a store");
    let first = StoredGrant::new(Grant::new("at-1", "rt-1", HOUR), START);
    assert!(matches!(block_on(store.swap(Version::EMPTY, Some(first))), Ok(Swap::Done(_))));
    let (time, requests) = (VirtualTime::at(START), Arc::default());
    let session = session(&path, filler.clone(), &time, &requests);
    let stored = || {
        let grant = block_on(store.load()).expect("readable").grant.expect("a grant");
        grant.grant.refresh_token().map(Secret::expose).map(str::to_owned)
    };
    assert_eq!(session.token_blocking().expect("a token").expose(), "at-1");
    time.advance(HOUR);
    // The disk is full once the server has granted.
    assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");
    assert!(!session.is_saved());
    assert_eq!(stored().as_deref(), Some("rt-1"));
    assert!(session.close_blocking().expect_err("it is full").is_store());
    assert_eq!(session.token_blocking().expect("a token").expose(), "at-2");

    fs::remove_file(&filler).expect("a file");
    session.close_blocking().expect("there is space again");
    assert!(session.is_saved());
    assert_eq!(stored().as_deref(), Some("rt-2"));
    assert_eq!(requests.load(Ordering::SeqCst), 1);

    // Full from the start: the note of intent cannot be stored, so nothing is sent and nothing is in doubt.
    fill(&filler);
    time.advance(HOUR);
    assert!(session.token_blocking().expect_err("it is full").is_store());
    assert_eq!(requests.load(Ordering::SeqCst), 1);
    fs::remove_file(&filler).expect("a file");
    time.advance(Duration::from_secs(60));
    assert_eq!(session.token_blocking().expect("a token").expose(), "at-3");
    assert_eq!(stored().as_deref(), Some("rt-3"));
}
