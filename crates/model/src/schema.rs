//! How words, ids and times look in the OpenAPI document of the server.

use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{RefOr, schema};
use utoipa::{PartialSchema, ToSchema};

use crate::{asset, finding, id, policy, time};

/// A text that is one of `words`.
fn words_schema(words: impl Iterator<Item = &'static str>, about: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(about))
        .enum_values(Some(words))
        .into()
}

macro_rules! word_schemas {
    ($($name:path, $text:literal, $about:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                words_schema(Self::ALL.iter().map(|it| it.as_str()), $about)
            }
        }
        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                $text.into()
            }
        }
    )*};
}

word_schemas! {
    asset::ColumnForm, "ColumnForm", "How a value is read and shown.";
    finding::FindingKind, "FindingKind", "The four lines of the dashboard.";
    finding::Severity, "Severity", "Low to critical.";
    finding::Status, "Status", "What became of a finding.";
    policy::WhitelistJudge, "WhitelistJudge", "How a whitelist entry compares.";
    finding::HandleAction, "HandleAction", "The ways to handle a finding.";
}

macro_rules! id_schemas {
    ($($name:path, $about:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let prefix = <$name>::PREFIX;
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($about))
                    .pattern(Some(format!("^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{12}}$")))
                    .examples([format!("{prefix}_0688wx3f2k9q4")])
                    .into()
            }
        }
        impl ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($name).rsplit("::").next().unwrap_or_default().trim().to_owned().into()
            }
        }
    )*};
}

id_schemas! {
    id::HostId, "A protected machine.";
    id::GroupId, "A set of hosts that share policies.";
    id::FindingId, "A conclusion with evidence.";
    id::ScanId, "One run over a host.";
    id::UserId, "A person who signs in.";
    id::SessionId, "A browser session.";
    id::ApiTokenId, "An API token.";
    id::EnrolTokenId, "An enrolment token.";
    id::AuditId, "An entry of the audit log.";
    id::ChangeId, "One change of one asset row.";
    id::ResponseId, "What an agent was asked to do about an attack, or did by itself.";
    id::IsolatedId, "A file in the vault of a host.";
    id::BlockedId, "An address that a host refuses.";
    id::DecisionId, "What a person decided about one finding.";
    id::JobId, "A decision about many findings that the server carries out.";
    id::ChannelId, "A place notifications are sent to.";
    id::RouteId, "Which findings are sent to which channels.";
    id::DeliveryId, "One message for one channel.";
}

impl PartialSchema for time::Timestamp {
    fn schema() -> RefOr<schema::Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("Time in UTC, RFC 3339."))
            .examples(["2026-11-23T09:30:00Z"])
            .into()
    }
}

impl ToSchema for time::Timestamp {}
