//! How does an HTTP request become an answer of `git http-backend`? By CGI (RFC 3875), which it speaks.

use std::path::Path;
use std::process::Stdio;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What the backend answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Runs the backend over the repositories below `root`. Dropping the future kills it.
pub(super) async fn serve(
    root: &Path,
    request: &Parts,
    body: Bytes,
    user: Option<&str>,
) -> std::io::Result<Answer> {
    let header = |name: HeaderName| request.headers.get(name).and_then(|value| value.to_str().ok());
    let mut command = Command::from(super::command(root));
    command.arg("http-backend").env("GIT_HTTP_EXPORT_ALL", "1").env("GIT_PROJECT_ROOT", root);
    command.env("GATEWAY_INTERFACE", "CGI/1.1").env("SERVER_PROTOCOL", "HTTP/1.1");
    command.env("REQUEST_METHOD", request.method.as_str()).env("REMOTE_ADDR", "127.0.0.1");
    command.env("PATH_INFO", request.uri.path()).env("QUERY_STRING", request.uri.query().unwrap_or_default());
    command.env("CONTENT_LENGTH", body.len().to_string());
    command.envs(header(CONTENT_TYPE).map(|value| ("CONTENT_TYPE", value)));
    command.envs(header(CONTENT_ENCODING).map(|value| ("HTTP_CONTENT_ENCODING", value)));
    command.envs(header(HeaderName::from_static("git-protocol")).map(|value| ("GIT_PROTOCOL", value)));
    command.envs(user.map(|user| ("REMOTE_USER", user)));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A backend that has read enough closes its end; what it answers decides, not that.
            let _ = stdin.write_all(&body).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    parse(&output?.stdout).ok_or_else(|| std::io::Error::other("git http-backend printed no CGI answer"))
}

/// Splits a CGI answer into its headers and its body.
fn parse(output: &[u8]) -> Option<Answer> {
    let end = output.windows(4).position(|window| window == b"\r\n\r\n")?;
    let mut answer =
        Answer { status: StatusCode::OK, headers: HeaderMap::new(), body: output[end + 4..].to_vec() };
    for line in std::str::from_utf8(&output[..end]).ok()?.lines() {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("status") {
            answer.status = value.trim().split(' ').next()?.parse().ok()?;
        } else {
            let value = HeaderValue::from_str(value.trim()).ok()?;
            answer.headers.append(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgi_answer_has_a_status_headers_and_a_body() {
        let answer = parse(b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\na\r\n\r\nb").unwrap();
        assert_eq!(answer.status, StatusCode::NOT_FOUND);
        assert_eq!(answer.headers[CONTENT_TYPE], "text/plain");
        assert_eq!(answer.body, b"a\r\n\r\nb");
        assert!(parse(b"fatal: no").is_none());
    }
}
