//! Which files make the dashboard?

use axum::{
    extract::Request,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use ring::digest;

use super::answer::Refusal;
use crate::authority;

struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! assets {
    ($($path:literal => $kind:expr),* $(,)?) => {
        [$(Asset { path: $path, kind: $kind, text: include_str!(concat!("../../web/", $path)) }),*]
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: [Asset; 15] = assets![
    "index.html" => "text/html; charset=utf-8",
    "style.css" => "text/css; charset=utf-8",
    "icon.svg" => "image/svg+xml",
    "main.js" => SCRIPT,
    "api.js" => SCRIPT,
    "dom.js" => SCRIPT,
    "fleet.js" => SCRIPT,
    "words.js" => SCRIPT,
    "heatmap.js" => SCRIPT,
    "pages/alerts.js" => SCRIPT,
    "pages/overview.js" => SCRIPT,
    "pages/waves.js" => SCRIPT,
    "pages/cluster.js" => SCRIPT,
    "pages/app.js" => SCRIPT,
    "pages/records.js" => SCRIPT,
];

/// Gives one of them. A browser that has it already is told so.
pub(super) async fn serve(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return Refusal::unknown(format!("there is nothing at /{path}")).into_response();
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let tag =
        format!("\"{}\"", authority::hex(digest::digest(&digest::SHA256, asset.text.as_bytes()).as_ref()));
    if has(request.headers(), &tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let headers = [(header::CONTENT_TYPE, asset.kind), (header::CACHE_CONTROL, "no-cache")];
    ([(header::ETAG, tag)], headers, asset.text).into_response()
}

fn has(headers: &HeaderMap, tag: &str) -> bool {
    headers.get(header::IF_NONE_MATCH).is_some_and(|tags| tags.to_str().is_ok_and(|tags| tags.contains(tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_from_elsewhere_and_everything_imported_is_here() {
        for asset in &ASSETS {
            let outside = asset.text.lines().find(|line| {
                let line = line.replace("http://www.w3.org/2000/svg", "");
                ["http://", "https://", "//cdn", " style=\"", " onclick=", "innerHTML", "eval("]
                    .iter()
                    .any(|part| line.contains(part))
            });
            assert_eq!(outside, None, "{}", asset.path);
            if asset.kind != SCRIPT {
                continue;
            }
            let folder = asset.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            for import in
                asset.text.lines().filter_map(|line| line.split_once(" from \"")).map(|(_, name)| name)
            {
                let name = import.trim_end_matches("\";");
                let path = match name.strip_prefix("../") {
                    Some(above) => above.to_owned(),
                    None if folder.is_empty() => name.trim_start_matches("./").to_owned(),
                    None => format!("{folder}/{}", name.trim_start_matches("./")),
                };
                assert!(ASSETS.iter().any(|asset| asset.path == path), "{} imports {name}", asset.path);
            }
        }
        let bytes: usize = ASSETS.iter().map(|asset| asset.text.len()).sum();
        assert!(bytes < 200 * 1024, "the dashboard has {bytes} bytes before compression");
    }
}
