//! What many sign-ins at once may cost an issuer, and what a refused one costs.

use std::time::Duration;

use futures_util::future::join_all;
use usher::clock::Clock;

use crate::harness::scene::{ISSUERS, SITES};
use crate::harness::{Browser, Issuer, Scene, Upstream, eventually, get};

#[tokio::test]
async fn codes_wait_for_their_turn_at_a_slow_issuer_and_not_for_ever() {
    const CODES: usize = 60;
    let scene = Scene::start(&format!("{ISSUERS}{SITES}")).await;
    let mut sign_ins = Vec::new();
    for number in 0..CODES {
        let mut browser = Browser::new(scene.client());
        let answer = browser.visit("https://app.test/.usher/sign-in?rd=/x").await;
        let location = answer.assert_status(302).header("location").unwrap().to_owned();
        sign_ins.push((browser, scene.issuer.authorize(&location, &format!("user-{number}"))));
    }
    scene.issuer.hold();
    let callbacks = sign_ins.into_iter().map(|(mut browser, callback)| {
        tokio::spawn(async move { (browser.visit(callback.as_str()).await, tokio::time::Instant::now()) })
    });
    let (began, callbacks) = (tokio::time::Instant::now(), callbacks.collect::<Vec<_>>());
    eventually("codes are sent", || scene.issuer.token_requests() == 32).await;
    // Those that found no place are told so in a while, although the issuer says nothing.
    eventually("some are turned away", || callbacks.iter().filter(|callback| callback.is_finished()).count() == 28)
        .await;
    assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(scene.issuer.token_requests(), 32, "no more than that at once");
    scene.issuer.release();
    let answers: Vec<_> = join_all(callbacks).await.into_iter().map(|answer| answer.unwrap().0).collect();
    let count = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(303), count(503)), (32, 28));
    let busy = answers.iter().find(|answer| answer.status == 503).unwrap();
    assert!(busy.header("retry-after").is_some() && busy.text().contains("again"), "{busy:?}");
    scene.assert_well().await;
}

#[tokio::test]
async fn a_refused_pushed_request_answers_for_a_while_and_for_its_own_redirect_uri_only() {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    issuer.take_no_pushed_request(400, false);
    let yaml = format!("{ISSUERS}{SITES}");
    let scene = Scene::with(&yaml, Upstream::start().await, issuer, clock).await;
    let visit = async |host: &str| {
        let entrance = get("https://app.test/.usher/sign-in?rd=/x").header("host", host).navigation();
        scene.send(entrance).await.assert_status(502);
        scene.issuer.asked().pushes
    };
    assert_eq!((visit("app.test").await, visit("app.test").await, visit("app.test").await), (1, 1, 1));
    // Whoever makes up a port has made up one more request, and shuts nobody out.
    assert_eq!((visit("app.test:1234").await, visit("app.test:1234").await), (2, 2));
    scene.reload(&yaml).await.unwrap();
    assert_eq!((visit("app.test").await, visit("app.test").await), (3, 3));
    scene.clock.advance(Duration::from_secs(10));
    assert_eq!((visit("app.test").await, visit("app.test").await), (4, 4));
    // Once the issuer takes them, or offers it no more, that holds at once after the while.
    scene.clock.advance(Duration::from_secs(10));
    scene.issuer.take_no_pushed_request(503, false);
    let entrance = get("https://app.test/.usher/sign-in?rd=/x").navigation();
    scene.send(entrance).await.assert_status(302);
}

#[tokio::test]
async fn a_refused_step_up_keeps_nobody_from_signing_in_without_one() {
    let clock = Clock::adjustable();
    let issuer = Issuer::start(&clock).await;
    issuer.take_no_pushed_request(400, false);
    let scene = Scene::with(&format!("{ISSUERS}{SITES}"), Upstream::start().await, issuer, clock).await;
    let visit = async |entrance: &str| {
        scene.send(get(&format!("https://app.test{entrance}")).navigation()).await.assert_status(502);
        scene.issuer.asked().pushes
    };
    let (plain, gold) = ("/.usher/sign-in?rd=/x", "/.usher/sign-in?rd=/x&acr_values=gold");
    // Anybody can open this page, again and again, where the issuer knows no such way.
    assert_eq!((visit(gold).await, visit(gold).await), (1, 1));
    assert_eq!((visit(plain).await, visit(plain).await), (2, 2));
    assert_eq!(visit(gold).await, 2);
}
