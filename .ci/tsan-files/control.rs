//! Two threads write to one place: what ThreadSanitizer must find, or it finds nothing else either.

static mut PLACE: u64 = 0;

fn main() {
    let writer = || {
        for _ in 0..1000 {
            // Unsafe, and wrong: that is what it is for.
            unsafe { *(&raw mut PLACE) += 1 };
        }
    };
    let other = std::thread::spawn(writer);
    writer();
    other.join().unwrap();
}
