//! Where is the hub, whom to trust, and who am I? Reads the file `muster-hub init` writes, or one with several such.
//!
//! ```yaml
//! current-context: prod
//! contexts:
//!   prod: {hub: "https://hub.example.com:8443", ca: ..., certificate: ..., key: ...}
//!   lab: {hub: "https://lab:8443", ca: ..., token-file: /run/token}
//! ```

use std::{
    collections::BTreeMap,
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// Largest config file read, in bytes: an address and three PEM blocks are a few thousand.
const CONFIG_BYTES_MAX: u64 = 1024 * 1024;

/// How to reach one hub as one operator.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    /// `https://HOST:PORT`
    pub(crate) hub: String,
    /// Certificate of the hub's CA, PEM.
    pub(crate) ca: String,
    /// Certificate of the operator, PEM; empty for a user with a token.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) certificate: String,
    /// Its private key, PEM.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) key: String,
    /// A user token, or an ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
    /// File with such a token, read anew each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<PathBuf>,
    /// Who gave the ID token, and gives the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) oidc: Option<Oidc>,
}

/// An OpenID Connect issuer that `muster login` went to.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Oidc {
    /// Its URL, as its tokens name it.
    pub(crate) issuer: String,
    /// As whom it knows this program.
    pub(crate) client_id: String,
    /// File with the certificates to trust for it, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
    /// What the next token is had for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<String>,
}

/// What the file holds.
#[derive(Debug)]
pub(crate) enum File {
    /// One hub, as `muster-hub init` writes it.
    One(Config),
    Many(Contexts),
}

/// Several hubs, each under a name.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Contexts {
    /// The one that is meant where none is named.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) current_context: String,
    pub(crate) contexts: BTreeMap<String, Config>,
}

/// The name under which a file of one hub goes in lists.
pub(crate) const ONLY: &str = "default";

impl File {
    /// The hub that is meant: the one named, or the current one.
    ///
    /// # Errors
    /// A sentence, when there is none.
    pub(crate) fn choose(&mut self, context: Option<&str>) -> Result<&mut Config, String> {
        match self {
            File::One(config) => match context {
                None | Some(ONLY) => Ok(config),
                Some(other) => Err(format!("there is no context {other}; the file has one hub, {ONLY}")),
            },
            File::Many(many) => {
                let name = context.unwrap_or(&many.current_context).to_owned();
                let names = many.contexts.keys().cloned().collect::<Vec<_>>().join(", ");
                many.contexts.get_mut(&name).ok_or_else(|| match name.as_str() {
                    "" => format!("no context is current; choose one of {names} with `muster context use`"),
                    _ => format!("there is no context {name}; there are {names}"),
                })
            }
        }
    }

    /// The same as several, for one more to be added.
    pub(crate) fn into_many(self) -> Contexts {
        match self {
            File::Many(many) => many,
            File::One(config) => Contexts {
                current_context: ONLY.to_owned(),
                contexts: BTreeMap::from([(ONLY.to_owned(), config)]),
            },
        }
    }
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
pub(crate) fn load(path: &Path) -> Result<File, Failure> {
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
    let invalid = |error: serde_yaml::Error| Failure::ConfigInvalid {
        path: path.to_owned(),
        message: error.to_string(),
    };
    let document: serde_yaml::Value = serde_yaml::from_str(&text).map_err(invalid)?;
    // From the text, so that an error names its line.
    if document.get("contexts").is_some() {
        serde_yaml::from_str(&text).map(File::Many).map_err(invalid)
    } else {
        serde_yaml::from_str(&text).map(File::One).map_err(invalid)
    }
}

/// Writes the file, whole or not at all, for its owner alone.
pub(crate) fn save(path: &Path, file: &File) -> Result<(), Failure> {
    let text = match file {
        File::One(config) => serde_yaml::to_string(config),
        File::Many(many) => serde_yaml::to_string(many),
    };
    let text =
        text.map_err(|error| Failure::ConfigInvalid { path: path.to_owned(), message: error.to_string() })?;
    let written = || -> io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        // Temporary files are made for their owner alone.
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        temporary.write_all(text.as_bytes())?;
        temporary.as_file().sync_all()?;
        temporary.persist(path).map(drop).map_err(|error| error.error)
    };
    written().map_err(|error| Failure::ConfigInvalid { path: path.to_owned(), message: error.to_string() })
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
        let mut file = load(&path).unwrap();
        let config = file.choose(None).unwrap();
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
            load(&path).unwrap().choose(None).unwrap().clone()
        };
        fs::write(&token, "from-file\n").unwrap();
        let with_file = load(&format!("token-file: {}\n", token.display()));
        assert_eq!(with_file.bearer(None), Ok(Some("from-file".to_owned())));
        assert_eq!(with_file.bearer(Some("other".to_owned())), Ok(Some("other".to_owned())));
        assert_eq!(load("token: given\n").bearer(None), Ok(Some("given".to_owned())));
        assert!(load("token-file: /no/such/file\n").bearer(None).unwrap_err().contains("/no/such/file"));
    }

    #[test]
    fn of_several_hubs_one_is_current() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.yaml");
        let config =
            |hub: &str| Config { hub: hub.to_owned(), key: "secret".to_owned(), ..Config::default() };
        save(&path, &File::One(config("https://one:1"))).unwrap();
        assert!(!is_exposed(&path));
        let mut many = load(&path).unwrap().into_many();
        many.contexts.insert("two".to_owned(), config("https://two:2"));
        save(&path, &File::Many(many)).unwrap();
        let mut file = load(&path).unwrap();
        assert_eq!(file.choose(None).unwrap().hub, "https://one:1");
        assert_eq!(file.choose(Some("two")).unwrap().hub, "https://two:2");
        let error = file.choose(Some("three")).unwrap_err();
        assert_eq!(error, "there is no context three; there are default, two");
        fs::write(&path, "contexts: {a: {hub: x, ca: y}}\n").unwrap();
        assert!(load(&path).unwrap().choose(None).unwrap_err().contains("no context is current"));
        fs::write(&path, "contexts:\n  a:\n    hub: x\n    keys: y\n").unwrap();
        assert!(load(&path).unwrap_err().to_string().contains("keys"));
    }
}
