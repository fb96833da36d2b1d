//! The authorization code flow of the issuer of the tests: anybody may sign in as anybody, and the ID token says what the test
//! wants it to.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use serde_json::{Value, json};
use url::Url;

use super::endpoints::json_answer;
use super::{CLIENT_ID, Issuer, State, TokenAnswer};
use crate::harness::body::TestBody;
use crate::harness::keys::base64url;
use crate::harness::tokens::Token;

impl Issuer {
    /// What the authorization endpoint would do with a browser that comes with this URL once `subject` has signed in: where
    /// it sends the browser back to.
    pub(crate) fn authorize(&self, url: &str, subject: &str) -> Url {
        let url: Url = url.parse().unwrap();
        assert_eq!(url.path(), "/authorize", "{url}");
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let code = json!({ "sub": subject, "nonce": asked["nonce"], "challenge": asked["code_challenge"] });
        let mut back: Url = asked["redirect_uri"].parse().unwrap();
        back.query_pairs_mut().append_pair("code", &base64url(code.to_string())).append_pair("state", &asked["state"]);
        if *self.state.names_issuer.lock().unwrap() {
            back.query_pairs_mut().append_pair("iss", &self.url());
        }
        back
    }

    /// Claims that the ID tokens of later sign-ins have instead; `null` leaves one out, and `{"": …}` leaves out the token.
    pub(crate) fn change_id_tokens(&self, claims: Value) {
        *self.state.id_token.lock().unwrap() = claims;
    }

    /// Claims that all later access tokens have besides.
    pub(crate) fn change_access_tokens(&self, claims: Value) {
        *self.state.access_token.lock().unwrap() = claims;
    }

    /// Discovery names an endpoint for pushed requests (RFC 9126) that answers each with this status, and says whether they
    /// must be pushed.
    pub(crate) fn take_no_pushed_request(&self, status: u16, must: bool) {
        *self.state.pushes.lock().unwrap() = Some((status, must));
    }

    /// Authorization responses name their issuer from now on, and discovery says so (RFC 9207).
    pub(crate) fn name_itself(&self) {
        *self.state.names_issuer.lock().unwrap() = true;
    }
}

/// RFC 6749 §4.1.3, with the verifier of RFC 7636.
pub(super) fn exchange(state: &State, issuer: &str, form: &HashMap<String, String>) -> Response<TestBody> {
    let code = URL_SAFE_NO_PAD.decode(&form["code"]).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(code): Option<Value> = code else { return json_answer(400, &json!({ "error": "invalid_grant" })) };
    let challenge = base64url(digest(&SHA256, form["code_verifier"].as_bytes()));
    if code["challenge"] != challenge {
        return json_answer(400, &json!({ "error": "invalid_grant" }));
    }
    let subject = code["sub"].as_str().unwrap();
    let scripted = state.script.lock().unwrap().pop_front();
    let access = match scripted {
        Some(TokenAnswer::OtherSubject(other)) => state.token(issuer, other),
        Some(TokenAnswer::OtherIssuer) => state.token("https://evil.test", subject),
        Some(TokenAnswer::InvalidClient) => return json_answer(401, &json!({ "error": "invalid_client" })),
        Some(TokenAnswer::Status(status, _)) => return json_answer(status, &json!({})),
        _ => state.token(issuer, subject),
    };
    let (_, key) = state.key();
    let mut body = json!({
        "token_type": "Bearer",
        "access_token": access.sign(&key),
        "refresh_token": state.families.lock().unwrap().begin(subject),
    });
    if let Some(id_token) = id_token(state, issuer, subject, &code["nonce"]) {
        body["id_token"] = json!(id_token.sign(&key));
    }
    json_answer(200, &body)
}

fn id_token(state: &State, issuer: &str, subject: &str, nonce: &Value) -> Option<Token> {
    let now = state.clock.now().0;
    let mut claims = json!({
        "iss": issuer, "sub": subject, "aud": CLIENT_ID, "iat": now, "exp": now + 60, "nonce": nonce,
    });
    for (name, value) in state.id_token.lock().unwrap().as_object().unwrap() {
        match (name.as_str(), value) {
            ("", _) => return None,
            (name, Value::Null) => drop(claims.as_object_mut().unwrap().remove(name)),
            (name, value) => claims[name] = value.clone(),
        }
    }
    let (key_id, key) = state.key();
    Some(Token::new(&key, &key_id, claims).head("typ", "JWT"))
}
