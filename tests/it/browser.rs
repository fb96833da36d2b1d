//! What people see and browsers do: signing in and out, tabs, expiry in the middle of a page, in a real Chromium.
//!
//! What a browser does is written down in `tests/browser/scenarios`, a file each; here is what it meets.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use usher::clock::Clock;

use crate::harness::chromium::Chromium;
use crate::harness::scene::SITES;
use crate::harness::{Gateway, Upstream, UpstreamAnswer};
use crate::local_issuer::{usual_users, write_users};
use crate::sign_in::Ring;
use crate::step_up;

/// As short as a configuration may have it.
const LIFETIME: Duration = Duration::from_secs(5);

const POLLS: &str = "<!doctype html><title>Polls</title><script>
window.polls = [];
const note = (outcome) => window.polls.push(String(outcome));
setInterval(() => fetch('/poll', { redirect: 'error' }).then((answer) => note(answer.status), note), 1000);
</script>";

const ACCOUNT: &str = "<!doctype html><title>Account</title>
<p>Nobody else may read this.</p><a href='/.usher/sign-out'>Sign out</a>";

/// A form with whatever is hard to send twice in the same way. It is sent to where `$ACTION` is.
const FORM: &str = "<!doctype html><meta charset='utf-8'><title>Form</title>
<form method='post' action='$ACTION'>
<input type='hidden' name='empty' value=''><input type='hidden' name='action' value='&lt;b&gt;&quot;&amp;amp;'>
<input type='hidden' name='_charset_'><input type='hidden' name='&quot;&gt;&lt;/form&gt;' value='a&#13;&#10;b&#10;c&#13;d'>
<input type='hidden' name='control' value='&#1;&#127;&#xfeff;'><input type='hidden' name='same'><input type='hidden' name='same'>
<label>Text<textarea name='text'></textarea></label><label>Name<input name='name'></label>
<label>One<input type='checkbox' name='which[]' value='1'></label><label>Two<input type='checkbox' name='which[]' value='2'></label>
<button name='submit' value='Save it'>Save</button></form>";

/// A gateway with a local issuer, and an application of a few pages.
struct Town {
    gateway: Gateway,
    upstream: Upstream,
    clock: Clock,
    _directory: TempDir,
}

impl Town {
    async fn start() -> Self {
        let (clock, upstream) = (Clock::adjustable(), Upstream::start().await);
        for (path, body) in [("/polls", POLLS), ("/account", ACCOUNT)] {
            upstream.answer(path, UpstreamAnswer::fixed(200, &[("content-type", "text/html")], body));
        }
        upstream.answer("/form", form_to("/save"));
        upstream.answer("/away", UpstreamAnswer::Hangup);
        upstream.answer("/.well-known/openid-configuration", UpstreamAnswer::Hangup);
        upstream.answer("/asks", UpstreamAnswer::fixed(302, &[("location", "/.usher/sign-in?rd=/asks")], ""));
        let directory = tempfile::tempdir().unwrap();
        write_users(&directory, &usual_users());
        let gateway = Gateway::start(&configuration(&upstream, &directory), &clock).await;
        Self { gateway, upstream, clock, _directory: directory }
    }
}

fn form_to(action: &str) -> UpstreamAnswer {
    UpstreamAnswer::fixed(200, &[("content-type", "text/html")], FORM.replace("$ACTION", action))
}

fn configuration(upstream: &Upstream, directory: &TempDir) -> String {
    format!(
        "
translations: {root}/examples/translations
session: {{ secret: '$SECRET', refresh_ahead: 0s }}
issuers:
  staff:
    leeway: 0s
    local: {{ users_file: '{users}', access_token_lifetime: {lifetime}s }}
  away: {{ issuer: '{upstream}', insecure_http: true, client_id: usher, client_secret: x, audiences: [usher] }}
sites:
  - host: app.test
    issuer: staff
    upstream: {upstream}
    identity_headers: {{ X-User-Id: sub }}
    resend_forms: 64KiB
    routes: [{{ path: / }}, {{ path: /admin/, require: {{ roles: admin }} }}]
  - host: other.test
    issuer: away
    upstream: {upstream}
    routes: [{{ path: / }}, {{ path: /public/, access: public }}]
",
        root = env!("CARGO_MANIFEST_DIR"),
        users = directory.path().join("users.yaml").display(),
        lifetime = LIFETIME.as_secs(),
        upstream = upstream.url(),
    )
}

#[tokio::test]
async fn somebody_signs_in_with_the_keyboard_alone_and_without_javascript() {
    let town = Town::start().await;
    let target = "/reports/2026?from=1&to=%2F%2fx&q=a+b&&";
    let options = json!({ "deepLink": format!("https://app.test{target}") });
    let Some(browser) = Chromium::play("keyboard", &town.gateway, options) else { return };
    browser.ends().await;
    assert!(town.upstream.seen().iter().any(|seen| seen.target == target && seen.all("x-user-id") == ["alice"]));
}

#[tokio::test]
async fn somebody_with_a_second_factor_signs_in_with_the_keyboard_alone_and_without_javascript() {
    let town = Town::start().await;
    let target = "/reports/2026?from=1&to=%2F%2fx&q=a+b&&";
    let options = json!({ "deepLink": format!("https://app.test{target}") });
    let Some(browser) = Chromium::play("second-factor", &town.gateway, options) else { return };
    browser.ends().await;
    assert!(town.upstream.seen().iter().any(|seen| seen.target == target && seen.all("x-user-id") == ["dora"]));
}

#[tokio::test]
async fn an_application_that_sends_people_to_another_site_after_the_sign_in_gets_its_way() {
    let town = Town::start().await;
    let away = "https://other.test/public/landed";
    town.upstream.answer("/leaves", UpstreamAnswer::fixed(302, &[("location", away)], ""));
    let Some(browser) = Chromium::play("off-site", &town.gateway, json!({ "away": away })) else { return };
    browser.ends().await;
    assert!(town.upstream.seen().iter().any(|seen| seen.target == "/public/landed"));
}

#[tokio::test]
async fn a_link_of_another_site_stays_one_through_the_page_that_a_sign_in_ends_with() {
    let town = Town::start().await;
    let strict = [("content-type", "text/html"), ("set-cookie", "strict=1; Path=/; Secure; SameSite=Strict")];
    town.upstream.answer("/strict", UpstreamAnswer::fixed(200, &strict, "<!doctype html><title>Strict</title>"));
    let lure = "<!doctype html><title>Lure</title><a href='https://app.test/.usher/issuer/signed-in?rd=/lured'>Win</a>";
    town.upstream.answer("/public/lure", UpstreamAnswer::fixed(200, &[("content-type", "text/html")], lure));
    let options = json!({ "lure": "https://other.test/public/lure" });
    let Some(browser) = Chromium::play("lure", &town.gateway, options) else { return };
    browser.ends().await;
    let seen = town.upstream.seen();
    let of = |target: &str| seen.iter().find(|seen| seen.target == target).unwrap();
    for (target, site, cookies) in [("/lured", "cross-site", &[][..]), ("/typed", "none", &["strict=1"])] {
        let asked = of(target);
        assert_eq!((asked.all("sec-fetch-site"), asked.all("cookie")), (vec![site], cookies.to_vec()), "{target}");
        assert_eq!(asked.all("x-user-id"), ["alice"]);
    }
}

#[tokio::test]
async fn somebody_signs_in_at_a_certified_server_and_lands_where_the_link_led() {
    let Some(ring) = Ring::start("sign-in at a certified server in a browser").await else { return };
    let target = "/reports/2026?from=1&to=%2F%2fx&q=a+b&&";
    let options = json!({ "deepLink": format!("https://app.test{target}#part-2") });
    let Some(browser) = Chromium::play("certified", &ring.gateway, options) else { return };
    browser.ends().await;
    assert!(ring.upstream.seen().iter().any(|seen| seen.target == target && seen.all("x-user-id") == ["alice"]));
}

/// Every form that the application got there: some, and all alike.
fn forms(upstream: &Upstream, target: &str) -> usize {
    let seen = upstream.seen();
    let forms: Vec<_> = seen.iter().filter(|seen| seen.method == "POST" && seen.target == target).collect();
    for form in &forms {
        assert_eq!(form.all("x-user-id"), ["alice"]);
        assert_eq!(form.body, forms[0].body, "byte for byte");
    }
    assert!(forms.is_empty() || forms[0].body.len() > 200, "{:?}", forms[0].body);
    forms.len()
}

#[tokio::test]
async fn a_form_that_meets_an_ended_session_is_sent_again_byte_for_byte_after_the_sign_in() {
    let town = Town::start().await;
    let action = "/save?draft=1&x=%2Fy&&";
    town.upstream.answer("/form", form_to(action));
    let Some(browser) = Chromium::play("resend", &town.gateway, json!({ "action": action })) else { return };
    browser.ends().await;
    assert_eq!(forms(&town.upstream, action), 4);
}

#[tokio::test]
async fn an_application_may_send_whoever_sent_the_form_again_to_another_site() {
    let town = Town::start().await;
    let away = "https://other.test/public/landed";
    town.upstream.answer("/pays", UpstreamAnswer::fixed(303, &[("location", away)], ""));
    town.upstream.answer("/form", form_to("/pays"));
    let options = json!({ "action": "/pays", "landsOn": away });
    let Some(browser) = Chromium::play("resend", &town.gateway, options) else { return };
    browser.ends().await;
    assert_eq!(forms(&town.upstream, "/pays"), 4);
}

#[tokio::test]
async fn a_form_is_sent_again_after_a_sign_in_at_a_certified_server() {
    let sites = SITES.replacen("body_limit: 1MiB", "resend_forms: 64KiB", 1);
    let ring = Ring::start_with_sites("a form that is sent again", &json!({}), "audiences: [usher]", &sites).await;
    let Some(ring) = ring else { return };
    ring.upstream.answer("/form", form_to("/save"));
    let options = json!({ "action": "/save", "certified": true });
    let Some(browser) = Chromium::play("resend", &ring.gateway, options) else { return };
    browser.ends().await;
    assert_eq!(forms(&ring.upstream, "/save"), 4);
}

#[tokio::test]
async fn a_page_that_wants_another_sign_in_says_when_there_was_none_and_opens_after_one() {
    let what = "step-up in a browser";
    let ring = Ring::start_with_sites(what, &json!({}), "audiences: [usher]", step_up::SITES).await;
    let Some(ring) = ring else { return };
    ring.server.next("sub=alice&acr=ignored").await;
    let Some(mut browser) = Chromium::play("step-up", &ring.gateway, json!({})) else { return };
    browser.reaches("gold").await;
    ring.server.next("sub=alice").await;
    browser.go_on().await;
    browser.ends().await;
}

#[tokio::test]
async fn a_page_that_polls_every_second_never_notices_that_its_token_expires() {
    let town = Town::start().await;
    // The first and three more: as many expiries.
    let Some(browser) = Chromium::play("poll", &town.gateway, json!({ "tokens": 4 })) else { return };
    browser.ends().await;
    let documents = town.upstream.seen().iter().filter(|seen| seen.target == "/polls").count();
    assert_eq!(documents, 1);
}

#[tokio::test]
async fn eight_tabs_that_open_when_the_token_has_expired_are_all_answered() {
    let town = Town::start().await;
    let options = json!({ "signIn": true, "rounds": 3 });
    let Some(mut browser) = Chromium::play("tabs", &town.gateway, options) else { return };
    for _ in 0..3 {
        browser.reaches("expire").await;
        town.clock.advance(LIFETIME + Duration::from_secs(1));
        browser.go_on().await;
    }
    browser.ends().await;
}

#[tokio::test]
async fn eight_tabs_sign_in_at_once_at_a_certified_server() {
    let Some(ring) = Ring::start("eight tabs that sign in at once in a browser").await else { return };
    let options = json!({ "signIn": false, "rounds": 1 });
    let Some(mut browser) = Chromium::play("tabs", &ring.gateway, options) else { return };
    browser.reaches("expire").await;
    browser.go_on().await;
    browser.ends().await;
}

#[tokio::test]
async fn after_the_sign_out_back_shows_nothing_of_the_application() {
    let town = Town::start().await;
    let Some(browser) = Chromium::play("sign-out", &town.gateway, json!({})) else { return };
    browser.ends().await;
}

#[tokio::test]
async fn an_application_that_asks_again_and_again_ends_on_a_page_that_says_so() {
    let Some(ring) = Ring::start("an application that asks for a sign-in again and again").await else { return };
    ring.upstream.answer("/", UpstreamAnswer::fixed(302, &[("location", "/.usher/sign-in?rd=/")], ""));
    let says = "likely cause: the application asks for it";
    let options = json!({ "url": "https://app.test/", "cookies": true, "status": 508, "says": says });
    let Some(browser) = Chromium::play("loop", &ring.gateway, options) else { return };
    browser.ends().await;
}

#[tokio::test]
async fn a_browser_that_keeps_no_cookies_is_told_so_and_not_sent_in_circles() {
    let Some(ring) = Ring::start("a browser that keeps no cookies").await else { return };
    let says = "the browser does not keep cookies of this site";
    let options = json!({ "url": "https://app.test/", "cookies": false, "status": 400, "says": says });
    let Some(browser) = Chromium::play("loop", &ring.gateway, options) else { return };
    browser.ends().await;
}

#[tokio::test]
async fn every_page_is_good_to_look_at_in_dark_and_light_on_a_desk_and_on_a_phone() {
    let town = Town::start().await;
    let pictures = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser");
    std::fs::create_dir_all(&pictures).unwrap();
    let Some(browser) = Chromium::play("pages", &town.gateway, json!({ "pictures": pictures })) else { return };
    let taken = browser.ends().await;
    println!("{taken} pictures in {}", pictures.display());
}
