use jsonwebtoken::{DecodingKey, Validation};
use reqwest::Client;

use super::super::accounts::{ACCESS_TOKEN_LIFETIME, AUDIENCE, ISSUER};
use super::*;

const SECRET: &str = "a secret of the test";

struct Fixture {
    application: Application,
    client: Client,
}

impl Fixture {
    async fn start() -> Self {
        let application = Application::start(SECRET, Clock::system()).await.unwrap();
        Self { application, client: Client::builder().no_proxy().build().unwrap() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.application.address())
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let answer = self.client.post(self.url(path)).json(body).send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn sign_in(&self) -> Value {
        let (status, tokens) = self.post(LOGIN_PATH, &json!({ "username": "alice", "password": "wonderland" })).await;
        assert_eq!(status, StatusCode::OK);
        tokens
    }

    async fn refresh(&self, tokens: &Value) -> (StatusCode, Value) {
        self.post(REFRESH_PATH, &json!({ "refreshToken": tokens["refreshToken"] })).await
    }
}

fn claims(tokens: &Value) -> Value {
    let mut validation = Validation::new(jsonwebtoken::Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::decode(tokens["accessToken"].as_str().unwrap(), &key, &validation).unwrap().claims
}

#[tokio::test]
async fn signing_in_gives_an_access_token_that_verifies_and_lives_twenty_seconds() {
    let fixture = Fixture::start().await;
    let claims = claims(&fixture.sign_in().await);
    assert_eq!(claims["sub"], "alice");
    assert_eq!(claims["roles"], json!(["user"]));
    let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(lifetime, ACCESS_TOKEN_LIFETIME.as_secs());
}

#[tokio::test]
async fn a_wrong_password_or_user_is_refused_in_the_same_words() {
    let fixture = Fixture::start().await;
    let (status, wrong_password) =
        fixture.post(LOGIN_PATH, &json!({ "username": "alice", "password": "looking-glass" })).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, wrong_user) = fixture.post(LOGIN_PATH, &json!({ "username": "bob", "password": "wonderland" })).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(wrong_password, wrong_user);
}

#[tokio::test]
async fn a_refresh_gives_a_new_pair() {
    let fixture = Fixture::start().await;
    let first = fixture.sign_in().await;
    let (status, second) = fixture.refresh(&first).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(claims(&second)["sub"], "alice");
    assert_ne!(first["refreshToken"], second["refreshToken"]);
}

#[tokio::test]
async fn a_spent_refresh_token_ends_the_session() {
    let fixture = Fixture::start().await;
    let first = fixture.sign_in().await;
    let (_, second) = fixture.refresh(&first).await;
    assert_eq!(fixture.refresh(&first).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(fixture.refresh(&second).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_body_that_is_not_the_expected_json_is_refused_without_being_quoted() {
    let fixture = Fixture::start().await;
    let (status, answer) = fixture.post(LOGIN_PATH, &json!({ "username": "alice", "password": ["canary"] })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(!answer.to_string().contains("canary"));
    let (status, _) = fixture.post(LOGIN_PATH, &json!({ "username": "a".repeat(BODY_LIMIT) })).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_received_headers_are_shown_with_repeated_ones_as_a_list() {
    let fixture = Fixture::start().await;
    let request = fixture.client.get(fixture.url("/api/me"));
    let answer: Value = request
        .header("X-User-Id", "alice")
        .header("X-Many", "one")
        .header("X-Many", "two")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(answer["headers"]["x-user-id"], "alice");
    assert_eq!(answer["headers"]["x-many"], json!(["one", "two"]));
}

#[tokio::test]
async fn pages_are_served_and_anything_else_is_not_there() {
    let fixture = Fixture::start().await;
    for (path, status) in [
        ("/", StatusCode::OK),
        ("/login", StatusCode::OK),
        ("/public/", StatusCode::OK),
        ("/assets/app.css", StatusCode::OK),
        ("/assets/", StatusCode::NOT_FOUND),
        (REFRESH_PATH, StatusCode::NOT_FOUND),
    ] {
        assert_eq!(fixture.client.get(fixture.url(path)).send().await.unwrap().status(), status, "{path}");
    }
}

#[tokio::test]
async fn dropping_the_application_closes_its_port() {
    let fixture = Fixture::start().await;
    let address = fixture.application.address();
    drop(fixture);
    // The task ends when the runtime next looks at it; every await here gives it the chance.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}
