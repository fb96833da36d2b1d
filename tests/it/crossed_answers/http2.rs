//! The application over HTTP/2 with prior knowledge: the same faults, as far as streams can have them.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::http1::OF_NOBODY;
use super::plan::{Fault, Oracle, Plan, answer};
use crate::harness::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, PUSH_PROMISE, block, frame, request};
use crate::harness::random::Random;
use crate::harness::serve::{Served, serve};

/// Lets what was said go out first, most of the time: a reset takes back what still waits.
const MOMENT: Duration = Duration::from_millis(1);

/// Listens. `Oracle` gets to know what is asked.
pub(super) async fn application(oracle: &Arc<Oracle>) -> Served {
    let oracle = Arc::clone(oracle);
    serve(move |stream| {
        let oracle = Arc::clone(&oracle);
        async move {
            let _open = oracle.accept();
            let stream = stream.into_std().unwrap();
            // Faults go past the library, which would not let them.
            let wire = Arc::new(stream.try_clone().unwrap());
            let Ok(mut connection) = h2::server::handshake(tokio::net::TcpStream::from_std(stream).unwrap()).await
            else {
                return;
            };
            let mut streams = JoinSet::new();
            while let Some(Ok((request, respond))) = connection.accept().await {
                let (wire, oracle) = (Arc::clone(&wire), Arc::clone(&oracle));
                streams.spawn(async move { drop(serve_stream(request, respond, &wire, &oracle).await) });
                while streams.try_join_next().is_some() {}
            }
        }
    })
    .await
}

async fn serve_stream(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    wire: &TcpStream,
    oracle: &Oracle,
) -> Result<(), h2::Error> {
    let (head, mut upload) = request.into_parts();
    let target = head.uri.path().to_owned();
    let identity: Vec<&str> = head.headers.get_all("x-user-id").iter().map(|value| value.to_str().unwrap()).collect();
    let early = Plan::of_target(&target).is_some_and(|plan| matches!(plan.fault, Fault::Early | Fault::EarlyAndClose));
    let body = if early { None } else { Some(read(&mut upload).await?) };
    let Some((plan, nonce)) = oracle.saw((head.method.as_str(), &target), &identity, body.as_deref()) else {
        return Ok(());
    };
    let line = answer(&identity.join(","), &nonce);
    let content = Bytes::from(format!("{line}\n").repeat(plan.lines));
    let half = content.slice(..content.len() / 2);
    let bare = head.method == "HEAD";
    let response = |length: Option<usize>| {
        let mut response = Response::builder().header("x-answer", &line);
        if let Some(length) = length {
            response = response.header("content-length", length);
        }
        response.body(()).unwrap()
    };
    match plan.fault {
        Fault::CloseBeforeHead => respond.send_reset(Reason::INTERNAL_ERROR),
        Fault::CutHead => respond.send_reset(Reason::REFUSED_STREAM),
        Fault::ResetBeforeHead => drop(wire.shutdown(Shutdown::Both)),
        Fault::Garbage => {
            let mut wire = wire;
            drop(wire.write_all(OF_NOBODY.as_bytes()));
        }
        Fault::CutBody | Fault::BrokenChunks if !bare => {
            let mut stream = respond.send_response(response(Some(content.len())), false)?;
            stream.send_data(half, false)?;
            sleep(MOMENT).await;
            stream.send_reset(Reason::INTERNAL_ERROR);
        }
        Fault::CutChunks if !bare => {
            let mut stream = respond.send_response(response(None), false)?;
            stream.send_data(half, false)?;
            sleep(MOMENT).await;
            stream.send_reset(Reason::NO_ERROR);
        }
        Fault::Stall => {
            let _ = std::future::poll_fn(|context| respond.poll_reset(context)).await;
        }
        Fault::StallInBody if !bare => {
            let mut stream = respond.send_response(response(Some(content.len())), false)?;
            stream.send_data(half, false)?;
            let _ = std::future::poll_fn(|context| stream.poll_reset(context)).await;
        }
        fault => {
            if fault == Fault::Interim {
                let hints = Response::builder().status(103).header("x-answer", "mallory mallory.0");
                respond.send_informational(hints.body(()).unwrap())?;
            }
            let mut stream = respond.send_response(response(Some(content.len())), bare)?;
            if !bare {
                stream.send_data(content, true)?;
            }
            match fault {
                Fault::BehindLength | Fault::BehindChunks | Fault::BehindNothing | Fault::TwoFramings => {
                    sleep(MOMENT).await;
                    let mut wire = wire;
                    drop(wire.write_all(&of_nobody(plan.number, stream.stream_id().into())));
                }
                // Dropping what is left of the upload refuses it.
                Fault::Early => oracle.uploaded(&plan, head.method.as_str(), &read(&mut upload).await?),
                _ => {}
            }
        }
    }
    Ok(())
}

/// An answer on a stream that nobody has opened, or to a request that nobody has sent.
fn of_nobody(seed: usize, stream: u32) -> Vec<u8> {
    let answer = block(&[(":status", "200"), ("x-answer", "mallory mallory.0")]);
    let on = |stream: u32| {
        let body = frame(DATA, END_STREAM, stream, b"mallory mallory.0\n");
        [frame(HEADERS, END_HEADERS, stream, &answer), body].concat()
    };
    let promise = |promised: u32| {
        let payload = [&promised.to_be_bytes()[..], &block(&request("GET", "/mallory/0/1/0"))].concat();
        [frame(PUSH_PROMISE, END_HEADERS, stream, &payload), on(promised)].concat()
    };
    match Random::seeded(seed as u64).below(4) {
        0 => on(stream + 2000),
        1 => on(2),
        2 => promise(2),
        _ => frame(DATA, 0, stream + 2000, b"mallory mallory.0\n"),
    }
}

async fn read(upload: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = upload.data().await {
        let data = data?;
        drop(upload.flow_control().release_capacity(data.len()));
        body.extend_from_slice(&data);
    }
    Ok(body)
}
