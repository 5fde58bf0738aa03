//! The file store on Unix where others have planted something, or where nothing can be written: refused
//! when it is opened, in words that say why, and nothing of theirs is changed.
#![cfg(unix)]

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use futures::executor::block_on;
use perennial::adapters::file::FileStore;
use perennial::store::{Store, StoreError, StoredGrant, Swap, Versioned};
use perennial::time::Timestamp;
use perennial::token::Grant;
use tempfile::TempDir;

const NOBODY: u32 = 65_534;

/// A directory of this mode, and in another one a victim that nothing may touch.
struct Scene {
    directory: TempDir,
    elsewhere: TempDir,
}

const VICTIM: &[u8] = b"123\n of the victim";

impl Scene {
    fn new(mode: u32) -> Self {
        let (directory, elsewhere) = (tempfile::tempdir(), tempfile::tempdir());
        let scene = Self {
            directory: directory.expect("a directory"),
            elsewhere: elsewhere.expect("a directory"),
        };
        fs::write(scene.victim(), VICTIM).expect("a victim");
        set_mode(&scene.victim(), 0o644);
        set_mode(scene.directory.path(), mode);
        scene
    }

    fn victim(&self) -> PathBuf {
        self.elsewhere.path().join("victim")
    }

    fn grant(&self) -> PathBuf {
        self.directory.path().join("grant.json")
    }

    fn lock(&self) -> PathBuf {
        self.directory.path().join("grant.json.lock")
    }

    #[track_caller]
    fn refuses(&self, reason: &str) {
        let error = FileStore::open(self.grant()).expect_err(reason);
        self.says(&error, reason);
    }

    #[track_caller]
    fn says(&self, error: &StoreError, reason: &str) {
        let text = error.to_string();
        assert!(!error.is_damaged() && text.contains(reason), "{text}");
        assert!(text.contains(&self.directory.path().display().to_string()), "{text}");
        assert_eq!(fs::read(self.victim()).expect("the victim"), VICTIM);
        assert_eq!(mode(&self.victim()), 0o644, "its mode was changed");
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("another mode");
}

fn put(store: &FileStore) -> Result<Swap, StoreError> {
    let grant = Grant::new("at", "rt", Duration::from_secs(3600));
    let stored = StoredGrant::new(grant, Timestamp::UNIX_EPOCH);
    let version = block_on(store.load())?.version;
    block_on(store.swap(version, Some(stored)))
}

/// Gives `path` to somebody else, as root alone can.
fn given_away(path: &Path) -> bool {
    let given = chown(path, Some(NOBODY), None);
    if let Err(error) = &given {
        eprintln!("SKIPPED: files can be given away by root alone: {error}");
    }
    given.is_ok()
}

fn pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
}

// Rule F1. Case X41.
#[test]
fn a_directory_that_others_may_write_to_is_refused_whatever_is_planted_there() {
    for mode in [0o777, 0o757, 0o722, 0o702, 0o2777] {
        let scene = Scene::new(mode);
        scene.refuses("others may write to its directory");
        assert!(!scene.lock().exists(), "nothing is left there");
        symlink(scene.victim(), scene.lock()).expect("a link");
        scene.refuses("others may write to its directory");
        fs::remove_file(scene.lock()).expect("unplanted");
        fs::hard_link(scene.victim(), scene.lock()).expect("a hard link");
        scene.refuses("others may write to its directory");
    }
    // With a umask of 002 a directory is the user's own group's to write to.
    for mode in [0o700, 0o755, 0o750, 0o775, 0o770, 0o1777, 0o1775] {
        let store = FileStore::open(Scene::new(mode).grant()).map(drop);
        store.unwrap_or_else(|error| panic!("{mode:o}: {error}"));
    }
}

// Rule F1. Case X41.
#[test]
fn a_directory_that_another_group_may_write_to_is_refused() {
    let scene = Scene::new(0o775);
    match chown(scene.directory.path(), None, Some(NOBODY)) {
        Ok(()) => scene.refuses("others may write to its directory"),
        Err(error) => eprintln!("SKIPPED: groups are given by root alone: {error}"),
    }
}

// Rule F1. Case X41. Sticky as `/tmp` is, and where only this user could have planted it by mistake.
#[test]
fn a_planted_lock_file_is_refused_and_nothing_behind_it_is_touched() {
    for mode in [0o700, 0o775, 0o1777] {
        let scene = Scene::new(mode);
        symlink(scene.victim(), scene.lock()).expect("a link");
        scene.refuses("it is a link");
        fs::remove_file(scene.lock()).expect("unplanted");
        symlink(scene.elsewhere.path().join("nothing"), scene.lock()).expect("a link");
        scene.refuses("it is a link");
        assert!(!scene.elsewhere.path().join("nothing").exists(), "made through a link");
        fs::remove_file(scene.lock()).expect("unplanted");
        fs::hard_link(scene.victim(), scene.lock()).expect("a hard link");
        scene.refuses("hard link");
        fs::remove_file(scene.lock()).expect("unplanted");
        pipe(&scene.lock());
        scene.refuses("it is not a file");
        fs::remove_file(scene.lock()).expect("unplanted");
        fs::write(scene.lock(), "").expect("a file");
        set_mode(&scene.lock(), 0o644);
        if given_away(&scene.lock()) {
            scene.refuses("it belongs to another user");
            assert_eq!(self::mode(&scene.lock()), 0o644);
        }
        fs::remove_file(scene.lock()).expect("unplanted");
        FileStore::open(scene.grant()).expect("a store");
    }
}

// Rule F1. Case X41. More of the kind: a file of this user's own, which another program calls a lock.
#[test]
fn a_lock_file_of_another_program_keeps_its_content() {
    for content in ["locked by 17", "1 2 3", "12345678901234567890123456789012345678901234567890"] {
        let scene = Scene::new(0o700);
        fs::write(scene.lock(), content).expect("a file");
        scene.refuses("in use for something else");
        assert_eq!(fs::read_to_string(scene.lock()).expect("the file"), content);
    }
}

// Rule F1. Case X41. More of the kind: the grant file itself, before and after the store was opened.
#[test]
fn a_planted_grant_file_is_neither_read_nor_written() {
    let scene = Scene::new(0o1777);
    let store = FileStore::open(scene.grant()).expect("a store");
    let refused = |reason: &str| {
        scene.says(&block_on(store.load()).expect_err(reason), reason);
        fs::remove_file(scene.grant()).expect("unplanted");
    };
    symlink(scene.victim(), scene.grant()).expect("a link");
    refused("it is a link");
    fs::hard_link(scene.victim(), scene.grant()).expect("a hard link");
    scene.refuses("hard link");
    refused("hard link");
    pipe(&scene.grant());
    refused("is not a file");
    fs::write(scene.grant(), "").expect("a file");
    if given_away(&scene.grant()) {
        scene.refuses("it belongs to another user");
        refused("it belongs to another user");
    } else {
        fs::remove_file(scene.grant()).expect("unplanted");
    }
    put(&store).expect("a write");
    assert_eq!(mode(&scene.grant()), 0o600);
    // A link that the program names is followed, unless somebody else has made it.
    let named = scene.directory.path().join("named.json");
    symlink(scene.elsewhere.path().join("grant.json"), &named).expect("a link");
    fs::write(scene.elsewhere.path().join("grant.json"), "").expect("a file");
    FileStore::open(&named).expect("a store");
    if lchown(&named, Some(NOBODY), None).is_ok() {
        let error = FileStore::open(&named).expect_err("another user's link");
        scene.says(&error, "a link of another user");
    }
}

// Rules F1, F5. Case X41. More of the kind: the directory is opened to others while the store is in use.
#[test]
fn a_directory_that_is_opened_to_others_later_is_refused_until_it_is_closed_again() {
    let scene = Scene::new(0o700);
    let store = FileStore::open(scene.grant()).expect("a store");
    put(&store).expect("a write");
    set_mode(scene.directory.path(), 0o777);
    scene.says(&block_on(store.load()).expect_err("open to all"), "others may write");
    scene.says(&put(&store).expect_err("open to all"), "others may write");
    set_mode(scene.directory.path(), 0o700);
    put(&store).expect("a write");
}

// Rule F1. Case X41. More of the kind: whoever owns the directory can replace what is in it.
#[test]
fn a_directory_of_another_user_is_refused() {
    let scene = Scene::new(0o755);
    if given_away(scene.directory.path()) {
        scene.refuses("its directory belongs to another user");
    }
}

/// Opens a store as a user who must not replace it; part of the test below.
#[test]
fn child_that_can_only_read() {
    let Some(path) = env::var_os("PERENNIAL_TEST_READ_ONLY") else { return };
    let error = FileStore::open(Path::new(&path)).expect_err("it could never be written");
    assert!(error.to_string().contains("must own it"), "{error}");
    println!("refused");
}

// Rule F5. A refresh would have been the first to find out.
#[test]
fn a_directory_that_cannot_be_written_to_is_refused_although_its_lock_file_is_there() {
    let scene = Scene::new(0o700);
    let store = FileStore::open(scene.grant()).expect("a store");
    put(&store).expect("a write");
    let own = fs::metadata(scene.grant()).expect("the file").uid();
    if own == 0 {
        for path in [scene.grant(), scene.lock(), scene.directory.path().to_owned()] {
            chown(path, Some(NOBODY), None).expect("given away");
        }
    }
    set_mode(scene.directory.path(), 0o500);
    let mut child = Command::new(env::current_exe().expect("this program"));
    child.args(["--exact", "file_planted::child_that_can_only_read", "--nocapture"]);
    child.env("PERENNIAL_TEST_READ_ONLY", scene.grant());
    if own == 0 {
        child.uid(NOBODY).gid(NOBODY);
    }
    let output = match child.output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("SKIPPED: this program cannot be run by another user: {error}");
            return;
        }
    };
    set_mode(scene.directory.path(), 0o700);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("refused"), "{output:?}");
}

// Rule F5. More of the kind: what is not a file, or a mount of its own, or immutable.
#[test]
fn a_file_that_no_other_can_take_the_place_of_is_refused() {
    let scene = Scene::new(0o700);
    let open = |path: &Path, reason: &str| {
        let error = FileStore::open(path).expect_err(reason);
        assert!(error.to_string().contains(reason), "{error}");
    };
    open(Path::new("/dev/null"), "is not a file");
    symlink("/dev/null", scene.grant()).expect("a link");
    open(&scene.grant(), "is not a file");
    fs::remove_file(scene.grant()).expect("unplanted");
    pipe(&scene.grant());
    open(&scene.grant(), "is not a file");
    fs::remove_file(scene.grant()).expect("unplanted");
    fs::create_dir(scene.grant()).expect("a directory");
    open(&scene.grant(), "is not a file");
    fs::remove_dir(scene.grant()).expect("unplanted");

    fs::write(scene.grant(), "").expect("a file");
    let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
        let done = Command::new(program).args(arguments).output();
        let done = done.is_ok_and(|output| output.status.success());
        if !done {
            eprintln!("SKIPPED: {program} is not possible here");
        }
        done
    };
    let (grant, victim) = (scene.grant(), scene.victim());
    if run("mount", &["--bind".as_ref(), victim.as_os_str(), grant.as_os_str()]) {
        let error = FileStore::open(&grant).expect_err("a mount");
        assert!(run("umount", &[grant.as_os_str()]));
        scene.says(&error, "it is mounted by itself");
    }
    if run("chattr", &["+i".as_ref(), grant.as_os_str()]) {
        let error = FileStore::open(&grant).expect_err("immutable");
        assert!(run("chattr", &["-i".as_ref(), grant.as_os_str()]));
        scene.says(&error, "marked as immutable");
    }
    let store = FileStore::open(&grant).expect("a store");
    assert!(block_on(store.load()).expect_err("no bytes").is_emptied());
    fs::remove_file(&grant).expect("removed");
    assert_eq!(block_on(store.load()).expect("nothing"), Versioned::EMPTY);
}

// Rule F1. Opening leaves nothing behind, and removes nothing of a killed writer's note.
#[test]
fn opening_leaves_the_lock_file_alone_and_no_other() {
    let scene = Scene::new(0o700);
    let store = FileStore::open(scene.grant()).expect("a store");
    let count = || fs::read_dir(scene.directory.path()).expect("a directory").count();
    assert_eq!((count(), fs::read(scene.lock()).expect("the lock file")), (1, Vec::new()));
    for note in ["17\n", "0\n"] {
        fs::write(scene.lock(), note).expect("a note");
        FileStore::open(scene.grant()).expect("a store");
        assert_eq!((count(), fs::read_to_string(scene.lock()).expect("it")), (1, note.to_owned()));
    }
    put(&store).expect("a write");
    assert_eq!((count(), fs::read(scene.lock()).expect("the lock file")), (2, Vec::new()));
}

// Rule F1. Case X41: a link of one's own leads to somebody else's.
#[test]
fn a_chain_of_links_is_followed_as_far_as_its_links_are_the_users_own() {
    let scene = Scene::new(0o1777);
    symlink(scene.victim(), scene.grant()).expect("a link");
    let mine = scene.elsewhere.path().join("mine.json");
    symlink(scene.grant(), &mine).expect("a link");
    let opened = FileStore::open(&mine).expect("both are this user's");
    assert_eq!(opened.path(), scene.victim().canonicalize().expect("the victim"));
    match lchown(scene.grant(), Some(NOBODY), None) {
        Ok(()) => {
            let error = FileStore::open(&mine).expect_err("the second is another user's");
            scene.says(&error, "it is a link of another user");
        }
        Err(error) => eprintln!("SKIPPED: links can be given away by root alone: {error}"),
    }
    let looped = scene.elsewhere.path().join("looped");
    symlink(&looped, &looped).expect("a link");
    assert!(
        FileStore::open(&looped).expect_err("it leads nowhere").to_string().contains("nowhere")
    );
}
