use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::ALICE;
use crate::config::error::{Origin, Position};
use crate::config::{Config, FoldedName, Format, Loaded, Problem, Sources, load};
use crate::oauth::Algorithm;

const LOCAL: &str = "
listen: { https: 127.0.0.1:0 }
tls: { self_signed: true }
issuers:
  staff:
    local: { users_file: users.yaml }
sites:
  - { host: '*.example.com', issuer: staff, upstream: http://app:8080, routes: [{ path: / }] }
  - { host: app.example.com, upstream: http://app:8080, routes: [{ path: /, issuer: staff }] }
";

fn with_users(users: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("users.yaml"), users.replace("$HASH", ALICE)).unwrap();
    directory
}

fn loaded(text: &str, directory: &Path) -> Result<Loaded, Vec<Problem>> {
    load(&Sources::text("usher.yaml", Format::Yaml, text, directory)).map_err(|error| error.problems)
}

fn config(text: &str, users: &str) -> Config {
    let directory = with_users(users);
    loaded(text, directory.path()).unwrap_or_else(|problems| panic!("{problems:#?}")).config
}

/// The only problem, and that it comes with a remedy.
fn refused(text: &str, users: &str) -> Problem {
    let directory = with_users(users);
    let problems = loaded(text, directory.path()).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    let advised = problems[0].remedy.is_some() || problems[0].suggestion.is_some();
    assert!(advised || problems[0].message.contains("must be"), "{problems:#?}");
    problems[0].clone()
}

const ONE_USER: &str = "users:\n  alice:\n    password: $HASH\n";

fn notes(users: &str, mode: u32) -> Result<Vec<String>, Vec<Problem>> {
    let directory = with_users(users);
    let path = directory.path().join("users.yaml");
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    let notes = loaded(LOCAL, directory.path())?.notes;
    let of_users = notes.into_iter().filter(|note| note.path == "issuers.staff.local.users_file");
    Ok(of_users.map(|note| note.message).collect())
}

#[test]
fn a_users_file_that_others_can_read_is_told_of_and_one_that_everybody_can_write_is_refused() {
    for (mode, told) in [(0o600, false), (0o640, false), (0o400, false), (0o644, true), (0o620, true)] {
        let notes = notes(ONE_USER, mode).unwrap();
        assert_eq!(notes.iter().any(|note| note.contains("chmod")), told, "{mode:o} {notes:?}");
    }
    for mode in [0o602, 0o666] {
        let problems = notes(ONE_USER, mode).unwrap_err();
        assert!(problems.len() == 1 && problems[0].message.contains("everybody can write"), "{problems:?}");
    }
}

#[test]
fn users_whose_hashes_differ_in_cost_are_told_of() {
    let other = bcrypt::hash("wonderland", 8).unwrap();
    let of_kinds = |users: &str| notes(users, 0o600).unwrap().iter().any(|note| note.contains("several kinds"));
    assert!(!of_kinds(&format!("{ONE_USER}  bob:\n    password: $HASH\n")));
    assert!(of_kinds(&format!("{ONE_USER}  bob:\n    password: {other}\n")));
}

#[test]
fn a_local_issuer_needs_a_users_file_and_nothing_else() {
    let config = config(LOCAL, ONE_USER);
    let issuer = &config.issuers[0];
    assert_eq!(issuer.issuer, "https://app.example.com/.usher/issuer", "the first site with one host");
    assert_eq!(
        (&issuer.audiences[..], &issuer.algorithms[..]),
        (&[issuer.issuer.clone()][..], &[Algorithm::ES256][..])
    );
    let local = issuer.local().unwrap();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    assert_eq!(
        (local.access_token_lifetime, local.refresh_token_lifetime, local.signing_key_lifetime),
        (Duration::from_secs(300), days(30), days(30))
    );
    assert_eq!((local.refresh_grace, &local.state), (config.session.refresh_grace, &None));
    let alice = local.users.find(&FoldedName::of("ALICE ")).unwrap();
    assert_eq!((alice.name.as_str(), alice.subject.as_str(), alice.disabled), ("alice", "alice", false));
}

#[test]
fn other_parts_of_the_file_bound_what_is_kept_and_for_how_long() {
    let text = format!("{LOCAL}session: {{ absolute_timeout: 1d, refresh_grace: 7s }}\nstate_directory: state\n");
    let config = config(&text, ONE_USER);
    let local = config.issuers[0].local().unwrap();
    assert_eq!((local.refresh_token_lifetime, local.refresh_grace.as_secs()), (Duration::from_secs(86_400), 7));
    assert!(local.state.as_ref().unwrap().ends_with("state/issuer-staff"));
}

#[test]
fn what_each_instance_has_for_itself_is_told_of_where_a_store_is_shared() {
    let directory = with_users(ONE_USER);
    let notes = |more: &str| -> Vec<String> {
        let text = LOCAL.replace("routes: [{ path: / }]", "routes: [{ path: /, assertion: true }]");
        let notes = loaded(&format!("{text}{more}"), directory.path()).unwrap().notes.into_iter();
        let of_instances = notes.filter(|note| note.message.contains("each instance"));
        of_instances.map(|note| note.path).collect()
    };
    let shared = "session: { secret: 0123456789abcdef, store: { redis: { url: redis://redis } } }";
    assert_eq!(notes(shared), ["issuers.staff.local", "state_directory"]);
    assert_eq!(notes("session: { secret: 0123456789abcdef }"), [""; 0]);
}

#[test]
fn a_user_may_have_claims_of_their_own() {
    let users = "users:\n  alice:\n    password: $HASH\n    name: Alice Liddell\n    email: alice@example.com\n    disabled: true\n    subject: 7f3\n    claims: { roles: [user, admin], nested: { deep: 1 } }\n";
    let config = config(LOCAL, users);
    let alice = config.issuers[0].local().unwrap().users.find(&FoldedName::of("alice")).unwrap().clone();
    assert_eq!((alice.subject.as_str(), alice.disabled), ("7f3", true));
    let claims = serde_json::json!({
        "name": "Alice Liddell", "email": "alice@example.com", "roles": ["user", "admin"], "nested": { "deep": 1 },
    });
    assert_eq!(serde_json::Value::Object(alice.claims), claims);
}

#[test]
fn what_is_wrong_with_a_users_file_is_told_with_its_place_in_it() {
    for (users, line, path, words) in [
        ("users:\n  alice:\n    pasword: $HASH\n", 3, "users.alice.pasword", "is not a key"),
        ("users:\n  alice:\n    password: wonderland\n", 3, "users.alice.password", "not an argon2id or bcrypt hash"),
        ("users:\n  alice:\n    password: $6$a$b\n", 3, "users.alice.password", "another kind"),
        ("users:\n  alice:\n    name: Alice\n", 2, "users.alice.password", "missing"),
        ("users:\n  alice: { password: '$HASH' }\n  alice: { password: '$HASH' }\n", 3, "users.alice", "twice"),
        (
            "users:\n  Alice: { password: '$HASH' }\n  alice: { password: '$HASH', subject: x }\n",
            3,
            "users.alice",
            "too",
        ),
        ("users:\n  a: { password: '$HASH' }\n  b: { password: '$HASH', subject: a }\n", 3, "users.b.subject", "also"),
        ("users:\n  a:\n    password: $HASH\n    claims: { sub: b }\n", 4, "users.a.claims.sub", "itself writes"),
        ("users:\n  ' a': { password: '$HASH' }\n", 2, "users[\" a\"]", "typed"),
        ("users:\n  a:\n    password: $HASH\n    totp: gezd\n", 4, "users.a.totp", "not base32"),
        ("users:\n  a:\n    password: $HASH\n    totp: GEZDGNBV\n", 4, "users.a.totp", "16 to 64 bytes"),
        ("users:\n  a:\n    password: $HASH\n    totp: 234567\n", 4, "users.a.totp", "text"),
        ("users:\n  a:\n    password: $HASH\n    totp:\n", 4, "users.a.totp", "no value"),
        ("# Ours.\nalice:\n  password: $HASH\n", 2, "", "no users: above its users"),
        ("- alice\n", 1, "", "no users: above its users"),
        ("users:\n  a:\n\tpassword: $HASH\n", 3, "", "a tab stands in the indentation"),
        ("users: {}\n", 1, "users", "nobody"),
        ("", 1, "users", "nobody"),
        ("users:\n  alice: { password: '$HASH', disabled: maybe }\n", 2, "users.alice.disabled", "true or false"),
    ] {
        let problem = refused(LOCAL, users);
        assert!(problem.message.contains(words), "{users}: {problem:?}");
        assert_eq!(problem.path, path, "{users}");
        let Origin::File { file, position: Position { line: found, .. } } = &problem.origin else { panic!() };
        assert!(file.ends_with("users.yaml") && *found == line, "{users}: {problem:?}");
        assert!(!format!("{problem:?}").contains("wonderland"), "it may be a password");
    }
    let directory = with_users("users: [\n");
    assert_eq!(loaded(LOCAL, directory.path()).unwrap_err().len(), 1);
    let missing = refused(&LOCAL.replace("users.yaml", "nobody.yaml"), ONE_USER);
    assert_eq!(missing.path, "issuers.staff.local.users_file");
}

#[test]
fn the_users_file_is_one_of_those_that_the_configuration_depends_on() {
    let directory = with_users(ONE_USER);
    let users = directory.path().join("users.yaml");
    assert!(loaded(LOCAL, directory.path()).unwrap().files.contains(&users));
    fs::write(&users, "users: {}").unwrap();
    let error = load(&Sources::text("usher.yaml", Format::Yaml, LOCAL, directory.path())).unwrap_err();
    assert!(error.files.contains(&users));
}

#[test]
fn what_is_about_an_issuer_elsewhere_is_refused_beside_local() {
    for key in [
        "client_id: usher",
        "client_secret: kBq0vTz5uHjR",
        "jwks_url: https://id.example.com/keys",
        "hmac_secret: 0b5f7a1c9d3e2468ace13579bdf02468",
        "backchannel_url: https://id.example.com",
        "algorithms: [RS256]",
        "refresh: { url: https://id.example.com/refresh }",
        "login: { path: /login }",
        "scopes: [openid]",
        "end_session: true",
        "timeout: 3s",
    ] {
        let problem = refused(&LOCAL.replacen("    local:", &format!("    {key}\n    local:"), 1), ONE_USER);
        let name = key.split(':').next().unwrap();
        assert_eq!(problem.path, format!("issuers.staff.{name}"));
        assert!(problem.message.contains("local makes Usher the issuer"), "{problem:?}");
    }
}

#[test]
fn lifetimes_have_bounds_and_an_address_must_be_known() {
    for (from, to, path) in [
        ("users.yaml }", "users.yaml, access_token_lifetime: 1s }", "issuers.staff.local.access_token_lifetime"),
        ("users.yaml }", "users.yaml, access_token_lifetime: 2d }", "issuers.staff.local.access_token_lifetime"),
        ("users.yaml }", "users.yaml, refresh_token_lifetime: 0s }", "issuers.staff.local.refresh_token_lifetime"),
        ("users.yaml }", "users.yaml, signing_key_lifetime: 1h }", "issuers.staff.local.signing_key_lifetime"),
        ("users_file: users.yaml", "", "issuers.staff.local.users_file"),
        ("host: app.example.com", "host: '*.example.org'", "issuers.staff.issuer"),
        ("    local:", "    issuer: staff\n    local:", "issuers.staff.issuer"),
    ] {
        assert_eq!(refused(&LOCAL.replacen(from, to, 1), ONE_USER).path, path, "{to}");
    }
}

#[test]
fn a_mistake_of_the_site_is_not_told_again_as_an_address_that_is_missing() {
    let two = LOCAL.replacen(
        "  staff:",
        "  other:\n    issuer: https://x/y\n    local: { users_file: users.yaml }\n  staff:",
        1,
    );
    for (from, to, path) in [
        ("host: app.example.com", "host: app.example.com:443", "sites[1].host"),
        ("host: app.example.com,", "", "sites[1].host"),
        ("path: /, issuer: staff", "path: /, issuer: stuff", "sites[1].routes[0].issuer"),
        ("path: /, issuer: staff", "path: /, issuers: staff", "sites[1].routes[0].issuers"),
        ("path: /, issuer: staff", "path: /, issuer: 7", "sites[1].routes[0].issuer"),
        (", routes: [{ path: /, issuer: staff }]", "", "sites[1].routes"),
    ] {
        assert_eq!(refused(&LOCAL.replacen(from, to, 1), ONE_USER).path, path, "{to}");
    }
    let elsewhere = two.replacen("path: /, issuer: staff", "path: /, issuer: other", 1);
    assert_eq!(refused(&elsewhere, ONE_USER).path, "issuers.staff.issuer");
}

#[test]
fn a_site_has_one_local_issuer_at_most() {
    let two = LOCAL.replacen(
        "  staff:",
        "  other:\n    issuer: https://x/y\n    local: { users_file: users.yaml }\n  staff:",
        1,
    );
    let apart = two.replacen("host: '*.example.com', issuer: staff", "host: '*.example.com', issuer: other", 1);
    config(&apart, ONE_USER);
    let together = two.replacen("issuer: staff", "issuer: [staff, other]", 1);
    assert_eq!(refused(&together, ONE_USER).path, "sites[0]");
}
