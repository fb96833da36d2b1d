//! `usher user`: keeps a users file that is also kept by hand.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::harness::gateway::complete;

const CONFIGURATION: &str = "
issuers:
  staff: { local: { users_file: users.yaml } }
sites:
  - { host: app.test, issuer: staff, upstream: 'http://127.0.0.1:9', routes: [{ path: / }] }
";

fn directory() -> TempDir {
    directory_with(CONFIGURATION)
}

fn directory_with(yaml: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("usher.yaml"), complete(yaml, &directory)).unwrap();
    directory
}

/// Runs `usher user` with this on standard input: the exit code, what it printed, and what it complained of.
async fn user(arguments: &[&str], input: &str, directory: &Path) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_usher"))
        .arg("user")
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who reads no input may be gone before it is written.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

async fn done(arguments: &[&str], input: &str, directory: &TempDir) -> String {
    let (code, said, complained) = user(arguments, input, directory.path()).await;
    assert_eq!(code, Some(0), "{arguments:?}: {complained}");
    said
}

async fn refused(arguments: &[&str], input: &str, directory: &TempDir, words: &str) {
    let before = fs::read_to_string(directory.path().join("users.yaml")).ok();
    let (code, _, complained) = user(arguments, input, directory.path()).await;
    assert!(code != Some(0) && complained.contains(words), "{arguments:?}: {code:?} {complained}");
    assert_eq!(fs::read_to_string(directory.path().join("users.yaml")).ok(), before);
}

#[tokio::test]
async fn users_are_added_changed_and_listed_and_the_file_stays_a_persons() {
    let directory = directory();
    let path = directory.path().join("users.yaml");
    let said = done(&["add", "alice"], "wonderland\n", &directory).await;
    assert!(said.starts_with("alice: added, in ") && !said.contains("wonderland"), "{said}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("users:\n  alice:\n    password: '$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");

    fs::write(&path, format!("# Ours.\n{text}    name: Alice # the real one\n")).unwrap();
    done(&["add", "bob"], "builder of things", &directory).await;
    done(&["disable", "alice"], "", &directory).await;
    done(&["password", "alice"], "looking-glass\n", &directory).await;
    let edited = fs::read_to_string(&path).unwrap();
    assert!(edited.starts_with("# Ours.\nusers:\n  alice:\n    disabled: true\n    password: '$argon2id$"), "{edited}");
    assert!(edited.contains("    name: Alice # the real one\n  bob:\n") && edited != text, "{edited}");

    let list: Value = serde_json::from_str(&done(&["list", "--output", "json"], "", &directory).await).unwrap();
    let alice = json!({
        "name": "alice", "subject": "alice", "disabled": true, "totp": false, "hash": "argon2id",
        "claims": { "name": "Alice" },
    });
    assert_eq!((list.as_array().unwrap().len(), &list[0]), (2, &alice));
    done(&["enable", "alice"], "", &directory).await;
    assert!(!done(&["list"], "", &directory).await.contains("disabled"));

    let before = fs::read_to_string(&path).unwrap();
    assert!(done(&["remove", "bob"], "", &directory).await.starts_with("bob: removed, in "));
    let (left, _) = before.split_once("  bob:\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), left);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_new_user_may_have_claims_and_the_list_shows_what_counts() {
    let directory = directory();
    let arguments = ["add", "alice", "--name", "Alice Liddell", "--email", "alice@example.com", "--role", "admin"];
    let more = ["--role", "user", "--claim", "level=3", "--claim", "team=red", "--claim", r#"deep={"a":[true]}"#];
    done(&[&arguments[..], &more].concat(), "wonderland\n", &directory).await;
    let text = fs::read_to_string(directory.path().join("users.yaml")).unwrap();
    let expected = "
    name: Alice Liddell
    email: alice@example.com
    claims: { deep: { a: [true] }, level: 3, roles: [admin, user], team: red }
";
    assert!(text.ends_with(expected), "{text}");
    done(&["add", "bob", "--subject", "7f3"], "builder of things", &directory).await;
    done(&["totp", "bob"], "", &directory).await;
    done(&["disable", "bob"], "", &directory).await;
    let expected = "\
user   subject  roles        state     second factor  hash
alice  alice    admin, user  active    -              argon2id
bob    7f3      -            disabled  totp           argon2id
";
    assert_eq!(done(&["list"], "", &directory).await, expected);
    let list: Value = serde_json::from_str(&done(&["list", "--output", "json"], "", &directory).await).unwrap();
    assert_eq!((&list[0]["claims"]["level"], &list[1]["totp"]), (&json!(3), &json!(true)));

    let changed = ["set", "alice", "--role", "auditor", "--claim", "level=null", "--email", "a@example.org"];
    assert!(done(&changed, "", &directory).await.starts_with("alice: changed, in "));
    let now = fs::read_to_string(directory.path().join("users.yaml")).unwrap();
    let expected = "
    name: Alice Liddell
    email: a@example.org
    claims: { deep: { a: [true] }, roles: [auditor], team: red }
  bob:";
    assert!(now.contains(expected), "{now}");
    refused(&["set", "alice"], "", &directory, "say what is to change").await;
    refused(&["set", "eve", "--role", "x"], "", &directory, "no user of this name").await;
    refused(&["set", "bob", "--subject", "alice"], "", &directory, "also that of").await;
    refused(&["set", "alice", "--claim", "sub=x"], "", &directory, "itself writes").await;
    refused(&["add", "eve", "--claim", "sub=x"], "wonderland\n", &directory, "itself writes").await;
    refused(&["add", "eve", "--claim", "a=1", "--claim", "a=2"], "wonderland\n", &directory, "given twice").await;
    refused(&["add", "eve", "--claim", "a"], "wonderland\n", &directory, "CLAIM=VALUE").await;
}

/// The secret of an address that an authenticator app takes.
fn secret_of(said: &str) -> &str {
    let rest = said.split_once("\notpauth://totp/app.test:alice?secret=").unwrap().1;
    let (secret, rest) = rest.split_once('&').unwrap();
    assert!(rest.starts_with("issuer=app.test&algorithm=SHA1&digits=6&period=30\n"), "{said}");
    secret
}

#[tokio::test]
async fn a_second_factor_is_shown_once_and_replaced_when_that_is_meant() {
    let directory = directory();
    refused(&["totp", "alice"], "", &directory, "users.yaml").await;
    done(&["add", "alice"], "wonderland\n", &directory).await;
    let path = directory.path().join("users.yaml");
    let before = fs::read_to_string(&path).unwrap();

    let said = done(&["totp", "alice"], "", &directory).await;
    assert!(said.starts_with("alice: has a second factor, in ") && said.contains("calls it app.test"), "{said}");
    let secret = secret_of(&said);
    assert!(fs::read_to_string(&path).unwrap().contains(&format!("    totp: '{secret}'\n    password: '$argon2id")));
    assert_eq!(secret.len(), 32);

    refused(&["totp", "alice"], "y\n", &directory, "replace it with --yes").await;
    let other = done(&["totp", "alice", "--yes"], "", &directory).await;
    assert_ne!(secret_of(&other), secret);
    refused(&["totp", "ALICE"], "", &directory, "the file spells it alice").await;
    refused(&["totp", "nobody"], "", &directory, "no user of this name").await;
    done(&["totp", "alice", "--remove"], "", &directory).await;
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    refused(&["totp", "alice", "--remove"], "", &directory, "no second factor").await;
}

#[tokio::test]
async fn of_two_who_give_somebody_a_second_factor_at_once_one_is_told_of_the_other() {
    let directory = directory();
    done(&["add", "alice"], "wonderland\n", &directory).await;
    // Both come to the point at which they change the file, and wait there.
    let held = fs::File::open(directory.path()).unwrap();
    held.lock().unwrap();
    let both = async {
        tokio::join!(user(&["totp", "alice"], "", directory.path()), user(&["totp", "alice"], "", directory.path()))
    };
    let release = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        drop(held);
    };
    let ((one, other), ()) = tokio::join!(both, release);
    let (given, refused) = if one.0 == Some(0) { (one, other) } else { (other, one) };
    assert_eq!((given.0, refused.0), (Some(0), Some(1)), "{given:?} {refused:?}");
    assert!(refused.2.contains("replace it with --yes") && refused.1.is_empty(), "{refused:?}");
    let users = fs::read_to_string(directory.path().join("users.yaml")).unwrap();
    assert!(users.contains(secret_of(&given.1)), "what was shown counts");
}

#[tokio::test]
async fn what_cannot_be_done_leaves_the_file_alone_and_says_why() {
    let directory = directory();
    refused(&["list"], "", &directory, "users.yaml").await;
    refused(&["add", "alice"], "short\n", &directory, "at least 8 characters").await;
    refused(&["add", "alice"], "", &directory, "at least 8 characters").await;
    done(&["add", "alice"], "wonderland\n", &directory).await;
    refused(&["add", "alice"], "wonderland\n", &directory, "already").await;
    refused(&["add", "ALICE"], "", &directory, "there is alice already, and case").await;
    refused(&["add", " bob"], "wonderland\n", &directory, "typed").await;
    refused(&["disable", "bob"], "", &directory, "no user of this name").await;
    refused(&["remove", "bob"], "", &directory, "no user of this name").await;
    refused(&["remove", "alice"], "", &directory, "the only user").await;
    refused(&["list", "--issuer", "other"], "", &directory, "staff").await;
    fs::write(directory.path().join("users.yaml"), "{ users: { a: { password: x } } }\n").unwrap();
    refused(&["disable", "a"], "", &directory, "disabled: true").await;

    fs::write(directory.path().join("users.yaml"), "alice:\n  password: x\n").unwrap();
    for arguments in [&["list"][..], &["add", "bob"]] {
        refused(arguments, "", &directory, "begin with a line that says users: and indent everybody").await;
    }
    fs::write(directory.path().join("users.yaml"), "users:\n  alice:\n\tpassword: x\n").unwrap();
    refused(&["list"], "", &directory, "users.yaml:3:1: a tab stands in the indentation").await;

    let elsewhere = "
issuers: { main: { issuer: 'https://id.test', audiences: [usher] } }
sites:
  - { host: app.test, issuer: main, upstream: 'http://127.0.0.1:9', routes: [{ path: / }] }
";
    refused(&["list"], "", &directory_with(elsewhere), "no local issuer").await;
}
