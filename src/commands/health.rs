//! `usher health`: asks a running gateway whether it is ready; for images that have no `curl`.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use super::Failure;
use super::source::SourceArgs;
use crate::config;

/// Where it is asked when nothing says where.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9901);

/// For connecting, and again for each read.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than a status line is not looked at.
const LONGEST_STATUS_LINE: u64 = 256;

/// What `usher health` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The address of the admin listener, whatever the configuration says
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Where the configuration comes from, which says it as listen.admin.
    #[command(flatten)]
    source: SourceArgs,
}

/// Why the gateway counts as unhealthy.
#[derive(Debug, thiserror::Error)]
enum Unhealthy {
    /// It cannot be reached, or does not answer in time.
    #[error("the gateway does not answer at {0}; --admin names another address, as in --admin 127.0.0.1:9901")]
    NoAnswer(SocketAddr, #[source] io::Error),
    /// The same, where nothing says the address.
    #[error(
        "the gateway does not answer at {USUAL}, which is asked because {} cannot be read or has no listen.admin; --config names \
         another configuration, and --admin an address", .0.display()
    )]
    NoAnswerAtUsual(PathBuf, #[source] io::Error),
    /// It answers, but not 200.
    #[error("the gateway is not ready: {0}")]
    NotReady(String),
}

/// Ends well exactly if `GET /readyz` is answered 200.
///
/// # Errors
///
/// No answer within three seconds, or another one.
pub fn run(args: &Args) -> Result<(), Failure> {
    // Of a configuration that is broken meanwhile, the gateway that serves takes no notice.
    let known = args.admin.or_else(|| config::admin_address(&args.source.sources()));
    let address = known.map_or(USUAL, reachable);
    let status = ask(address).map_err(|error| {
        Failure::world(match known {
            Some(_) => Unhealthy::NoAnswer(address, error),
            None => Unhealthy::NoAnswerAtUsual(args.source.config.clone(), error),
        })
    })?;
    if status.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(Failure::world(Unhealthy::NotReady(status))) }
}

/// Who listens on every address of the machine is asked at one of them.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    address
}

fn ask(admin: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST_STATUS_LINE).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn verdict_on(answer: &'static str) -> Result<(), Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let verdict = run(&at(admin));
        server.join().unwrap();
        verdict
    }

    fn at(admin: SocketAddr) -> Args {
        Args { admin: Some(admin), source: SourceArgs { config: "none.yaml".into(), settings: Vec::new() } }
    }

    #[test]
    fn only_a_200_is_healthy() {
        verdict_on("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n").unwrap();
        assert_eq!(verdict_on("HTTP/1.1 503 Service Unavailable\r\n\r\n").unwrap_err().exit_code(), 1);
        assert_eq!(verdict_on("").unwrap_err().exit_code(), 1);
    }

    #[test]
    fn nobody_there_is_unhealthy() {
        let admin = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let failure = run(&at(admin)).unwrap_err();
        assert!(failure.report().contains(&admin.to_string()), "{}", failure.report());
    }

    #[test]
    fn who_listens_everywhere_is_asked_on_this_machine() {
        for (written, asked) in [
            ("0.0.0.0:9", "127.0.0.1:9"),
            ("[::]:9", "[::1]:9"),
            ("192.0.2.7:9", "192.0.2.7:9"),
            ("[::1]:9", "[::1]:9"),
        ] {
            assert_eq!(reachable(written.parse().unwrap()), asked.parse().unwrap());
        }
    }
}
