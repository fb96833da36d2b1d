//! The pages of the local issuer, as a browser without JavaScript uses them.

use crate::harness::{Answer, Ask, Jar, get, post};
use crate::local_issuer::{SIGN_IN, Scene};

const SIGN_OUT: &str = "https://app.test/.usher/sign-out";

/// What a browser sends when somebody presses the button.
fn form(fields: &str) -> Ask {
    let ask = post(SIGN_IN).navigation().header("origin", "https://app.test").header("sec-fetch-site", "same-origin");
    // What the page has set before.
    let ask = ask.header("cookie", "__Host-usher-form=1");
    ask.header("content-type", "application/x-www-form-urlencoded").body(fields.to_owned())
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// Whether the policy lets the page run scripts, be framed, or send its form elsewhere.
#[track_caller]
fn assert_is_page(answer: &Answer) {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(answer.header("cache-control").unwrap().contains("no-store"));
    assert!(!text(answer).contains("<script"));
}

/// Where a browser goes that has signed in: by a page, for a redirect would be one of the form, with its policy.
async fn leads_to(scene: &Scene, done: &Answer) -> String {
    let location = done.assert_status(303).header("location").unwrap();
    assert!(location.starts_with("/.usher/issuer/signed-in?rd="), "{location}");
    let page = scene.send(get(&format!("https://app.test{location}")).navigation()).await;
    assert_is_page(page.assert_status(200));
    page.header("refresh").unwrap().strip_prefix("0; url=").unwrap().to_owned()
}

#[tokio::test]
async fn somebody_who_opens_a_page_signs_in_and_gets_it() {
    let scene = Scene::start().await;
    let deep_link = "/reports/2026?from=1&to=%2F%2fx&q=a+b&&";
    let sent = scene.send(get(&format!("https://app.test{deep_link}")).navigation()).await;
    let entrance = sent.assert_status(302).header("location").unwrap().to_owned();
    assert!(entrance.starts_with("/.usher/sign-in?rd="), "{entrance}");
    let led = scene.send(get(&format!("https://app.test{entrance}")).navigation()).await;
    let page = led.assert_status(302).header("location").unwrap().to_owned();
    let page = scene.send(get(&format!("https://app.test{page}")).navigation()).await;
    assert_is_page(page.assert_status(200));
    let cookies: Vec<_> = page.set_cookies().into_iter().map(|cookie| cookie.name).collect();
    assert_eq!(cookies, ["__Host-usher-form"], "which says nothing about anybody");
    // As the template engine writes it into an attribute, and a browser reads it out of there.
    let written = deep_link.replace('&', "&amp;").replace('/', "&#x2f;");
    assert!(text(&page).contains(&format!("value=\"{written}\"")), "{}", text(&page));

    let rd: String = url::form_urlencoded::byte_serialize(deep_link.as_bytes()).collect();
    let done = scene.send(form(&format!("rd={rd}&username=alice&password=wonderland"))).await;
    assert!(done.assert_status(303).body.is_empty());
    assert_eq!(leads_to(&scene, &done).await, deep_link, "byte for byte");
    let mut jar = Jar::default();
    jar.take(&done.headers);
    scene.visit(&jar).await.assert_status(200);
}

#[tokio::test]
async fn a_wrong_password_brings_the_page_back_with_the_name_and_without_the_password() {
    let scene = Scene::start().await;
    for (fields, name) in [
        ("rd=%2Fx&username=alice&password=guess-9127", "alice"),
        ("rd=%2Fx&username=nobody&password=guess-9127", "nobody"),
    ] {
        let answer = scene.send(form(fields)).await;
        assert_is_page(answer.assert_status(401));
        let page = text(&answer);
        assert!(page.contains(&format!("value=\"{name}\"")) && page.contains("role=\"alert\""), "{page}");
        assert!(!page.contains("guess-9127"));
        assert!(answer.set_cookies().is_empty());
    }
}

#[tokio::test]
async fn what_is_typed_stays_text() {
    let scene = Scene::start().await;
    let fields = "rd=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E&username=%22%3E%3Cimg+src%3Dx%3E&password=x";
    let answer = scene.send(form(fields)).await;
    assert_is_page(answer.assert_status(401));
    assert!(!text(&answer).contains("<img"), "{}", text(&answer));
    let reflected = get(&format!("{SIGN_IN}?rd=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")).navigation();
    assert_is_page(scene.send(reflected).await.assert_status(200));
}

#[tokio::test]
async fn a_form_of_another_site_signs_nobody_in_and_rd_stays_on_this_one() {
    let scene = Scene::start().await;
    let fields = "rd=%2Fx&username=alice&password=wonderland";
    let ask = post(SIGN_IN).navigation().header("content-type", "application/x-www-form-urlencoded");
    for origin in ["https://evil.test", "null", "https://pub.test"] {
        let ask = post(SIGN_IN).navigation().header("content-type", "application/x-www-form-urlencoded");
        let answer = scene.send(ask.header("origin", origin).body(fields)).await;
        assert!(answer.assert_status(403).set_cookies().is_empty(), "{origin}");
    }
    let cross_site = ask.header("sec-fetch-site", "cross-site").body(fields);
    scene.send(cross_site).await.assert_status(403);
    for rd in ["https%3A%2F%2Fevil.test", "%2F%2Fevil.test", "%2F%5Cevil.test", "", "%2F.usher%2Fsign-out"] {
        let answer = scene.send(form(&format!("rd={rd}&username=alice&password=wonderland"))).await;
        assert_eq!(leads_to(&scene, &answer).await, "/", "{rd}");
        let forged = get(&format!("https://app.test/.usher/issuer/signed-in?rd={rd}")).navigation();
        assert_eq!(scene.send(forged).await.header("refresh"), Some("0; url=/"), "{rd}");
    }
}

#[tokio::test]
async fn whom_another_site_sends_to_the_page_that_leads_on_goes_on_as_sent_by_that_site() {
    let scene = Scene::start().await;
    let sent_by =
        |site| get("https://app.test/.usher/issuer/signed-in?rd=%2Fx").navigation().header("sec-fetch-site", site);
    for site in ["cross-site", "same-site"] {
        let answer = scene.send(sent_by(site)).await;
        assert_eq!(answer.assert_status(302).header("location"), Some("/x"), "{site}");
        assert_eq!(answer.header("refresh"), None, "{site}: a navigation of our own page would be ours");
    }
    for site in ["same-origin", "none"] {
        assert_eq!(scene.send(sent_by(site)).await.header("refresh"), Some("0; url=/x"), "{site}");
    }
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookies_is_told_so_before_the_password_is_looked_at() {
    let scene = Scene::start().await;
    let ask = post(SIGN_IN).navigation().header("origin", "https://app.test");
    let ask = ask.header("content-type", "application/x-www-form-urlencoded");
    let answer = scene.send(ask.body("rd=%2Fx&username=alice&password=wonderland")).await;
    assert_is_page(answer.assert_status(400));
    assert!(text(&answer).contains("does not keep cookies"), "{}", text(&answer));
    assert!(answer.set_cookies().is_empty());
}

#[tokio::test]
async fn who_is_not_allowed_is_shown_the_way_out() {
    let scene = Scene::start().await;
    let jar = scene.session("bob", "builder").await;
    let refused = scene.send(get("https://app.test/staff/").navigation().cookies(&jar)).await;
    assert_is_page(refused.assert_status(403));
    assert!(text(&refused).contains("href=\"&#x2f;.usher&#x2f;sign-out\""), "{}", text(&refused));
}

#[tokio::test]
async fn too_many_attempts_are_told_when_to_come_again() {
    let scene = Scene::start().await;
    let mut last = scene.send(form("username=alice&password=x")).await;
    for _ in 0..6 {
        last = scene.send(form("username=alice&password=x")).await;
    }
    assert_is_page(last.assert_status(429));
    let wait: u64 = last.header("retry-after").unwrap().parse().unwrap();
    let told = format!("There were too many attempts to sign in. Please try again in {} seconds.", wait.max(2));
    assert!(text(&last).contains(&told), "{told}: {}", text(&last));
}

#[tokio::test]
async fn signing_out_asks_first_and_says_when_it_is_done() {
    let scene = Scene::start().await;
    let mut jar = scene.session("alice", "wonderland").await;
    let asks = scene.send(get(SIGN_OUT).navigation().cookies(&jar)).await;
    assert_is_page(asks.assert_status(200));
    assert!(text(&asks).contains("<strong>Alice</strong>") && text(&asks).contains("method=\"post\""));
    scene.visit(&jar).await.assert_status(200);

    let old = jar.clone();
    let button = post(SIGN_OUT).navigation().header("origin", "https://app.test").cookies(&jar);
    let done = scene.send(button).await;
    assert_eq!(done.assert_status(303).header("location"), Some("/.usher/sign-out"));
    assert_eq!(done.header("clear-site-data"), Some("\"cache\""), "and the browser forgets the pages");
    jar.take(&done.headers);
    assert_eq!(jar.line(), None, "every cookie of Usher's is gone");
    let says = scene.send(get(SIGN_OUT).navigation().cookies(&jar)).await;
    assert_is_page(says.assert_status(200));
    assert!(text(&says).contains("You are signed out"));
    scene.visit(&old).await.assert_status(401);
}
