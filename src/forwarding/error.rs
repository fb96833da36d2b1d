//! What can go wrong on the upstream side, and whose fault it is.

use std::io;
use std::sync::Arc;

/// Why there is no answer of the upstream to pass on.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Us: no upstream has this id.
    #[error("there is no such upstream")]
    UnknownUpstream,
    /// The client, or us: the request's `Host` cannot be written as an HTTP/2 authority.
    #[error("the Host of the request cannot be sent to the upstream")]
    InvalidAuthority,
    /// The upstream or its operator: no address could be connected to.
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] ConnectError),
    /// The upstream: no connection stood within `timeouts.connect`.
    #[error("connecting to the upstream took too long")]
    ConnectTimedOut,
    /// The upstream: it had the whole request and did not answer within `timeouts.response`.
    #[error("the upstream did not answer in time")]
    ResponseTimedOut,
    /// The upstream: it stopped reading the request body for longer than `timeouts.idle`.
    #[error("the upstream stopped reading the request")]
    UploadStalled,
    /// The upstream: the connection ended before the head of an answer was complete.
    #[error("the upstream closed the connection before it answered")]
    Broken {
        /// Whether bytes of the request may have reached it.
        sent: bool,
        /// What happened to the connection.
        #[source]
        source: hyper::Error,
    },
    /// The upstream: what it sent is not HTTP, is larger than we read, or switches protocols unasked.
    #[error("the upstream's answer is not valid HTTP")]
    Protocol(#[source] Option<hyper::Error>),
    /// The client: the request body is longer than the route allows.
    #[error("the request body is too large")]
    RequestTooLarge,
    /// The client: it stopped sending the request body.
    #[error("the client stopped sending the request body")]
    ClientIdle,
    /// The client: it went away before the request body was complete.
    #[error("the client went away before its request was complete")]
    ClientGone,
    /// The operator or the upstream: each of its addresses has as many requests, or as many connections in the making, as
    /// it may have at a time.
    #[error("each address of the upstream has as many requests as its `circuit` allows")]
    Overloaded,
    /// Nobody: whoever sends the request has signed out before it was complete, or was signed out.
    #[error("the session ended before the request was complete")]
    SessionOver,
}

/// Who caused a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client.
    Client,
    /// The upstream, or the network between it and us.
    Upstream,
    /// Usher.
    Us,
}

impl ForwardError {
    /// Who caused it.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self {
            Self::UnknownUpstream => Fault::Us,
            Self::InvalidAuthority
            | Self::RequestTooLarge
            | Self::ClientIdle
            | Self::ClientGone
            | Self::SessionOver => Fault::Client,
            Self::Unreachable(_)
            | Self::ConnectTimedOut
            | Self::ResponseTimedOut
            | Self::UploadStalled
            | Self::Overloaded
            | Self::Broken { .. }
            | Self::Protocol(_) => Fault::Upstream,
        }
    }

    /// Whether bytes of the request may have reached the upstream.
    #[must_use]
    pub const fn sent(&self) -> bool {
        match self {
            Self::UnknownUpstream
            | Self::InvalidAuthority
            | Self::Unreachable(_)
            | Self::ConnectTimedOut
            | Self::Overloaded => false,
            Self::Broken { sent, .. } => *sent,
            Self::ResponseTimedOut
            | Self::UploadStalled
            | Self::Protocol(_)
            | Self::RequestTooLarge
            | Self::ClientIdle
            | Self::ClientGone
            | Self::SessionOver => true,
        }
    }
}

/// Why a connection to one address could not be made. The upstream's or its operator's fault. Clones share the cause:
/// several requests may wait for one connection.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// Its name does not resolve.
    #[error("the name does not resolve")]
    Resolve(#[source] Arc<io::Error>),
    /// Nothing accepts connections there.
    #[error("the connection was refused or failed")]
    Socket(#[source] Arc<io::Error>),
    /// The TLS handshake failed: certificate, name, version, or not TLS at all.
    #[error("the TLS handshake failed")]
    Tls(#[source] Arc<io::Error>),
    /// The HTTP handshake failed.
    #[error("the HTTP handshake failed")]
    Http(#[source] Arc<hyper::Error>),
    /// The time for connecting was up.
    #[error("connecting took too long")]
    TimedOut,
    /// The upstream: the connection stood, and was gone before it could be used.
    #[error("the connection was lost at once")]
    Lost,
    /// As many connections are being made as may be.
    #[error("too many connections are being made")]
    TooMany,
}

impl From<ConnectError> for ForwardError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::TimedOut => Self::ConnectTimedOut,
            ConnectError::TooMany => Self::Overloaded,
            other => Self::Unreachable(other),
        }
    }
}

/// An error and its causes on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Why a body ended before it was complete. Whoever receives it must not take the body for whole.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client: more bytes than the route allows.
    #[error("the request body is too large")]
    TooLarge,
    /// The client: silence in the middle of the request body.
    #[error("the client stopped sending the request body")]
    ClientIdle,
    /// The client: its connection or stream ended in the middle of the request body.
    #[error("the client went away in the middle of the request body")]
    ClientGone(#[source] Option<hyper::Error>),
    /// The upstream: silence in the middle of the answer.
    #[error("the upstream fell silent in the middle of its answer")]
    UpstreamIdle,
    /// Nobody: whoever asked has signed out in the middle of the answer or of the request, or was signed out.
    #[error("the session ended in the middle")]
    SessionOver,
    /// The upstream: its connection or stream ended in the middle of the answer.
    #[error("the upstream broke off in the middle of its answer")]
    UpstreamBroken(#[source] Option<hyper::Error>),
}
