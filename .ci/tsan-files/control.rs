//! Control: the sanitizer must report this. Two threads write to one place.

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
