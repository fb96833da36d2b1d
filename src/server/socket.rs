//! Listening sockets: one per address and worker, so that the kernel spreads connections and nothing is shared.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use super::error::StartupError;

/// Connections that the kernel keeps for us until they are accepted; it lowers the figure to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// What is served on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// TLS.
    Https,
    /// Plain HTTP that only redirects to https.
    Redirect,
    /// Plain HTTP, served to trusted proxies.
    Plain,
    /// Plain HTTP, on which trusted proxies ask about requests of theirs. Others are told that they must not.
    Verify,
}

impl Role {
    /// The key of the configuration that names the addresses.
    const fn key(self) -> &'static str {
        match self {
            Self::Https => "listen.https",
            Self::Redirect => "listen.http",
            Self::Plain => "listen.plain",
            Self::Verify => "listen.verify",
        }
    }
}

/// One address with its sockets.
#[derive(Debug)]
pub(super) struct Bound {
    /// What is served there.
    pub(super) role: Role,
    /// The address, its port resolved.
    pub(super) address: SocketAddr,
    sockets: Vec<TcpListener>,
}

impl Bound {
    /// Binds `count` sockets to `wanted`. Port 0 is chosen by the first of them, the others join it. Where a service manager
    /// listens there already, all of them are that one socket.
    pub(super) fn new(
        role: Role,
        wanted: SocketAddr,
        count: usize,
        inherited: Option<TcpListener>,
    ) -> Result<Self, StartupError> {
        match inherited {
            Some(socket) => share(role, wanted, count, &socket),
            None => bind(role, wanted, count),
        }
        .map_err(|source| StartupError::Bind { key: role.key(), address: wanted, source })
    }
}

fn share(role: Role, address: SocketAddr, count: usize, socket: &TcpListener) -> io::Result<Bound> {
    let sockets: io::Result<_> = (0..count).map(|_| socket.try_clone()).collect();
    Ok(Bound { role, address, sockets: sockets? })
}

fn bind(role: Role, wanted: SocketAddr, count: usize) -> io::Result<Bound> {
    // With SO_REUSEPORT a second process of the same user would silently take half of the connections. A bind without it
    // says "address in use" instead.
    drop(open(wanted, false)?);

    let mut address = wanted;
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let socket = open(address, true)?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        address = listener.local_addr()?;
        sockets.push(listener);
    }
    Ok(Bound { role, address, sockets })
}

fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier process that linger in TIME_WAIT do not keep us from the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Deals the sockets out: one of every address to each of `workers`.
pub(super) fn deal(bound: Vec<Bound>, workers: usize) -> Vec<Vec<(Role, TcpListener)>> {
    let mut hands: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    for Bound { role, sockets, .. } in bound {
        for (hand, socket) in hands.iter_mut().zip(sockets) {
            hand.push((role, socket));
        }
    }
    hands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sockets_of_an_address_share_the_port_that_the_first_one_got() {
        let bound = Bound::new(Role::Https, "127.0.0.1:0".parse().unwrap(), 3, None).unwrap();
        assert_ne!(bound.address.port(), 0);
        let hands = deal(vec![bound], 3);
        assert_eq!(hands.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
        let ports: Vec<_> = hands.iter().map(|hand| hand[0].1.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn an_address_that_another_gateway_listens_on_is_refused() {
        let first = Bound::new(Role::Https, "127.0.0.1:0".parse().unwrap(), 1, None).unwrap();
        let second = Bound::new(Role::Https, first.address, 1, None);
        let Err(StartupError::Bind { key, source, .. }) = second else { panic!("{second:?}") };
        assert_eq!((key, source.kind()), ("listen.https", io::ErrorKind::AddrInUse));
    }
}
