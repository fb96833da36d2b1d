//! `usher import`: configurations of others become ones of ours, which are checked, served, and no wider than they were.

use std::path::{Path, PathBuf};

use usher::clock::Clock;

use crate::documents::{block, loads};
use crate::harness::certificates::authority;
use crate::harness::child::Usher;
use crate::harness::client::{Client, Protocol};
use crate::harness::{Issuer, Upstream, get};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/import")
}

/// The configuration, and what was told of it.
async fn imported(file: &str, directory: &Path) -> (String, String) {
    let (code, yaml, told) = Usher::finish(&["import", "oauth2-proxy", file], directory, "").await;
    assert_eq!(code, Some(0), "{file}: {told}");
    (yaml, told)
}

#[tokio::test]
async fn every_imported_configuration_passes_the_check_and_no_secret_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::copy(folder().join("emails.txt"), directory.path().join("emails.txt")).unwrap();
    let files: Vec<PathBuf> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files = files.iter().filter(|file| file.extension().is_some_and(|ending| ending != "txt"));
    let mut number = 0;
    for file in files {
        number += 1;
        let (yaml, told) = imported(file.to_str().unwrap(), directory.path()).await;
        assert!(!yaml.contains("canary") && !told.contains("canary"), "{}: {yaml}\n{told}", file.display());
        loads(&yaml, &file.display().to_string());
    }
    assert!(number >= 12, "{number}");
}

/// `options.txt` has what `oauth2-proxy` 7.15.6 knows: each flag, and how its file spells that.
#[tokio::test]
async fn every_option_that_there_is_is_known_as_a_flag_and_in_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let options = std::fs::read_to_string(folder().join("options.txt")).unwrap();
    let options: Vec<_> = options.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert!(options.len() > 160, "{options:?}");
    let flags: Vec<_> = options.iter().map(|(flag, _)| format!("--{flag}=zz")).collect();
    let file: Vec<_> = options.iter().map(|(_, name)| format!("{name} = \"zz\"")).collect();
    for (name, lines) in [("flags", flags), ("file.cfg", file)] {
        let text = lines.join("\n");
        let text = text.replace("provider = \"zz\"", "provider = \"oidc\"").replace("--provider=zz", "--provider=oidc");
        std::fs::write(directory.path().join(name), text).unwrap();
        let (_, told) = imported(name, directory.path()).await;
        assert!(
            told.contains("cookie_domains: ") && !told.contains("is no option that is known here"),
            "{name}: {told}"
        );
    }
}

#[tokio::test]
async fn what_is_not_carried_over_is_told_with_line_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let file = folder().join("misspelt.cfg");
    let (yaml, told) = imported(file.to_str().unwrap(), directory.path()).await;
    for note in [
        "line 5, cookie_secrt: is no option that is known here; did you mean cookie_secret?",
        "line 6, trusted_ips: nobody is let in for an address",
        "line 7, upstreams: file: files are not served",
        "line 8, htpasswd_file: ",
        "line 9, ssl_insecure_skip_verify: certificates are always verified",
    ] {
        assert!(told.contains(note), "{note} in {told}");
        assert!(yaml.contains(&format!("# - {note}")), "{note} at the end of {yaml}");
    }
}

#[tokio::test]
async fn what_cannot_be_imported_ends_with_78_and_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    for (text, remedy) in [
        ("provider = \"github\"\nclient_id = \"a\"\n", "Keycloak or Dex"),
        ("upstreamConfig:\n  upstreams: []\n", "alphaConfig"),
        ("client_secret = \"canary\n", "line 1"),
        ("", "no options"),
    ] {
        std::fs::write(directory.path().join("file.cfg"), text).unwrap();
        let (code, out, told) = Usher::finish(&["import", "oauth2-proxy", "file.cfg"], directory.path(), "").await;
        assert!(code == Some(78) && out.is_empty() && told.contains(remedy), "{code:?}: {out}{told}");
        assert!(!told.contains("canary"), "{told}");
    }
    let missing = ["import", "oauth2-proxy", "none.cfg"];
    assert_eq!(Usher::finish(&missing, directory.path(), "").await.0, Some(78));
}

#[tokio::test]
async fn the_guide_shows_what_is_made_of_its_example() {
    let directory = tempfile::tempdir().unwrap();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/migration/oauth2-proxy.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("before.cfg"), block(&guide, "```toml\n")).unwrap();
    let (made, _) = imported("before.cfg", directory.path()).await;
    for secret in ["usher_client", "usher_session"] {
        std::fs::write(at(secret), "a secret of the tests, 0123456789").unwrap();
    }
    for (name, yaml) in [("after.yaml", &block(&guide, "```yaml\n")), ("made.yaml", &made)] {
        std::fs::write(at(name), yaml.replace("/run/secrets", directory.path().to_str().unwrap())).unwrap();
    }
    let (code, said, why) = Usher::finish(&["diff", "after.yaml", "made.yaml"], directory.path(), "").await;
    assert_eq!((code, &*said), (Some(0), "No request is treated otherwise.\n"), "{why}\n{made}");
}

#[tokio::test]
async fn a_file_that_is_there_is_not_written_over() {
    let directory = tempfile::tempdir().unwrap();
    let file = folder().join("keycloak.cfg");
    let arguments = ["import", "oauth2-proxy", file.to_str().unwrap(), "--output", "usher.yaml"];
    let (code, out, told) = Usher::finish(&arguments, directory.path(), "").await;
    assert!(code == Some(0) && out.is_empty() && told.contains("To do"), "{code:?}: {out}{told}");
    let made = std::fs::read_to_string(directory.path().join("usher.yaml")).unwrap();
    assert!(made.contains("realm_access.roles"), "{made}");
    let (code, _, told) = Usher::finish(&arguments, directory.path(), "").await;
    assert!(code == Some(1) && told.contains("must not be there yet"), "{code:?}: {told}");
}

#[tokio::test]
async fn an_imported_configuration_lets_in_and_keeps_out_whom_the_original_did() {
    let directory = tempfile::tempdir().unwrap();
    let (upstream, issuer) = (Upstream::start().await, Issuer::start(&Clock::system()).await);
    authority().write(&["app.test"], directory.path(), "site");
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("client"), "a secret of the client").unwrap();
    let options = format!(
        "provider = \"oidc\"\noidc_issuer_url = \"{}\"\nclient_id = \"usher\"\nclient_secret_file = \"{}\"\n\
         redirect_url = \"https://app.test/oauth2/callback\"\nemail_domains = [\"app.test\", \".corp.test\"]\nallowed_groups = [\"staff\"]\n\
         tls_cert_file = \"{}\"\ntls_key_file = \"{}\"\nupstreams = [\"{}/\"]\nskip_auth_routes = [\"GET=^/open/\"]\n\
         skip_jwt_bearer_tokens = true\n",
        issuer.url(),
        at("client"),
        at("site.pem"),
        at("site.key"),
        upstream.url(),
    );
    std::fs::write(at("oauth2-proxy.cfg"), options).unwrap();
    let (yaml, told) = imported("oauth2-proxy.cfg", directory.path()).await;
    std::fs::write(at("usher_session"), "a session secret of the tests, 0123456789").unwrap();
    let yaml = yaml.replace("/run/secrets", directory.path().to_str().unwrap());
    std::fs::write(at("usher.yaml"), &yaml).unwrap();
    let (code, said, why) = Usher::finish(&["check"], directory.path(), "").await;
    assert_eq!(code, Some(0), "{said}{why}{told}{yaml}");

    let ports = ["--set", "listen.https=127.0.0.1:0", "--set", "listen.admin=127.0.0.1:0"];
    let usher = Usher::run(&[&["serve"], &ports[..]].concat(), directory.path());
    let client = Client { address: usher.address("https").await, protocol: Protocol::Http1 };
    let with = |groups: &[&str], email: &str| {
        let claims = issuer.token("alice").head("typ", "JWT").claim("email", email);
        issuer.sign(&claims.claim("groups", groups).without("email_verified"))
    };
    let token = |groups: &[&str]| with(groups, "alice@app.test");
    client.send(get("https://app.test/x").bearer(&token(&["staff", "x"]))).await.assert_status(200);
    let seen = upstream.last();
    assert_eq!(seen.all("x-forwarded-user"), ["alice"]);
    assert_eq!(seen.all("x-forwarded-email"), ["alice@app.test"]);
    assert_eq!(seen.all("x-forwarded-groups"), ["staff,x"]);
    client.send(get("https://app.test/x").bearer(&token(&["guests"]))).await.assert_status(403);
    client.send(get("https://app.test/x")).await.assert_status(401);
    for (email, status) in [("a@x.corp.test", 200), ("a@corp.test", 403), ("a@evilapp.test", 403)] {
        client.send(get("https://app.test/x").bearer(&with(&["staff"], email))).await.assert_status(status);
    }

    client.send(get("https://app.test/open/x").header("x-forwarded-user", "root")).await.assert_status(200);
    assert_eq!(upstream.last().all("x-forwarded-user"), Vec::<&str>::new());
    client.send(get("https://app.test/open")).await.assert_status(401);
    client.send(get("https://app.test/openly")).await.assert_status(401);
    // Open there until 7.15.5, and below the same path however it is read. Where it might not be, it is refused.
    for path in ["open/a;b", "open/a%3Fb", "open/a%23b"] {
        client.send(get(&format!("https://app.test/{path}"))).await.assert_status(200);
    }
    for path in ["open;a/b", "open%3Fa", "open%23/b", "open/..;/x", "open/..%3Fx"] {
        client.send(get(&format!("https://app.test/{path}"))).await.assert_status(400);
    }
}
