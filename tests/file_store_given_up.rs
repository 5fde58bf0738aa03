//! Writes that are given up while somebody else holds the lock: they keep no thread, and are not done
//! after their caller was told that they had failed.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::thread;
use std::time::Duration;

use futures::FutureExt as _;
use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::store::{Store, StoredGrant, Swap, Version, Versioned};
use perennial::time::Timestamp;
use perennial::token::Grant;

fn stored(number: usize) -> StoredGrant {
    let grant = Grant::new(format!("at-{number}"), format!("rt-{number}"), Duration::from_secs(60));
    StoredGrant::new(grant, Timestamp::UNIX_EPOCH)
}

/// How many threads of the crate's own there are in this process.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("the threads of this process");
    let is_ours = |task: fs::DirEntry| {
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.trim() == "perennial"
    };
    tasks.filter_map(Result::ok).map(is_ours).filter(|ours| *ours).count()
}

// Rule F1. Case X39. One test, since it counts the threads of its process.
#[test]
fn two_hundred_writes_given_up_under_a_held_lock_keep_one_thread_and_are_never_done() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FileStore::open(directory.path().join("grant.json")).expect("a store");
    let lock = File::open(directory.path().join("grant.json.lock")).expect("the lock file");
    fs4::FileExt::lock(&lock).expect("the lock");
    for number in 0..200 {
        let mut swap = Box::pin(store.swap(Version::EMPTY, Some(stored(number))));
        assert!(swap.as_mut().now_or_never().is_none());
        assert!(threads() <= 1, "{} threads", threads());
    }
    // Also those that are waited for share it; reading has one of its own.
    let mut waiting: Vec<_> = (0..200)
        .map(|number| Box::pin(store.swap(Version::EMPTY, Some(stored(1000 + number)))))
        .collect();
    assert!(waiting.iter_mut().all(|swap| swap.as_mut().now_or_never().is_none()));
    assert_eq!(block_on(store.load()).expect("nothing yet"), Versioned::EMPTY);
    assert!(threads() <= 2, "{} threads", threads());
    drop(waiting);
    while threads() > 0 {
        thread::yield_now();
    }
    drop(lock);
    // Behind all of them, in the same queue.
    let swapped = block_on(store.swap(Version::EMPTY, Some(stored(7)))).expect("a write");
    assert_eq!(swapped, Swap::Done(Version::new(1)));
    let content = block_on(store.load()).expect("the last");
    assert_eq!(content, Versioned { version: Version::new(1), grant: Some(stored(7)) });

    // Of those that wait, one is given up, and the others are done all the same.
    let lock = File::open(directory.path().join("grant.json.lock")).expect("the lock file");
    fs4::FileExt::lock(&lock).expect("the lock");
    let mut first = Box::pin(store.swap(Version::new(1), None));
    let mut dropped = Box::pin(store.swap(Version::new(1), Some(stored(8))));
    assert!(dropped.as_mut().now_or_never().is_none() && first.as_mut().now_or_never().is_none());
    drop(dropped);
    drop(lock);
    assert_eq!(block_on(first).expect("a write"), Swap::Done(Version::new(2)));
    assert_eq!(block_on(store.load()).expect("the last").grant, None);
}
