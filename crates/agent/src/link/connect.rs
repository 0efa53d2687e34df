//! TLS and HTTP/2 to a server: 1.3 only, and only a server whose CA we were told of.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

use crate::identity::{Credentials, Der};

/// The name in the certificate of every server, whatever address it is reached by.
const SERVER_NAME: &str = "garrison-server";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
const WINDOW_BYTES: u32 = 256 * 1024;
const KEEP_ALIVE: Duration = Duration::from_mins(1);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot connect")]
    Tcp(#[source] std::io::Error),
    #[error("tls: the two could not agree")]
    Handshake(#[source] std::io::Error),
    #[error("tls: set-up")]
    Tls(#[from] rustls::Error),
    #[error("tls: set-up of the verification")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
    #[error("no answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    #[error("http/2: no connection")]
    Http(#[from] tonic::transport::Error),
}

/// The error with all its causes in one line.
pub(crate) fn whole_reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(it) = cause {
        text.push_str(": ");
        text.push_str(&it.to_string());
        cause = it.source();
    }
    text
}

pub(crate) fn digest(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// For an agent that knows only the digest of the CA.
pub(crate) fn pinned(pin: [u8; 32]) -> Result<Arc<ClientConfig>, ConnectError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(PinnedCa { pin, provider: Arc::clone(&provider) });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(with_http2(config))
}

/// For an enrolled agent: shows its certificate.
pub(crate) fn mutual(ca: &Der, own: &Credentials) -> Result<Arc<ClientConfig>, ConnectError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(ca.0.as_slice()).into_owned())?;
    let chain = own.chain.iter().map(|it| CertificateDer::from(it.0.clone())).collect();
    let key = PrivatePkcs8KeyDer::from(own.key.0.clone());
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key.into())?;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(with_http2(config))
}

fn with_http2(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

/// Connects to `server`, `host:port`. Also returns the certificates it showed.
pub(crate) async fn connect(
    server: &str,
    tls: Arc<ClientConfig>,
) -> Result<(Channel, Vec<CertificateDer<'static>>), ConnectError> {
    let connecting = async {
        let socket = TcpStream::connect(server).await.map_err(ConnectError::Tcp)?;
        socket.set_nodelay(true).map_err(ConnectError::Tcp)?;
        // A peer that vanished is found by HTTP/2 as well; without this only by it.
        let _ = rustix::net::sockopt::set_socket_keepalive(&socket, true);
        let name = ServerName::try_from(SERVER_NAME)
            .map_err(|_| ConnectError::Tls(rustls::Error::General("server name".to_owned())))?;
        let stream = TlsConnector::from(tls).connect(name, socket).await;
        let stream = stream.map_err(ConnectError::Handshake)?;
        let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
        let mut once = Some(stream);
        let connector = tower::service_fn(move |_| {
            let stream = once.take().map(TokioIo::new);
            async move { stream.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)) }
        });
        let channel = Endpoint::from_static("http://garrison-server")
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_with_connector(connector)
            .await?;
        Ok((channel, chain))
    };
    tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| ConnectError::Timeout)?
}

/// Takes as root the CA certificate with the pinned digest, which the server must show along
/// with its own, and then verifies as usual.
#[derive(Debug)]
struct PinnedCa {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let ca = intermediates.iter().find(|it| digest(it) == self.pin).ok_or_else(|| {
            rustls::Error::General(
                "this is not the server the token was made by (its CA differs)".to_owned(),
            )
        })?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let usual = WebPkiServerVerifier::builder_with_provider(
            Arc::new(roots),
            Arc::clone(&self.provider),
        )
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
        usual.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    /// Only for TLS 1.2, which is not spoken here.
    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("tls 1.2 is not accepted".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
