//! Reading a sign-in: a user name and a password, as JSON or as the page's form sends them, and the one-time password that
//! may follow. Nothing is verified here.

use std::time::Duration;

use http::{HeaderMap, Request};
use serde::Deserialize;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::forwarding::RequestBody;
use crate::gateway::endpoints::small_body;
use crate::gateway::{Rejection, media_type};
use crate::issuer::local::NotSignedIn;

/// Bytes of a request: a name and a password of 4 KiB each, some of it escaped.
const LIMIT: u64 = 16 * 1024;

/// What somebody presents to sign in.
pub(super) struct SignIn {
    pub(super) username: String,
    pub(super) password: Zeroizing<String>,
    /// The one-time password, if a program presents one with it.
    pub(super) code: Option<Zeroizing<String>>,
    /// Where the browser goes then, when the page's form was sent; a program gets an answer instead.
    pub(super) rd: Option<String>,
}

/// What the page of the one-time password sends.
pub(in super::super) struct CodeForm {
    pub(in super::super) code: Zeroizing<String>,
    /// Where the browser goes then.
    pub(in super::super) rd: String,
}

/// As JSON. A member that is unknown, missing, of another type or there twice makes it unreadable.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    username: String,
    password: Zeroizing<String>,
    totp: Option<Zeroizing<String>>,
}

/// The forms that a sign-in has; any other could be sent by a page that cannot send these.
enum Form {
    Json,
    UrlEncoded,
}

impl SignIn {
    /// Reads it within `patience`.
    pub(super) async fn read(request: Request<RequestBody>, patience: Duration) -> Result<Self, Rejection> {
        let form = form(request.headers()).ok_or(Rejection::SignInRequest)?;
        let bytes = body(request, patience).await?;
        let sign_in = match form {
            Form::Json => Self::of_json(&bytes),
            Form::UrlEncoded => Self::of_form(&bytes),
        };
        sign_in.ok_or(Rejection::SignInRequest)
    }

    fn of_json(bytes: &[u8]) -> Option<Self> {
        // serde would count off the members of a list.
        let document = bytes.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(bytes))?;
        let Document { username, password, totp: code } = document.ok()?;
        Some(Self { username, password, code, rd: None })
    }

    fn of_form(bytes: &[u8]) -> Option<Self> {
        let [username, password, rd] = fields(bytes, ["username", "password", "rd"])?;
        Some(Self {
            username: text(&username?),
            password: password?,
            code: None,
            rd: Some(rd.as_ref().map(text).unwrap_or_default()),
        })
    }
}

impl CodeForm {
    /// Reads it within `patience`.
    pub(in super::super) async fn read(request: Request<RequestBody>, patience: Duration) -> Result<Self, Rejection> {
        let Some(Form::UrlEncoded) = form(request.headers()) else { return Err(Rejection::SignInRequest) };
        let bytes = body(request, patience).await?;
        let read = || {
            let [code, rd] = fields(&bytes, ["code", "rd"])?;
            Some(Self { code: code?, rd: rd.as_ref().map(text).unwrap_or_default() })
        };
        read().ok_or(Rejection::SignInRequest)
    }
}

/// The whole of it. Where it is longer than any sign-in, that is the password, the name or nonsense.
async fn body(request: Request<RequestBody>, patience: Duration) -> Result<Zeroizing<Vec<u8>>, Rejection> {
    match small_body::read(request.into_body(), LIMIT, patience).await {
        Ok(bytes) => bytes.ok_or(Rejection::SignInRequest),
        Err(Rejection::BodyTooLarge) => Err(NotSignedIn::TooLong.into()),
        Err(rejection) => Err(rejection),
    }
}

/// The fields of these names, if they are there. One that is unknown or there twice makes a form unreadable, as in JSON.
fn fields<const N: usize>(bytes: &[u8], names: [&str; N]) -> Option<[Option<Zeroizing<String>>; N]> {
    let mut fields = [const { None }; N];
    for (name, value) in form_urlencoded::parse(bytes) {
        let value = Zeroizing::new(value.into_owned());
        let (_, field) = names.iter().zip(&mut fields).find(|(known, _)| ***known == *name)?;
        if field.replace(value).is_some() {
            return None;
        }
    }
    Some(fields)
}

fn text(field: &Zeroizing<String>) -> String {
    field.as_str().to_owned()
}

fn form(headers: &HeaderMap) -> Option<Form> {
    match media_type::of_text(headers)?.as_str() {
        "application/json" => Some(Form::Json),
        media_type::URL_ENCODED => Some(Form::UrlEncoded),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_a_browser_sends_it() {
        let sign_in = SignIn::of_form(b"rd=%2Fa%3Fb%3D1&username=alice+l&password=p%26%C3%A4%3D").unwrap();
        assert_eq!((&*sign_in.username, &**sign_in.password), ("alice l", "p&ä="));
        assert_eq!(sign_in.rd.as_deref(), Some("/a?b=1"));
    }

    #[test]
    fn what_is_missing_unknown_or_there_twice_is_no_sign_in() {
        for form in ["", "username=a", "password=p", "username=a&username=b&password=p", "username=a&password=p&x=1"] {
            assert!(SignIn::of_form(form.as_bytes()).is_none(), "{form}");
        }
        for json in ["[\"a\",\"p\"]", r#"{"username":"a"}"#, r#"{"username":"a","password":"p","rd":"/"}"#, ""] {
            assert!(SignIn::of_json(json.as_bytes()).is_none(), "{json}");
        }
    }
}
