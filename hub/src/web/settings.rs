//! With which settings is the dashboard served?

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use serde::Deserialize;

/// Flags of the dashboard, and the environment variables in their place. The same under `dashboard` in
/// `config.yaml`.
#[derive(Args, Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DashboardFlags {
    /// Address and port at which browsers and curl reach the hub [default: none].
    #[arg(long = "dashboard", env = "MUSTER_HUB_DASHBOARD", value_name = "IP:PORT", id = "dashboard_listen")]
    pub listen: Option<String>,
    /// File with the certificate that browsers see, PEM, the leaf first. Read again when it changes.
    #[arg(
        long = "dashboard-certificate",
        env = "MUSTER_HUB_DASHBOARD_CERTIFICATE",
        value_name = "FILE",
        id = "dashboard_certificate"
    )]
    pub certificate: Option<PathBuf>,
    /// File with its key, PEM.
    #[arg(
        long = "dashboard-key",
        env = "MUSTER_HUB_DASHBOARD_KEY",
        value_name = "FILE",
        id = "dashboard_key"
    )]
    pub key: Option<PathBuf>,
    /// Serve it without TLS, for an ingress that brings it. Only loopback may do so without this.
    #[arg(
        long = "dashboard-plaintext",
        env = "MUSTER_HUB_DASHBOARD_PLAINTEXT",
        id = "dashboard_plaintext",
        num_args = 0..=1,
        default_missing_value = "true"
    )]
    pub plaintext: Option<bool>,
}

/// What the dashboard is served with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DashboardSettings {
    /// Where; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Files of the certificate and its key; without them it is plain HTTP.
    pub tls: Option<(PathBuf, PathBuf)>,
}

impl DashboardFlags {
    /// These, and the others where these say nothing.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        Self {
            listen: self.listen.or(others.listen),
            certificate: self.certificate.or(others.certificate),
            key: self.key.or(others.key),
            plaintext: self.plaintext.or(others.plaintext),
        }
    }

    /// The settings, if they are in order; all that is not goes to `problems`.
    pub fn check(self, problems: &mut Vec<String>) -> Option<DashboardSettings> {
        let mut wrong = |problem: &str| {
            problems.push(format!("dashboard: {problem}"));
            None
        };
        let Some(listen) = self.listen else {
            if self.certificate.is_some() || self.key.is_some() || self.plaintext.is_some() {
                return wrong("a certificate or `plaintext` is given and no address to listen on");
            }
            return None;
        };
        let Ok(listen) = listen.parse::<SocketAddr>() else {
            return wrong(&format!("{listen:?} is not IP:PORT, such as 127.0.0.1:8080 or [::]:8080"));
        };
        match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => {
                Some(DashboardSettings { listen, tls: Some((certificate, key)) })
            }
            (None, None) if listen.ip().is_loopback() || self.plaintext == Some(true) => {
                Some(DashboardSettings { listen, tls: None })
            }
            (None, None) => wrong(
                "people log in there, so an address that others reach needs a certificate and a key, or `plaintext` \
                 where something before it brings TLS",
            ),
            _ => wrong("a certificate needs its key, and a key its certificate"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Option<DashboardSettings>, String> {
        let flags: DashboardFlags = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let mut problems = Vec::new();
        let settings = flags.check(&mut problems);
        if problems.is_empty() { Ok(settings) } else { Err(problems.join("; ")) }
    }

    #[test]
    fn plain_http_is_for_loopback_or_on_demand() {
        assert_eq!(check("{}"), Ok(None));
        assert!(check("listen: 127.0.0.1:0").unwrap().unwrap().tls.is_none());
        assert!(check("listen: '[::1]:8080'").unwrap().is_some());
        assert!(check("listen: 0.0.0.0:8080").unwrap_err().contains("needs a certificate"));
        assert!(check("{listen: 0.0.0.0:8080, plaintext: true}").unwrap().is_some());
        let tls = check("{listen: 0.0.0.0:443, certificate: c, key: k}").unwrap().unwrap();
        assert_eq!(tls.tls, Some(("c".into(), "k".into())));
    }

    #[test]
    fn halves_are_refused() {
        assert!(check("listen: here").unwrap_err().contains("not IP:PORT"));
        assert!(check("{listen: '127.0.0.1:1', key: k}").unwrap_err().contains("needs its key"));
        assert!(check("plaintext: true").unwrap_err().contains("no address"));
        assert!(check("{listen: '127.0.0.1:1', kubeconfig: x}").unwrap_err().contains("kubeconfig"));
    }
}
