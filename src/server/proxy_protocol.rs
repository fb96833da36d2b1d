//! The PROXY protocol, versions 1 and 2: who the client of a load balancer is.
//!
//! Only ever read from a peer in `trusted_proxies`. Not one byte beyond the header is consumed, and a header is never
//! longer than [`LONGEST`]; the time it may take is bounded by the caller, together with the TLS handshake.

use std::io;
use std::net::SocketAddr;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Longest header that is read. Version 1 has 107 bytes at most; version 2 may carry extensions (TLVs), of which real load
/// balancers send a few hundred bytes.
const LONGEST: usize = 2048;
const LONGEST_V1: usize = 107;
/// What a header of version 1 begins with.
pub(super) const SIGNATURE_V1: &[u8] = v1::PROTOCOL_PREFIX.as_bytes();
/// Shorter than any header of either version, and as long as the signature of version 2.
const SIGNATURE: usize = v2::PROTOCOL_PREFIX.len();
/// Signature, command, family and length of version 2.
const FIXED_V2: usize = 16;

/// What the header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// The connection is this client's, who dialled that address.
    Client {
        /// Where it comes from.
        client: SocketAddr,
        /// What it dialled.
        local: SocketAddr,
    },
    /// No client that has an address: the load balancer's own health check (`LOCAL`), or `UNKNOWN`.
    Nobody,
}

/// Why a header cannot be read. The load balancer is at fault, or whoever configured it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyHeaderError {
    /// The connection broke.
    #[error("the connection ended within the PROXY header")]
    Io(#[from] io::Error),
    /// The peer does not speak the PROXY protocol.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// The header is longer than any that we read.
    #[error("the PROXY header is too long")]
    TooLong,
    /// Version 1, malformed.
    #[error("the PROXY header is malformed")]
    V1(#[from] v1::BinaryParseError),
    /// Version 2, malformed.
    #[error("the PROXY header is malformed")]
    V2(#[from] v2::ParseError),
    /// Version 2, for a protocol that is not TCP.
    #[error("the PROXY header announces a datagram")]
    Datagram,
}

/// Reads the header that the connection begins with.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Announced, ProxyHeaderError> {
    let mut header = Vec::with_capacity(LONGEST_V1);
    extend(stream, &mut header, SIGNATURE).await?;
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        read_v2(stream, header).await
    } else if header.starts_with(SIGNATURE_V1) {
        read_v1(stream, header).await
    } else {
        Err(ProxyHeaderError::Missing)
    }
}

async fn read_v1(stream: &mut TcpStream, mut header: Vec<u8>) -> Result<Announced, ProxyHeaderError> {
    let mut ahead = [0; LONGEST_V1];
    // What has been peeked at belongs to the header up to the first line feed, or wholly while there is none.
    while !header.ends_with(b"\n") {
        let peeked = stream.peek(&mut ahead).await?;
        let ahead = ahead.get(..peeked).unwrap_or_default();
        let ours = ahead.iter().position(|byte| *byte == b'\n').map_or(ahead.len(), |end| end + 1);
        if header.len() + ours > LONGEST_V1 {
            return Err(ProxyHeaderError::TooLong);
        }
        // At the end of the stream nothing is ahead: one byte more is an error.
        extend(stream, &mut header, ours.max(1)).await?;
    }
    Ok(match v1::Header::try_from(header.as_slice())?.addresses {
        v1::Addresses::Tcp4(ip) => {
            client((ip.source_address, ip.source_port).into(), (ip.destination_address, ip.destination_port).into())
        }
        v1::Addresses::Tcp6(ip) => {
            client((ip.source_address, ip.source_port).into(), (ip.destination_address, ip.destination_port).into())
        }
        v1::Addresses::Unknown => Announced::Nobody,
    })
}

async fn read_v2(stream: &mut TcpStream, mut header: Vec<u8>) -> Result<Announced, ProxyHeaderError> {
    extend(stream, &mut header, FIXED_V2 - SIGNATURE).await?;
    let length = match header.as_slice() {
        [.., high, low] => usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    if FIXED_V2 + length > LONGEST {
        return Err(ProxyHeaderError::TooLong);
    }
    extend(stream, &mut header, length).await?;
    let header = v2::Header::try_from(header.as_slice())?;
    if header.command == v2::Command::Local {
        return Ok(Announced::Nobody);
    }
    if header.protocol == v2::Protocol::Datagram {
        return Err(ProxyHeaderError::Datagram);
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(ip) => {
            client((ip.source_address, ip.source_port).into(), (ip.destination_address, ip.destination_port).into())
        }
        v2::Addresses::IPv6(ip) => {
            client((ip.source_address, ip.source_port).into(), (ip.destination_address, ip.destination_port).into())
        }
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => Announced::Nobody,
    })
}

fn client(client: SocketAddr, local: SocketAddr) -> Announced {
    let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    Announced::Client { client: canonical(client), local: canonical(local) }
}

/// Reads exactly `count` bytes more.
async fn extend(stream: &mut TcpStream, header: &mut Vec<u8>, count: usize) -> io::Result<()> {
    let start = header.len();
    header.resize(start + count, 0);
    let rest = header.get_mut(start..).unwrap_or_default();
    stream.read_exact(rest).await.map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// Sends `pieces` one after the other, then ends; returns what was announced and what is left of the stream.
    async fn announced(pieces: &[&[u8]]) -> (Result<Announced, ProxyHeaderError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let send = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let (announced, ()) = tokio::join!(read(&mut server), send);
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        (announced, rest)
    }

    fn is_client(announced: &Announced, client: &str) -> bool {
        matches!(announced, Announced::Client { client: announced, .. } if announced.to_string() == client)
    }

    #[tokio::test]
    async fn version_1_is_read_to_its_end_and_no_further() {
        let (header, rest) = announced(&[b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n\x16\x03hello"]).await;
        assert!(is_client(&header.unwrap(), "192.0.2.7:4711"));
        assert_eq!(rest, b"\x16\x03hello");
    }

    #[tokio::test]
    async fn version_1_may_come_in_pieces() {
        let line = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\nX";
        let pieces: Vec<_> = line.chunks(1).collect();
        let (header, rest) = announced(&pieces).await;
        assert!(is_client(&header.unwrap(), "[2001:db8::7]:4711"));
        assert_eq!(rest, b"X");
    }

    #[tokio::test]
    async fn version_2_is_read_with_its_extensions() {
        let addresses = v2::Addresses::from((
            "192.0.2.7:4711".parse::<SocketAddr>().unwrap(),
            "198.51.100.1:443".parse::<SocketAddr>().unwrap(),
        ));
        let stream = v2::Version::Two | v2::Command::Proxy;
        let mut header = v2::Builder::with_addresses(stream, v2::Protocol::Stream, addresses)
            .write_tlv(v2::Type::Authority, b"app.test")
            .unwrap()
            .build()
            .unwrap();
        header.extend(b"rest");
        let (header, rest) = announced(&[&header[..14], &header[14..]]).await;
        assert!(is_client(&header.unwrap(), "192.0.2.7:4711"));
        assert_eq!(rest, b"rest");
    }

    #[tokio::test]
    async fn a_health_check_of_the_load_balancer_has_no_client() {
        let mut local = v2::PROTOCOL_PREFIX.to_vec();
        local.extend([0x20, 0x00, 0, 0]);
        assert_eq!(announced(&[&local]).await.0.unwrap(), Announced::Nobody);
        assert_eq!(announced(&[b"PROXY UNKNOWN\r\n"]).await.0.unwrap(), Announced::Nobody);
    }

    #[tokio::test]
    async fn anything_else_is_an_error() {
        let mut long = v2::PROTOCOL_PREFIX.to_vec();
        long.extend([0x21, 0x11, 0xff, 0xff]);
        let endless = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        for bytes in [
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a ClientHello".as_slice(),
            b"GET / HTTP/1.1\r\n\r\n",
            b"PROXY TCP4 192.0.2.7",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 0443 99999\r\n",
            b"PROXY TCP4 not-an-address 198.51.100.1 1 2\r\n",
            &long,
            &endless,
        ] {
            assert!(announced(&[bytes]).await.0.is_err(), "{:?}", bytes.escape_ascii().to_string());
        }
    }
}
