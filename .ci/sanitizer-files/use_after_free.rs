//! Control: the sanitizer must report this. Reads freed memory.

fn main() {
    let place = Box::into_raw(Box::new(7_u64));
    // Unsafe, and wrong: that is what it is for.
    unsafe {
        drop(Box::from_raw(place));
        println!("{}", std::ptr::read_volatile(place));
    }
}
