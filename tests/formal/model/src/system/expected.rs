//! What is expected, written before anything was explored: which faults an honest holder survives
//! under each policy, without being told to log in (rule D7).

use super::faults::{Fault, Holders, Kind, Row};
use super::state::Fate;

/// By policy: strict, overlap (access only), overlap (successors), idempotent, confirm by use.
///
/// Overlap (successors) was expected to survive what idempotent does: whichever sibling of the newest a
/// client keeps, it works as that one would. A client that is given two cannot tell which was issued
/// first, and need not: of what it did not ask for last it keeps what its store has.
const ALL: [bool; 5] = [true; 5];
const NONE: [bool; 5] = [false; 5];

/// One holder, that asks again as soon as it may.
const ONE: Row = Row {
    name: "",
    fault: Fault::Nothing,
    times: 1,
    holders: Holders::One,
    prompt: false,
    stays_logged_in: ALL,
};

pub(crate) const ROWS: [Row; 27] = [
    Row { name: "nothing goes wrong", ..ONE },
    // Under every policy: what the server has not seen it does not refuse, and the client asks until
    // the server itself declines.
    Row { name: "the request is lost", fault: Fault::RequestLost, ..ONE },
    Row { name: "two requests are lost", fault: Fault::RequestLost, times: 2, ..ONE },
    Row { name: "three requests are lost", fault: Fault::RequestLost, times: 3, ..ONE },
    Row {
        name: "the response is lost, and the client asks again in time",
        fault: Fault::AnswerLost,
        prompt: true,
        stays_logged_in: [false, false, true, true, true],
        ..ONE
    },
    Row {
        name: "the response is lost, and nobody asks again until the window is over",
        fault: Fault::AnswerLost,
        stays_logged_in: [false, false, false, false, true],
        ..ONE
    },
    Row {
        // Used meanwhile, the successor has ended the predecessor under confirm by use.
        name: "the request arrives twice, and either response comes",
        fault: Fault::RequestTwice,
        stays_logged_in: [false, false, true, true, false],
        ..ONE
    },
    Row {
        name: "a copy of the request arrives once the window has closed",
        fault: Fault::CopyLate,
        stays_logged_in: NONE,
        ..ONE
    },
    Row {
        // A strict client waits for it. Under confirm by use a client asks again, and holds the answer
        // back while that is out. Under overlap the store keeps the refresh token that it brings, also
        // where a newer answer, without one, has landed.
        name: "the response comes after its deadline, but within one more",
        fault: Fault::AnswerLate(Fate::OneMore),
        ..ONE
    },
    Row {
        name: "the response comes later still, and the client asks again in time",
        fault: Fault::AnswerLate(Fate::Whenever),
        prompt: true,
        stays_logged_in: [false, false, true, true, true],
        ..ONE
    },
    Row {
        name: "the request arrives after its deadline, and its response comes within one more",
        fault: Fault::RequestLate(Fate::OneMore),
        stays_logged_in: [true, true, true, true, false],
        ..ONE
    },
    Row {
        name: "the request arrives later still, but within the window",
        fault: Fault::RequestLate(Fate::WithinWindow),
        stays_logged_in: [false, true, true, true, false],
        ..ONE
    },
    Row {
        name: "the client crashes before it has stored the response, and asks again in time",
        fault: Fault::CrashHearing,
        prompt: true,
        stays_logged_in: [false, false, true, true, true],
        ..ONE
    },
    Row {
        name: "the client crashes before it has stored the response, and asks again after the window",
        fault: Fault::CrashHearing,
        stays_logged_in: [false, false, false, false, true],
        ..ONE
    },
    Row {
        // Until it was explored taken to be the same as a crash before the answer is kept. Who starts
        // again knows only the note of intent, and hears no answer: the strict server has rotated, or is
        // about to. Under confirm by use the note could be waited out, so that the request has arrived
        // by then; the client machine does not do that.
        name: "the client crashes while its request is under way, and asks again in time",
        fault: Fault::CrashSending,
        prompt: true,
        stays_logged_in: [false, false, true, true, false],
        ..ONE
    },
    Row { name: "the client crashes while no refresh is out", fault: Fault::CrashAtRest, ..ONE },
    Row {
        name: "two holders, a store each",
        holders: Holders::TwoApart,
        stays_logged_in: NONE,
        ..ONE
    },
    Row {
        name: "two holders, one store",
        holders: Holders::TwoTogether,
        stays_logged_in: [false, true, true, true, false],
        ..ONE
    },
    Row {
        name: "two holders, one store without leases, where a note of intent is one",
        holders: Holders::TwoInTurn(Kind::Notes),
        ..ONE
    },
    Row {
        // The note of the holder that died is a lease for a term, which ends before the window does.
        name: "the same, one crashes before it has stored the response, and both ask again in time",
        fault: Fault::CrashHearing,
        holders: Holders::TwoInTurn(Kind::Notes),
        prompt: true,
        stays_logged_in: [false, false, true, true, true],
        ..ONE
    },
    Row { name: "two holders, one store, a lease", holders: Holders::TwoInTurn(Kind::Term), ..ONE },
    Row {
        name: "the same, one crashes before it has stored the response, and both ask again in time",
        fault: Fault::CrashHearing,
        holders: Holders::TwoInTurn(Kind::Term),
        prompt: true,
        stays_logged_in: [false, false, true, true, true],
        ..ONE
    },
    Row {
        name: "the same, one crashes while no refresh is out",
        fault: Fault::CrashAtRest,
        holders: Holders::TwoInTurn(Kind::Term),
        ..ONE
    },
    Row {
        // Where nobody hurries, the other holder may find the note of intent, and present the token
        // after the window: that was overlooked at first.
        name: "the same, a request arrives after its lease is over, and both ask again in time",
        fault: Fault::RequestLate(Fate::WithinWindow),
        holders: Holders::TwoInTurn(Kind::Term),
        prompt: true,
        stays_logged_in: [false, true, true, true, false],
        ..ONE
    },
    Row {
        name: "the same, and a request arrives once the window has closed",
        fault: Fault::CopyLate,
        holders: Holders::TwoInTurn(Kind::Term),
        stays_logged_in: NONE,
        ..ONE
    },
    Row {
        name: "two holders, one file with a lock",
        holders: Holders::TwoInTurn(Kind::Lock),
        ..ONE
    },
    Row {
        name: "the same, one crashes before it has stored the response, and both ask again in time",
        fault: Fault::CrashHearing,
        holders: Holders::TwoInTurn(Kind::Lock),
        prompt: true,
        stays_logged_in: [false, false, true, true, true],
        ..ONE
    },
];

/// Whether a thief, who has copied the refresh token, is found out at once: at the second use of any
/// token, whoever comes second.
pub(crate) const FOUND_OUT_AT_ONCE: [bool; 5] = [true, false, false, false, false];

/// Whether it is found out in the end, the honest holder going on: at the first use that is not tolerated.
pub(crate) const ROW_OF_THE_THIEF: Row =
    Row { name: "a thief has copied the refresh token", fault: Fault::Theft, ..ONE };
