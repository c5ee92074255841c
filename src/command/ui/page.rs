//! The page itself: files that are part of the program. It consists of text that is the same for everyone, so it needs no token.

use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

/// Scripts and styles come from here alone, and no text becomes markup: the browser enforces both.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The headers of every answer.
pub const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// The files: the path, the content and its type.
pub const FILES: [(&str, &str, &str); 8] = [
    ("/", include_str!("page/index.html"), "text/html; charset=utf-8"),
    ("/style.css", include_str!("page/style.css"), "text/css; charset=utf-8"),
    ("/icon.svg", include_str!("page/icon.svg"), "image/svg+xml"),
    ("/page.js", include_str!("page/page.js"), SCRIPT),
    ("/live.js", include_str!("page/live.js"), SCRIPT),
    ("/show.js", include_str!("page/show.js"), SCRIPT),
    ("/sections.js", include_str!("page/sections.js"), SCRIPT),
    ("/timeline.js", include_str!("page/timeline.js"), SCRIPT),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_no_script_or_style_of_its_own_and_asks_nobody_else() {
        for (path, text, _) in FILES {
            for word in
                ["onclick=", "style=\"", "<style", "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("]
            {
                assert!(!text.contains(word), "{path} has {word}");
            }
            let elsewhere = text.replace("http://www.w3.org/", "");
            assert!(!elsewhere.contains("://"), "{path} names another server");
        }
    }
}
