//! Where is the hub, whom to trust, and who am I? Reads the file `muster-hub init` writes.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::failure::Failure;

/// Largest config file read, in bytes: an address and three PEM blocks are a few thousand.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// How to reach one hub as one operator.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// `https://HOST:PORT`
    pub(crate) hub: String,
    /// Certificate of the hub's CA, PEM.
    pub(crate) ca: String,
    /// Certificate of the operator, PEM; empty for a user with a token.
    #[serde(default)]
    pub(crate) certificate: String,
    /// Its private key, PEM.
    #[serde(default)]
    pub(crate) key: String,
    /// A user token, or an ID token.
    #[serde(default)]
    pub(crate) token: Option<String>,
    /// File with such a token, read anew each time.
    #[serde(default)]
    pub(crate) token_file: Option<PathBuf>,
}

impl Config {
    /// The bearer token to show: that of the environment, or of the file.
    ///
    /// # Errors
    /// When the token file cannot be read.
    pub(crate) fn bearer(&self, environment: Option<String>) -> Result<Option<String>, String> {
        let from_file = |path: &PathBuf| {
            let mut text = String::new();
            let read =
                fs::File::open(path).and_then(|file| file.take(CONFIG_BYTES_MAX).read_to_string(&mut text));
            read.map(|_| text).map_err(|error| format!("token_file {}: {error}", path.display()))
        };
        let token = match environment.filter(|token| !token.is_empty()).or_else(|| self.token.clone()) {
            Some(token) => Some(token),
            None => self.token_file.as_ref().map(from_file).transpose()?,
        };
        Ok(token.map(|token| token.trim().to_owned()))
    }
}

// Written by hand so that the key cannot get into a message.
impl std::fmt::Debug for Config {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Config").field("hub", &self.hub).finish_non_exhaustive()
    }
}

/// The file given, or `muster/config.yaml` in the user's folder for configuration.
pub(crate) fn path(
    given: Option<PathBuf>,
    xdg_config_home: Option<PathBuf>,
    home: Option<PathBuf>,
) -> Option<PathBuf> {
    given.or_else(|| {
        let folder = xdg_config_home.filter(|folder| folder.is_absolute());
        Some(folder.or_else(|| Some(home?.join(".config")))?.join("muster/config.yaml"))
    })
}

/// Reads and checks the file.
pub(crate) fn load(path: &Path) -> Result<Config, Failure> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Failure::ConfigMissing { path: path.to_owned() },
        _ => Failure::ConfigInvalid { path: path.to_owned(), message: error.to_string() },
    };
    let mut text = String::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > CONFIG_BYTES_MAX {
        let message = format!("it is larger than {CONFIG_BYTES_MAX} bytes");
        return Err(Failure::ConfigInvalid { path: path.to_owned(), message });
    }
    serde_yaml::from_str(&text)
        .map_err(|error| Failure::ConfigInvalid { path: path.to_owned(), message: error.to_string() })
}

/// True when somebody else than its owner can read the private key in the file.
#[cfg(unix)]
pub(crate) fn is_exposed(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

/// Permissions are not looked at where they are not Unix's.
#[cfg(not(unix))]
pub(crate) fn is_exposed(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_where_users_keep_such_things() {
        let given = || Some(PathBuf::from("mine.yaml"));
        let home = || Some(PathBuf::from("/home/ada"));
        let xdg = || Some(PathBuf::from("/xdg"));
        assert_eq!(path(given(), xdg(), home()), given());
        assert_eq!(path(None, xdg(), home()), Some("/xdg/muster/config.yaml".into()));
        assert_eq!(
            path(None, Some("relative".into()), home()),
            Some("/home/ada/.config/muster/config.yaml".into())
        );
        assert_eq!(path(None, None, home()), Some("/home/ada/.config/muster/config.yaml".into()));
        assert_eq!(path(None, None, None), None);
    }

    #[test]
    fn a_broken_file_is_told_from_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        assert!(matches!(load(&path), Err(Failure::ConfigMissing { .. })));
        fs::write(&path, "hub: https://hub:8443\nca: x\ncertificate: x\nkey: x\nkeys: y\n").unwrap();
        let error = load(&path).unwrap_err().to_string();
        assert!(error.contains("keys"), "{error}");
        fs::write(&path, "hub: https://hub:8443\nca: x\ncertificate: x\nkey: secret\n").unwrap();
        let config = load(&path).unwrap();
        assert_eq!(config.hub, "https://hub:8443");
        assert!(!format!("{config:?}").contains("secret"));
        assert_eq!(config.bearer(None), Ok(None));
    }

    #[test]
    fn a_token_comes_from_the_environment_the_config_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, token) = (folder.path().join("config.yaml"), folder.path().join("token"));
        let load = |more: &str| {
            fs::write(&path, format!("hub: https://hub:8443\nca: x\n{more}")).unwrap();
            load(&path).unwrap()
        };
        fs::write(&token, "from-file\n").unwrap();
        let with_file = load(&format!("token-file: {}\n", token.display()));
        assert_eq!(with_file.bearer(None), Ok(Some("from-file".to_owned())));
        assert_eq!(with_file.bearer(Some("other".to_owned())), Ok(Some("other".to_owned())));
        assert_eq!(load("token: given\n").bearer(None), Ok(Some("given".to_owned())));
        assert!(load("token-file: /no/such/file\n").bearer(None).unwrap_err().contains("/no/such/file"));
    }
}
