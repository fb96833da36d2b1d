//! The configuration of the demonstration, as the YAML that an operator would write.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::accounts::{ACCESS_TOKEN_LIFETIME, AUDIENCE, ISSUER, USERS, User};
use super::application::{LOGIN_PATH, REFRESH_PATH};
use crate::issuer::local::{HashingError, hash_password};

/// Where the people of the demonstration sign in.
#[derive(Clone, Copy)]
pub(super) enum SignIn<'a> {
    /// With Usher itself, which keeps the users in this file.
    LocalIssuer {
        /// The users file.
        users: &'a Path,
    },
    /// With the application, which has a login and a token service of its own.
    LoginService {
        /// Shared with the application, which signs with it.
        hmac_secret: &'a str,
    },
}

/// What differs from one demonstration to the next.
pub(super) struct Variables<'a> {
    /// Where Usher listens with TLS.
    pub(super) listen: SocketAddr,
    /// Where the sample application listens.
    pub(super) application: SocketAddr,
    /// For the certificate.
    pub(super) state_directory: &'a Path,
    /// Where people sign in.
    pub(super) sign_in: SignIn<'a>,
    /// Seals the cookies.
    pub(super) session_secret: &'a str,
}

/// The configuration file. It holds secrets.
pub(super) fn yaml(variables: &Variables<'_>) -> String {
    let Variables { listen, application, session_secret, .. } = variables;
    let state_directory = quoted(variables.state_directory);
    let (name, issuer, routes) = match variables.sign_in {
        SignIn::LocalIssuer { users } => ("staff", local_issuer(users), ""),
        SignIn::LoginService { hmac_secret } => ("legacy", login_service(hmac_secret, *application), LOGIN_ROUTE),
    };
    format!(
        "\
listen:
  https: \"{listen}\"

tls:
  self_signed: true
state_directory: {state_directory}

issuers:
  {name}:
{issuer}
session:
  secret: {session_secret:?}
  refresh_ahead: 5s             # the tokens live 20 s

sites:
  - host: localhost
    issuer: {name}
    upstream: http://{application}
    identity_headers:
      X-User-Id: sub
      X-User-Name: name
      X-User-Email: email
      X-User-Roles: roles
      X-Token-Issued-At: iat
    routes:
      - path: /
{routes}      - {{ path: /assets/, access: public }}
      - {{ path: /public/, access: public }}
      - {{ path: /admin/, require: {{ roles: admin }} }}

log:
  level: warn
"
    )
}

const LOGIN_ROUTE: &str = "      - { path: /login, access: public }\n";

fn local_issuer(users: &Path) -> String {
    let (users, lifetime) = (quoted(users), ACCESS_TOKEN_LIFETIME.as_secs());
    format!(
        "    local:                      # users of Usher's own
      users_file: {users}
      access_token_lifetime: {lifetime}s
    leeway: 0s                  # one machine, one clock
"
    )
}

fn login_service(hmac_secret: &str, application: SocketAddr) -> String {
    format!(
        "    issuer: {ISSUER}            # the application's own token service
    hmac_secret: {hmac_secret:?}
    algorithms: [HS256]
    audiences: [{AUDIENCE}]
    leeway: 0s                  # one machine, one clock
    insecure_http: true         # the loopback interface
    refresh:
      url: http://{application}{REFRESH_PATH}
      send: json
      field: refreshToken
      access_token: /accessToken
      refresh_token: /refreshToken
    login:
      path: {LOGIN_PATH}
      page: /login
      access_token: /accessToken
      refresh_token: /refreshToken
"
    )
}

/// The users file of the local issuer. The hashes are made anew each time: the passwords are published.
///
/// # Errors
/// When the system gives no randomness.
pub(super) fn users() -> Result<String, HashingError> {
    let mut yaml = String::from("users:\n");
    for User { id, password, name, email, roles } in &USERS {
        let (password, roles) = (hash_password(password)?, roles.join(", "));
        let _ = write!(
            yaml,
            "  {id}:\n    password: {password}\n    name: {name}\n    email: {email}\n    claims: {{ roles: [{roles}] }}\n"
        );
    }
    Ok(yaml)
}

/// A JSON string is a YAML string, whatever characters the path has.
fn quoted(path: &Path) -> serde_json::Value {
    serde_json::Value::from(path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn addresses_paths_and_secrets_come_out_of_the_yaml_as_they_went_in() {
        let directory = Path::new("/tmp/it's a \"place\": #1");
        let yaml = yaml(&Variables {
            listen: "[::1]:8443".parse().unwrap(),
            application: "127.0.0.1:9000".parse().unwrap(),
            state_directory: directory,
            sign_in: SignIn::LoginService { hmac_secret: "-hmac_0" },
            session_secret: "123",
        });
        let value: Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(value["listen"]["https"], "[::1]:8443");
        assert_eq!(value["state_directory"], directory.to_str().unwrap());
        assert_eq!(value["issuers"]["legacy"]["hmac_secret"], "-hmac_0");
        assert_eq!(value["issuers"]["legacy"]["refresh"]["url"], "http://127.0.0.1:9000/auth/refresh");
        assert_eq!(value["session"]["secret"], "123");
    }

    #[test]
    fn the_users_come_out_of_their_file_as_they_are() {
        let users: Value = serde_saphyr::from_str(&users().unwrap()).unwrap();
        assert_eq!(users["users"]["alice"]["claims"]["roles"][0], "user");
        assert_eq!(users["users"]["admin"]["name"], "Ada Minton");
        assert!(users["users"]["admin"]["password"].as_str().unwrap().starts_with("$argon2id$"));
    }
}
