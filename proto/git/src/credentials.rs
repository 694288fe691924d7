//! Which credentials go to which server? They live in files, and are read again at
//! every fetch, so that a rotated secret is used without a restart.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;

use crate::GitError;
use crate::url::RemoteUrl;

/// Largest file of credentials that is read, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where the credentials for HTTP are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// A file whose form says what it is: lines of `https://user:password@host`
    /// (as `git credential-store` writes them; the first that fits the URL is used),
    /// or one line `user:password`, or one line without a colon, which is a bearer token.
    File(PathBuf),
    /// A file as `git credential-store` writes it, and nothing else: with repositories on several servers nothing in it
    /// may go to all of them.
    Store(PathBuf),
    /// A file with one line, sent as `Authorization: Bearer`.
    BearerFile(PathBuf),
    /// A file with one line `user:password`, sent as `Authorization: Basic`.
    BasicFile(PathBuf),
}

/// A header that proves who we are; never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Authorization {
    header: String,
    secrets: Vec<String>,
}

impl Authorization {
    fn basic(user: &str, password: &str) -> Authorization {
        let pair = format!("{user}:{password}");
        let encoded = base64::engine::general_purpose::STANDARD.encode(&pair);
        Authorization {
            header: format!("Basic {encoded}"),
            secrets: vec![encoded, pair, password.to_owned()],
        }
    }

    fn bearer(token: &str) -> Authorization {
        Authorization { header: format!("Bearer {token}"), secrets: vec![token.to_owned()] }
    }

    /// The value of the `Authorization` header.
    pub(crate) fn header(&self) -> &str {
        &self.header
    }

    /// Takes every secret out of a text that came from elsewhere.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let secrets = self.secrets.iter().filter(|secret| secret.len() >= 4);
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(***)")
    }
}

impl Credentials {
    fn path(&self) -> &Path {
        match self {
            Credentials::File(path)
            | Credentials::Store(path)
            | Credentials::BearerFile(path)
            | Credentials::BasicFile(path) => path,
        }
    }

    /// Reads the file as it is now. `None` when it is a credential store without a
    /// line for this server.
    pub(crate) fn load(&self, url: &RemoteUrl) -> Result<Option<Authorization>, GitError> {
        let file = self.path();
        let refused =
            |reason: &str| GitError::Credentials { file: file.to_owned(), reason: reason.to_owned() };
        let size = std::fs::metadata(file).map_err(|e| refused(&e.to_string()))?.len();
        if size > FILE_BYTES_MAX {
            return Err(refused("it is larger than 64 KiB, which no credential is"));
        }
        let bytes = std::fs::read(file).map_err(|e| refused(&e.to_string()))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| refused("it is not UTF-8 text"))?;
        self.parse(text, url).map_err(refused)
    }

    fn parse(&self, text: &str, url: &RemoteUrl) -> Result<Option<Authorization>, &'static str> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if lines.is_empty() {
            return Err("it is empty");
        }
        if lines.iter().any(|line| line.chars().any(char::is_control)) {
            return Err("it holds control characters");
        }
        match self {
            Credentials::Store(_) if !lines.iter().all(|line| line.contains("://")) => {
                Err("expected lines of https://user:password@host, as `git credential-store` writes them")
            }
            Credentials::File(_) | Credentials::Store(_) if lines.iter().any(|line| line.contains("://")) => {
                Ok(lines.iter().find_map(|line| stored_credential(line, url)))
            }
            _ if lines.len() > 1 => Err("expected one line"),
            Credentials::BearerFile(_) => Ok(Some(Authorization::bearer(lines[0]))),
            Credentials::File(_) if !lines[0].contains(':') => Ok(Some(Authorization::bearer(lines[0]))),
            Credentials::File(_) | Credentials::Store(_) | Credentials::BasicFile(_) => {
                match lines[0].split_once(':') {
                    Some((user, password)) => Ok(Some(Authorization::basic(user, password))),
                    None => Err("expected one line `user:password`"),
                }
            }
        }
    }
}

/// The user and password a URL itself carries, if it is for HTTP.
pub(crate) fn from_url(url: &RemoteUrl) -> Option<Authorization> {
    let (user, password) = url.http_login()?;
    Some(Authorization::basic(&user, &password))
}

/// One line of a credential store, if it is for this server: same scheme, host and
/// port, and a path that is absent or that the URL's path begins with.
fn stored_credential(line: &str, url: &RemoteUrl) -> Option<Authorization> {
    let stored = RemoteUrl::parse(line).ok()?;
    let (user, password) = stored.http_login()?;
    if !stored.same_origin(url) {
        return None;
    }
    let prefix = stored.path().trim_end_matches('/').to_owned();
    let path = url.path();
    let fits = prefix.is_empty()
        || path == prefix
        || path.strip_prefix(&prefix).is_some_and(|rest| rest.starts_with('/') || rest == ".git");
    fits.then(|| Authorization::basic(&user, &password))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(credentials: &Credentials, text: &str, url: &str) -> Result<Option<String>, &'static str> {
        let url = RemoteUrl::parse(url).unwrap();
        credentials.parse(text, &url).map(|found| found.map(|a| a.header().to_owned()))
    }

    fn basic(pair: &str) -> Option<String> {
        Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
    }

    #[test]
    fn the_form_of_the_file_says_what_it_is() {
        let auto = Credentials::File("f".into());
        let bearer = Credentials::BearerFile("f".into());
        let url = "https://git.example/org/repo";
        assert_eq!(header(&auto, "ann:s3cret:x\n", url), Ok(basic("ann:s3cret:x")));
        assert_eq!(header(&auto, "t0ken\n", url), Ok(Some("Bearer t0ken".into())));
        assert_eq!(header(&bearer, "a:b\n", url), Ok(Some("Bearer a:b".into())));
        assert!(header(&auto, "\n \n", url).is_err());
        assert!(header(&auto, "a:b\nc:d", url).is_err());
        assert!(header(&Credentials::BasicFile("f".into()), "token", url).is_err());
        assert!(header(&bearer, "a\u{7}b", url).is_err());
    }

    #[test]
    fn a_credential_store_serves_only_its_own_hosts() {
        let auto = Credentials::File("f".into());
        let store = "https://bob:pw%40x@other.example\nhttps://ann:one@git.example/org/repo\nhttps://ann:two@git.example\n";
        assert_eq!(header(&auto, store, "https://git.example/org/repo.git"), Ok(basic("ann:one")));
        assert_eq!(header(&auto, store, "https://git.example/org/repository"), Ok(basic("ann:two")));
        assert_eq!(header(&auto, store, "https://other.example/x"), Ok(basic("bob:pw@x")));
        assert_eq!(header(&auto, store, "http://git.example/org/repo"), Ok(None));
        assert_eq!(header(&auto, store, "https://git.example:8443/org/repo"), Ok(None));
        assert_eq!(header(&auto, store, "https://nobody.example/"), Ok(None));
        let strict = Credentials::Store("f".into());
        assert_eq!(header(&strict, store, "https://other.example/x"), Ok(basic("bob:pw@x")));
        for text in ["t0ken", "ann:s3cret", "https://ann:one@git.example\nt0ken"] {
            assert!(header(&strict, text, "https://git.example/").is_err(), "it would go to every server");
        }
    }

    #[test]
    fn secrets_are_neither_shown_nor_passed_on() {
        let secret = Authorization::basic("ann", "s3cret");
        assert!(!format!("{secret:?}").contains("s3cret"));
        let echoed = format!("no access for ann:s3cret with {} or s3cret", secret.header());
        assert!(!secret.scrub(&echoed).contains("s3cret"));
        assert!(!secret.scrub(&echoed).contains(secret.header().trim_start_matches("Basic ")));
    }
}
