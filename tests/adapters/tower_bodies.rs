//! tower alone: which bodies are sent again, and that what goes out is what came in.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use perennial::adapters::tower::{Ahead, Cloned, Empty, ReadAhead, Replay};
use proptest::prelude::*;

type Boxed = UnsyncBoxBody<Bytes, Oops>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("oops")]
struct Oops;

/// What a body does when it is polled.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Does {
    Give(Vec<u8>),
    /// Nothing yet: once, and then it goes on.
    Wait,
    Fail,
    Trail,
}

/// A body by script, which ends with it.
#[derive(Clone, Debug)]
struct Script {
    does: VecDeque<Does>,
    tells_its_size: bool,
}

impl Script {
    fn new(does: &[Does], tells_its_size: bool) -> Self {
        Self { does: does.to_vec().into(), tells_its_size }
    }
}

fn size(does: &[Does]) -> u64 {
    does.iter().map(|it| if let Does::Give(bytes) = it { bytes.len() as u64 } else { 0 }).sum()
}

fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-sum".parse().expect("a name"), HeaderValue::from_static("1"))])
}

impl Body for Script {
    type Data = Bytes;
    type Error = Oops;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Oops>>> {
        match self.does.pop_front() {
            None => Poll::Ready(None),
            Some(Does::Give(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes.into())))),
            Some(Does::Wait) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Does::Fail) => {
                self.does.clear();
                Poll::Ready(Some(Err(Oops)))
            }
            Some(Does::Trail) => {
                self.does.clear();
                Poll::Ready(Some(Ok(Frame::trailers(trailers()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.does.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.tells_its_size {
            SizeHint::with_exact(size(self.does.as_slices().0) + size(self.does.as_slices().1))
        } else {
            SizeHint::default()
        }
    }
}

/// All that a body gives, in order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Given {
    bytes: Vec<u8>,
    trailers: Option<HeaderMap>,
    failed: bool,
}

/// Reads a body to its end, and holds it to what it says of itself on the way.
fn read(mut body: impl Body<Data = Bytes, Error = Oops> + Unpin, exact: bool) -> Given {
    let mut given = Given::default();
    let mut hints = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        let ended = body.is_end_stream();
        hints.push((given.bytes.len() as u64, body.size_hint()));
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Pending => assert!(!ended),
            Poll::Ready(None) => break,
            Poll::Ready(Some(Err(Oops))) => {
                assert!(!ended && !given.failed);
                given.failed = true;
            }
            Poll::Ready(Some(Ok(frame))) => {
                assert!(!ended, "it had said that it was at its end");
                assert!(given.trailers.is_none(), "a frame behind the trailers");
                match frame.into_data() {
                    Ok(data) => given.bytes.extend_from_slice(&data),
                    Err(frame) => given.trailers = frame.into_trailers().ok(),
                }
            }
        }
    }
    let whole = given.bytes.len() as u64;
    if !given.failed {
        for (before, hint) in hints {
            let left = whole - before;
            assert!(hint.lower() <= left && hint.upper().is_none_or(|upper| left <= upper));
            assert!(!exact || hint.exact() == Some(left), "the length is lost: {hint:?}");
        }
    }
    given
}

fn expected(does: &[Does]) -> Given {
    let mut given = Given::default();
    for it in does {
        match it {
            Does::Give(bytes) => given.bytes.extend_from_slice(bytes),
            Does::Wait => {}
            Does::Fail => given.failed = true,
            Does::Trail => given.trailers = Some(trailers()),
        }
    }
    given
}

fn ahead(limit: usize) -> Ahead<Boxed> {
    Ahead::new(limit, |ahead: ReadAhead<Boxed>| Boxed::new(ahead))
}

/// Whether `does` is all there without waiting, and within `limit`.
fn is_at_hand(does: &[Does], limit: usize) -> bool {
    !does.contains(&Does::Wait) && !does.contains(&Does::Fail) && size(does) <= limit as u64
}

fn holds(does: &[Does], limit: usize, tells_its_size: bool) {
    let mut body = Boxed::new(Script::new(does, tells_its_size));
    let again = ahead(limit).keep(&mut body);
    assert_eq!(again.is_some(), is_at_hand(does, limit), "{does:?} {limit}");
    // One that is replayed tells its length, and so does the replay.
    let exact = tells_its_size || again.is_some();
    assert_eq!(read(body, exact), expected(does), "{does:?} {limit}");
    if let Some(again) = again {
        assert_eq!(read(again, true), expected(does), "{does:?} {limit}");
    }
}

fn does() -> impl Strategy<Value = Vec<Does>> {
    let bytes = prop::collection::vec(any::<u8>(), 0..12);
    let one = prop_oneof![6 => bytes.prop_map(Does::Give), 1 => Just(Does::Wait)];
    let end =
        prop_oneof![4 => Just(None), 1 => Just(Some(Does::Fail)), 1 => Just(Some(Does::Trail))];
    (prop::collection::vec(one, 0..8), end).prop_map(|(mut does, end)| {
        does.extend(end);
        does
    })
}

proptest! {
    // Rule E3.
    #[test]
    fn what_goes_out_is_what_came_in_however_it_came(
        does in does(), limit in 0_usize..48, tells_its_size: bool,
    ) {
        holds(&does, limit, tells_its_size);
    }
}

// Rule E3.
#[test]
fn a_body_of_the_limit_is_sent_again_and_one_of_a_byte_more_is_not() {
    for tells_its_size in [false, true] {
        for chunks in [&[8][..], &[4, 4], &[0, 8, 0], &[7, 1]] {
            let does: Vec<_> = chunks.iter().map(|it| Does::Give(vec![1; *it])).collect();
            assert!(is_at_hand(&does, 8) && !is_at_hand(&does, 7));
            holds(&does, 8, tells_its_size);
            holds(&does, 7, tells_its_size);
        }
    }
}

// Rule E3.
#[test]
fn a_body_that_waits_in_the_middle_fails_or_has_trailers_goes_out_as_it_is() {
    let (some, more) = (Does::Give(b"some".to_vec()), Does::Give(b"more".to_vec()));
    for does in [
        vec![],
        vec![Does::Wait],
        vec![Does::Fail],
        vec![Does::Trail],
        vec![some.clone(), Does::Wait, more.clone()],
        vec![some.clone(), Does::Wait, more.clone(), Does::Trail],
        vec![some.clone(), more.clone(), Does::Fail],
        vec![some.clone(), Does::Wait, Does::Fail],
        vec![some, more, Does::Trail],
    ] {
        holds(&does, 64, false);
        holds(&does, 64, true);
        holds(&does, 4, false);
    }
}

// Rule E3.
#[test]
fn a_body_that_says_it_is_too_long_is_not_read_ahead_at_all() {
    let does = [Does::Give(vec![1; 9]), Does::Give(vec![2; 9])];
    let mut body = Script::new(&does, true).boxed_unsync();
    assert!(ahead(17).keep(&mut body).is_none());
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Ok(first))) = Pin::new(&mut body).poll_frame(&mut cx) else {
        panic!("no frame")
    };
    assert_eq!(first.into_data().expect("data").len(), 9);
}

// Rule E3.
#[test]
fn an_endless_body_is_read_ahead_no_further_than_the_chunk_that_passes_the_limit() {
    #[derive(Default)]
    struct Endless(usize);
    impl Body for Endless {
        type Data = Bytes;
        type Error = Oops;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Oops>>> {
            self.0 += 1;
            assert!(self.0 <= 5, "read beyond its limit");
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"12345678")))))
        }
    }
    let mut body = Boxed::new(Endless::default());
    assert!(ahead(32).keep(&mut body).is_none());
}

// Rule E3.
#[test]
fn without_more_said_only_empty_bodies_are_sent_again_and_clones_where_that_is_said() {
    let mut none = Full::<Bytes>::default();
    let mut some = Full::from("all");
    assert!(Empty.keep(&mut none).is_some());
    assert!(Empty.keep(&mut some).is_none());
    let again = Cloned.keep(&mut some).expect("a clone");
    let text =
        |body: Full<Bytes>| futures::executor::block_on(body.collect()).expect("a body").to_bytes();
    assert_eq!((text(some), text(again)), ("all".into(), "all".into()));
}
