//! An allocator that looks for planted secrets in each block that is freed.
//!
//! A block that grows or shrinks is always moved, so that a copy that a real allocator may or may not
//! leave behind is left behind each time. Memory is zeroed when it is handed out, so that what is found
//! in a block was written by whoever had it last.
//!
//! What it cannot see: the stack, registers, statics, and memory that is never freed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Make it the `#[global_allocator]` of a test.
pub struct Scanning;

/// A planted secret in a block that was freed.
#[derive(Clone, Debug)]
pub struct Hit {
    /// What it was called when it was planted.
    pub name: &'static str,
    /// The size of the block.
    pub size: usize,
    /// Who freed it, where `SCAN_TRACE` is set.
    pub freed_by: String,
}

static ARMED: AtomicBool = AtomicBool::new(false);
static PLANTED: Mutex<Vec<(&'static str, Vec<u8>)>> = Mutex::new(Vec::new());
static HITS: Mutex<Vec<Hit>> = Mutex::new(Vec::new());
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

thread_local! {
    /// What the scan itself allocates and frees is not scanned.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and gives each find of one of `planted` in what any thread freed meanwhile, with what
/// `work` returned, which is dropped by then. One caller at a time.
pub fn freed_with<T>(planted: &[(&'static str, &[u8])], work: impl FnOnce() -> T) -> Vec<Hit> {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let own = planted.iter().map(|(name, bytes)| (*name, bytes.to_vec())).collect();
    *PLANTED.lock().unwrap_or_else(PoisonError::into_inner) = own;
    HITS.lock().unwrap_or_else(PoisonError::into_inner).clear();
    ARMED.store(true, Ordering::SeqCst);
    let disarmed = Disarmed;
    drop(work());
    drop(disarmed);
    INSIDE.set(true);
    PLANTED.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let hits = std::mem::take(&mut *HITS.lock().unwrap_or_else(PoisonError::into_inner));
    INSIDE.set(false);
    hits
}

/// What a panic of the test allocates for its message is not scanned.
struct Disarmed;

impl Drop for Disarmed {
    fn drop(&mut self) {
        ARMED.store(false, Ordering::SeqCst);
    }
}

fn scan(block: &[u8]) {
    if !ARMED.load(Ordering::Relaxed) || std::thread::panicking() || INSIDE.replace(true) {
        return;
    }
    let planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, bytes) in planted.iter() {
        let found = bytes.len() <= block.len() && block.windows(bytes.len()).any(|it| it == bytes);
        if found {
            let traced = std::env::var_os("SCAN_TRACE").is_some();
            let freed_by =
                if traced { Backtrace::force_capture().to_string() } else { String::new() };
            let hit = Hit { name, size: block.len(), freed_by };
            HITS.lock().unwrap_or_else(PoisonError::into_inner).push(hit);
        }
    }
    drop(planted);
    INSIDE.set(false);
}

// SAFETY: all memory is the system allocator's, asked for with the very layout that it is given back
// with, and a block that is moved is copied as far as both blocks reach, as the trait demands.
unsafe impl GlobalAlloc for Scanning {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise of a layout of some size is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is of this size, was zeroed as a whole when it was handed out, and is
        // nobody's any more but this function's.
        scan(unsafe { std::slice::from_raw_parts(block, layout.size()) });
        // SAFETY: the caller's promise that the block came from here with this layout is passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise that this size with that alignment is a layout.
        let larger = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: of some size, by the caller's promise.
        let moved = unsafe { self.alloc(larger) };
        if !moved.is_null() {
            // SAFETY: both blocks reach as far as that, and are two.
            unsafe { std::ptr::copy_nonoverlapping(block, moved, layout.size().min(size)) };
            // SAFETY: the block came from here with this layout, and is not used any more.
            unsafe { self.dealloc(block, layout) };
        }
        moved
    }
}
