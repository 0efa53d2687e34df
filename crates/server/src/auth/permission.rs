//! Who may do what: permissions, roles, and the proof a handler asks for.

use crate::api::problem::{Problem, ProblemKind};
use crate::auth::{Identity, Via};
pub use crate::store::Permission;
use crate::store::Role;
use model::because;

/// What `role` may do.
pub const fn permissions_of(role: Role) -> &'static [Permission] {
    use Permission::{Handle, ManagePolicy, Read, ReadAudit, Scan};
    match role {
        Role::Admin => Permission::ALL,
        Role::Operator => &[Read, Handle, Scan, ManagePolicy],
        Role::Auditor => &[Read, ReadAudit],
        Role::Viewer => &[Read],
    }
}

/// What an operation asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Open to everyone who can reach the console.
    Anyone,
    /// A browser session, even one that must change its password first.
    Session,
    /// An identity that holds the permission.
    Needs(Permission),
}

impl Rule {
    /// Value of `x-permission` in the OpenAPI document.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Session => "session",
            Self::Needs(permission) => permission.as_str(),
        }
    }
}

/// A rule as a type: a handler names it in its argument, so none can be registered without.
pub trait Demand: Send + Sync + 'static {
    /// What the handler learns of its caller.
    type Who: Send;
    const RULE: Rule;

    fn admit(identity: Option<Identity>) -> Result<Self::Who, Problem>;
}

fn unauthenticated() -> Problem {
    Problem::new(
        ProblemKind::Unauthenticated,
        because!("permission.nobody", "there is no valid session or token"),
    )
}

/// [`Rule::Anyone`].
#[derive(Debug)]
pub struct Anyone;

impl Demand for Anyone {
    type Who = ();
    const RULE: Rule = Rule::Anyone;

    fn admit(_: Option<Identity>) -> Result<(), Problem> {
        Ok(())
    }
}

/// [`Rule::Session`].
#[derive(Debug)]
pub struct InSession;

impl Demand for InSession {
    type Who = Identity;
    const RULE: Rule = Rule::Session;

    fn admit(identity: Option<Identity>) -> Result<Identity, Problem> {
        let identity = identity.ok_or_else(unauthenticated)?;
        match identity.via {
            Via::Session { .. } => Ok(identity),
            Via::Token { .. } => Err(Problem::new(
                ProblemKind::Forbidden,
                because!("permission.token", "an API token has no session"),
            )),
        }
    }
}

fn admit_with(permission: Permission, identity: Option<Identity>) -> Result<Identity, Problem> {
    let identity = identity.ok_or_else(unauthenticated)?;
    if identity.must_change_password {
        return Err(Problem::new(
            ProblemKind::PasswordChangeNeeded,
            because!(
                "permission.password",
                "the password was set by someone else and must be changed first"
            ),
        ));
    }
    if !identity.may(permission) {
        return Err(Problem::new(
            ProblemKind::Forbidden,
            because!(
                "permission.lacking",
                "this needs the permission `{permission}`",
                permission = permission
            ),
        ));
    }
    Ok(identity)
}

macro_rules! demands {
    ($($name:ident)*) => {$(
        /// [`Rule::Needs`] of the permission of the same name.
        #[derive(Debug)]
        pub struct $name;

        impl Demand for $name {
            type Who = Identity;
            const RULE: Rule = Rule::Needs(Permission::$name);

            fn admit(identity: Option<Identity>) -> Result<Identity, Problem> {
                admit_with(Permission::$name, identity)
            }
        }
    )*};
}
demands! {
    Read Handle Scan ManageHosts ManagePolicy ManageUsers ManageTokens ManageSettings ManageNotifications
    ReadAudit
}
