//! Who is at the other end of a connection?
//!
//! An identity is the one URI among a client certificate's names:
//! `spiffe://muster/cluster/NAME` or `spiffe://muster/operator/NAME`. Nothing a caller says
//! in a message counts.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use muster_spec::ClusterName;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::authority::{BACKDATED, Serial, hex};

const CLUSTER: &str = "spiffe://muster/cluster/";
const OPERATOR: &str = "spiffe://muster/operator/";

/// Longest operator name, in bytes.
const OPERATOR_BYTES_MAX: usize = 64;

/// Who a certificate speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The agent of this cluster.
    Cluster(ClusterName),
    /// A person, or a program acting for people.
    Operator(OperatorName),
}

/// Name of an operator: 1 to 64 letters, digits, `.`, `-`, `_` or `@`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorName(String);

/// Why a certificate names nobody.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdentityError {
    /// Not a certificate.
    #[error("the client certificate cannot be read: {0}")]
    Unreadable(String),
    /// No URI among its names, or more than one.
    #[error(
        "the client certificate has {0} URI names and needs exactly one, such as spiffe://muster/cluster/NAME"
    )]
    Names(usize),
    /// The URI is of no known form.
    #[error("{0:?} is neither spiffe://muster/cluster/NAME nor spiffe://muster/operator/NAME")]
    Unknown(String),
    /// An operator name that breaks the rules.
    #[error("{0:?} is not an operator name: 1 to 64 letters, digits, '.', '-', '_' or '@'")]
    Operator(String),
}

impl FromStr for OperatorName {
    type Err = IdentityError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_@".contains(&byte);
        if name.is_empty() || name.len() > OPERATOR_BYTES_MAX || !name.bytes().all(allowed) {
            return Err(IdentityError::Operator(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster(name) => write!(formatter, "{CLUSTER}{name}"),
            Self::Operator(name) => write!(formatter, "{OPERATOR}{name}"),
        }
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, Self::Err> {
        let unknown = || IdentityError::Unknown(uri.to_owned());
        if let Some(name) = uri.strip_prefix(CLUSTER) {
            return name.parse().map(Self::Cluster).map_err(|_| unknown());
        }
        let name = uri.strip_prefix(OPERATOR).ok_or_else(unknown)?;
        name.parse().map(Self::Operator)
    }
}

/// What a client certificate says, once TLS has checked that the hub's CA signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Whom it speaks for.
    pub identity: Identity,
    /// When it was made.
    pub issued_at: Timestamp,
    /// When it ends to do so. TLS looks at this only once, when a connection begins.
    pub expires_at: Timestamp,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// How many times the certificates of its holder had been revoked when it was given out.
    pub generation: u32,
}

impl Credential {
    /// Reads the leaf certificate of a client.
    ///
    /// # Errors
    /// When it cannot be read or does not name exactly one identity.
    pub fn read(der: &[u8]) -> Result<Self, IdentityError> {
        let unreadable = |error: &dyn fmt::Display| IdentityError::Unreadable(error.to_string());
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| unreadable(&error))?;
        let names = certificate.subject_alternative_name().map_err(|error| unreadable(&error))?;
        let uris: Vec<&str> = names
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::URI(uri) => Some(*uri),
                _ => None,
            })
            .collect();
        let [uri] = uris[..] else {
            return Err(IdentityError::Names(uris.len()));
        };
        let expires_at = Timestamp::from_second(certificate.validity().not_after.timestamp())
            .map_err(|error| unreadable(&error))?;
        // Certificates of this hub begin a little before they are made.
        let issued_at = Timestamp::from_second(certificate.validity().not_before.timestamp())
            .and_then(|begin| begin.checked_add(BACKDATED))
            .map_err(|error| unreadable(&error))?;
        let serial = certificate.raw_serial();
        Ok(Self {
            identity: uri.parse()?,
            issued_at,
            expires_at,
            serial: hex(serial),
            generation: Serial::generation_of(serial),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_read_back_as_written() {
        for uri in [
            "spiffe://muster/cluster/prod-eu-1",
            "spiffe://muster/operator/admin",
            "spiffe://muster/operator/a@b.c",
        ] {
            assert_eq!(uri.parse::<Identity>().unwrap().to_string(), uri);
        }
    }

    #[test]
    fn anything_else_names_nobody() {
        for uri in [
            "",
            "spiffe://muster/cluster/",
            "spiffe://muster/cluster/Prod",
            "spiffe://muster/cluster/a/b",
            "spiffe://muster/cluster/../operator/admin",
            "spiffe://muster/operator/",
            "spiffe://muster/operator/a b",
            "spiffe://other/cluster/a",
            "SPIFFE://muster/cluster/a",
            "https://muster/cluster/a",
            "spiffe://muster/cluster/a?b",
        ] {
            assert!(uri.parse::<Identity>().is_err(), "{uri}");
        }
    }
}
