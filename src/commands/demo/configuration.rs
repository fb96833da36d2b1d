//! The configuration of the demonstration, as the YAML that an operator would write.

use std::net::SocketAddr;
use std::path::Path;

use super::accounts::{AUDIENCE, ISSUER};
use super::application::{LOGIN_PATH, REFRESH_PATH};

/// What differs from one demonstration to the next.
pub(super) struct Variables<'a> {
    /// Where Usher listens with TLS.
    pub(super) listen: SocketAddr,
    /// Where the sample application listens.
    pub(super) application: SocketAddr,
    /// For the certificate.
    pub(super) state_directory: &'a Path,
    /// Shared with the application, which signs with it.
    pub(super) hmac_secret: &'a str,
    /// Seals the cookies.
    pub(super) session_secret: &'a str,
}

/// The configuration file. It holds secrets.
pub(super) fn yaml(variables: &Variables<'_>) -> String {
    let Variables { listen, application, hmac_secret, session_secret, .. } = variables;
    // A JSON string is a YAML string, whatever characters the path has.
    let state_directory = serde_json::Value::from(variables.state_directory.to_string_lossy());
    format!(
        "\
listen:
  https: \"{listen}\"

tls:
  self_signed: true
state_directory: {state_directory}

issuers:
  legacy:                       # the application's own token service
    issuer: {ISSUER}
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

session:
  secret: {session_secret:?}
  refresh_ahead: 5s             # the tokens live 20 s

sites:
  - host: localhost
    issuer: legacy
    upstream: http://{application}
    identity_headers:
      X-User-Id: sub
      X-User-Name: name
      X-User-Email: email
      X-User-Roles: roles
      X-Token-Issued-At: iat
    routes:
      - path: /
      - {{ path: /login, access: public }}
      - {{ path: /assets/, access: public }}
      - {{ path: /public/, access: public }}
      - {{ path: /admin/, require: {{ roles: admin }} }}

log:
  level: warn
"
    )
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
            hmac_secret: "-hmac_0",
            session_secret: "123",
        });
        let value: Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(value["listen"]["https"], "[::1]:8443");
        assert_eq!(value["state_directory"], directory.to_str().unwrap());
        assert_eq!(value["issuers"]["legacy"]["hmac_secret"], "-hmac_0");
        assert_eq!(value["issuers"]["legacy"]["refresh"]["url"], "http://127.0.0.1:9000/auth/refresh");
        assert_eq!(value["session"]["secret"], "123");
    }
}
