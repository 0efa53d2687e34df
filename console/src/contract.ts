// Short names for what the API sends; the types themselves come from its OpenAPI document.
import type { components } from "./api.gen";

type Schemas = components["schemas"];

export type Text = Schemas["Text"];
export type FindingKind = Schemas["FindingKind"];
export type Severity = Schemas["Severity"];
export type HandleAction = Schemas["HandleAction"];
export type Role = Schemas["Role"];
export type Permission = Schemas["Permission"];
export type Counts = Schemas["KindCounts"];
export type Me = Schemas["Me"];
export type Dashboard = Schemas["Dashboard"];
export type DeductionReason = Schemas["DeductionReason"];
export type Capability = Schemas["Capability"];
export type Reason = Schemas["Reason"];
export type Host = Schemas["Host"];
export type HostAnswer = Schemas["HostDetail"];
export type ColumnForm = Schemas["ColumnForm"];
export type TableSpec = Schemas["TableSpec"];
export type AssetKind = Schemas["AssetKind"];
export type AssetRow = Schemas["Asset"];
export type AssetSummary = Schemas["AssetValue"];
export type Change = Schemas["Change"];
export type FindingItem = Schemas["Finding"];
export type FindingAnswer = Schemas["FindingDetail"];
export type Evidence = Schemas["Evidence"];
export type FindingCounters = Schemas["Counters"];
export type Scan = Schemas["Scan"];
export type ScanItemState = Schemas["ScanItemState"];
export type HandleOptions = Schemas["HandleOptions"];
export type Detection = Schemas["Detection"];
export type Decision = Schemas["Decision"];
export type HandlingJob = Schemas["HandlingJob"];
export type JobFilter = Schemas["JobFilter"];
export type JobAction = Schemas["JobAction"];
export type AgentResponse = Schemas["Response"];
export type IsolatedFile = Schemas["IsolatedFile"];
export type AskedItem = Schemas["AskedItem"];
export type BlockedAddress = Schemas["BlockedAddress"];
export type Whitelisted = Schemas["Whitelisted"];
export type AlarmPattern = Schemas["AlarmPattern"];
export type BlockAsk = Schemas["BlockAsk"];
export type NewAlarmEntry = Schemas["NewAlarmEntry"];
export type EntryChange = Schemas["EntryChange"];
export type NewLoginEntry = Schemas["NewLoginEntry"];
export type RuleSwitch = Schemas["RuleSwitch"];
export type FeatureCost = Schemas["FeatureCost"];
export type Login = Schemas["Login"];
export type Policy = Schemas["Policy"];
export type PolicyState = Schemas["PolicyState"];
export type Settings = Schemas["Settings"];
export type Channel = Schemas["Channel"];
export type ChannelConfig = Schemas["ChannelConfig"];
export type ChannelAsk = Schemas["ChannelAsk"];
export type NotifyRoute = Schemas["Route"];
export type RouteAsk = Schemas["RouteAsk"];
export type RouteRule = Schemas["RouteRule"];
export type NotifyDelivery = Schemas["Delivery"];
export type NotifySettings = Schemas["NotifySettings"];
export type User = Schemas["User"];
export type ApiToken = Schemas["ApiToken"];
export type EnrolToken = Schemas["EnrolToken"];
export type AuditEntry = Schemas["AuditRecord"];
export type Rule = Schemas["Rule"];
export type SearchHit = Schemas["Hit"];
export type Outcome = Schemas["Outcome"];
export type Problem = Schemas["Problem"];
export type LiveEvents = Schemas["LiveEvents"];

/** Anything that is named by its id: a server, a group. */
export interface NamedRef {
  id: string;
  name: string;
}

/** One page of any list. */
export interface Page<T> {
  items: T[];
  next: string | null;
  total: Schemas["Total"] | null;
}

/** A server and a finding with everything their own pages show, in one object. */
export type HostDetail = Host & Omit<HostAnswer, "host">;
export type Finding = FindingItem & Omit<FindingAnswer, "finding">;
