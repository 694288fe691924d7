//! Where is the repository, and how is that place shown without its credentials?

use std::fmt;
use std::path::PathBuf;

use gix::url::Scheme;

use crate::GitError;

/// The URL of a repository. `Display` and `Debug` never show a password, nor the
/// user name of an HTTP URL (which often is a token).
#[derive(Clone, PartialEq, Eq)]
pub struct RemoteUrl {
    url: gix::url::Url,
    kind: Kind,
}

/// How a repository is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Http { tls: bool },
    Ssh,
    Local,
}

impl RemoteUrl {
    /// Accepts `https://`, `http://`, `ssh://`, `user@host:path`, `file://` and
    /// absolute local paths.
    ///
    /// # Errors
    /// [`GitError::Url`] for anything else, and for parts that a program could take for an option.
    pub fn parse(text: &str) -> Result<RemoteUrl, GitError> {
        let refuse = |shown: String, reason: &str| GitError::Url { url: shown, reason: reason.to_owned() };
        if text.len() > 4096 || text.chars().any(char::is_control) {
            return Err(refuse(
                "(not shown)".into(),
                "it is longer than 4096 bytes or holds control characters",
            ));
        }
        let url = gix::url::parse(text)
            .map_err(|_| refuse("(not shown)".into(), "it is neither a URL nor a path"))?;
        let kind = match url.scheme {
            Scheme::Https => Kind::Http { tls: true },
            Scheme::Http => Kind::Http { tls: false },
            Scheme::Ssh => Kind::Ssh,
            Scheme::File => Kind::Local,
            _ => {
                let reason = "expected https, http, ssh, file or an absolute path";
                return Err(refuse(format!("with the scheme {}", url.scheme.as_str()), reason));
            }
        };
        let url = RemoteUrl { url, kind };
        match url.flaw() {
            Some(reason) => Err(refuse(url.to_string(), reason)),
            None => Ok(url),
        }
    }

    /// What keeps a parsed URL from being used. Host, user and path that begin with
    /// a dash could be taken for options by the ssh program (RUSTSEC-2024-0335).
    fn flaw(&self) -> Option<&'static str> {
        let dashed = |text: Option<&str>| text.is_some_and(|t| t.trim_start().starts_with('-'));
        let path: &[u8] = self.url.path.as_ref();
        if dashed(self.url.host()) || dashed(self.url.user()) || path.trim_ascii_start().starts_with(b"-") {
            return Some("a part of it begins with `-`, which a program could take for an option");
        }
        if path.is_empty() {
            return Some("it has no path");
        }
        match self.kind {
            Kind::Http { .. } | Kind::Ssh if self.url.host().is_none_or(str::is_empty) => {
                Some("it has no host")
            }
            Kind::Ssh if self.url.password().is_some() => {
                Some("ssh takes no password from a URL: use a key file")
            }
            Kind::Local if self.url.host().is_some() => Some("a file URL has no host"),
            Kind::Local if !path.starts_with(b"/") => Some("a local path must be absolute"),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn host(&self) -> &str {
        self.url.host().unwrap_or_default()
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.url.port
    }

    pub(crate) fn user(&self) -> Option<&str> {
        self.url.user()
    }

    /// The path as text; percent-encoding as written.
    pub(crate) fn path(&self) -> String {
        let path: &[u8] = self.url.path.as_ref();
        String::from_utf8_lossy(path).into_owned()
    }

    /// The path of a local repository.
    pub(crate) fn local_path(&self) -> PathBuf {
        use std::os::unix::ffi::OsStrExt as _;
        let path: &[u8] = self.url.path.as_ref();
        PathBuf::from(std::ffi::OsStr::from_bytes(path))
    }

    /// User and password in an HTTP URL; a user alone counts as a token with an empty password.
    pub(crate) fn http_login(&self) -> Option<(String, String)> {
        let user = self.url.user().filter(|user| !user.is_empty())?;
        let password = self.url.password().unwrap_or_default();
        matches!(self.kind, Kind::Http { .. }).then(|| (user.to_owned(), password.to_owned()))
    }

    /// True when it is a directory of this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.kind == Kind::Local
    }

    /// True when both have the same scheme, host and port.
    #[must_use]
    pub fn same_origin(&self, other: &RemoteUrl) -> bool {
        let port = |u: &RemoteUrl| u.url.port_or_default();
        self.kind == other.kind && self.host().eq_ignore_ascii_case(other.host()) && port(self) == port(other)
    }

    /// True when an HTTP connection to the host does not leave this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host().trim_start_matches('[').trim_end_matches(']');
        let address: Option<std::net::IpAddr> = host.parse().ok();
        host.eq_ignore_ascii_case("localhost") || address.is_some_and(|a| a.is_loopback())
    }

    /// The same place with nothing secret in it, as the transport needs it.
    pub(crate) fn without_login(&self) -> gix::url::Url {
        let mut url = self.url.clone();
        url.set_user(None);
        url.set_password(None);
        url
    }
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        url.set_password(None);
        if matches!(self.kind, Kind::Http { .. }) {
            url.set_user(None);
        }
        let text = url.to_bstring().to_string();
        // What follows a question mark may be a token, and is never needed to know the place.
        f.write_str(text.split(['?', '#']).next().unwrap_or_default())
    }
}

impl fmt::Debug for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_shown_without_credentials() {
        for (text, shown) in [
            ("https://ann:s3cret@git.example/o/r.git", "https://git.example/o/r.git"),
            ("https://ghp_token@git.example/o/r", "https://git.example/o/r"),
            ("https://git.example/o/r?private_token=s3cret", "https://git.example/o/r"),
            ("http://git.example:8080/r", "http://git.example:8080/r"),
            ("ssh://git@git.example:2222/o/r", "ssh://git@git.example:2222/o/r"),
            ("git@git.example:o/r.git", "git@git.example:o/r.git"),
            ("/srv/git/r.git", "/srv/git/r.git"),
            ("file:///srv/git/r.git", "file:///srv/git/r.git"),
        ] {
            let url = RemoteUrl::parse(text).unwrap();
            assert_eq!(url.to_string(), shown);
            assert!(!format!("{url:?}").contains("s3cret"));
        }
    }

    #[test]
    fn what_could_be_an_option_or_another_protocol_is_refused() {
        for text in [
            "ssh://-oProxyCommand=touch$IFS/tmp/x/repo",
            "-oProxyCommand=x@host:repo",
            "ssh://-l@host/repo",
            "host:-oProxyCommand=x",
            "git@-oProxyCommand=x:repo",
            "ssh://git:s3cret@host/repo",
            "git://host/repo",
            "ext::sh -c touch% /tmp/x",
            "ftp://ann:s3cret@host/repo",
            "relative/path",
            "--upload-pack=touch",
            "https:///repo",
            "https://host/re\npo",
            "",
        ] {
            let error = RemoteUrl::parse(text).expect_err(text).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn loopback_is_known_without_asking_anybody() {
        let loopback = |text: &str| RemoteUrl::parse(text).unwrap().is_loopback();
        assert!(
            loopback("http://127.0.0.1:1/r")
                && loopback("http://localhost/r")
                && loopback("http://[::1]:1/r")
        );
        assert!(!loopback("http://localhost.evil.example/r") && !loopback("http://10.0.0.1/r"));
    }
}
