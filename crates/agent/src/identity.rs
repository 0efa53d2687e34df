//! Who this agent is to its server: keys and certificates, kept in one file.
//!
//! `identity.json` is replaced as a whole, so a crash leaves the old one or the new one. A renewed
//! key waits beside the present one until the server has accepted it once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use model::time::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const IDENTITY_FILE: &str = "identity.json";
const INSTALLATION_FILE: &str = "installation-id";
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Random bytes that tell one installation from another.
pub const INSTALLATION_BYTES: usize = 16;

/// Why the identity cannot be used or kept.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("this agent is not enrolled: {} is missing", path.display())]
    Absent { path: PathBuf },
    #[error("identity: {} is damaged, enrol again", path.display())]
    Damaged { path: PathBuf },
    #[error("identity: cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("identity: cannot make a key")]
    Key(#[from] rcgen::Error),
    #[error("identity: no random number: {0}")]
    Random(getrandom::Error),
}

/// Bytes as base64 in JSON.
#[derive(Clone, PartialEq, Eq)]
pub struct Der(pub Vec<u8>);

impl Serialize for Der {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Der {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(Self).map_err(de::Error::custom)
    }
}

/// Lengths only: some of these are secret.
impl std::fmt::Debug for Der {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Der({} bytes)", self.0.len())
    }
}

/// One key and the certificate for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// PKCS#8.
    pub key: Der,
    /// Leaf first.
    pub chain: Vec<Der>,
    pub issued_at: Timestamp,
    pub not_after: Timestamp,
}

impl Credentials {
    /// Two thirds of the way through its life.
    pub fn renew_at(&self) -> Timestamp {
        self.issued_at + self.not_after.since(self.issued_at) * 2 / 3
    }
}

/// What an enrolled agent keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `host_…`, for people; the certificate is what counts.
    pub host: String,
    /// `host:port`, tried in order.
    pub servers: Vec<String>,
    pub ca: Der,
    pub current: Credentials,
    /// Renewed, not yet used.
    pub next: Option<Credentials>,
}

/// Whether an agent has enrolled with its state in `state_dir`.
pub fn exists(state_dir: &Path) -> bool {
    state_dir.join(IDENTITY_FILE).is_file()
}

/// Reads the identity in `state_dir`.
pub fn load(state_dir: &Path) -> Result<Identity, IdentityError> {
    let path = state_dir.join(IDENTITY_FILE);
    let Some(bytes) = read(&path)? else { return Err(IdentityError::Absent { path }) };
    serde_json::from_slice(&bytes).map_err(|_| IdentityError::Damaged { path })
}

/// Writes the identity, readable by its owner alone.
pub fn save(state_dir: &Path, identity: &Identity) -> Result<(), IdentityError> {
    let path = state_dir.join(IDENTITY_FILE);
    let json = serde_json::to_vec_pretty(identity)
        .map_err(|_| IdentityError::Damaged { path: path.clone() })?;
    replace(&path, &json)
}

/// Forgets the identity; the installation id stays.
pub fn remove(state_dir: &Path) -> Result<(), IdentityError> {
    let path = state_dir.join(IDENTITY_FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", &path, error))
        }
        _ => Ok(()),
    }
}

/// The random value this installation keeps for as long as it exists; made at the first call.
pub fn installation_id(state_dir: &Path) -> Result<[u8; INSTALLATION_BYTES], IdentityError> {
    let path = state_dir.join(INSTALLATION_FILE);
    if let Some(bytes) = read(&path)? {
        return bytes.try_into().map_err(|_| IdentityError::Damaged { path });
    }
    let mut id = [0; INSTALLATION_BYTES];
    getrandom::fill(&mut id).map_err(IdentityError::Random)?;
    make_dir(state_dir)?;
    replace(&path, &id)?;
    Ok(id)
}

/// A new P-256 key and a request to certify it. The request names nobody: the server decides.
pub(crate) fn key_and_request() -> Result<(Der, Vec<u8>), IdentityError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key)?;
    Ok((Der(key.serialize_der()), request.der().to_vec()))
}

pub(crate) fn make_dir(dir: &Path) -> Result<(), IdentityError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(dir).map_err(|it| io_error("create", dir, it))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|it| it.take(FILE_BYTES_MAX).read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path, error)),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let next = path.with_extension("next");
    let write = || -> io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&next, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|it| io_error("write", path, it))
}

fn io_error(action: &'static str, path: &Path, source: io::Error) -> IdentityError {
    IdentityError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn kept_whole_and_private() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/state");
        assert!(!exists(&state));
        assert!(matches!(load(&state), Err(IdentityError::Absent { .. })));
        let id = installation_id(&state).unwrap();
        assert_eq!(installation_id(&state).unwrap(), id, "made once");
        let (key, _) = key_and_request().unwrap();
        let current = Credentials {
            key,
            chain: vec![Der(vec![1, 2, 3])],
            issued_at: Timestamp::from_secs(0),
            not_after: Timestamp::from_secs(30 * 86400),
        };
        assert_eq!(current.renew_at(), Timestamp::from_secs(20 * 86400));
        let identity = Identity {
            host: "host_x".to_owned(),
            servers: vec!["a:1".to_owned()],
            ca: Der(vec![9]),
            current,
            next: None,
        };
        save(&state, &identity).unwrap();
        assert_eq!(load(&state).unwrap(), identity);
        let mode = |name: &str| fs::metadata(state.join(name)).unwrap().permissions().mode();
        assert_eq!(mode("identity.json") & 0o777, 0o600);
        assert_eq!(mode("") & 0o777, 0o700);
        fs::write(state.join("identity.json"), "{").unwrap();
        assert!(matches!(load(&state), Err(IdentityError::Damaged { .. })));
        remove(&state).unwrap();
        remove(&state).unwrap();
        assert!(!exists(&state));
    }
}
