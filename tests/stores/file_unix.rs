//! The file store on Unix: modes, owners, links, and directories that may not be written to.
#![cfg(unix)]

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::store::{Store, StoreError, StoredGrant, Swap, Versioned};
use perennial::time::Timestamp;
use perennial::token::Grant;
use tempfile::TempDir;

const NOBODY: u32 = 65_534;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn load(store: &FileStore) -> Versioned {
    block_on(store.load()).expect("a store that can be read")
}

fn put(store: &FileStore) -> Result<Swap, StoreError> {
    let grant = Grant::new("at", "rt", Duration::from_secs(3600));
    let stored = StoredGrant::new(grant, Timestamp::UNIX_EPOCH);
    block_on(store.swap(load(store).version, Some(stored)))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("another mode");
}

/// The names in a directory, in order.
fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("a plain name");
    let mut names: Vec<String> = entries.map(|entry| name(entry.expect("an entry"))).collect();
    names.sort();
    names
}

// Rule F1.
#[test]
fn each_write_leaves_both_files_to_their_owner_alone_whatever_they_were() {
    let folder = folder();
    let (path, lock) = (folder.path().join("grant.json"), folder.path().join("grant.json.lock"));
    let store = FileStore::open(&path).expect("a store");
    assert_eq!(mode(&lock), 0o600);
    put(&store).expect("a first write");
    assert_eq!((mode(&path), mode(&lock)), (0o600, 0o600));
    for before in [0o644, 0o666, 0o4755, 0o400] {
        set_mode(&path, before);
        set_mode(&lock, before);
        assert!(load(&store).grant.is_some(), "read although its mode is {before:o}");
        put(&store).expect("a write");
        assert_eq!((mode(&path), mode(&lock)), (0o600, 0o600), "after {before:o}");
    }
}

// Rule F1.
#[test]
fn a_file_of_somebody_else_becomes_the_writers_own() {
    let folder = folder();
    let store = FileStore::open(folder.path().join("grant.json")).expect("a store");
    put(&store).expect("a first write");
    let own = fs::metadata(store.path()).expect("the file").uid();
    if let Err(error) = chown(store.path(), Some(NOBODY), Some(NOBODY)) {
        eprintln!("SKIPPED: files can be given away by root alone: {error}");
        return;
    }
    put(&store).expect("a write");
    assert_eq!(fs::metadata(store.path()).expect("the file").uid(), own);
}

// Rule F1.
#[test]
fn a_symbolic_link_stays_and_its_target_is_replaced_under_the_targets_lock() {
    let folder = folder();
    let (real, linked) = (folder.path().join("real"), folder.path().join("linked"));
    fs::create_dir(&real).expect("a folder");
    fs::create_dir(&linked).expect("a folder");
    let direct = FileStore::open(real.join("grant.json")).expect("a store");
    put(&direct).expect("a write");
    symlink(direct.path(), linked.join("link.json")).expect("a link");
    let through = FileStore::open(linked.join("link.json")).expect("a store");
    assert_eq!(through.path(), direct.path());
    put(&through).expect("a write");
    assert_eq!(load(&direct).version.number(), 2);
    assert!(linked.join("link.json").is_symlink());
    assert_eq!(names(&linked), ["link.json"]);
    assert_eq!(names(&real), ["grant.json", "grant.json.lock"]);
    fs::remove_file(direct.path()).expect("the target removed");
    let error = FileStore::open(linked.join("link.json")).expect_err("a link to nothing");
    assert!(error.to_string().contains("a link that leads nowhere"), "{error}");
}

// Rule F1.
#[test]
fn of_a_killed_writer_the_noted_file_is_removed_and_nobody_elses() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let store = FileStore::open(at("grant.json")).expect("a store");
    put(&store).expect("a write");
    // What a writer leaves that is killed while it fills its temporary file; and three others'.
    for name in [".grant.json.aB3dE6", ".grant.json.backup", ".other.json.aB3dE6", "grant.json.old"]
    {
        fs::copy(store.path(), at(name)).expect("a copy");
    }
    let left = fs::metadata(at(".grant.json.aB3dE6")).expect("the file").ino();
    fs::write(at("grant.json.lock"), format!("{left}\n")).expect("a note");
    put(&store).expect("a write");
    let mine = [".grant.json.backup", ".other.json.aB3dE6"];
    let expected = [&mine[..], &["grant.json", "grant.json.lock", "grant.json.old"]].concat();
    assert_eq!(names(folder.path()), expected);
    assert_eq!(fs::read(at("grant.json.lock")).expect("the lock file"), b"");
    // And killed before it filled or noted anything, beside empty files of others.
    let others = [".grant.json.aB3-E6", ".grant.json.aB3dE67", "empty.txt"];
    for name in [&[".grant.json.aB3dE6"], &others[..]].concat() {
        fs::write(at(name), "").expect("an empty file");
    }
    fs::write(at("grant.json.lock"), "0\n").expect("a note");
    put(&store).expect("a write");
    let mut expected = [expected, others.to_vec()].concat();
    expected.sort_unstable();
    assert_eq!(names(folder.path()), expected);
}

/// Opens and writes a store as a user who must not; part of the test below.
#[test]
fn child_without_rights() {
    let Some(path) = env::var_os("PERENNIAL_TEST_FORBIDDEN") else { return };
    let path = Path::new(&path);
    let forbidden = |error: StoreError| {
        let text = error.to_string();
        assert!(!error.is_damaged() && text.contains("must own it"), "{text}");
        assert!(text.contains(&path.display().to_string()), "{text}");
    };
    // First the directory is this user's own, and then of somebody who lets nobody else write to it.
    if let Ok(store) = FileStore::open(path) {
        forbidden(block_on(store.load()).expect_err("a file of somebody else"));
    } else {
        forbidden(FileStore::open(path).expect_err("a directory of somebody else"));
        println!("the directory is refused");
        return;
    }
    println!("the file is refused");
}

// Rule F5.
#[test]
fn what_the_user_has_no_right_to_is_named_with_what_to_do() {
    let folder = folder();
    let (readable, grant) = (folder.path().join("d"), folder.path().join("d/grant.json"));
    fs::create_dir(&readable).expect("a folder");
    fs::write(&grant, "{}").expect("a file");
    set_mode(&grant, 0o000);
    let as_nobody = || {
        let mut child = Command::new(env::current_exe().expect("this program"));
        child.args(["--exact", "file_unix::child_without_rights", "--nocapture"]);
        child.env("PERENNIAL_TEST_FORBIDDEN", &grant);
        if fs::metadata(&grant).expect("the file").uid() == 0 {
            child.uid(NOBODY).gid(NOBODY);
        }
        child.output()
    };
    let is_root = fs::metadata(&grant).expect("the file").uid() == 0;
    for (mode, refused) in [(0o700, "the file is refused"), (0o555, "the directory is refused")] {
        set_mode(folder.path(), 0o755);
        set_mode(&readable, mode);
        if is_root {
            chown(&readable, Some(if mode == 0o700 { NOBODY } else { 0 }), None)
                .expect("given away");
        }
        let output = match as_nobody() {
            Ok(output) => output,
            Err(error) => {
                eprintln!("SKIPPED: this program cannot be run by another user: {error}");
                return;
            }
        };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains(refused), "{mode:o}: {output:?}");
        let _ = fs::remove_file(readable.join("grant.json.lock"));
    }
}
