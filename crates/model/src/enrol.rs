//! The one string that lets a machine enrol.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;

/// 128 bits no one can guess.
pub const SECRET_BYTES: usize = 16;
/// Most server addresses one token names.
pub const ENDPOINTS_MAX: usize = 8;
/// Longest `host:port`.
const ENDPOINT_BYTES_MAX: usize = 260;
const PREFIX: &str = "gar_";
const VERSION: u8 = 1;
const PIN_BYTES: usize = 32;

/// Printed as `gar_` and base64url of: version 1 | secret | pin | endpoints parted by newlines.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolToken {
    pub secret: [u8; SECRET_BYTES],
    /// SHA-256 of the server's CA certificate, DER.
    pub ca_pin: [u8; PIN_BYTES],
    /// Where agents reach the server, `host:port`, tried in order; at least one.
    pub endpoints: Vec<String>,
}

/// Why a text is not an enrolment token.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnrolTokenError {
    #[error("an enrolment token starts with `gar_`")]
    Prefix,
    #[error("the enrolment token is damaged: was all of it copied?")]
    Damaged,
    #[error("the enrolment token is of version {0}, this program knows version 1")]
    Version(u8),
    #[error("the enrolment token names no usable `host:port`")]
    Endpoints,
}

impl EnrolToken {
    /// The secret as it is shown to the server.
    pub fn secret_text(&self) -> String {
        BASE64URL_NOPAD.encode(&self.secret)
    }

    /// The secret in what [`Self::secret_text`] made.
    pub fn secret_from_text(text: &str) -> Option<[u8; SECRET_BYTES]> {
        BASE64URL_NOPAD.decode(text.as_bytes()).ok()?.try_into().ok()
    }
}

impl fmt::Display for EnrolToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.secret);
        bytes.extend_from_slice(&self.ca_pin);
        bytes.extend_from_slice(self.endpoints.join("\n").as_bytes());
        write!(f, "{PREFIX}{}", BASE64URL_NOPAD.encode(&bytes))
    }
}

/// The secret stays out of logs.
impl fmt::Debug for EnrolToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolToken").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

impl FromStr for EnrolToken {
    type Err = EnrolTokenError;

    /// White space around and inside (a token wrapped by a terminal) is ignored.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text: String = text.split_whitespace().collect();
        let coded = text.strip_prefix(PREFIX).ok_or(EnrolTokenError::Prefix)?;
        let bytes =
            BASE64URL_NOPAD.decode(coded.as_bytes()).map_err(|_| EnrolTokenError::Damaged)?;
        let (version, rest) = bytes.split_first().ok_or(EnrolTokenError::Damaged)?;
        if *version != VERSION {
            return Err(EnrolTokenError::Version(*version));
        }
        let (secret, rest) =
            rest.split_first_chunk::<SECRET_BYTES>().ok_or(EnrolTokenError::Damaged)?;
        let (ca_pin, rest) =
            rest.split_first_chunk::<PIN_BYTES>().ok_or(EnrolTokenError::Damaged)?;
        let list = std::str::from_utf8(rest).map_err(|_| EnrolTokenError::Damaged)?;
        let endpoints: Vec<String> = list.split('\n').map(str::to_owned).collect();
        if endpoints.len() > ENDPOINTS_MAX || !endpoints.iter().all(|it| is_endpoint(it)) {
            return Err(EnrolTokenError::Endpoints);
        }
        Ok(Self { secret: *secret, ca_pin: *ca_pin, endpoints })
    }
}

/// Whether `text` is `host:port` made of characters that need no quoting in a URL or a shell.
pub fn is_endpoint(text: &str) -> bool {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b".-_:[]%".contains(&it);
    text.len() <= ENDPOINT_BYTES_MAX
        && text.bytes().all(plain)
        && text.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.parse::<u16>().is_ok_and(|it| it > 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token() -> EnrolToken {
        EnrolToken {
            secret: [7; SECRET_BYTES],
            ca_pin: [9; PIN_BYTES],
            endpoints: vec!["server.example:8443".to_owned(), "[::1]:8443".to_owned()],
        }
    }

    #[test]
    fn text_form() {
        let text = token().to_string();
        assert_eq!(text.parse(), Ok(token()));
        let (head, tail) = text.split_at(40);
        assert_eq!(format!("  {head}\n   {tail}\n").parse(), Ok(token()), "wrapped by a terminal");
        assert_eq!(EnrolToken::secret_from_text(&token().secret_text()), Some([7; SECRET_BYTES]));
        assert!(!format!("{:?}", token()).contains("7, 7"), "the secret is not printed");
        for (bad, why) in [
            ("", EnrolTokenError::Prefix),
            ("gar_", EnrolTokenError::Damaged),
            (text.split_at(text.len() - 44).0, EnrolTokenError::Damaged),
            ("gar_Ag", EnrolTokenError::Version(2)),
        ] {
            assert_eq!(bad.parse::<EnrolToken>(), Err(why), "{bad}");
        }
        let nowhere = EnrolToken { endpoints: vec![], ..token() };
        assert_eq!(nowhere.to_string().parse::<EnrolToken>(), Err(EnrolTokenError::Endpoints));
    }

    #[test]
    fn endpoints_need_no_quoting() {
        for good in ["a:1", "10.0.0.1:8443", "[fe80::1%eth0]:65535"] {
            assert!(is_endpoint(good), "{good}");
        }
        for bad in ["a", ":1", "a:0", "a:65536", "a b:1", "a;b:1", "$(x):1", "a'b:1"] {
            assert!(!is_endpoint(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            if let Ok(token) = text.parse::<EnrolToken>() {
                prop_assert_eq!(token.to_string().parse(), Ok(token));
            }
        }
    }
}
