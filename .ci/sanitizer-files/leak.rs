//! Control: the sanitizer must report this. Two values that own each other, and that nothing else owns. A
//! session kept alive by its own refresh would look like this.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;

struct Owner {
    _secret: Vec<u8>,
    other: RefCell<Option<Rc<Owner>>>,
}

fn owner() -> Rc<Owner> {
    Rc::new(Owner { _secret: vec![7; 64], other: RefCell::new(None) })
}

#[inline(never)]
fn leak() {
    let (one, two) = (owner(), owner());
    one.other.replace(Some(Rc::clone(&two)));
    two.other.replace(Some(Rc::clone(&one)));
    black_box((one, two));
}

/// Leaves no pointer behind on the stack, where it would be taken for an owner.
#[inline(never)]
fn overwrite() {
    black_box([0_u8; 4096]);
}

fn main() {
    for _ in 0..10 {
        leak();
    }
    overwrite();
}
