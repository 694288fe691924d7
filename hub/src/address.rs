//! Under which names and ports do agents and people reach the hub?

use std::{fmt, str::FromStr};

use rustls::pki_types::ServerName;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `HOST:PORT`, where the host is a DNS name or an IP address (`[::1]:8443` for IPv6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// What the hub's certificate is made for.
    pub host: ServerName<'static>,
    /// TCP port.
    pub port: u16,
}

/// Not an address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not HOST:PORT, such as hub.example.org:8443 or [2001:db8::1]:8443")]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || AddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bracketed.is_none() && host.contains(':') {
            return Err(error());
        }
        let host = ServerName::try_from(bracketed.unwrap_or(host)).map_err(|_| error())?.to_owned();
        if bracketed.is_some() && !matches!(host, ServerName::IpAddress(_)) {
            return Err(error());
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(error)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.host.to_str();
        if host.contains(':') {
            write!(formatter, "[{host}]:{}", self.port)
        } else {
            write!(formatter, "{host}:{}", self.port)
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in ["hub.example.org:8443", "localhost:1", "127.0.0.1:65535", "[2001:db8::1]:8443"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "hub",
            "hub:",
            ":8443",
            "hub:0",
            "hub:65536",
            "::1:8443",
            "[hub]:8443",
            "https://hub:8443",
            "a b:1",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
