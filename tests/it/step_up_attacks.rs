//! Step-up, as an attacker or a lazy user would have it: less than the route asks for must never do.

use std::time::Duration;

use serde_json::json;

use crate::harness::scene::ISSUERS;
use crate::harness::{Scene, get};
use crate::step_up::{asked, browser, scene, sent_away, sign_in};

#[tokio::test]
async fn the_entrance_takes_what_a_route_of_the_site_asks_for_and_nothing_that_somebody_makes_up() {
    let scene = scene("").await;
    let entrance = |query: &str| format!("https://app.test/.usher/sign-in?rd=/x{query}");
    for made_up in [
        "&acr_values=evil",
        "&acr_values=gold+platinum+evil",
        "&acr_values=platinum+gold",
        "&acr_values=gold+platinum&acr_values=gold+platinum",
        "&max_age=0",
        "&max_age=901",
        "&max_age=0900",
        "&max_age=-1",
        "&max_age=900&max_age=900",
        "&acr_values=gold&max_age=1",
        "&acr_values=",
        "&max_age=",
        "&acr_values=gold%20platinum&max_age=900",
    ] {
        let answer = browser(&scene).visit(&entrance(made_up)).await;
        assert!(answer.assert_status(400).text().contains("No page of this site asks for such a sign-in"), "{made_up}");
        assert_eq!(answer.set_cookies(), [], "{made_up}: nothing has begun");
    }
    for (asked_for, acr_values, max_age) in [
        ("&acr_values=gold+platinum", Some("gold platinum"), None),
        ("&acr_values=gold%20platinum", Some("gold platinum"), None),
        ("&max_age=900", None, Some("900")),
        ("&max_age=900&acr_values=gold", Some("gold"), Some("900")),
    ] {
        let answer = browser(&scene).visit(&entrance(asked_for)).await;
        let url = answer.assert_status(302).header("location").unwrap().parse().unwrap();
        assert_eq!((asked(&url, "acr_values").as_deref(), asked(&url, "max_age").as_deref()), (acr_values, max_age));
    }
}

#[tokio::test]
async fn who_strips_what_is_asked_off_the_way_in_comes_back_with_less_and_is_refused_again() {
    let scene = scene("").await;
    let mut browser = browser(&scene);
    // Off the link of the page, and off the authorization request that the browser carries.
    let answer = browser.visit("https://app.test/.usher/sign-in?rd=/both/x").await;
    let plain = answer.assert_status(302).header("location").unwrap().to_owned();
    browser.visit(scene.issuer.authorize(&plain, "alice").as_str()).await.assert_status(303);
    browser.visit("https://app.test/both/x").await.assert_status(302);
    let url = sent_away(&mut browser, "https://app.test/both/x").await;
    let stripped = url.as_str().replace("acr_values=gold", "x=").replace("max_age=900", "y=");
    assert!(asked(&stripped.parse().unwrap(), "max_age").is_none());
    browser.visit(scene.issuer.authorize(&stripped, "alice").as_str()).await.assert_status(403);
    assert_eq!(scene.upstream.count(), 0);
}

#[tokio::test]
async fn what_was_asked_is_sealed_with_the_state_and_two_states_cannot_be_swapped() {
    let scene = scene("").await;
    let mut browser = browser(&scene);
    let plain = sent_away(&mut browser, "https://app.test/x").await;
    let states = |browser: &crate::harness::Browser| -> Vec<String> {
        let names = browser.jar.names().into_iter().filter(|name| name.contains("-state-"));
        names.map(str::to_owned).collect()
    };
    let of_plain = states(&browser).remove(0);
    let both = sent_away(&mut browser, "https://app.test/both/x").await;
    let of_both = states(&browser).into_iter().find(|name| *name != of_plain).unwrap();
    let (one, other) =
        (browser.jar.value(&of_plain).unwrap().to_owned(), browser.jar.value(&of_both).unwrap().to_owned());
    let mut swapped = browser.clone();
    swapped.jar.put(&of_plain, &other);
    swapped.jar.put(&of_both, &one);
    for url in [&plain, &both] {
        let callback = scene.issuer.authorize(url.as_str(), "alice");
        swapped.visit(callback.as_str()).await.assert_status(400);
    }
    assert_eq!(scene.issuer.token_requests(), 0);
    // As they were, each does what it was for.
    browser.visit(scene.issuer.authorize(both.as_str(), "alice").as_str()).await.assert_status(403);
    browser.visit(scene.issuer.authorize(plain.as_str(), "alice").as_str()).await.assert_status(303);
}

#[tokio::test]
async fn what_one_session_has_proven_is_of_no_use_to_another() {
    let scene = scene("").await;
    let (mut strong, mut weak) = (browser(&scene), browser(&scene));
    scene.issuer.change_id_tokens(json!({ "acr": "gold", "auth_time": scene.clock.now().0 }));
    sign_in(&scene, &mut strong, "https://app.test/both/x").await.assert_status(303);
    scene.issuer.change_id_tokens(json!({ "acr": "silver" }));
    sign_in(&scene, &mut weak, "https://app.test/x").await.assert_status(303);
    let names = ["__Host-usher-access", "__Host-usher-refresh"];
    for (access, refresh) in [(&strong, &weak), (&weak, &strong)] {
        let mut mixed = browser(&scene);
        for (name, from) in names.iter().zip([access, refresh]) {
            mixed.jar.put(name, from.jar.value(name).unwrap());
        }
        let answer = scene.send(get("https://app.test/both/x").cookies(&mixed.jar)).await;
        let challenge = answer.assert_status(401).header("www-authenticate");
        assert_eq!(challenge, Some("Bearer"), "it is no session at all");
    }
    // In the header, a token stands for itself: nothing that is sealed beside it in cookies counts.
    let token = scene.issuer.access_token("alice");
    let answer = scene.send(get("https://app.test/both/x").bearer(&token).cookies(&strong.jar)).await;
    answer.assert_status(401);
    strong.visit("https://app.test/both/x").await.assert_status(200);
}

#[tokio::test]
async fn a_clock_of_the_issuer_that_is_ahead_makes_no_sign_in_last_longer() {
    let scene =
        Scene::start(&format!("{}{}", ISSUERS.replace("leeway: 0s", "leeway: 5s"), crate::step_up::SITES)).await;
    let now = scene.clock.now().0;
    for (auth_time, status) in [(now + 4, 200), (now + 600, 401), (u64::MAX, 401), (now - 890, 200), (now - 920, 401)] {
        let token = scene.issuer.sign(&scene.issuer.token("alice").claim("auth_time", auth_time));
        let answer = scene.send(get("https://app.test/fresh/x").bearer(&token)).await;
        assert_eq!(answer.status.as_u16(), status, "{auth_time} at {now}");
    }
    // Known by now, and looked at anew with each request: what was verified once does not stay recent.
    let token = scene.issuer.sign(&scene.issuer.token("alice").claim("auth_time", now - 700));
    scene.send(get("https://app.test/fresh/x").bearer(&token)).await.assert_status(200);
    scene.clock.advance(Duration::from_secs(210));
    scene.send(get("https://app.test/fresh/x").bearer(&token)).await.assert_status(401);
    scene.send(get("https://app.test/x").bearer(&token)).await.assert_status(200);
}
