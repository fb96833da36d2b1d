//! What the demonstration says when it is ready: where the page is, who may sign in, and commands to try.

use std::fmt::Write as _;
use std::path::Path;

use anstyle::Style;

use super::accounts::USERS;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// Where the demonstration is.
pub(super) struct Whereabouts<'a> {
    /// The port that Usher listens on.
    pub(super) port: u16,
    /// The directory of the demonstration.
    pub(super) directory: &'a Path,
    /// The file name of the self-made certificate in there.
    pub(super) certificate: &'a str,
    /// Whether people sign in with the application, not with Usher.
    pub(super) login_service: bool,
}

/// The whole text. Every line that is indented by four spaces is shell, to be run as it stands.
pub(super) fn text(whereabouts: &Whereabouts<'_>) -> String {
    let Whereabouts { port, directory, .. } = whereabouts;
    let mut text = format!(
        "\n{BOLD}Usher stands in front of a sample application.{BOLD:#}\n\n  \
         Page    {BOLD}https://localhost:{port}/{BOLD:#}   (the certificate is self-made: a browser asks once)\n"
    );
    for (index, user) in USERS.iter().enumerate() {
        let label = if index == 0 { "Users" } else { "" };
        let sign_in = format!("{} / {}", user.id, user.password);
        let _ = writeln!(text, "  {label:<7} {sign_in:<22} roles: {}", user.roles.join(", "));
    }
    let _ = write!(
        text,
        "  Files   {}   (certificate, configuration; removed at the end)\n\nIn a second terminal:\n\n    cd {}\n",
        directory.display(),
        shell_word(directory)
    );
    for Step { says, command } in steps(whereabouts) {
        let _ = write!(text, "\n    {DIM}# {says}{DIM:#}\n    {command}\n");
    }
    text.push_str("\nCtrl-C ends the demonstration.\n");
    text
}

struct Step {
    says: &'static str,
    command: String,
}

fn steps(whereabouts: &Whereabouts<'_>) -> [Step; 6] {
    let url = format!("https://localhost:{}", whereabouts.port);
    let curl = format!("curl --cacert {}", whereabouts.certificate);
    let signed_in = format!("{curl} -b jar -c jar");
    let credentials = credentials_of_the_first_user();
    [
        Step {
            says: "No token: 401 with a challenge, not a redirect, because this is no browser.",
            command: format!("{curl} -i {url}/api/me"),
        },
        if whereabouts.login_service {
            Step {
                says: "The application's own sign-in. Its tokens go into sealed cookies and out of the answer.",
                command: format!("{curl} -i -c jar {credentials} {url}/auth/login"),
            }
        } else {
            Step {
                says: "Sign in as a program does. The refresh token goes into a sealed cookie and nowhere else.",
                command: format!("{curl} -i -c jar {credentials} {url}/.usher/issuer/sign-in"),
            }
        },
        Step {
            says: "What the application sees: who is asking in plain headers, no token, no cookie of Usher's.",
            command: format!("{signed_in} {url}/api/me"),
        },
        Step {
            says: "Let the access token expire. The answer is 200 all the same, and brings new cookies.",
            command: format!("sleep 21; {signed_in} -i {url}/api/me"),
        },
        Step { says: "Signed in, but without the role: 403.", command: format!("{signed_in} -i {url}/admin/") },
        Step {
            says: "An identity that a client makes up never arrives.",
            command: format!("{signed_in} -H 'X-User-Id: admin' {url}/api/me"),
        },
    ]
}

fn credentials_of_the_first_user() -> String {
    let [user, ..] = &USERS;
    format!(r#"-H 'Content-Type: application/json' -d '{{"username":"{}","password":"{}"}}'"#, user.id, user.password)
}

/// The path as one word of a POSIX shell.
fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte)) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Whereabouts<'static> {
        Whereabouts {
            port: 8443,
            directory: Path::new("/tmp/usher-demo-x"),
            certificate: "self-signed.pem",
            login_service: false,
        }
    }

    #[test]
    fn the_readme_shows_the_same_commands() {
        let readme = include_str!("../../../README.md");
        for step in steps(&example()) {
            assert!(readme.contains(&step.command), "the README lacks: {}", step.command);
        }
    }

    #[test]
    fn every_user_is_named_with_the_password() {
        let text = text(&example());
        for user in &USERS {
            assert!(text.contains(&format!("{} / {}", user.id, user.password)));
        }
    }

    #[test]
    fn a_path_with_a_space_or_a_quote_is_one_shell_word() {
        assert_eq!(shell_word(Path::new("/tmp/usher-demo-1_a.b")), "/tmp/usher-demo-1_a.b");
        assert_eq!(shell_word(Path::new("/my tmp/it's")), r"'/my tmp/it'\''s'");
    }
}
