//! A worker that stands still: who notices, and who is served meanwhile.

use std::time::{Duration, Instant};

use ::http::Response;
use futures_util::future::join_all;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use super::super::testing::*;
use super::super::watchdog::Finding;

const BLOCK: Duration = Duration::from_millis(3500);

#[tokio::test]
async fn a_blocked_worker_is_told_while_the_others_serve() {
    let answer = Answer::new(|_, request| async move {
        if request.uri().path() == "/block" {
            std::thread::sleep(BLOCK);
        }
        Response::new(whole("well"))
    });
    let (told, mut findings) = unbounded_channel();
    let server = TestServer::start_watched(config(), answer, move |finding| {
        let _ = told.send(finding);
    });

    let started = Instant::now();
    let blocking = server.ask("GET /block HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
    let others = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        // The kernel deals connections out to the workers; those of the blocked one wait.
        let asked = join_all((0..16).map(|_| async {
            let answer = server.ask(GET_AND_CLOSE).await;
            assert!(answer.ends_with("well"), "{answer}");
            started.elapsed()
        }));
        asked.await
    };
    let (answer, answered_after) = tokio::join!(blocking, others);
    assert!(answer.ends_with("well"), "{answer}");
    let at_once = answered_after.iter().filter(|after| **after < BLOCK).count();
    assert!((1..16).contains(&at_once), "some were dealt to either worker: {answered_after:?}");

    let first = timeout(PATIENCE, findings.recv()).await.unwrap().unwrap();
    let Finding::Blocked { worker: blocked, since } = first else { panic!("{first:?}") };
    assert!(since > Duration::from_secs(2) && since < BLOCK, "{since:?}");
    let second = timeout(PATIENCE, findings.recv()).await.unwrap().unwrap();
    assert!(matches!(second, Finding::Running { worker, .. } if worker == blocked), "{second:?}");
    assert!(server.ask(GET_AND_CLOSE).await.ends_with("well"));
}
