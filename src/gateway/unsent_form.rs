//! A form that meets an ended session: its page carries it, so that nobody has to type anything again. Nothing of it is kept
//! here.
//!
//! Only what a page of the site itself sent is shown again, and only what a browser would send once more byte for byte. Without
//! the first, another site could have its form sent by a page of ours, in the user's name; without the second, the application
//! would get something else than what was typed.

use std::sync::Arc;

use http::{Method, Request};
use http_body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::form_urlencoded;

use super::admit::Target;
use super::endpoints::small_body;
use super::exchange::Exchange;
use super::request_kind::RequestKind;
use super::{Gateway, Rejection, media_type};
use crate::auth::origin;
use crate::config::Route;
use crate::forwarding::RequestBody;

/// More fields are no form that somebody has filled in. Each becomes several times as many bytes of the page.
const MOST_FIELDS: usize = 1_000;

/// Browsers put the encoding of the page into a hidden field of this name, whatever its value was.
const CHARSET_FIELD: &str = "_charset_";

/// So many bytes of forms are held at once: nobody who sends them has to be signed in.
const ROOM: usize = 16 << 20;

/// The room for forms that wait for their answer.
pub(super) struct Room(Arc<Semaphore>);

/// The fields of a form, and where it was sent to. It may hold secrets: it is never logged, and cannot be printed.
pub(super) struct UnsentForm {
    /// The whole address.
    pub(super) action: String,
    /// Names and values, as they were sent.
    pub(super) fields: Vec<(String, String)>,
    _room: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }

    fn take(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }
}

/// Has the answer to a refused request bring the form of that back, where a sign-in would mend it, the route wants it and it
/// can be sent again.
///
/// Boxed, as few requests need it: the future of every request has a place for it.
pub(super) async fn keep(
    gateway: &Gateway,
    target: &Target,
    request: Box<Request<RequestBody>>,
    exchange: &mut Exchange<'_>,
    refusal: Rejection,
) -> Rejection {
    if let Some(route) = exchange.route().filter(|_| refusal.is_about_sign_in()) {
        exchange.unsent = Box::pin(UnsentForm::of(gateway, target, route, exchange.kind, *request)).await.map(Box::new);
    }
    refusal
}

impl UnsentForm {
    async fn of(
        gateway: &Gateway,
        target: &Target,
        route: &Route,
        kind: RequestKind,
        request: Request<RequestBody>,
    ) -> Option<Self> {
        let limit = route.resend_forms?;
        let headers = request.headers();
        let is_form = kind.navigation
            && *request.method() == Method::POST
            && media_type::of_text(headers).is_some_and(|name| name == media_type::URL_ENCODED)
            && origin::is_from_itself(headers, target.scheme(), target.authority());
        if !is_form {
            return None;
        }
        let body = request.into_body();
        // A larger one is refused before anything of it is held.
        let room = gateway.unsent_forms.take(body.size_hint().exact().unwrap_or(limit).min(limit))?;
        let body = small_body::read(body, limit, gateway.config.limits.body_timeout).await.ok()??;
        let action = format!("{}{}", target.origin(), target.path_and_query(target.path.as_str()));
        Some(Self { action, fields: fields(&body)?, _room: room })
    }
}

/// The fields, when a browser that has them in hidden inputs would send these very bytes.
fn fields(body: &[u8]) -> Option<Vec<(String, String)>> {
    let fields: Vec<(String, String)> =
        form_urlencoded::parse(body).into_owned().take(MOST_FIELDS.saturating_add(1)).collect();
    // What is no UTF-8 becomes something else by being read.
    let again = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let is_whole = fields.len() <= MOST_FIELDS && again.as_bytes() == body;
    (is_whole && fields.iter().all(|(name, value)| survives(name, value))).then_some(fields)
}

/// Whether a hidden input of HTML brings back what it was given: one without a name is left out, a NUL becomes another character,
/// and whatever ends a line becomes CRLF.
fn survives(name: &str, value: &str) -> bool {
    let is_kept = |text: &str| !text.contains('\0') && text.replace("\r\n", "").find(['\r', '\n']).is_none();
    let keeps_value = !name.eq_ignore_ascii_case(CHARSET_FIELD) || value == "UTF-8";
    !name.is_empty() && keeps_value && is_kept(name) && is_kept(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_a_browser_has_in_its_form_is_kept(
            form in proptest::collection::vec(("[^\\x00\\r\\n]{1,8}", "([^\\x00\\r\\n]|\\r\\n){0,20}"), 0..8)
        ) {
            let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
            prop_assert_eq!(fields(body.as_bytes()), Some(form));
        }

        #[test]
        fn whatever_is_kept_is_sent_again_as_it_was(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(form) = fields(&body) {
                let again = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
                prop_assert_eq!(again.as_bytes(), &*body);
            }
        }
    }

    #[test]
    fn what_a_browser_sends_is_kept_in_order_with_duplicates_and_empty_values() {
        let body =
            b"a=1&a=2&b=&text=x+%2B+y%0D%0Az%0D%0A&%C3%A4=%E2%82%AC%26%3D%22%3C%2Fform%3E&_charset_=UTF-8&submit=1";
        let fields = fields(body).unwrap();
        let expected = [
            ("a", "1"),
            ("a", "2"),
            ("b", ""),
            ("text", "x + y\r\nz\r\n"),
            ("ä", "€&=\"</form>"),
            ("_charset_", "UTF-8"),
            ("submit", "1"),
        ];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(super::fields(b""), Some(vec![]));
    }

    #[test]
    fn what_a_browser_would_send_in_another_way_is_not() {
        let many = "a=1&".repeat(MOST_FIELDS) + "a=1";
        assert!(fields(many.strip_prefix("a=1&").unwrap().as_bytes()).is_some());
        for body in [
            "a",
            "a=1&",
            "&a=1",
            "a=%2a",
            "a=%41",
            "a= ",
            "a=%ff",
            "a=%00",
            "a=x%0Ay",
            "a=x%0D",
            "a%0A=x",
            "=1",
            "_charset_=x",
            "_CHARSET_=",
            "a=b=c",
            "a=ä",
            &many,
        ] {
            assert_eq!(fields(body.as_bytes()), None, "{body}");
        }
    }
}
