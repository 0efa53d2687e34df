//! How the words of the store look in the OpenAPI document.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::auth::permission::Permission;
use crate::notify::{channels, route};
use crate::store;

macro_rules! word_schemas {
    ($($name:path, $text:literal, $about:literal;)*) => {$(
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some($about))
                    .enum_values(Some(Self::ALL.iter().map(|it| it.as_str())))
                    .into()
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
    Permission, "Permission", "The unit of access.";
    store::Role, "Role", "What somebody may do.";
    store::Importance, "Importance", "How much a host matters; weighs in the score.";
    store::Connection, "Connection", "Whether the agent of a host holds a stream to the server.";
    store::Protection, "Protection", "What the agent of a host is able to see, as it last said.";
    store::CapabilityState, "CapabilityState", "State of one row of the sensor capability matrix.";
    store::HostSort, "HostSort", "What the server list is sorted by.";
    store::Order, "Order", "Direction of a sort.";
    store::StatusChange, "StatusChange", "What a line of a finding's history says.";
    store::SummaryOrder, "SummaryOrder", "What most hosts have first, or what few have.";
    store::ChangeOp, "ChangeOp", "What happened to an asset row.";
    store::ScanItemState, "ScanItemState", "How far one item of a scan is.";
    store::ResponseAction, "ResponseAction", "What an agent is asked to do about an attack.";
    store::ResponseState, "ResponseState", "How far a response is.";
    store::IsolatedState, "IsolatedState", "Where an isolated file is.";
    store::BlockedState, "BlockedState", "Whether an address is refused.";
    store::WhitelistKind, "WhitelistKind", "What a whitelist entry is about.";
    super::whitelist::WhitelistState, "WhitelistState", "Whether a whitelist entry is in force.";
    super::detections::Maturity, "Maturity", "How far a rule may be trusted.";
    super::detections::RuleSwitch, "RuleSwitch", "Whether a rule is on.";
    store::JobState, "JobState", "How far a job is.";
    super::jobs::JobAction, "JobAction", "What can be decided about many findings at once.";
    store::DeliveryState, "DeliveryState", "Where one message for one channel stands.";
    store::Reach, "Reach", "How far notifications may reach over the network.";
    route::Mode, "RouteMode", "When a route sends.";
    route::Language, "Language", "The languages of the product.";
    channels::MailTls, "MailTls", "How an e-mail server is spoken to.";
    channels::SyslogTransport, "SyslogTransport", "How log lines travel.";
    channels::SyslogBody, "SyslogBody", "What stands in a log line.";
    store::DeductionReason, "DeductionReason", "Why the score is not a hundred.";
}
