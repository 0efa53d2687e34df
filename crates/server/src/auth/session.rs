//! The session cookie. The browser holds 256 random bits; the store holds their hash.

use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::BASE64URL_NOPAD;
use std::time::Duration;

/// Name on plain HTTP, which is served on loopback only.
pub const COOKIE: &str = "garrison_session";
/// Name behind TLS: browsers then refuse it from any other host, path or plain page.
const COOKIE_TLS: &str = "__Host-garrison_session";
const SECRET_BYTES: usize = 32;

/// A secret as its owner holds it; only the hash is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// SHA-256 of a secret. The secret has 256 random bits, so a slow hash would add nothing.
pub type SecretHash = [u8; 32];

impl Secret {
    pub fn generate(prefix: &str) -> Result<Self, getrandom::Error> {
        let random: [u8; SECRET_BYTES] = super::random_bytes()?;
        Ok(Self(format!("{prefix}{}", BASE64URL_NOPAD.encode(&random))))
    }

    pub fn given(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The secret itself, for its owner.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> SecretHash {
        use sha2::Digest;
        sha2::Sha256::digest(self.0.as_bytes()).into()
    }
}

/// Whether the console stands behind TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Plain HTTP on loopback.
    Plain,
    /// A proxy in front of us speaks TLS to browsers.
    Tls,
}

impl Transport {
    const fn cookie(self) -> &'static str {
        match self {
            Self::Plain => COOKIE,
            Self::Tls => COOKIE_TLS,
        }
    }

    const fn attributes(self) -> &'static str {
        match self {
            Self::Plain => "Path=/; HttpOnly; SameSite=Strict",
            Self::Tls => "Path=/; HttpOnly; SameSite=Strict; Secure",
        }
    }

    /// `Set-Cookie` that hands out `secret` for `lifetime`.
    pub fn set(self, secret: &Secret, lifetime: Duration) -> Option<HeaderValue> {
        let (name, attributes) = (self.cookie(), self.attributes());
        let text = format!("{name}={}; {attributes}; Max-Age={}", secret.0, lifetime.as_secs());
        HeaderValue::from_str(&text).ok()
    }

    /// `Set-Cookie` that takes the cookie away.
    pub fn clear(self) -> Option<HeaderValue> {
        let (name, attributes) = (self.cookie(), self.attributes());
        HeaderValue::from_str(&format!("{name}=; {attributes}; Max-Age=0")).ok()
    }

    /// The secret in the request's cookie.
    pub fn read(self, headers: &HeaderMap) -> Option<Secret> {
        let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|it| it.to_str().ok());
        cookies
            .flat_map(|it| it.split(';'))
            .filter_map(|it| it.trim().split_once('='))
            .find(|(name, _)| *name == self.cookie())
            .map(|(_, value)| Secret::given(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_comes_back() {
        for transport in [Transport::Plain, Transport::Tls] {
            let secret = Secret::generate("").unwrap();
            let set = transport.set(&secret, Duration::from_mins(1)).unwrap();
            let set = set.to_str().unwrap();
            assert!(set.contains("HttpOnly; SameSite=Strict"), "{set}");
            assert_eq!(set.contains("Secure"), transport == Transport::Tls);
            assert_eq!(set.starts_with("__Host-"), transport == Transport::Tls);
            let mut headers = HeaderMap::new();
            let pair = set.split(';').next().unwrap();
            headers.insert(header::COOKIE, format!("a=b; {pair}; c").parse().unwrap());
            assert_eq!(transport.read(&headers), Some(secret));
        }
    }
}
