//! The service manager that has started this process, where one has: what it is told (`sd_notify(3)`), and the sockets
//! that it has opened for us (`sd_listen_fds(3)`).
//!
//! Without one, nothing is told and there are no such sockets. This module does *not* decide when something is told.

use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;
use sd_notify::NotifyState;

/// What the service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Requests are served, under the configuration in force.
    Serving,
    /// Another configuration is being read. What follows is [`Word::Serving`], whatever came of it.
    Reloading,
    /// The end has begun.
    Draining,
    /// No worker stands still. To be told more often than `WatchdogSec=`.
    Alive,
}

/// Tells the service manager. That nobody listens, or that it cannot be told, is no trouble of ours.
pub fn tell(word: Word) {
    let told = match word {
        Word::Serving => sd_notify::notify(&[NotifyState::Ready, NotifyState::Status("serving")]),
        // `Type=notify-reload` wants to know which reload it is that ends with the next word.
        Word::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now, NotifyState::Status("reloading")])),
        Word::Draining => sd_notify::notify(&[NotifyState::Stopping, NotifyState::Status("draining")]),
        Word::Alive if sd_notify::watchdog_enabled().is_some() => sd_notify::notify(&[NotifyState::Watchdog]),
        Word::Alive => Ok(()),
    };
    if let Err(error) = told {
        tracing::debug!(%error, ?word, "the service manager cannot be told");
    }
}

/// The sockets that the service manager has opened, until those who listen there take them. They stay open when this
/// process ends, so that a restart refuses no connection.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(SocketAddr, TcpListener)>);

/// Why the sockets of the service manager cannot be used: the operator's units and configuration do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    /// Another kind of socket.
    #[error("a socket of the service manager is none that listens on TCP")]
    NotTcp(#[source] io::Error),
    /// Connections there would never be accepted.
    #[error("the service manager listens on {0}, which no key under listen names; write the same address in both")]
    Unwanted(SocketAddr),
}

impl Sockets {
    /// Those that this process was started with. Only the first call finds them.
    ///
    /// # Errors
    /// [`SocketsError::NotTcp`].
    pub fn inherited() -> Result<Self, SocketsError> {
        let mut inherited = ListenFd::from_env();
        let count = inherited.len();
        let take = |index| {
            let Some(socket) = inherited.take_tcp_listener(index)? else { return Ok(None) };
            socket.set_nonblocking(true)?;
            Ok(Some((socket.local_addr()?, socket)))
        };
        let sockets: io::Result<Vec<_>> = (0..count).map(take).filter_map(Result::transpose).collect();
        sockets.map(Self).map_err(SocketsError::NotTcp)
    }

    /// The socket that listens on exactly this address, if there is one.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let index = self.0.iter().position(|(listens_on, _)| *listens_on == address)?;
        Some(self.0.swap_remove(index).1)
    }

    /// Says whether each was taken.
    ///
    /// # Errors
    /// [`SocketsError::Unwanted`] for the first that was not.
    pub fn all_taken(&self) -> Result<(), SocketsError> {
        self.0.first().map_or(Ok(()), |(address, _)| Err(SocketsError::Unwanted(*address)))
    }
}
