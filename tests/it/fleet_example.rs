//! The stack of `examples/fleet` does what its README says: one session for two instances behind a load balancer, which a
//! rolling restart does not interrupt.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::fleet::stack::Stack;
use crate::harness::client::connect_from;
use crate::harness::scene::echoed;
use crate::harness::wait::PATIENCE;
use crate::harness::{Answer, Client, Jar, Protocol, eventually, get, post};

async fn ask(client: Client, jar: Jar) -> Answer {
    client.send(get("https://localhost/x").cookies(&jar)).await
}

#[tokio::test]
async fn the_example_of_two_instances_behind_a_load_balancer_is_one_session() {
    let Some(stack) = Stack::start("the example of a fleet").await else { return };
    // Due for a renewal a second later.
    stack.issuer.live_for(Duration::from_secs(2));
    let alice = stack.sign_in("alice").await;
    stack.issuer.live_for(Duration::from_secs(300));
    let client = stack.client(Protocol::Http1);

    let asked = stack.issuer.token_requests();
    let started = Instant::now();
    while stack.issuer.token_requests() == asked {
        assert!(started.elapsed() < PATIENCE, "it is renewed");
        for answer in join_all((0..20).map(|_| ask(client, alice.jar.clone()))).await {
            assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
        }
    }
    let mut jar = alice.jar.clone();
    while jar == alice.jar {
        assert!(started.elapsed() < PATIENCE, "the new cookies are handed out");
        jar.take(&ask(client, jar.clone()).await.assert_status(200).headers);
    }
    for answer in join_all((0..20).map(|_| ask(client, jar.clone()))).await {
        assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), ["alice"]);
    }
    assert_eq!((stack.issuer.token_requests(), stack.issuer.reuses()), (asked + 1, 0));
    // One after the other goes to one instance and the other: of forty, twenty and twenty.
    for instance in &stack.instances {
        eventually("both are asked", || instance.output().matches("path=\"/x\"").count() >= 20).await;
    }

    assert_eq!(address_seen(stack.https, &jar).await, "127.0.0.9");
    let plain = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let plain = plain.get(format!("http://{}/x", stack.http)).header("host", "localhost").send().await.unwrap();
    assert!(plain.status().is_redirection(), "{plain:?}");

    let sign_out = post("https://localhost/.usher/sign-out").header("origin", "https://localhost").cookies(&jar);
    client.send(sign_out).await.assert_status(204);
    let started = Instant::now();
    // One after the other goes to one instance and the other.
    while !join_all((0..4).map(|_| ask(client, jar.clone()))).await.iter().all(|answer| answer.status == 401) {
        assert!(started.elapsed() < PATIENCE, "the sign-out holds on both instances");
    }
}

/// What the application is told about the address of a client at 127.0.0.9.
async fn address_seen(balancer: SocketAddr, jar: &Jar) -> String {
    let mut connection = connect_from([127, 0, 0, 9], balancer, "localhost").await;
    let answer = connection.send(get("https://localhost/x").cookies(jar)).await;
    echoed(&answer.assert_status(200).json(), "x-forwarded-for").concat()
}

#[tokio::test]
async fn a_rolling_restart_of_the_example_fails_no_request_and_signs_nobody_out() {
    let Some(mut stack) = Stack::start("a rolling restart of the example of a fleet").await else { return };
    // Renewed ahead, again and again, also while an instance ends.
    stack.issuer.live_for(Duration::from_secs(4));
    let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let mut users = Vec::new();
    for (subject, protocol) in [("alice", Protocol::Http1), ("root", Protocol::Http2), ("bob", Protocol::Http1)] {
        let browser = stack.sign_in(subject).await;
        let signals = (Arc::clone(&stop), Arc::clone(&answers));
        users.push(tokio::spawn(go_on(stack.client(protocol), subject, browser.jar, signals)));
    }
    let asked = stack.issuer.token_requests();
    for instance in [0, 1] {
        stack.restart(instance, &answers).await;
    }
    eventually("tokens were renewed", || stack.issuer.token_requests() > asked).await;
    stop.store(true, Ordering::SeqCst);
    let mut answers = Vec::new();
    for user in users {
        answers.push(user.await.unwrap());
    }
    println!("a rolling restart under {answers:?} requests, {} renewals", stack.issuer.token_requests() - asked);
    assert!(answers.iter().all(|answers| *answers > 50), "{answers:?}");
    assert_eq!(stack.issuer.reuses(), 0);
}

/// Somebody who asks again and again; every answer is theirs. Says how many there were, and counts those over new connections.
async fn go_on(
    client: Client,
    subject: &'static str,
    mut jar: Jar,
    (stop, over_new_connections): (Arc<AtomicBool>, Arc<AtomicUsize>),
) -> usize {
    let mut connection = client.connect("localhost").await;
    let mut answers = 0;
    while !stop.load(Ordering::SeqCst) {
        let is_new = client.protocol == Protocol::Http1;
        if is_new {
            connection = client.connect("localhost").await;
        }
        match connection.open(get("https://localhost/x").cookies(&jar)).await {
            Ok(response) => {
                let answer = Answer::read(response).await;
                assert!(answer.assert_status(200).complete, "{answer:?}");
                assert_eq!(echoed(&answer.json(), "x-user-id"), [subject]);
                jar.take(&answer.headers);
                answers += 1;
                over_new_connections.fetch_add(usize::from(is_new), Ordering::SeqCst);
            }
            // The instance has said that it closes: the request was never on its way.
            Err(error) if !is_new && (error.is_canceled() || error.is_closed()) => {
                connection = client.connect("localhost").await;
            }
            Err(error) => panic!("{subject} after {answers} answers: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    answers
}
