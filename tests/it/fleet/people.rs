//! People whose sessions are in Usher's own cookies: they sign in through a browser, and then ask on and on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::harness::scene::echoed;
use crate::harness::{Browser, Client, Issuer, Jar, eventually, get};

/// A browser in which somebody has signed in at this host, each step over a connection of its own.
pub(crate) async fn sign_in(client: Client, issuer: &Issuer, host: &str, subject: &str) -> Browser {
    let (mut browser, page) = (Browser::new(client), format!("https://{host}/reports?from=1"));
    let entrance = browser.visit(&page).await;
    let entrance = format!("https://{host}{}", entrance.assert_status(302).header("location").unwrap());
    let provider = browser.visit(&entrance).await;
    let callback = issuer.authorize(provider.assert_status(302).header("location").unwrap(), subject);
    let (url, answer) = browser.sign_in(callback.as_str()).await;
    assert_eq!(url.as_str(), page);
    answer.assert_status(200);
    browser
}

/// Somebody who asks all instances at once with the same cookies, again and again, and takes what they set. Every answer is
/// 200 and their own.
pub(crate) struct Person {
    asking: JoinHandle<Jar>,
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    renewals: Arc<AtomicUsize>,
}

impl Person {
    /// Begins with these cookies.
    pub(crate) fn start(instances: Vec<Client>, subject: &'static str, mut jar: Jar) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (rounds, renewals) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (told, counted, changed) = (Arc::clone(&stop), Arc::clone(&rounds), Arc::clone(&renewals));
        let asking = tokio::spawn(async move {
            while !told.load(Ordering::SeqCst) {
                let asks = instances.iter().map(|client| client.send(get("https://app.test/x").cookies(&jar)));
                let answers = join_all(asks).await;
                let before = jar.clone();
                for answer in answers {
                    assert_eq!(echoed(&answer.assert_status(200).json(), "x-user-id"), [subject]);
                    jar.take(&answer.headers);
                }
                changed.fetch_add(usize::from(jar != before), Ordering::SeqCst);
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            jar
        });
        Self { asking, stop, rounds, renewals }
    }

    /// Waits until they have asked everybody some more times.
    pub(crate) async fn goes_on(&self) {
        let enough = self.rounds.load(Ordering::SeqCst) + 5;
        eventually("answers go on", || self.rounds.load(Ordering::SeqCst) >= enough || self.asking.is_finished()).await;
    }

    /// Waits until they have had new cookies since, for which somebody was asked who knew of it.
    pub(crate) async fn is_renewed(&self) {
        let enough = self.renewals.load(Ordering::SeqCst) + 2;
        eventually("they are renewed", || self.renewals.load(Ordering::SeqCst) >= enough || self.asking.is_finished())
            .await;
    }

    /// The cookies at the end.
    pub(crate) async fn stop(self) -> Jar {
        self.stop.store(true, Ordering::SeqCst);
        self.asking.await.expect("every answer was right")
    }
}
