//! The application over HTTP/1.1. Whatever it did with a request, it reads the next one if there is one on the connection.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::plan::{Fault, Oracle, Plan, answer};
use crate::harness::serve::{Served, serve};

/// An answer to a question that nobody has asked.
pub(super) const OF_NOBODY: &str =
    "HTTP/1.1 200 OK\r\nX-Answer: mallory mallory.0\r\nContent-Length: 18\r\n\r\nmallory mallory.0\n";

/// Listens. `Oracle` gets to know what is asked.
pub(super) async fn application(oracle: &Arc<Oracle>) -> Served {
    let oracle = Arc::clone(oracle);
    serve(move |stream| {
        let oracle = Arc::clone(&oracle);
        async move {
            let _open = oracle.accept();
            // How it ends is the gateway's or the fault's matter.
            drop(Line(BufReader::new(stream)).serve(&oracle).await);
        }
    })
    .await
}

struct Line(BufReader<TcpStream>);

/// The head of a request, as far as it matters.
struct Head {
    method: String,
    target: String,
    identity: Vec<String>,
    body: Framing,
}

#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunks,
}

/// What becomes of the connection.
enum Next {
    Request,
    Close,
    Reset,
    /// Says no more, and waits for the gateway to close.
    Silence,
}

impl Line {
    async fn serve(mut self, oracle: &Oracle) -> io::Result<()> {
        while let Some(head) = self.head(oracle).await? {
            if head.target == "/auth/login" {
                let tokens = self.body(head.body).await?;
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                    tokens.len()
                );
                self.write(&[head.as_bytes(), &tokens].concat()).await?;
                continue;
            }
            match self.answer(&head, oracle).await? {
                Next::Request => {}
                Next::Close => return Ok(()),
                Next::Reset => return socket2::SockRef::from(self.0.get_ref()).set_linger(Some(Duration::ZERO)),
                Next::Silence => drop(self.0.read_u8().await),
            }
        }
        Ok(())
    }

    async fn answer(&mut self, head: &Head, oracle: &Oracle) -> io::Result<Next> {
        let early =
            Plan::of_target(&head.target).is_some_and(|plan| matches!(plan.fault, Fault::Early | Fault::EarlyAndClose));
        let body = if early { None } else { Some(self.body(head.body).await?) };
        let identity: Vec<&str> = head.identity.iter().map(String::as_str).collect();
        let Some((plan, nonce)) = oracle.saw((&head.method, &head.target), &identity, body.as_deref()) else {
            return Ok(Next::Close);
        };
        let line = answer(&identity.join(","), &nonce);
        let content = format!("{line}\n").repeat(plan.lines);
        let half = content.len() / 2;
        let bare = head.method == "HEAD";
        let field = format!("HTTP/1.1 200 OK\r\nX-Answer: {line}\r\n");
        let length = format!("{field}Content-Length: {}\r\n\r\n", content.len());
        let chunked = format!("{field}Transfer-Encoding: chunked\r\n\r\n");
        let chunk = |content: &str| format!("{:x}\r\n{content}\r\n", content.len());
        let ordinary = if bare {
            length.clone()
        } else if plan.lines == 2 {
            format!("{chunked}{}{}0\r\n\r\n", chunk(&content[..half]), chunk(&content[half..]))
        } else {
            format!("{length}{content}")
        };
        let (bytes, next) = match plan.fault {
            Fault::Nothing => (ordinary, Next::Request),
            Fault::CloseBeforeHead => return Ok(Next::Close),
            Fault::ResetBeforeHead => return Ok(Next::Reset),
            Fault::CutHead => (field, Next::Close),
            Fault::CutBody if !bare => (format!("{length}{}", &content[..half]), Next::Close),
            Fault::CutChunks if !bare => (format!("{chunked}{}", chunk(&content[..half])), Next::Close),
            Fault::BrokenChunks if !bare => {
                (format!("{chunked}{}no length\r\n{OF_NOBODY}", chunk(&content[..half])), Next::Request)
            }
            Fault::BehindChunks if !bare => {
                (format!("{chunked}{}0\r\n\r\n{OF_NOBODY}", chunk(&content)), Next::Request)
            }
            Fault::BehindNothing if !bare => {
                (format!("HTTP/1.1 204 No Content\r\nX-Answer: {line}\r\n\r\n{OF_NOBODY}"), Next::Request)
            }
            Fault::TwoFramings if !bare => {
                let (first, second) = (chunk(&content), format!("0\r\n\r\n{OF_NOBODY}"));
                (
                    format!(
                        "{field}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{first}{second}",
                        first.len() + 5
                    ),
                    Next::Request,
                )
            }
            Fault::BehindLength | Fault::BehindChunks | Fault::BehindNothing | Fault::TwoFramings => {
                (format!("{ordinary}{OF_NOBODY}"), Next::Request)
            }
            Fault::Interim => {
                let interim = "HTTP/1.1 103 Early Hints\r\nX-Answer: mallory mallory.0\r\n\r\n";
                (format!("HTTP/1.1 100 Continue\r\n\r\n{interim}{ordinary}"), Next::Request)
            }
            Fault::Early => {
                self.write(ordinary.as_bytes()).await?;
                oracle.uploaded(&plan, &head.method, &self.body(head.body).await?);
                return Ok(Next::Request);
            }
            Fault::CutBody | Fault::CutChunks | Fault::BrokenChunks | Fault::EarlyAndClose => (ordinary, Next::Close),
            Fault::Stall => return Ok(Next::Silence),
            Fault::StallInBody if bare => (ordinary, Next::Request),
            Fault::StallInBody => (format!("{length}{}", &content[..half]), Next::Silence),
            Fault::Garbage => (format!("\x16\x03\x01 {OF_NOBODY}"), Next::Request),
        };
        self.write(bytes.as_bytes()).await?;
        Ok(next)
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes).await
    }

    /// The next head; `None` at the end of the connection.
    async fn head(&mut self, oracle: &Oracle) -> io::Result<Option<Head>> {
        let first = self.line().await?;
        let mut words = first.split(' ').map(str::to_owned);
        let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
            if !first.is_empty() {
                oracle.is_wrong(format!("{first:.200?} where a request begins"));
            }
            return Ok(None);
        };
        if version != "HTTP/1.1" || !["GET", "HEAD", "POST"].contains(&method.as_str()) {
            oracle.is_wrong(format!("{first:.200?} where a request begins"));
        }
        let mut head = Head { method, target, identity: Vec::new(), body: Framing::Length(0) };
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else { return Ok(Some(head)) };
            match name.to_ascii_lowercase().as_str() {
                "x-user-id" => head.identity.push(value.trim().to_owned()),
                "content-length" => head.body = Framing::Length(value.trim().parse().map_err(io::Error::other)?),
                "transfer-encoding" => head.body = Framing::Chunks,
                _ => {}
            }
        }
    }

    /// A line without its end; empty at the end of a head, and of the connection.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).await?;
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    async fn body(&mut self, framing: Framing) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match framing {
            Framing::Length(length) => self.read(length, &mut body).await?,
            Framing::Chunks => loop {
                let length = usize::from_str_radix(&self.line().await?, 16).map_err(io::Error::other)?;
                self.read(length, &mut body).await?;
                self.line().await?;
                if length == 0 {
                    break;
                }
            },
        }
        Ok(body)
    }

    async fn read(&mut self, length: usize, body: &mut Vec<u8>) -> io::Result<()> {
        let start = body.len();
        body.resize(start + length, 0);
        self.0.read_exact(&mut body[start..]).await.map(drop)
    }
}
