//! What kind of text a request says that its body is.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// What forms are sent as.
pub(super) const URL_ENCODED: &str = "application/x-www-form-urlencoded";

/// The media type in small letters, said once, when nothing is said about it but that its text is UTF-8.
pub(super) fn of_text(headers: &HeaderMap) -> Option<String> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let mut parts = line.to_str().ok()?.split(';').map(|part| part.trim().to_ascii_lowercase());
    let name = parts.next()?;
    parts.all(|parameter| matches!(parameter.as_str(), "charset=utf-8" | "charset=\"utf-8\"")).then_some(name)
}
