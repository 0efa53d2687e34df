//! Signing in with name and password.

use model::because;
use model::time::Timestamp;
use serde_json::{Value, json};

use super::password::PasswordError;
use super::session::Secret;
use super::{Identity, Source, Via, lockout, wait};
use crate::api::App;
use crate::api::problem::{Problem, ProblemKind};
use crate::store::{Actor, AuditEntry, Credentials, NewSession};

impl From<PasswordError> for Problem {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self {
                retry_after_s: Some(1),
                ..Self::new(ProblemKind::Overloaded, "too many sign-ins at once")
            },
            other => Self::internal(&other),
        }
    }
}

fn entry(name: &str, source: Source, at: Timestamp, action: &str, detail: Value) -> AuditEntry {
    AuditEntry {
        at,
        actor: Actor::user(name),
        address: source.address.to_string(),
        action: action.to_owned(),
        target: name.to_owned(),
        detail,
    }
}

/// The account of `name`, if `password` is the right one. A name that does not exist takes as
/// long and is refused in the same words as a wrong password.
pub async fn prove(
    app: &App,
    name: String,
    password: String,
    source: Source,
    now: Timestamp,
) -> Result<Credentials, Problem> {
    // One proof at a time: guesses that run side by side would all pass the same lock.
    let _turn = app.passwords.turn().await?;
    let pause = app.sources.wait(source.address, now);
    if !pause.is_zero() {
        return Err(wait(pause));
    }
    let known = app.store.credentials(name.clone()).await?;
    if let Some(until) = known.as_ref().and_then(|it| it.locked_until).filter(|it| *it > now) {
        app.sources.failed(source.address, now);
        return Err(wait(until.since(now)));
    }
    let hash = known.as_ref().map(|it| it.password_hash.clone());
    let right = app.passwords.verify(password, hash).await?;
    match known {
        Some(known) if right && !known.user.disabled => {
            app.sources.succeeded(source.address);
            Ok(known)
        }
        known => {
            app.sources.failed(source.address, now);
            if let Some(Credentials { user, failures, .. }) = known {
                let until = lockout::account_locked_until(failures.saturating_add(1), now);
                let reason = if user.disabled { "disabled" } else { "password" };
                let detail = json!({ "reason": reason, "locked_until": until });
                let audit = entry(&user.name, source, now, "session.refuse", detail);
                app.store.login_failed(user.id, until, audit).await?;
            }
            tracing::warn!(address = %source.address, "sign-in refused");
            Err(Problem::new(
                ProblemKind::SignInRefused,
                because!("sign_in.refused", "the name or the password is wrong"),
            ))
        }
    }
}

/// A new session for whoever knows the password.
pub async fn sign_in(
    app: &App,
    name: String,
    password: String,
    source: Source,
    now: Timestamp,
) -> Result<(Secret, Identity), Problem> {
    let known = prove(app, name, password, source, now).await?;
    let secret = Secret::generate("").map_err(PasswordError::Random)?;
    let expires_at = now + app.limits.session_absolute;
    let new = NewSession {
        digest: secret.hash(),
        user: known.user.id,
        expires_at,
        idle_expires_at: (now + app.limits.session_idle).min(expires_at),
        address: source.address.to_string(),
    };
    let audit = entry(&known.user.name, source, now, "session.create", json!({}));
    let session = app.store.create_session(new, audit).await?;
    let identity = Identity {
        user: session.user.id,
        name: session.user.name,
        role: session.user.role,
        permissions: super::permission::permissions_of(session.user.role).to_vec(),
        must_change_password: session.user.must_change_password,
        via: Via::Session { id: session.id, digest: secret.hash() },
        expires_at,
    };
    Ok((secret, identity))
}
