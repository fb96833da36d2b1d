//! Forms for an authorization server: fields, and how the client says who it is (RFC 6749 §2.3.1).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use url::Url;
use url::form_urlencoded::byte_serialize;
use zeroize::Zeroizing;

use super::Issuer;
use super::client_assertion::asserted;
use super::transport::Post;
use crate::clock::Timestamp;
use crate::config::{Client, ClientAuthentication};

/// An `application/x-www-form-urlencoded` request in the making.
#[derive(Default)]
pub(super) struct Form {
    body: String,
    authorization: Option<HeaderValue>,
}

impl Form {
    pub(super) fn with(mut self, name: &str, value: &[u8]) -> Self {
        if !self.body.is_empty() {
            self.body.push('&');
        }
        self.body.extend(byte_serialize(name.as_bytes()));
        self.body.push('=');
        self.body.extend(byte_serialize(value));
        self
    }

    /// Adds the client's credentials, where Usher is a client of the issuer.
    pub(super) fn authenticated(mut self, client: Option<&Client>, now: Timestamp) -> Self {
        let Some(client) = client else { return self };
        let id = client.id.as_bytes();
        match &client.authentication {
            ClientAuthentication::None => self.with("client_id", id),
            ClientAuthentication::Post(secret) => self.with("client_id", id).with("client_secret", secret.expose()),
            ClientAuthentication::PrivateKey(key) => asserted(self, &client.id, key, now),
            ClientAuthentication::Basic(secret) => {
                self.authorization = Some(basic(id, secret.expose()));
                self
            }
        }
    }

    pub(super) fn post_to(self, url: Url) -> Post {
        let content_type = "application/x-www-form-urlencoded";
        let fields = self.authorization.map(|mut authorization| {
            authorization.set_sensitive(true);
            (AUTHORIZATION, authorization)
        });
        Post { url, content_type, fields: fields.into_iter().collect(), body: self.body }
    }
}

impl Issuer {
    /// The form, as the client that Usher is there, to this endpoint.
    pub(super) fn posted(&self, form: Form, url: Url) -> Post {
        form.authenticated(self.config.client.as_ref(), self.clock.now()).post_to(url)
    }
}

/// HTTP Basic, with both halves form-urlencoded first: a colon in either would otherwise move the border.
fn basic(id: &[u8], secret: &[u8]) -> HeaderValue {
    let pair: Zeroizing<String> =
        Zeroizing::new(byte_serialize(id).chain(Some(":")).chain(byte_serialize(secret)).collect());
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    // Base64 is always a legal header value.
    HeaderValue::from_str(&value).unwrap_or_else(|_| HeaderValue::from_static("Basic"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn client(authentication: ClientAuthentication) -> Client {
        Client {
            id: "us her:1".to_owned(),
            authentication,
            scopes: Vec::new(),
            authorization_parameters: Vec::new(),
            end_session: true,
        }
    }

    fn secret() -> Secret {
        Secret::new("p%ä:s&".as_bytes().to_vec())
    }

    fn posted(client: &Client) -> Post {
        Form::default()
            .with("token", b"a+b")
            .authenticated(Some(client), Timestamp(1_000))
            .post_to("https://a/".parse().unwrap())
    }

    #[test]
    fn basic_credentials_are_form_encoded_first() {
        let post = posted(&client(ClientAuthentication::Basic(secret())));
        let value = post.fields[AUTHORIZATION].clone();
        let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
        assert_eq!(STANDARD.decode(encoded).unwrap(), b"us+her%3A1:p%25%C3%A4%3As%26");
        assert_eq!(post.body, "token=a%2Bb");
    }

    #[test]
    fn post_credentials_stand_in_the_form() {
        let post = posted(&client(ClientAuthentication::Post(secret())));
        assert_eq!(post.body, "token=a%2Bb&client_id=us+her%3A1&client_secret=p%25%C3%A4%3As%26");
        assert!(post.fields.is_empty());
    }

    #[test]
    fn a_public_client_says_its_name_only() {
        let post = posted(&client(ClientAuthentication::None));
        assert_eq!(post.body, "token=a%2Bb&client_id=us+her%3A1");
        assert!(post.fields.is_empty());
    }
}
