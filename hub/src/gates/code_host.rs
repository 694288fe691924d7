//! Where is a repository in the API of a code host?

use muster_spec::CodeHost;

/// What the hub calls itself: GitHub refuses requests without that.
pub(crate) const USER_AGENT: &str = concat!("muster-hub/", env!("CARGO_PKG_VERSION"));

/// The address below which all of a repository is.
pub(crate) fn repository(host: CodeHost, base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    match host {
        CodeHost::Github | CodeHost::Gitea => format!("{base}/repos/{path}"),
        CodeHost::Gitlab => format!("{base}/projects/{}", path.replace('/', "%2F")),
    }
}
