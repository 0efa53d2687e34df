//! How a machine becomes a host: tokens are minted here and spent here.

use std::sync::Arc;
use std::time::Duration;

use model::enrol::{EnrolToken, SECRET_BYTES};
use model::id::{EnrolTokenId, GroupId, HostId};
use model::time::Timestamp;
use model::wire::{self, DisconnectReason};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};

use crate::ca::check_csr;
use crate::clock;
use crate::ingest::{Caller, LinkServer, rpc::enrolment_server::Enrolment as EnrolmentService};
use crate::install;
use crate::store::{Actor, AuditEntry, EnrolAsk, EnrolledAs, HostFacts, NewEnrolToken, StoreError};

/// Largest enrolment request: a key, names and some facts.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 * 1024;
const FACT_BYTES_MAX: usize = 256;
const ADDRESSES_MAX: usize = 64;
const DIGEST_BYTES: usize = 32;
const INSTALLATION_BYTES: usize = 16;
/// Longest life of a token.
pub const TOKEN_TTL_MAX: Duration = Duration::from_hours(366 * 24);
pub const TOKEN_USES_MAX: u32 = 100_000;

/// Why no token was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("enrolment token: no random number: {0}")]
    Random(getrandom::Error),
    #[error("enrolment token: the server has no address agents could reach")]
    Endpoints,
}

/// A new token, shown once.
#[derive(Clone, Debug)]
pub struct Minted {
    pub id: EnrolTokenId,
    pub token: EnrolToken,
    /// What to paste into a root shell of the machine to protect.
    pub one_liner: String,
    pub expires_at: Timestamp,
}

/// Mints a token for `uses` machines that become members of `group`. `audit` says who wants it
/// and when.
pub async fn mint(
    link: &LinkServer,
    group: GroupId,
    ttl: Duration,
    uses: u32,
    audit: AuditEntry,
) -> Result<Minted, MintError> {
    if link.endpoints.is_empty() {
        return Err(MintError::Endpoints);
    }
    let mut secret = [0; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(MintError::Random)?;
    let new = NewEnrolToken {
        digest: Sha256::digest(secret).into(),
        group,
        uses: uses.clamp(1, TOKEN_USES_MAX),
        created_by: audit.actor.0.clone(),
        expires_at: audit.at + ttl.min(TOKEN_TTL_MAX),
    };
    let stored = link.store.create_enrol_token(new, audit).await?;
    let token =
        EnrolToken { secret, ca_pin: link.authority.pin(), endpoints: link.endpoints.clone() };
    let one_liner = install::one_liner(&token, &link.authority.listener_key_pin());
    Ok(Minted { id: stored.id, token, one_liner, expires_at: stored.expires_at })
}

/// The `Enrolment` service.
#[derive(Clone, Debug)]
pub(crate) struct Enrolment {
    link: Arc<LinkServer>,
}

impl Enrolment {
    pub(crate) fn new(link: Arc<LinkServer>) -> Self {
        Self { link }
    }
}

#[tonic::async_trait]
impl EnrolmentService for Enrolment {
    async fn enrol(
        &self,
        request: Request<wire::EnrolRequest>,
    ) -> Result<Response<wire::EnrolReply>, Status> {
        let address = request.extensions().get::<Caller>().map(|it| it.address.clone());
        let ask = request.into_inner();
        let now = clock::now();
        let secret = EnrolToken::secret_from_text(&ask.secret)
            .ok_or_else(|| Status::permission_denied("the enrolment token is not known"))?;
        // Before the token is spent: a bad request must not cost a use.
        check_csr(&ask.csr_der).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let facts = ask.facts.unwrap_or_default();
        if ask.installation_id.len() != INSTALLATION_BYTES
            || ![0, DIGEST_BYTES].contains(&facts.machine_digest.len())
        {
            return Err(Status::invalid_argument(
                "an installation id has 16 bytes, a machine digest 32 or none",
            ));
        }
        let ask_store = EnrolAsk {
            token: Sha256::digest(secret).into(),
            machine_digest: facts.machine_digest.clone(),
            facts: facts_from_wire(facts),
            installation_id: ask.installation_id,
            at: now,
            address: address.unwrap_or_default(),
        };
        let enrolled = match self.link.store.enrol(ask_store).await {
            Ok(Ok(it)) => it,
            Ok(Err(refusal)) => return Err(Status::permission_denied(refusal.to_string())),
            Err(error) => {
                tracing::error!(%error, "enrolment failed");
                return Err(Status::unavailable("the store does not answer"));
            }
        };
        match enrolled.how {
            EnrolledAs::New => tracing::info!(host = %enrolled.host, "host enrolled"),
            EnrolledAs::Again => tracing::info!(host = %enrolled.host, "host enrolled again"),
            EnrolledAs::CopyOf(other) => {
                tracing::warn!(host = %enrolled.host, copy_of = %other, "copy of a host enrolled");
            }
        }
        let reply = self.certify(enrolled.host, &ask.csr_der, now).await?;
        self.order_scan(enrolled.host, now).await;
        Ok(Response::new(reply))
    }
}

impl Enrolment {
    /// Protection begins with a look at everything; the agent gets the task when it connects.
    async fn order_scan(&self, host: HostId, now: Timestamp) {
        let audit = AuditEntry {
            at: now,
            actor: Actor::system(),
            address: String::new(),
            action: "scan.create".to_owned(),
            target: host.to_string(),
            detail: serde_json::json!({ "reason": "enrolled" }),
        };
        let by = Actor::system().0;
        if let Err(error) = self.link.store.create_scan(host, Vec::new(), by, audit).await {
            tracing::warn!(%host, %error, "the first scan was not ordered");
        }
    }

    async fn certify(
        &self,
        host: HostId,
        csr_der: &[u8],
        now: Timestamp,
    ) -> Result<wire::EnrolReply, Status> {
        let lifetime = self.link.settings.agent_lifetime;
        let signed = self.link.authority.sign_agent(csr_der, host, now, lifetime);
        let signed = signed.map_err(|error| Status::internal(error.to_string()))?;
        // To the second, as the certificate says it: it is compared with what is shown later.
        let expires_at = Timestamp::from_secs(signed.not_after.as_secs());
        self.link
            .store
            .record_certificate(host, signed.serial, expires_at)
            .await
            .map_err(|_| Status::unavailable("the store does not answer"))?;
        // What still speaks with the key from before is cut off.
        self.link.agents.cut(host, DisconnectReason::Replaced, "this host has enrolled again");
        Ok(wire::EnrolReply {
            certificate_chain_der: signed.chain_der,
            host: host.to_string(),
            servers: self.link.endpoints.clone(),
            not_after_us: signed.not_after.0,
        })
    }
}

/// Facts as the store takes them: bounded, nothing else is asked of them.
pub(crate) fn facts_from_wire(facts: wire::HostFacts) -> HostFacts {
    let text = |it: String| it.chars().take(FACT_BYTES_MAX).collect::<String>();
    HostFacts {
        name: text(facts.name),
        addresses: facts.addresses.into_iter().take(ADDRESSES_MAX).map(text).collect(),
        os_id: text(facts.os_id),
        os_name: text(facts.os_name),
        os_version: text(facts.os_version),
        kernel: text(facts.kernel),
        arch: text(facts.arch),
        cpus: facts.cpus,
        memory_bytes: facts.memory_bytes,
        booted_at: Some(Timestamp(facts.booted_at_us)).filter(|it| it.0 > 0),
        agent_version: text(facts.agent_version),
    }
}
