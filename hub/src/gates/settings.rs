//! Where may gates ask, and with which credential?
//!
//! ```yaml
//! gates:
//! - {url: "https://ci.example.com/api/", token-file: /etc/muster/ci-token}
//! - {url: "http://prometheus.monitoring:9090/"}
//! ```

use std::path::PathBuf;

use reqwest::Url;
use serde::Deserialize;

/// One entry of `gates` in `config.yaml`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(crate) struct GateText {
    url: String,
    token_file: Option<PathBuf>,
}

/// A part of a server that gates may ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateAccess {
    /// Everything below this address.
    pub below: Url,
    /// File with a bearer token for it, read anew for each request.
    pub token_file: Option<PathBuf>,
}

/// Where gates may ask: nowhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GateSettings(pub Vec<GateAccess>);

impl GateSettings {
    /// The settings; all that is not in order goes to `problems`.
    pub(crate) fn check(texts: Vec<GateText>, path: &str, problems: &mut Vec<String>) -> Self {
        let mut all = Vec::new();
        for (index, GateText { url, token_file }) in texts.into_iter().enumerate() {
            match Url::parse(&url) {
                Ok(below) if is_plain(&below) => all.push(GateAccess { below, token_file }),
                _ => problems.push(format!(
                    "{path}: gates[{index}].url: expected https://HOST/PATH or http://HOST/PATH, without a user, \
                     query or fragment"
                )),
            }
        }
        Self(all)
    }

    /// The entry that allows an address, the longest there is.
    pub(super) fn allows(&self, url: &Url) -> Option<&GateAccess> {
        let fits = self.0.iter().filter(|access| is_below(&access.below, url));
        fits.max_by_key(|access| access.below.path().len())
    }
}

fn is_plain(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

/// Whether an address is on the same server, and its path the same or below.
fn is_below(below: &Url, url: &Url) -> bool {
    let path = below.path();
    let inside = match url.path().strip_prefix(path) {
        Some(rest) => rest.is_empty() || path.ends_with('/') || rest.starts_with('/'),
        None => false,
    };
    inside && url.origin() == below.origin() && url.username().is_empty() && url.password().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(urls: &[&str]) -> Result<GateSettings, Vec<String>> {
        let texts = urls.iter().map(|url| GateText { url: (*url).to_owned(), token_file: None });
        let mut problems = Vec::new();
        let settings = GateSettings::check(texts.collect(), "config.yaml", &mut problems);
        if problems.is_empty() { Ok(settings) } else { Err(problems) }
    }

    #[test]
    fn only_what_is_below_an_entry_is_asked() {
        let settings = settings(&["https://ci.example.com/api", "http://10.0.0.1:9090/"]).unwrap();
        for (url, is_allowed) in [
            ("https://ci.example.com/api", true),
            ("https://ci.example.com/api/v1?x=y", true),
            ("https://ci.example.com/apis", false),
            ("https://ci.example.com/", false),
            ("https://ci.example.com/api/../admin", false),
            ("https://ci.example.com:8443/api", false),
            ("http://ci.example.com/api", false),
            ("https://ci.example.com.evil.org/api", false),
            ("https://user:word@ci.example.com/api", false),
            ("http://10.0.0.1:9090/api/v1/query", true),
            ("http://10.0.0.1/api/v1/query", false),
        ] {
            assert_eq!(settings.allows(&Url::parse(url).unwrap()).is_some(), is_allowed, "{url}");
        }
    }

    #[test]
    fn what_is_no_place_is_told() {
        for wrong in ["ci.example.com", "ftp://a/", "https://u@a/", "https://a/?q", "https://a/#f", ""] {
            assert!(settings(&[wrong]).unwrap_err()[0].contains("gates[0].url"), "{wrong}");
        }
    }
}
