//! Sign-outs that outlive the process, without a Redis.

use serde_json::json;
use usher::clock::Clock;

use crate::harness::child::Usher;
use crate::harness::gateway::complete;
use crate::harness::issuer::CLIENT_SECRET;
use crate::harness::place::Place;
use crate::harness::scene::{ISSUERS, SITES};
use crate::harness::{Jar, get, post};

const SESSION: &str = "session: { secret: '$SECRET' }\n";
const KEPT: &str = "session: { secret: '$SECRET' }\nstate_directory: state\n";

async fn restart(place: &mut Place, keys: &str) {
    place.restart(keys).await;
    place.usher.address("https").await;
}

async fn visit(place: &Place, jar: &Jar) -> u16 {
    let ask = get("https://app.test/x").header("accept", "application/json").cookies(jar);
    place.client().send(ask).await.status.as_u16()
}

async fn sign_out(place: &Place, jar: &Jar) {
    let ask = post("https://app.test/.usher/sign-out").header("origin", "https://app.test").cookies(jar);
    place.client().send(ask).await.assert_status(204);
}

#[tokio::test]
async fn a_sign_out_holds_in_a_process_after_one_that_was_killed_right_behind_its_answer() {
    let mut place = Place::start("", KEPT).await;
    let bob = place.sign_in("bob").await;
    let mut signed_out = Vec::new();
    for round in 0..3 {
        let alice = place.sign_in("alice").await;
        assert_eq!(visit(&place, &alice).await, 200);
        sign_out(&place, &alice).await;
        signed_out.push(alice);
        restart(&mut place, KEPT).await;
        for alice in &signed_out {
            assert_eq!(visit(&place, alice).await, 401, "round {round}");
        }
        assert_eq!(visit(&place, &bob).await, 200);
    }
}

#[tokio::test]
async fn a_logout_by_the_issuer_holds_over_a_restart_and_who_signs_in_again_stays() {
    let mut place = Place::start("", KEPT).await;
    let token = place.issuer.sign(&place.issuer.token("alice").claim("sid", "s-1"));
    let bearer = || get("https://app.test/x").bearer(&token);
    let alice = place.sign_in("alice").await;
    place.client().send(bearer()).await.assert_status(200);
    let now = Clock::system().now().0;
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    let logout = place.issuer.token("alice").claim("iat", now).claim("events", event).head("typ", "logout+jwt");
    let logout = place.issuer.sign(&logout);
    let deliver = post("https://app.test/.usher/backchannel-logout")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={logout}"));
    place.client().send(deliver).await.assert_status(200);
    let again = place.sign_in("alice").await;
    // Behind this answer, what was told before it is on disk too.
    sign_out(&place, &place.sign_in("bob").await).await;
    restart(&mut place, KEPT).await;
    place.client().send(bearer()).await.assert_status(401);
    assert_eq!((visit(&place, &alice).await, visit(&place, &again).await), (401, 200));
}

#[tokio::test]
async fn without_a_state_directory_a_start_says_that_sign_outs_are_forgotten() {
    let mut place = Place::start("", SESSION).await;
    let told = "state_directory: is not set: a restart forgets who has signed out";
    place.usher.says(told).await;
    let alice = place.sign_in("alice").await;
    sign_out(&place, &alice).await;
    restart(&mut place, SESSION).await;
    assert_eq!(visit(&place, &alice).await, 200, "what the note says");
    restart(&mut place, KEPT).await;
    assert!(!place.usher.output().contains("a restart forgets"));
}

#[tokio::test]
async fn a_record_of_sign_outs_that_cannot_be_read_is_told_at_the_start_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let yaml = format!("{KEPT}{ISSUERS}{SITES}")
        .replace("$ISSUER", "http://127.0.0.1:9")
        .replace("$CLIENT_SECRET", CLIENT_SECRET);
    let yaml = complete(&yaml.replace("$UPSTREAM", "http://127.0.0.1:9"), &directory);
    let file = directory.path().join("state/denials/state.redb");
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "not a database").unwrap();
    let mut usher = Usher::serve(&yaml, directory.path());
    assert_eq!(usher.exit().await.code(), Some(1));
    usher.says("state.redb is damaged; put back a copy, or move it away to begin anew").await;
    assert_eq!(std::fs::read(&file).unwrap(), b"not a database");

    std::fs::remove_file(&file).unwrap();
    std::fs::remove_dir(file.parent().unwrap()).unwrap();
    std::fs::write(file.parent().unwrap(), "a file where a directory is wanted").unwrap();
    let mut usher = Usher::serve(&yaml, directory.path());
    assert_eq!(usher.exit().await.code(), Some(78));
    usher.says("state_directory must be writable").await;

    std::fs::remove_file(file.parent().unwrap()).unwrap();
    let first = Usher::serve(&yaml, directory.path());
    first.address("https").await;
    let mut second = Usher::serve(&yaml, directory.path());
    assert_eq!(second.exit().await.code(), Some(1));
    second.says("is in use by another process").await;
}
