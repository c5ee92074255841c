//! How inputs are cut into parts. They are text where that can be, so that a person can write and read them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};

/// An HTTP answer: a line with the status, lines of headers, an empty line, and the body.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// None for what no HTTP client would hand on.
    pub fn of(data: &[u8]) -> Option<Self> {
        let mut rest = data;
        let status = std::str::from_utf8(line(&mut rest)).ok()?;
        let status = status.split_whitespace().find_map(|word| word.parse::<u16>().ok())?;
        let headers = headers(&mut rest)?;
        Some(Self { status: StatusCode::from_u16(status).ok()?, headers, body: rest.to_vec() })
    }
}

/// The head of an HTTP request.
pub fn request(data: &[u8]) -> Option<Request<()>> {
    let mut rest = data;
    let mut words = line(&mut rest).split(|byte| *byte == b' ');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(words.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(words.next()?).ok()?;
    *request.headers_mut() = headers(&mut rest)?;
    Some(request)
}

fn headers(rest: &mut &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    while !rest.is_empty() {
        let line = line(rest);
        if line.is_empty() {
            break;
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        headers.append(name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?);
    }
    Some(headers)
}

/// The next line of `rest`, without its end.
pub fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let line = &rest[..end];
    *rest = &rest[(end + 1).min(rest.len())..];
    line.strip_suffix(b"\r").unwrap_or(line)
}
