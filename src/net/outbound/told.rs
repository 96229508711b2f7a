//! A request body that says when it is asked for: a connection has been made, and the request goes out on it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

pub(super) struct Told {
    body: Full<Bytes>,
    on_sent: Option<Box<dyn FnOnce() + Send>>,
}

impl Told {
    pub fn new(body: Vec<u8>, on_sent: Box<dyn FnOnce() + Send>) -> Self {
        Self { body: Full::from(body), on_sent: Some(on_sent) }
    }
}

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(on_sent) = self.on_sent.take() {
            on_sent();
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
