//! Pages in the language that the browser asks for, and a translation that is mended while the gateway serves.

use std::fs;
use std::time::{Duration, Instant};

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::scene::{ISSUERS, SESSION, SITES};
use crate::harness::{Answer, Client, Protocol, Scene, Upstream, UpstreamAnswer, get};

const TRANSLATIONS: &str = concat!("translations: ", env!("CARGO_MANIFEST_DIR"), "/examples/translations\n");

#[track_caller]
fn assert_speaks(answer: &Answer, status: u16, language: &str, words: &str) {
    let text = answer.assert_status(status).text();
    assert!(text.contains(&format!("<html lang=\"{language}\" dir=\"ltr\">")) && text.contains(words), "{text}");
    assert_eq!(answer.header("content-language"), Some(language));
    assert_eq!(answer.header("vary"), Some("Accept-Language"));
}

#[tokio::test]
async fn a_page_is_in_the_language_that_the_browser_asks_for_and_a_problem_in_english() {
    let scene = Scene::start(&format!("{TRANSLATIONS}{ISSUERS}{SESSION}{SITES}")).await;
    scene.upstream.answer("/public/502", UpstreamAnswer::Hangup);
    let url = "https://app.test/public/502";
    for (wanted, language, words) in [
        ("de-AT,de;q=0.9,en;q=0.8", "de", "Die Anwendung hat nicht richtig geantwortet."),
        ("it,fr;q=0.5", "fr", "L’application n’a pas répondu correctement."),
        ("it", "en", "The application did not answer properly."),
        ("en-GB,de;q=0.9", "en", "The application did not answer properly."),
    ] {
        for client in [scene.client(), scene.http2()] {
            let page = client.send(get(url).navigation().header("accept-language", wanted)).await;
            assert_speaks(&page, 502, language, words);
        }
    }
    assert_speaks(&scene.send(get(url).navigation()).await, 502, "en", "Something is out of order");
    let problem = scene.send(get(url).header("accept-language", "de")).await;
    assert_eq!(problem.assert_status(502).json()["detail"], "The application did not answer properly.");
    assert_eq!((problem.header("content-language"), problem.header("vary")), (None, None));
    // What the application says is in whatever language it is in, and it is told what the browser wants.
    let through = scene.send(get("https://app.test/public/x").navigation().header("accept-language", "de")).await;
    assert_eq!(through.assert_status(200).header("content-language"), None);
    assert_eq!(scene.upstream.last().all("accept-language"), ["de"]);
}

#[tokio::test]
async fn a_site_with_one_language_does_not_say_which() {
    let scene = Scene::usual().await;
    let page = scene.send(get("https://unknown.test/").navigation().header("accept-language", "de")).await;
    assert!(page.assert_status(421).text().contains("<html lang=\"en\" dir=\"ltr\">"), "{}", page.text());
    assert_eq!((page.header("content-language"), page.header("vary")), (None, None));
}

#[tokio::test]
async fn a_translation_that_is_added_or_mended_is_read_and_one_that_is_wrong_is_told() {
    let (upstream, directory) = (Upstream::start().await, tempfile::tempdir().unwrap());
    let translations = directory.path().join("translations");
    fs::create_dir(&translations).unwrap();
    let issuers = ISSUERS.replace("$ISSUER", "http://127.0.0.1:9").replace("$CLIENT_SECRET", "a secret of the client");
    let yaml = format!("translations: translations\n{issuers}{SESSION}{SITES}").replace("$UPSTREAM", &upstream.url());
    let usher = Usher::serve(&complete(&yaml, &directory), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let heading = async || {
        let page = get("https://unknown.test/").navigation().header("accept-language", "de");
        client.send(page).await.text().to_owned()
    };
    assert!(heading().await.contains("Misdirected Request"));
    for words in ["Falsche Adresse", "Falscher Server"] {
        fs::write(translations.join("de.yaml"), format!("misdirected_request: {words}\n")).unwrap();
        let started = Instant::now();
        while !heading().await.contains(words) {
            assert!(started.elapsed() < Duration::from_secs(10), "{}", usher.output());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    fs::write(translations.join("de.yaml"), "misdirected_request: Da\nmisdirected_reqest: Ja\n").unwrap();
    usher.says("translations/de.yaml:2:1").await;
    usher.says("misdirected_reqest").await;
    assert!(heading().await.contains("Falscher Server"), "what was in force stays");
}

#[tokio::test]
async fn the_check_of_a_configuration_names_what_is_wrong_with_a_translation() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("translations")).unwrap();
    fs::write(directory.path().join("translations/de.yaml"), "\nsign_in_to: Anmelden\n").unwrap();
    let issuers = ISSUERS.replace("$ISSUER", "http://127.0.0.1:9").replace("$CLIENT_SECRET", "a secret of the client");
    let yaml = format!("translations: translations\n{issuers}{SESSION}{SITES}").replace("$UPSTREAM", "http://app:80");
    fs::write(directory.path().join("usher.yaml"), complete(&yaml, &directory)).unwrap();
    let mut usher = Usher::run(&["check", "--config", "usher.yaml"], directory.path());
    assert_eq!(usher.exit().await.code(), Some(78));
    usher.says("translations/de.yaml:2:13").await;
    for part in ["sign_in_to", "lacks the place {site}", "Sign in to {site}"] {
        assert!(usher.output().contains(part), "{part} in {}", usher.output());
    }
}
