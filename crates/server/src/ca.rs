//! The server's own certificate authority: who is an agent, and that this is the server.
//!
//! One P-256 key signs both. It lies in the data directory, readable by the server alone, and its
//! certificate's digest travels in every enrolment token, so nobody has to trust on first use.

use std::fmt;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use data_encoding::BASE64;
use model::id::HostId;
use model::time::Timestamp;
use model::wire::IDENTITY_SCHEME;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData as _,
    SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;

/// The name every server answers to, whatever address it is reached by.
pub const SERVER_NAME: &str = "garrison-server";
/// Life of an agent's certificate.
pub const AGENT_LIFETIME: Duration = Duration::from_hours(30 * 24);
const CA_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);
const SERVER_LIFETIME: Duration = Duration::from_hours(90 * 24);
/// Certificates begin this much earlier, for hosts whose clock is behind.
const CLOCK_SLACK: Duration = Duration::from_hours(1);
/// A request is a key, a signature and names we ignore.
const CSR_BYTES_MAX: usize = 4096;
const SERIAL_BYTES: usize = 16;

/// Why the authority cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("certificate authority: cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("certificate authority: {} is not what this server wrote", path.display())]
    Damaged { path: PathBuf },
    #[error("certificate authority: {doing}")]
    Certificate {
        doing: &'static str,
        #[source]
        source: rcgen::Error,
    },
    #[error("certificate authority: tls set-up")]
    Tls(#[from] rustls::Error),
    #[error("certificate authority: client verification set-up")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    #[error("certificate authority: no random number: {0}")]
    Random(getrandom::Error),
    #[error("certificate authority: the time {0} cannot stand in a certificate")]
    Time(Timestamp),
}

/// Why a certificate request is refused.
#[derive(Debug, thiserror::Error)]
pub enum CsrError {
    #[error("the certificate request is larger than {CSR_BYTES_MAX} bytes")]
    TooLarge,
    #[error("the certificate request is damaged or not signed by its own key")]
    Damaged,
    #[error("the certificate request is not for a P-256 key")]
    Key,
    #[error(transparent)]
    Ca(#[from] CaError),
}

/// A certificate for an agent, leaf first.
#[derive(Clone, Debug)]
pub struct Signed {
    pub chain_der: Vec<Vec<u8>>,
    pub serial: Vec<u8>,
    pub not_after: Timestamp,
}

/// Signs for agents and for this server's listener.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    ca_der: CertificateDer<'static>,
    /// Kept, so that the pin in an install line outlives the certificate.
    server_key: KeyPair,
    /// Further names and addresses the listener is reached by.
    names: Vec<String>,
    current: RwLock<Current>,
}

struct Current {
    certified: Arc<CertifiedKey>,
    renew_at: Timestamp,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Authority {
    /// Reads the authority in `dir`, or makes it there. `names` are the host names and addresses
    /// agents and browsers reach the listener by.
    pub fn open(dir: &Path, names: &[String], now: Timestamp) -> Result<Arc<Self>, CaError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|it| io_error("create", dir, it))?;
        let ca_key = key_at(&dir.join("ca.key"))?;
        let ca_der = ca_certificate_at(&dir.join("ca.crt"), &ca_key, now)?;
        let issuer = Issuer::from_ca_cert_der(&ca_der, ca_key)
            .map_err(|it| certificate_error("read the CA certificate", it))?;
        let server_key = key_at(&dir.join("listener.key"))?;
        let current = issue_listener(&issuer, &ca_der, &server_key, names, now)?;
        let names = names.to_vec();
        Ok(Arc::new(Self { issuer, ca_der, server_key, names, current: RwLock::new(current) }))
    }

    /// SHA-256 of the CA certificate: what enrolment tokens carry.
    pub fn pin(&self) -> [u8; 32] {
        Sha256::digest(&self.ca_der).into()
    }

    /// What `curl --pinnedpubkey` takes for the listener, `sha256//…`.
    pub fn listener_key_pin(&self) -> String {
        let digest = Sha256::digest(self.server_key.subject_public_key_info());
        format!("sha256//{}", BASE64.encode(&digest))
    }

    /// A certificate for the key in `csr_der`, for `host` and nothing else: every name and every
    /// wish in the request is ignored.
    pub fn sign_agent(
        &self,
        csr_der: &[u8],
        host: HostId,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Signed, CsrError> {
        let mut csr = check_csr(csr_der)?;
        let serial = serial()?;
        let not_after = now + lifetime;
        let uri = format!("{IDENTITY_SCHEME}{host}");
        let uri = uri.try_into().map_err(|it| certificate_error("name an agent", it))?;
        let mut params = CertificateParams::default();
        params.not_before = date(now - CLOCK_SLACK)?;
        params.not_after = date(not_after)?;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.distinguished_name = name(&host.to_string());
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        csr.params = params;
        let signed = csr
            .signed_by(&self.issuer)
            .map_err(|it| certificate_error("sign an agent's certificate", it))?;
        let chain_der = vec![signed.der().to_vec(), self.ca_der.to_vec()];
        Ok(Signed { chain_der, serial: serial.to_vec(), not_after })
    }

    /// TLS 1.3 only; a client certificate must be one of ours if there is one. Who may do what
    /// without one is decided per method.
    pub fn tls(self: &Arc<Self>) -> Result<rustls::ServerConfig, CaError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca_der.clone())?;
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()?;
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(Listener(Arc::clone(self))));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session would skip the look at the certificate's dates.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    /// Issues the listener's certificate anew once two thirds of its life are over.
    pub fn refresh(&self, now: Timestamp) -> Result<(), CaError> {
        let due = self.current.read().unwrap_or_else(PoisonError::into_inner).renew_at;
        if now < due {
            return Ok(());
        }
        let next = issue_listener(&self.issuer, &self.ca_der, &self.server_key, &self.names, now)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

/// Hands out the listener's present certificate.
#[derive(Debug)]
struct Listener(Arc<Authority>);

impl ResolvesServerCert for Listener {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.current.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current.certified))
    }
}

/// Refuses what [`Authority::sign_agent`] would refuse, before a token is spent on it.
pub fn check_csr(csr_der: &[u8]) -> Result<CertificateSigningRequestParams, CsrError> {
    if csr_der.len() > CSR_BYTES_MAX {
        return Err(CsrError::TooLarge);
    }
    let csr =
        CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(csr_der))
            .map_err(|_| CsrError::Damaged)?;
    if csr.public_key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err(CsrError::Key);
    }
    Ok(csr)
}

fn issue_listener(
    issuer: &Issuer<'static, KeyPair>,
    ca_der: &CertificateDer<'static>,
    key: &KeyPair,
    names: &[String],
    now: Timestamp,
) -> Result<Current, CaError> {
    let mut all = vec![SERVER_NAME.to_owned(), "localhost".to_owned()];
    all.extend(names.iter().filter(|it| is_san(it)).cloned());
    all.sort();
    all.dedup();
    let mut params =
        CertificateParams::new(all).map_err(|it| certificate_error("name the listener", it))?;
    params.not_before = date(now - CLOCK_SLACK)?;
    params.not_after = date(now + SERVER_LIFETIME)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    params.distinguished_name = name(SERVER_NAME);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let leaf = params
        .signed_by(key, issuer)
        .map_err(|it| certificate_error("sign the listener's certificate", it))?;
    let private = PrivatePkcs8KeyDer::from(key.serialize_der());
    let signer = rustls::crypto::ring::sign::any_ecdsa_type(&private.into())?;
    // The CA goes along: an enrolling agent knows only its digest.
    let chain = vec![leaf.der().clone(), ca_der.clone()];
    let certified = Arc::new(CertifiedKey::new(chain, signer));
    Ok(Current { certified, renew_at: now + SERVER_LIFETIME * 2 / 3 })
}

/// Host names of the listener come from configuration and interfaces; odd ones are left out.
fn is_san(text: &str) -> bool {
    let label = |it: u8| it.is_ascii_alphanumeric() || b".-_".contains(&it);
    text.parse::<IpAddr>().is_ok() || (!text.is_empty() && text.bytes().all(label))
}

fn ca_certificate_at(
    path: &Path,
    key: &KeyPair,
    now: Timestamp,
) -> Result<CertificateDer<'static>, CaError> {
    if path.exists() {
        return CertificateDer::from_pem_file(path)
            .map_err(|_| CaError::Damaged { path: path.to_owned() });
    }
    let mut params = CertificateParams::default();
    params.not_before = date(now - CLOCK_SLACK)?;
    params.not_after = date(now + CA_LIFETIME)?;
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    params.distinguished_name = name("Garrison CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate =
        params.self_signed(key).map_err(|it| certificate_error("make the CA certificate", it))?;
    write_new(path, certificate.pem().as_bytes(), 0o644)?;
    Ok(certificate.der().clone())
}

fn key_at(path: &Path) -> Result<KeyPair, CaError> {
    match std::fs::read_to_string(path) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|_| CaError::Damaged { path: path.to_owned() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = KeyPair::generate().map_err(|it| certificate_error("make a key", it))?;
            write_new(path, key.serialize_pem().as_bytes(), 0o600)?;
            Ok(key)
        }
        Err(error) => Err(io_error("read", path, error)),
    }
}

/// All of it or none: a key half written would lock every agent out.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CaError> {
    let next = path.with_extension("next");
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&next)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&next, path)?;
        std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|it| io_error("write", path, it))
}

fn serial() -> Result<[u8; SERIAL_BYTES], CaError> {
    let mut serial = [0; SERIAL_BYTES];
    getrandom::fill(&mut serial).map_err(CaError::Random)?;
    // Positive and of full length, so that it reads back as it was made.
    if let Some(first) = serial.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok(serial)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn date(at: Timestamp) -> Result<OffsetDateTime, CaError> {
    OffsetDateTime::from_unix_timestamp(at.as_secs()).map_err(|_| CaError::Time(at))
}

fn io_error(action: &'static str, path: &Path, source: std::io::Error) -> CaError {
    CaError::Io { action, path: path.to_owned(), source }
}

fn certificate_error(doing: &'static str, source: rcgen::Error) -> CaError {
    CaError::Certificate { doing, source }
}

/// Whose certificate a caller showed, read from a certificate the TLS layer has verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    pub host: HostId,
    pub serial: Vec<u8>,
    pub not_after: Timestamp,
}

impl PeerIdentity {
    /// `None` unless the certificate names exactly one host.
    pub fn read(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()??;
        let [x509_parser::extensions::GeneralName::URI(uri)] = names.value.general_names.as_slice()
        else {
            return None;
        };
        let host = uri.strip_prefix(IDENTITY_SCHEME)?.parse().ok()?;
        let not_after = Timestamp::from_secs(parsed.validity().not_after.timestamp());
        Some(Self { host, serial: parsed.raw_serial().to_vec(), not_after })
    }
}
