//! The arithmetic that the rules rest on: rule A1.

use perennial::time::{Draw, Time};

use super::{Property, Verdict, ensure};

/// Any two instants and any two spans.
#[derive(Copy, Clone, Debug)]
pub struct Numbers<T: Time> {
    pub instants: [T; 2],
    pub spans: [T::Span; 2],
    /// How often a span is halved and doubled.
    pub times: u32,
}

/// The property of the arithmetic.
pub fn arithmetic<T: Time>() -> Property<Numbers<T>> {
    Property {
        name: "saturation",
        rules: "A1",
        says: "adding never goes back, subtracting never forward, nothing wraps round",
        on: &[],
        holds: saturates,
    }
}

fn saturates<T: Time>(numbers: &Numbers<T>) -> Verdict {
    let Numbers { instants: [early, late], spans: [short, long], times } = *numbers;
    let sum = early.saturating_add(long);
    ensure(early <= sum, "a span later is earlier")?;
    ensure(sum.since(early) <= long, "a span later is later by more than it")?;
    let difference = early.saturating_sub(long);
    ensure(difference <= early, "a span earlier is later")?;
    ensure(early.since(difference) <= long, "a span earlier is earlier by more than it")?;
    ensure(difference.saturating_add(long) >= early, "there and back is short of it")?;
    if short <= long {
        ensure(early.saturating_add(short) <= sum, "a longer span leads less far")?;
        ensure(difference <= early.saturating_sub(short), "a longer span leads less far back")?;
        let (halved, doubled) = (T::halved(long, times), T::doubled(long, times));
        ensure(T::halved(short, times) <= halved && halved <= long, "halving makes it longer")?;
        ensure(long <= doubled, "doubling makes it shorter")?;
        ensure(T::doubled(short, times) <= doubled, "doubling turns two spans round")?;
    }
    if early <= late {
        ensure(early.saturating_add(long) <= late.saturating_add(long), "adding turns them round")?;
        ensure(early.saturating_add(late.since(early)) == late, "the span between is not between")?;
        ensure(early.since(late) == T::zero(), "a span is less than nothing")?;
    }
    ensure(T::share(long, Draw::new(7)) <= long, "a share is more than the whole")
}
