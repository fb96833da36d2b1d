//! `usher health`: asks a running gateway whether it is ready; for images that have no `curl`.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::Failure;

/// For connecting, and again for each read.
const PATIENCE: Duration = Duration::from_secs(3);
/// More than a status line is not looked at.
const LONGEST_STATUS_LINE: u64 = 256;

/// What `usher health` is told.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The address of the admin listener, as listen.admin has it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
}

/// Why the gateway counts as unhealthy.
#[derive(Debug, thiserror::Error)]
enum Unhealthy {
    /// It cannot be reached, or does not answer in time.
    #[error(
        "the gateway does not answer at {0}; --admin names the address of listen.admin, as in --admin 127.0.0.1:9901"
    )]
    NoAnswer(SocketAddr, #[source] io::Error),
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
    let status = ask(args.admin).map_err(|error| Failure::world(Unhealthy::NoAnswer(args.admin, error)))?;
    if status.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(Failure::world(Unhealthy::NotReady(status))) }
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
        let verdict = run(&Args { admin });
        server.join().unwrap();
        verdict
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
        let failure = run(&Args { admin }).unwrap_err();
        assert!(failure.report().contains(&admin.to_string()), "{}", failure.report());
    }
}
