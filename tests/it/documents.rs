//! Documents run too: every configuration in the README, under `config/` and `examples/` loads, every shell block is
//! shell.

use std::path::{Path, PathBuf};
use std::process::Command;

use argon2::Argon2;
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;

use crate::harness::Gateway;
use crate::harness::certificates::authority;

#[test]
fn every_configuration_file_of_the_repository_loads() {
    let mut files = Vec::new();
    for folder in ["config", "examples"] {
        find(&root().join(folder), &mut files);
    }
    assert!(files.iter().any(|file| file.ends_with("config/usher.yaml")), "{files:?}");
    for file in files {
        loads(&std::fs::read_to_string(&file).unwrap(), &file.display().to_string());
    }
}

#[test]
fn every_configuration_in_the_readme_loads() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for (n, block) in blocks(&readme, "yaml").into_iter().enumerate() {
        loads(&block, &format!("README.md, YAML block {n}"));
    }
}

/// The index leads to every section, in their order, by the name that a forge gives to its anchor.
#[test]
fn the_index_of_the_readme_has_every_section() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut is_code = false;
    let outside = readme.lines().filter(|line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    });
    let headings: Vec<_> =
        outside.filter_map(|line| line.strip_prefix("##")?.trim_start_matches('#').strip_prefix(' ')).collect();
    let (index, _) = readme.split_once("\n## ").unwrap();
    let index = index.replace("\n  ", " ");
    let links = index.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap().to_owned());
    let anchor = |heading: &&str| {
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || "_- ".contains(*letter));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    assert_eq!(links.collect::<Vec<_>>(), headings.iter().map(anchor).collect::<Vec<_>>());
    for heading in headings {
        assert!(index.contains(&format!("[{heading}](#")), "{heading}");
    }
}

/// What of the other gateways is YAML is fenced as `yml`.
#[test]
fn every_configuration_of_ours_in_the_guides_of_migration_loads() {
    for guide in ["authelia", "mod_auth_openidc", "oauth2-proxy"] {
        let text = std::fs::read_to_string(root().join("examples/migration").join(format!("{guide}.md"))).unwrap();
        let blocks = blocks(&text, "yaml");
        assert!(!blocks.is_empty(), "{guide}");
        for (n, block) in blocks.into_iter().enumerate() {
            loads(&block, &format!("{guide}.md, YAML block {n}"));
        }
        assert!(text.contains("](README.md)"), "{guide} leads to the steps");
    }
}

/// The users whose passwords an example names can sign in with them.
#[test]
fn the_users_of_the_examples_are_users() {
    for example in ["local-users", "single-page-app"] {
        let file = root().join("examples").join(example).join("users/users.yaml");
        let users: serde_json::Value = serde_saphyr::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        for (name, password) in [("alice", "wonderland"), ("admin", "looking-glass")] {
            let hash = users["users"][name]["password"].as_str().unwrap();
            Argon2::default().verify_password(password.as_bytes(), &PasswordHash::new(hash).unwrap()).unwrap();
        }
    }
}

#[test]
fn every_shell_block_of_a_document_is_shell() {
    let examples = [
        "fleet",
        "forward-auth",
        "forward-auth",
        "keycloak",
        "kubernetes",
        "local-users",
        "login-service",
        "migration",
        "monitoring",
        "single-page-app",
        "systemd",
    ];
    let examples = examples.map(|example| format!("examples/{example}/README.md"));
    for document in examples.iter().map(String::as_str).chain(["README.md"]) {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        for block in blocks(&text, "sh") {
            let checked = Command::new("sh").args(["-n", "-c", &block]).output().unwrap();
            assert!(checked.status.success(), "{document}: {}\n{block}", String::from_utf8_lossy(&checked.stderr));
        }
    }
}

/// What stands in the first block of a document that opens so.
pub(crate) fn block(document: &str, opening: &str) -> String {
    document.split(opening).nth(1).unwrap().split("```").next().unwrap().to_owned()
}

/// The first configuration of the README, in a directory with the files that it names, and the block that opens so.
pub(crate) fn first_of_the_readme(opening: &str) -> (tempfile::TempDir, String) {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let users = format!("users: {{ bob: {{ password: {} }} }}", bcrypt::hash("builder", 8).unwrap());
    let yaml = block(&readme, "```yaml\n").replace("secret_file: /run/secrets/usher_session", "secret_file: secret");
    for (name, text) in [("usher.yaml", &*yaml), ("secret", "nobody guesses this secret"), ("users.yaml", &*users)] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    (directory, block(&readme, opening))
}

/// Loads a configuration whose secrets are where containers have them: each is made, in a directory that stands in, and a
/// users file as well.
pub(crate) fn loads(yaml: &str, name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().to_str().unwrap();
    let yaml = &yaml.replace("/etc/usher/", "/run/secrets/");
    authority().write(&["app.example.com"], directory.path(), "made");
    for secret in named_files(yaml) {
        let path = directory.path().join(&secret);
        let ending = path.extension().and_then(|ending| ending.to_str());
        let contents = match ending {
            // `client_certificates` takes authorities only.
            Some("pem") if secret.starts_with("clients") => authority().root_pem(),
            Some("pem" | "crt") => std::fs::read_to_string(directory.path().join("made.pem")).unwrap(),
            Some("key") => std::fs::read_to_string(directory.path().join("made.key")).unwrap(),
            // A token of the admin listener takes no blanks.
            _ => format!("a-secret-for-{secret}-that-nobody-guesses-0123456789\n"),
        };
        std::fs::write(path, contents).unwrap();
    }
    let hash = bcrypt::hash("wonderland", 8).unwrap();
    std::fs::write(directory.path().join("users.yaml"), format!("users: {{ alice: {{ password: {hash} }} }}\n"))
        .unwrap();
    let users = format!("users_file: {place}/users.yaml");
    let yaml = yaml.replace("/run/secrets", place).replace("/var/lib/usher", place);
    let yaml = yaml.replace("users_file: users.yaml", &users).replace("users_file: users/users.yaml", &users);
    assert_eq!(Gateway::refusal(&yaml), None, "{name}");
    let value: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    let schema = usher::config::schema::schema().to_value();
    let refused = jsonschema::draft7::validate(&schema, &value).err().map(|error| error.to_string());
    assert_eq!(refused, None, "{name} and `usher schema`");
}

/// The names of the files under `/run/secrets/`.
fn named_files(yaml: &str) -> Vec<String> {
    let names = yaml.split("/run/secrets/").skip(1);
    names
        .map(|rest| {
            rest.split(|letter: char| !(letter.is_alphanumeric() || "._-".contains(letter))).next().unwrap().to_owned()
        })
        .collect()
}

/// The fenced blocks of a language.
fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    markdown.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Configuration files by their name; compose files and the like are none.
fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        if path.is_dir() {
            find(&path, files);
        } else if stem.starts_with("usher") && ["yaml", "toml", "json"].contains(&ending) {
            files.push(path);
        }
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
