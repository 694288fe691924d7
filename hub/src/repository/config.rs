//! Which repository does the hub read, and how?

use std::{path::PathBuf, time::Duration};

use clap::Args;
use muster_git::{AllowedSigners, Credentials, GitError, Remote, SigningKey};
use serde::Deserialize;

const BRANCH_DEFAULT: &str = "main";
const PINS_BRANCH_DEFAULT: &str = "muster";
const INTERVAL_DEFAULT: Duration = Duration::from_secs(30);
const INTERVAL_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// Flags about the fleet repository, and the keys of `repository` in `config.yaml`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RepositoryFlags {
    /// Fleet repository, for promotion waves: https, http, ssh, or a local path; without it the hub promotes
    /// nothing.
    #[arg(long = "repo", env = "MUSTER_HUB_REPO", value_name = "URL")]
    #[serde(rename = "url")]
    pub repo: Option<String>,
    /// Branch that the fleet follows [default: main].
    #[arg(long, env = "MUSTER_HUB_BRANCH", value_name = "NAME")]
    pub branch: Option<String>,
    /// Branch that the hub writes pins to [default: muster].
    #[arg(long, env = "MUSTER_HUB_PINS_BRANCH", value_name = "NAME")]
    pub pins_branch: Option<String>,
    /// How often Git is asked for news, from 1s to 24h [default: 30s].
    #[arg(long, env = "MUSTER_HUB_REPO_INTERVAL", value_name = "DURATION")]
    #[serde(rename = "interval")]
    pub repo_interval: Option<String>,
    /// File with the credentials to read and write: a `git credential-store` file, `user:password`, or a bearer
    /// token; read again for each request.
    #[arg(long, env = "MUSTER_HUB_GIT_CREDENTIALS_FILE", value_name = "FILE")]
    #[serde(rename = "credentials-file")]
    pub git_credentials_file: Option<PathBuf>,
    /// PEM certificates to trust for the repository, instead of the system's.
    #[arg(long, env = "MUSTER_HUB_GIT_CA_FILE", value_name = "FILE")]
    #[serde(rename = "ca-file")]
    pub git_ca_file: Option<PathBuf>,
    /// Private key for a repository over ssh.
    #[arg(long, env = "MUSTER_HUB_SSH_KEY_FILE", value_name = "FILE")]
    pub ssh_key_file: Option<PathBuf>,
    /// Directory of the hub's copy of the repository [default: `repository` in its directory].
    #[arg(long, env = "MUSTER_HUB_REPO_MIRROR", value_name = "DIR")]
    #[serde(rename = "mirror")]
    pub repo_mirror: Option<PathBuf>,
    /// Accepted host keys for a repository over ssh.
    #[arg(long, env = "MUSTER_HUB_SSH_KNOWN_HOSTS_FILE", value_name = "FILE")]
    pub ssh_known_hosts_file: Option<PathBuf>,
    /// File with the secret of the Git server's webhook, at least 16 bytes; with it the server may send pushes to
    /// /hooks/git of the dashboard, and nobody waits for the next look.
    #[arg(long, env = "MUSTER_HUB_WEBHOOK_SECRET_FILE", value_name = "FILE")]
    pub webhook_secret_file: Option<PathBuf>,
    /// Private key that commits of pins are signed with, as `ssh-keygen -t ed25519` makes it, without a passphrase.
    #[arg(long, env = "MUSTER_HUB_SIGNING_KEY_FILE", value_name = "FILE")]
    pub signing_key_file: Option<PathBuf>,
    /// Keys other than the hub's own that may have signed the newest commit of the branch of pins, in a file as
    /// `gpg.ssh.allowedSignersFile` of Git names one. Without it and a key of its own the hub asks for no signature.
    #[arg(long, env = "MUSTER_HUB_PINS_SIGNED_BY", value_name = "FILE")]
    pub pins_signed_by: Option<PathBuf>,
}

/// Where the fleet's desired state is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySettings {
    /// The repository.
    pub remote: Remote,
    /// The branch that the fleet follows.
    pub branch: String,
    /// The branch with the pins.
    pub pins_branch: String,
    /// How often Git is asked.
    pub interval: Duration,
    /// Where the copy of it lies, if not in the hub's directory.
    pub mirror: Option<PathBuf>,
    /// The secret of the Git server's webhook.
    pub webhook_secret: Option<PathBuf>,
    /// What commits of pins are signed with.
    pub signing_key: Option<PathBuf>,
    /// Who else may have signed them.
    pub pins_signed_by: Option<PathBuf>,
}

impl RepositorySettings {
    /// Who may have signed the branch of pins; `None` when nobody need have.
    ///
    /// # Errors
    /// A file cannot be used.
    pub(super) fn pin_signers(&self) -> Result<Option<AllowedSigners>, GitError> {
        let others = self.pins_signed_by.as_deref().map(AllowedSigners::read).transpose()?;
        let own = self.signing_key.as_deref().map(SigningKey::read).transpose()?;
        Ok(match own {
            Some(own) => Some(others.unwrap_or_default().and("muster-hub", &own)),
            None => others,
        })
    }
}

impl RepositoryFlags {
    /// These, and for those that are not given the other's.
    #[must_use]
    pub fn or(self, other: RepositoryFlags) -> RepositoryFlags {
        RepositoryFlags {
            repo: self.repo.or(other.repo),
            branch: self.branch.or(other.branch),
            pins_branch: self.pins_branch.or(other.pins_branch),
            repo_interval: self.repo_interval.or(other.repo_interval),
            git_credentials_file: self.git_credentials_file.or(other.git_credentials_file),
            git_ca_file: self.git_ca_file.or(other.git_ca_file),
            ssh_key_file: self.ssh_key_file.or(other.ssh_key_file),
            repo_mirror: self.repo_mirror.or(other.repo_mirror),
            ssh_known_hosts_file: self.ssh_known_hosts_file.or(other.ssh_known_hosts_file),
            webhook_secret_file: self.webhook_secret_file.or(other.webhook_secret_file),
            signing_key_file: self.signing_key_file.or(other.signing_key_file),
            pins_signed_by: self.pins_signed_by.or(other.pins_signed_by),
        }
    }

    /// The settings; `None` when no repository is given. What is wrong is added to `problems`.
    pub(crate) fn check(self, problems: &mut Vec<String>) -> Option<RepositorySettings> {
        let Some(url) = self.repo else {
            if self.branch.is_some() || self.pins_branch.is_some() || self.git_credentials_file.is_some() {
                problems.push("repository: url is missing; give --repo or repository.url".to_owned());
            }
            return None;
        };
        let branch = self.branch.unwrap_or_else(|| BRANCH_DEFAULT.to_owned());
        let pins_branch = self.pins_branch.unwrap_or_else(|| PINS_BRANCH_DEFAULT.to_owned());
        if branch == pins_branch {
            problems.push(format!("repository: pins-branch: {branch} is the branch that the fleet follows"));
        }
        let interval = match self.repo_interval.as_deref().map(humantime::parse_duration) {
            None => INTERVAL_DEFAULT,
            Some(Ok(interval)) if INTERVAL_RANGE.contains(&interval) => interval,
            Some(_) => {
                problems.push("repository: interval: expected a duration from 1s to 24h".to_owned());
                INTERVAL_DEFAULT
            }
        };
        match Remote::new(&url) {
            Ok(mut remote) => {
                remote.credentials = self.git_credentials_file.map(Credentials::File);
                remote.ca_file = self.git_ca_file;
                remote.ssh.key_file = self.ssh_key_file;
                remote.ssh.known_hosts_file = self.ssh_known_hosts_file;
                Some(RepositorySettings {
                    remote,
                    branch,
                    pins_branch,
                    interval,
                    mirror: self.repo_mirror,
                    webhook_secret: self.webhook_secret_file,
                    signing_key: self.signing_key_file,
                    pins_signed_by: self.pins_signed_by,
                })
            }
            Err(error) => {
                problems.push(format!("repository: url: {error}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: RepositoryFlags) -> Result<Option<RepositorySettings>, Vec<String>> {
        let mut problems = Vec::new();
        let checked = flags.check(&mut problems);
        if problems.is_empty() { Ok(checked) } else { Err(problems) }
    }

    #[test]
    fn an_url_is_enough_and_none_is_none() {
        assert_eq!(check(RepositoryFlags::default()), Ok(None));
        let flags = RepositoryFlags { repo: Some("https://git.example/fleet".into()), ..Default::default() };
        let settings = check(flags).unwrap().unwrap();
        assert_eq!((settings.branch.as_str(), settings.pins_branch.as_str()), ("main", "muster"));
        assert_eq!(settings.interval, INTERVAL_DEFAULT);
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let with = |change: &dyn Fn(&mut RepositoryFlags)| {
            let mut flags = RepositoryFlags { repo: Some("/srv/fleet".into()), ..Default::default() };
            change(&mut flags);
            check(flags).unwrap_err().join("\n")
        };
        assert!(with(&|flags| flags.repo = Some("ftp://x/y".into())).contains("repository: url"));
        assert!(with(&|flags| flags.pins_branch = Some("main".into())).contains("pins-branch"));
        assert!(with(&|flags| flags.repo_interval = Some("10ms".into())).contains("1s to 24h"));
        assert!(
            with(&|flags| (flags.repo, flags.branch) = (None, Some("x".into()))).contains("url is missing")
        );
    }
}
