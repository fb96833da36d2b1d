//! As much of a browser as signing in takes: it keeps cookies, follows redirects from site to site as navigations, and shows
//! each step.

use url::Url;

use super::client::{Answer, Client, get};
use super::cookies::Jar;

/// One browser, with the gateway's site and an authorization server in its reach.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    client: Client,
    /// What it keeps for the site.
    pub(crate) jar: Jar,
    /// What it keeps for the authorization server.
    pub(crate) elsewhere: Jar,
    http: reqwest::Client,
}

impl Browser {
    /// A new browser, which finds every `https` site at the gateway of this client.
    pub(crate) fn new(client: Client) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, jar: Jar::default(), elsewhere: Jar::default(), http }
    }

    /// One step: a navigation to this URL of the site.
    pub(crate) async fn visit(&mut self, url: &str) -> Answer {
        let answer = self.client.send(get(url).navigation().cookies(&self.jar)).await;
        self.jar.take(&answer.headers);
        answer
    }

    /// Follows redirects from this URL of the site until somebody answers with something else, or until one leads to the
    /// site's `stop`; says where, and with what.
    pub(crate) async fn follow(&mut self, url: &str, stop: &str) -> (Url, Option<Answer>) {
        let mut url: Url = url.parse().unwrap();
        for _ in 0..20 {
            if url.scheme() == "https" && url.path() == stop {
                return (url, None);
            }
            let location = if url.scheme() == "https" {
                let answer = self.visit(url.as_str()).await;
                match location(&answer) {
                    Some(location) => location,
                    None => return (url, Some(answer)),
                }
            } else {
                self.leave(&url).await
            };
            url = url.join(&location).unwrap();
        }
        panic!("redirected in circles, at last to {url}");
    }

    /// Signs in from this URL on, and stops where the redirects end.
    pub(crate) async fn sign_in(&mut self, url: &str) -> (Url, Answer) {
        let (url, answer) = self.follow(url, "/never").await;
        (url, answer.unwrap())
    }

    /// The same up to the point where the authorization server sends the browser back: the callback, not visited yet.
    pub(crate) async fn sign_in_up_to_callback(&mut self, url: &str) -> Url {
        let (url, answer) = self.follow(url, "/.usher/callback").await;
        assert!(answer.is_none(), "no callback, but {answer:?}");
        url
    }

    /// Goes to the authorization server's page for signing out, says yes there, and stops at where that leads.
    pub(crate) async fn sign_out_elsewhere(&mut self, url: &str) -> String {
        let asks = self.elsewhere(self.http.get(url)).await;
        assert_eq!(asks.status(), 200, "{asks:?}");
        let page = asks.text().await.unwrap();
        let between = |start: &str| page.split_once(start).unwrap().1.split_once('"').unwrap().0.to_owned();
        let (action, xsrf) = (between("action=\""), between("name=\"xsrf\" value=\""));
        let form: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("xsrf", xsrf.as_str()), ("logout", "yes")])
            .finish();
        let request = self.http.post(action).header("content-type", "application/x-www-form-urlencoded").body(form);
        let answer = self.elsewhere(request).await;
        assert_eq!(answer.status(), 303, "{answer:?}");
        answer.headers()["location"].to_str().unwrap().to_owned()
    }

    /// One request to the authorization server.
    async fn elsewhere(&mut self, request: reqwest::RequestBuilder) -> reqwest::Response {
        let request = request.header("accept", "text/html");
        let request = match self.elsewhere.line() {
            Some(line) => request.header("cookie", line),
            None => request,
        };
        let answer = request.send().await.unwrap();
        self.elsewhere.take(answer.headers());
        answer
    }

    /// One step at the authorization server, which always sends the browser on.
    async fn leave(&mut self, url: &Url) -> String {
        let answer = self.elsewhere(self.http.get(url.clone())).await;
        let location = answer.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        match location {
            Some(location) => location,
            None => panic!("{url} answers {} {}", answer.status(), answer.text().await.unwrap()),
        }
    }
}

/// Where an answer leads.
pub(crate) fn location(answer: &Answer) -> Option<String> {
    answer.status.is_redirection().then(|| answer.header("location").unwrap().to_owned())
}
