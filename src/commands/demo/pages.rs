//! The pages of the sample application, compiled in.

/// One file that the application serves.
pub(super) struct Page {
    path: &'static str,
    /// For `Content-Type`.
    pub(super) media_type: &'static str,
    /// The file.
    pub(super) content: &'static str,
}

/// Nothing from elsewhere, nothing in-line: the pages keep to what the strictest policies allow.
pub(super) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static PAGES: [Page; 8] = [
    Page { path: "/", media_type: HTML, content: include_str!("pages/home.html") },
    Page { path: "/login", media_type: HTML, content: include_str!("pages/login.html") },
    Page { path: "/admin/", media_type: HTML, content: include_str!("pages/admin.html") },
    Page { path: "/public/", media_type: HTML, content: include_str!("pages/public.html") },
    Page { path: "/assets/app.css", media_type: "text/css; charset=utf-8", content: include_str!("pages/app.css") },
    Page { path: "/assets/home.js", media_type: SCRIPT, content: include_str!("pages/home.js") },
    Page { path: "/assets/login.js", media_type: SCRIPT, content: include_str!("pages/login.js") },
    Page { path: "/assets/icon.svg", media_type: "image/svg+xml", content: include_str!("pages/icon.svg") },
];

/// The file at exactly this path.
pub(super) fn find(path: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_keep_to_their_own_policy() {
        for page in PAGES.iter().filter(|page| page.media_type == HTML) {
            for inline in ["<style", "style=", "<script>", " onclick", " onload", "javascript:", "http://", "https://"]
            {
                assert!(!page.content.contains(inline), "{} has {inline}", page.path);
            }
        }
    }

    #[test]
    fn everything_that_a_page_links_to_on_its_own_site_exists() {
        for page in PAGES.iter().filter(|page| page.media_type == HTML) {
            for attribute in ["href=\"/", "src=\"/"] {
                for rest in page.content.split(attribute).skip(1) {
                    let path = format!("/{}", rest.split('"').next().unwrap());
                    assert!(find(&path).is_some(), "{} links to {path}", page.path);
                }
            }
        }
    }
}
