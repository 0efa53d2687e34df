//! Enrolment: a token in, an identity out.

use std::path::Path;
use std::time::Duration;

use model::enrol::EnrolToken;
use model::time::Timestamp;
use model::wire;

use crate::identity::{self, Credentials, Der, Identity, IdentityError};
use crate::link::connect::{self, ConnectError};
use crate::link::rpc::enrolment_client::EnrolmentClient;

const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why this machine could not enrol.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("no server of the token could be reached: {0}")]
    Unreachable(String),
    #[error("the server refused: {0}")]
    Refused(String),
    #[error("the server sent no usable certificate")]
    Certificate,
}

/// Enrols this machine with the first server of `token` that answers and keeps the identity in
/// `state_dir`, in place of one that was there. The server is believed only if it holds the CA
/// whose digest the token carries.
pub async fn enrol(
    token: &EnrolToken,
    state_dir: &Path,
    facts: wire::HostFacts,
    now: Timestamp,
) -> Result<Identity, EnrolError> {
    let installation_id = identity::installation_id(state_dir)?.to_vec();
    let (key, csr_der) = identity::key_and_request()?;
    let request = wire::EnrolRequest {
        secret: token.secret_text(),
        csr_der,
        facts: Some(facts),
        installation_id,
    };
    let mut failures = Vec::new();
    for server in &token.endpoints {
        let (reply, ca) = match ask(server, token, request.clone()).await {
            Ok(it) => it,
            Err(Failed::Refused(reason)) => return Err(EnrolError::Refused(reason)),
            Err(Failed::Unreachable(reason)) => {
                failures.push(format!("{server}: {reason}"));
                continue;
            }
        };
        let mut servers = token.endpoints.clone();
        let more = reply.servers.into_iter().filter(|it| model::enrol::is_endpoint(it));
        servers.extend(more);
        let mut seen = std::collections::HashSet::new();
        servers.retain(|it| seen.insert(it.clone()));
        servers.truncate(model::enrol::ENDPOINTS_MAX);
        if reply.certificate_chain_der.is_empty() {
            return Err(EnrolError::Certificate);
        }
        let current = Credentials {
            key,
            chain: reply.certificate_chain_der.into_iter().map(Der).collect(),
            issued_at: now,
            not_after: Timestamp(reply.not_after_us),
        };
        let identity = Identity { host: reply.host, servers, ca: Der(ca), current, next: None };
        identity::save(state_dir, &identity)?;
        return Ok(identity);
    }
    Err(EnrolError::Unreachable(failures.join("; ")))
}

enum Failed {
    Refused(String),
    Unreachable(String),
}

async fn ask(
    server: &str,
    token: &EnrolToken,
    request: wire::EnrolRequest,
) -> Result<(wire::EnrolReply, Vec<u8>), Failed> {
    let told = |it: &ConnectError| Failed::Unreachable(connect::whole_reason(it));
    let tls = connect::pinned(token.ca_pin).map_err(|it| told(&it))?;
    let (channel, chain) = connect::connect(server, tls).await.map_err(|it| told(&it))?;
    let ca = chain.into_iter().find(|it| connect::digest(it) == token.ca_pin);
    let ca = ca.ok_or_else(|| Failed::Unreachable("the pinned CA was not shown".to_owned()))?;
    let mut request = tonic::Request::new(request);
    request.set_timeout(REPLY_TIMEOUT);
    match EnrolmentClient::new(channel).enrol(request).await {
        Ok(reply) => Ok((reply.into_inner(), ca.to_vec())),
        Err(status) => match status.code() {
            tonic::Code::Unavailable | tonic::Code::DeadlineExceeded | tonic::Code::Cancelled => {
                Err(Failed::Unreachable(status.message().to_owned()))
            }
            _ => Err(Failed::Refused(status.message().to_owned())),
        },
    }
}
