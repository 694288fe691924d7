//! Which certificates are shown and taken while the hub runs?
//!
//! ```text
//! files of the CA --load--> Authority --> server certificate, verifier --> next handshakes
//!                                    `--> tokens, agents (TrustBundle)
//!                                    `--> open connections whose certificate is not taken any more are cut
//! ```
//! Nothing changes when the files cannot be used: the hub goes on with what it had, and says so.

use std::{path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::ClientCertVerifier,
};
use tokio::sync::watch;

use crate::{
    authority::{
        Authority,
        files::{self, FILES, LoadError},
        fingerprint,
    },
    listener::Connections,
    reload::Watched,
    tls::{self, ServerCertificate},
};

/// What is shown and taken now.
pub(crate) struct Trust {
    directory: PathBuf,
    certificate: Arc<ServerCertificate>,
    authority: watch::Sender<Arc<Authority>>,
    tls: watch::Sender<Arc<ServerConfig>>,
    connections: Arc<Connections>,
    watched: Watched,
}

impl Trust {
    /// Reads the files in the hub's directory.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(crate) fn load(
        directory: PathBuf,
        hosts: Vec<ServerName<'static>>,
        now: Timestamp,
    ) -> Result<Self, LoadError> {
        // Before they are read: a change meanwhile is read again.
        let watched = Watched::new(&directory, &FILES);
        let authority = files::load(&directory)?;
        let brought = files::brought_server(&directory)?;
        let certificate = ServerCertificate::new(&authority, hosts, brought.as_ref(), now)?;
        let verifier = tls::client_verifier(&authority, tls::provider())?;
        let config = tls::server_config(verifier, Arc::clone(&certificate))?;
        Ok(Self {
            directory,
            certificate,
            authority: watch::channel(Arc::new(authority)).0,
            tls: watch::channel(config).0,
            connections: Arc::default(),
            watched,
        })
    }

    /// The CA, now and whenever it changes.
    pub(crate) fn authority(&self) -> watch::Receiver<Arc<Authority>> {
        self.authority.subscribe()
    }

    /// What handshakes are done with, now and whenever it changes.
    pub(crate) fn tls(&self) -> watch::Receiver<Arc<ServerConfig>> {
        self.tls.subscribe()
    }

    /// To be told of each connection.
    pub(crate) fn connections(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }

    /// Looks at the files and the time. True when other CAs are trusted than before.
    pub(crate) fn tick(&mut self, now: Timestamp) -> bool {
        if self.watched.changed() {
            match self.reload(now) {
                Ok(changed) => return changed,
                Err(error) => {
                    tracing::error!(%error, "the certificates have changed and cannot be used; the hub goes on with those it had");
                }
            }
        }
        let authority = Arc::clone(&self.authority.borrow());
        match self.certificate.renew(&authority, now) {
            Ok(false) => {}
            Ok(true) => tracing::info!("made a new server certificate"),
            Err(error) => tracing::error!(%error, "cannot make a new server certificate"),
        }
        false
    }

    fn reload(&mut self, now: Timestamp) -> Result<bool, LoadError> {
        let authority = files::load(&self.directory)?;
        let brought = files::brought_server(&self.directory)?;
        let verifier = tls::client_verifier(&authority, tls::provider())?;
        let config = tls::server_config(Arc::clone(&verifier), Arc::clone(&self.certificate))?;
        self.certificate.replace(&authority, brought.as_ref(), now)?;
        let trusted = |authority: &Authority| authority.trusted().to_vec();
        let before = trusted(&self.authority.borrow());
        let changed = before != trusted(&authority);
        let signs = fingerprint(authority.certificate());
        self.tls.send_replace(config);
        self.authority.send_replace(Arc::new(authority));
        let cut = self.connections.recheck(|chain| is_taken(verifier.as_ref(), chain, now));
        tracing::info!(ca = signs, trusted_changed = changed, cut, "the certificates were read anew");
        Ok(changed)
    }
}

fn is_taken(verifier: &dyn ClientCertVerifier, chain: &[CertificateDer<'static>], now: Timestamp) -> bool {
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)));
    let Some((leaf, intermediates)) = chain.split_first() else { return true };
    match verifier.verify_client_cert(leaf, intermediates, now) {
        Ok(_) => true,
        // Its time is watched elsewhere, and ends with a word.
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::Expired | rustls::CertificateError::ExpiredContext { .. },
        )) => true,
        Err(_) => false,
    }
}

/// Fingerprints of all CAs an enrolment token may name.
pub(crate) fn fingerprints(authority: &Authority) -> Vec<String> {
    authority.trusted().iter().map(fingerprint).collect()
}
