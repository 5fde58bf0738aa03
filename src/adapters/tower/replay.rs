//! Which bodies can be sent again (rule E3).

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// Keeps what is needed to send a body again.
pub trait Replay<B> {
    /// Returns a copy of `body`, if there can be one. May replace `body` by an equivalent one.
    fn keep(&self, body: &mut B) -> Option<B>;

    /// Returns an empty body, for a GET that a redirect made of another method. Default: `None`;
    /// such a redirect is not followed.
    fn empty(&self) -> Option<B> {
        None
    }
}

/// Replays only empty bodies.
#[derive(Copy, Clone, Debug, Default)]
pub struct Empty;

impl<B: Body + Default> Replay<B> for Empty {
    fn keep(&self, body: &mut B) -> Option<B> {
        body.is_end_stream().then(B::default)
    }

    fn empty(&self) -> Option<B> {
        Some(B::default())
    }
}

/// Clones bodies, so that all can be replayed.
#[derive(Copy, Clone, Debug, Default)]
pub struct Cloned;

impl<B: Clone> Replay<B> for Cloned {
    fn keep(&self, body: &mut B) -> Option<B> {
        Some(body.clone())
    }
}

/// Reads what a body has ready, up to a limit. If that is the whole body, it can be replayed;
/// otherwise it is sent first and the rest is streamed after it, once.
pub struct Ahead<B: Body<Data = Bytes>> {
    limit: usize,
    make: fn(ReadAhead<B>) -> B,
}

impl<B: Body<Data = Bytes>> Ahead<B> {
    /// Reads about `limit` bytes ahead (up to the end of the chunk that exceeds it), and makes a
    /// body of them with `make`, such as `tonic::body::Body::new`.
    pub fn new(limit: usize, make: fn(ReadAhead<B>) -> B) -> Self {
        Self { limit, make }
    }
}

impl<B: Body<Data = Bytes>> Copy for Ahead<B> {}

impl<B: Body<Data = Bytes>> Clone for Ahead<B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Body<Data = Bytes>> fmt::Debug for Ahead<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Ahead").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes> + Default + Unpin> Replay<B> for Ahead<B> {
    fn keep(&self, body: &mut B) -> Option<B> {
        if body.size_hint().lower() > u64::try_from(self.limit).unwrap_or(u64::MAX) {
            return None;
        }
        let ahead = ReadAhead::of(core::mem::take(body), self.limit);
        let again = ahead.again().map(self.make);
        *body = (self.make)(ahead);
        again
    }

    fn empty(&self) -> Option<B> {
        Some(B::default())
    }
}

/// A body whose beginning was read ahead.
pub struct ReadAhead<B: Body> {
    chunks: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    rest: Rest<B>,
}

enum Rest<B: Body> {
    Ended,
    Streams(B),
    /// It failed while being read ahead.
    Failed(B::Error),
}

impl<B: Body<Data = Bytes> + Unpin> ReadAhead<B> {
    /// Reads until `limit` is exceeded, the body ends, or it has nothing ready: whoever sends it
    /// polls it again.
    fn of(body: B, limit: usize) -> Self {
        let mut this = Self { chunks: VecDeque::new(), trailers: None, rest: Rest::Streams(body) };
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = 0;
        while let Rest::Streams(body) = &mut this.rest {
            match Pin::new(body).poll_frame(&mut cx) {
                Poll::Pending => break,
                Poll::Ready(None) => this.rest = Rest::Ended,
                Poll::Ready(Some(Err(error))) => this.rest = Rest::Failed(error),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        read += data.len();
                        this.chunks.push_back(data);
                        if read > limit {
                            break;
                        }
                    }
                    // Nothing follows trailers.
                    Err(frame) => {
                        this.trailers = frame.into_trailers().ok();
                        this.rest = Rest::Ended;
                    }
                },
            }
        }
        this
    }

    /// Returns a copy, if all of it was read.
    fn again(&self) -> Option<Self> {
        match self.rest {
            Rest::Ended => Some(Self {
                chunks: self.chunks.clone(),
                trailers: self.trailers.clone(),
                rest: Rest::Ended,
            }),
            Rest::Streams(_) | Rest::Failed(_) => None,
        }
    }
}

impl<B: Body> fmt::Debug for ReadAhead<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: usize = self.chunks.iter().map(Bytes::len).sum();
        formatter.debug_struct("ReadAhead").field("bytes", &bytes).finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for ReadAhead<B>
where
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(data) = self.chunks.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        match &mut self.rest {
            Rest::Streams(body) => return Pin::new(body).poll_frame(cx),
            Rest::Ended | Rest::Failed(_) => {}
        }
        match core::mem::replace(&mut self.rest, Rest::Ended) {
            Rest::Failed(error) => Poll::Ready(Some(Err(error))),
            Rest::Ended | Rest::Streams(_) => {
                Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let rest_ended = match &self.rest {
            Rest::Ended => true,
            Rest::Streams(body) => body.is_end_stream(),
            Rest::Failed(_) => false,
        };
        rest_ended && self.chunks.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.chunks.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        match &self.rest {
            Rest::Ended => SizeHint::with_exact(read),
            Rest::Failed(_) => SizeHint::new(),
            Rest::Streams(body) => {
                let rest = body.size_hint();
                let mut whole = SizeHint::new();
                whole.set_lower(rest.lower().saturating_add(read));
                if let Some(upper) = rest.upper() {
                    whole.set_upper(upper.saturating_add(read));
                }
                whole
            }
        }
    }
}
