//! Cookies: the application's pass unchanged, Usher's never do, and nobody but Usher makes one that counts.

use std::sync::{Arc, LazyLock};

use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

use crate::auth::cookies::{CookieNames, FoundValue, InBrowser};
use crate::auth::session_cookies::SessionCookies;
use crate::auth::ticket::{Purpose, Ticket};
use crate::config::fuzzing::CONFIG;
use crate::config::{Cookies, IssuerId};
use crate::session::Sealer;
use crate::session::stored::StoredSessions;

/// The names of both kinds of cookies, with how many pieces each may have.
struct Kind {
    names: CookieNames,
    access: &'static str,
    refresh: &'static str,
    pieces: usize,
}

static KINDS: LazyLock<[Kind; 2]> = LazyLock::new(|| {
    let raw = Cookies::Raw { access: "at".to_owned(), refresh: "rt".to_owned() };
    [
        Kind {
            names: CookieNames::new(&Cookies::Sealed),
            access: "__Host-usher-access",
            refresh: "__Host-usher-refresh",
            pieces: 5,
        },
        Kind { names: CookieNames::new(&raw), access: "at", refresh: "rt", pieces: 1 },
    ]
});

static SESSIONS: LazyLock<SessionCookies> = LazyLock::new(|| {
    let stored = Arc::new(StoredSessions::in_memory((1, 1)));
    SessionCookies::new(&CONFIG, &stored).expect("a session secret")
});
static SEALER: LazyLock<Sealer> = LazyLock::new(|| Sealer::new(&CONFIG.session.secrets).expect("a session secret"));

/// Lines of cookies, which a client sends in as many `Cookie` fields, and an application in as many `Set-Cookie` fields.
pub fn cookie(input: &[u8]) {
    let lines: Vec<_> =
        input.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    for kind in &*KINDS {
        request(kind, &lines);
        answer(kind, &lines);
        if let Ok(value) = std::str::from_utf8(input) {
            stored(kind, value);
        }
    }
    if let Ok(sealed) = SEALER.seal("cookie:access", input)
        && let Some(ticket) = Ticket::open(&sealed, Purpose::Access, &SEALER)
    {
        let again = ticket.seal(Purpose::Refresh, &SEALER).expect("randomness");
        assert!(Ticket::open(&again, Purpose::Refresh, &SEALER) == Some(ticket), "a ticket of two meanings");
        assert!(Ticket::open(&again, Purpose::Access, &SEALER).is_none(), "one cookie stands in for the other");
    }
}

fn request(kind: &Kind, lines: &[HeaderValue]) {
    let mut headers = HeaderMap::new();
    headers.extend(lines.iter().map(|line| (Some(COOKIE), line.clone())));
    let sent = headers.clone();
    let found = kind.names.take(&mut headers);

    let (ours, foreign): (Vec<_>, Vec<_>) = pairs(&sent).into_iter().partition(|pair| kind.is_ours(name(pair)));
    assert_eq!(pairs(&headers), foreign, "the application's cookies, in their order");
    assert!(headers.get_all(COOKIE).iter().count() <= 1);
    assert!(!ours.is_empty() || lines.len() > 1 || headers == sent, "nothing was to be changed");
    assert!(found.access.value == kind.expected(kind.access, &ours), "the access cookie");
    assert!(found.refresh.value == kind.expected(kind.refresh, &ours), "the refresh cookie");
    if kind.pieces > 1
        && let Ok(Some(session)) = SESSIONS.read_tokens(&found, &[IssuerId(0)])
    {
        let values = [&found.access.value, &found.refresh.value];
        let genuine = values.iter().all(|value| match value {
            FoundValue::Present(value) => GENUINE.contains(&value.as_str()),
            _ => true,
        });
        assert!(genuine, "a session that nobody has sealed");
        assert!(session.access.is_none_or(|token| token.expose() == "access"));
        assert!(session.refresh.is_none_or(|refresh| refresh.token.expose() == "refresh"));
    }
}

/// What an application sets never comes back as Usher's.
fn answer(kind: &Kind, lines: &[HeaderValue]) {
    let mut headers = HeaderMap::new();
    headers.extend(lines.iter().map(|line| (Some(SET_COOKIE), line.clone())));
    kind.names.remove_reserved(&mut headers);
    for line in headers.get_all(SET_COOKIE) {
        let Some(sent) = from_browser(line) else { continue };
        let mut request = HeaderMap::from_iter([(COOKIE, sent)]);
        let before = request.clone();
        assert!(!kind.names.take(&mut request).any(), "{line:?} has become Usher's");
        assert_eq!(request, before, "{line:?} is lost on the way back");
    }
}

/// What is stored comes back, in as many pieces as it takes.
fn stored(kind: &Kind, value: &str) {
    let Ok(lines) = kind.names.set_access(value, 60, InBrowser::default()) else { return };
    let mut request = HeaderMap::new();
    for line in lines.iter().filter_map(from_browser) {
        request.append(COOKIE, line);
    }
    let found = kind.names.take(&mut request);
    assert!(found.access.value == FoundValue::Present(value.to_owned()), "{value} does not come back");
    assert!(request.is_empty());
}

impl Kind {
    fn is_ours(&self, name: &[u8]) -> bool {
        let is_reserved = name.to_ascii_lowercase().starts_with(b"__host-usher-");
        is_reserved || (self.pieces == 1 && [self.access, self.refresh].iter().any(|own| own.as_bytes() == name))
    }

    /// What should have been found under a name: every piece once, from the first on without a gap.
    fn expected(&self, base: &str, ours: &[Vec<u8>]) -> FoundValue {
        let piece = |index| if index == 0 { base.to_owned() } else { format!("{base}-{index}") };
        let pieces: Vec<Vec<&[u8]>> = (0..self.pieces)
            .map(|index| {
                ours.iter().filter(|pair| name(pair) == piece(index).as_bytes()).map(|pair| value(pair)).collect()
            })
            .collect();
        let texts: Vec<&[u8]> = pieces.iter().map(|piece| piece.first().copied().unwrap_or_default()).collect();
        let full = texts.iter().take_while(|text| !text.is_empty()).count();
        if pieces.iter().any(|piece| piece.len() > 1) {
            FoundValue::Unusable
        } else if texts.iter().all(|text| text.is_empty()) {
            FoundValue::Absent
        } else if texts.iter().skip(full).any(|text| !text.is_empty()) {
            FoundValue::Unusable
        } else {
            String::from_utf8(texts.concat()).map_or(FoundValue::Unusable, FoundValue::Present)
        }
    }
}

/// What stands between the semicolons of all lines.
fn pairs(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let lines = headers.get_all(COOKIE).iter();
    let pairs = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).map(trim);
    pairs.filter(|pair| !pair.is_empty()).map(<[u8]>::to_vec).collect()
}

fn name(pair: &[u8]) -> &[u8] {
    trim(pair.split(|byte| *byte == b'=').next().unwrap_or_default())
}

fn value(pair: &[u8]) -> &[u8] {
    trim(pair.iter().position(|byte| *byte == b'=').and_then(|at| pair.get(at + 1..)).unwrap_or_default())
}

/// A field has no other white space than these two.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// What a browser keeps of a `Set-Cookie` line and sends back (RFC 6265bis §5.6, §5.8.3): a cookie without a name is its
/// value alone.
fn from_browser(line: &HeaderValue) -> Option<HeaderValue> {
    let pair = trim(line.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default());
    let (name, value) = if pair.contains(&b'=') { (name(pair), value(pair)) } else { (&[][..], pair) };
    let sent = if name.is_empty() { value.to_vec() } else { [name, b"=", value].concat() };
    HeaderValue::from_bytes(&sent).ok().filter(|sent| !sent.is_empty())
}

/// Sealed once under the secret of the example, by nobody else: both cookies of one session.
const GENUINE: [&str; 2] = [
    "AQY5XcpAy86hzPvDoXvl99Rt7TPDzwRvp3qPgeakdg9j0srN7zYAtFkewQGQbXbFsngWyQk0J_NlmnXUisMWKzTJWq-FapAc5h9LibqP6JMlWA",
    "AbKJ6gUfdtvGPVXk6Jk_C2yOu9ZhdjiXgLQ6mwy_h6krXGx3xGihur_amrCu5MTauY6mDOIcmetU_D9lMD-hU13N25SeOn8fXVcj7lt9kHIlMjI",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_genuine_cookies_are_a_session() {
        let [access, refresh] = GENUINE;
        let line = format!("a=1; __Host-usher-access={access}; __Host-usher-refresh={refresh}");
        let mut headers = HeaderMap::from_iter([(COOKIE, HeaderValue::try_from(line).unwrap())]);
        let found = KINDS[0].names.take(&mut headers);
        let session = SESSIONS.read_tokens(&found, &[IssuerId(0)]).unwrap().unwrap();
        assert!(session.access.is_some() && session.refresh.is_some());
    }
}
