//! What agents say of their responses, checked as everything they send.

use engine::place::Cidr;
use model::because::{PARAMS_MAX, Reason};
use model::time::Timestamp;
use model::wire;

use super::decode::{bounded, named};
use crate::store::{
    BlockedRow, BlockedState, IsolatedRow, IsolatedState, ResponseAction, ResponseRow,
    ResponseState, ResponseStep, STEPS_MAX, WhitelistHits,
};

const PATH_BYTES_MAX: usize = 4096;
const TEXT_BYTES_MAX: usize = 4096;
const REASON_ID_BYTES_MAX: usize = 64;

pub(super) fn report(message: wire::ResponseReport) -> Result<ResponseRow, String> {
    let action: ResponseAction =
        message.action.parse().map_err(|_| "a report of no action this server knows".to_owned())?;
    let state = match wire::ResponseState::try_from(message.state) {
        Ok(wire::ResponseState::Planned) => None,
        Ok(wire::ResponseState::Done) => Some(ResponseState::Done),
        Ok(wire::ResponseState::Partial) => Some(ResponseState::Partial),
        Ok(wire::ResponseState::Failed) => Some(ResponseState::Failed),
        Ok(wire::ResponseState::Undone) => Some(ResponseState::Undone),
        Ok(wire::ResponseState::Unspecified) | Err(_) => {
            return Err(format!("number {} is no state of a response", message.state));
        }
    };
    if message.steps.len() > STEPS_MAX {
        return Err(format!("a report has at most {STEPS_MAX} steps"));
    }
    let step = |it: wire::ResponseStep| {
        let sentence = it.sentence.unwrap_or_default();
        Ok(ResponseStep {
            sentence: model::finding::Text {
                en: bounded("sentence", sentence.en, TEXT_BYTES_MAX)?,
                zh: bounded("sentence", sentence.zh, TEXT_BYTES_MAX)?,
            },
            done: it.done,
            reason: bounded("reason", it.reason, TEXT_BYTES_MAX)?,
            why: it.why.map(why).transpose()?,
        })
    };
    let response = match message.task.as_str() {
        "" => None,
        id => Some(id.parse().map_err(|it: model::id::IdError| it.to_string())?),
    };
    Ok(ResponseRow {
        response,
        finding: named("finding", message.finding)?,
        action,
        state,
        steps: message.steps.into_iter().map(step).collect::<Result<_, String>>()?,
        at: Timestamp(message.at_us),
    })
}

/// The id of a sentence with what fills its holes.
pub(super) fn why(message: wire::Reason) -> Result<Reason, String> {
    if message.params.len() > PARAMS_MAX {
        return Err(format!("a reason has at most {PARAMS_MAX} parameters"));
    }
    let reason = Reason::from(message);
    bounded("why", reason.id.clone(), REASON_ID_BYTES_MAX)?;
    for (name, value) in &reason.params {
        bounded("why", name.clone(), REASON_ID_BYTES_MAX)?;
        bounded("why", value.clone(), TEXT_BYTES_MAX)?;
    }
    Ok(reason)
}

pub(super) fn isolated(message: wire::IsolatedFile) -> Result<IsolatedRow, String> {
    let state = match wire::IsolatedState::try_from(message.state) {
        Ok(wire::IsolatedState::Isolated) => IsolatedState::Isolated,
        Ok(wire::IsolatedState::Restored) => IsolatedState::Restored,
        Ok(wire::IsolatedState::Discarded) => IsolatedState::Discarded,
        Ok(wire::IsolatedState::Unspecified) | Err(_) => {
            return Err(format!("number {} is no state of an isolated file", message.state));
        }
    };
    let is_digest =
        |it: &str| it.len() == 64 && it.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    if message.id.is_empty() || !is_digest(&message.sha256) {
        return Err("an isolated file has an id and a SHA-256".to_owned());
    }
    Ok(IsolatedRow {
        name: named("id", message.id)?,
        state,
        path: bounded("path", message.path, PATH_BYTES_MAX)?,
        sha256: message.sha256,
        size_bytes: message.size_bytes.min(i64::MAX.unsigned_abs()),
        mode: message.mode,
        uid: message.uid,
        gid: message.gid,
        user: named("user", message.user)?,
        finding: named("finding", message.finding)?,
        reason: bounded("reason", message.reason, TEXT_BYTES_MAX)?,
        automatic: message.automatic,
        refused: message.refused,
        isolated_at: Timestamp(message.isolated_at_us),
        at: Timestamp(message.at_us),
    })
}

pub(super) fn blocked(message: wire::BlockedAddress) -> Result<BlockedRow, String> {
    let state = match wire::BlockedState::try_from(message.state) {
        Ok(wire::BlockedState::Active) => BlockedState::Active,
        Ok(wire::BlockedState::Expired) => BlockedState::Expired,
        Ok(wire::BlockedState::Removed) => BlockedState::Removed,
        Ok(wire::BlockedState::Unspecified) | Err(_) => {
            return Err(format!("number {} is no state of a blocked address", message.state));
        }
    };
    if Cidr::parse(&message.address).is_none() {
        return Err("what is blocked is neither an address nor a block of them".to_owned());
    }
    Ok(BlockedRow {
        address: named("address", message.address)?,
        state,
        since: Timestamp(message.since_us),
        until: Timestamp(message.until_us),
        finding: named("finding", message.finding)?,
        reason: bounded("reason", message.reason, TEXT_BYTES_MAX)?,
        automatic: message.automatic,
        packets: message.packets.min(i64::MAX.unsigned_abs()),
        at: Timestamp(message.at_us),
    })
}

pub(super) fn hits(message: wire::WhitelistHits) -> Result<WhitelistHits, String> {
    Ok(WhitelistHits {
        entry: named("entry", message.entry)?,
        hits: message.hits,
        at: Timestamp(message.at_us),
    })
}
