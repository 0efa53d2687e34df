// The words of the API that the console speaks, written by hand from the REST contract.

export interface Text {
  en: string;
  zh: string;
}
export interface Page<T> {
  items: T[];
  next?: string | null;
  total?: { value: number; exact: boolean } | null;
}
export interface Problem {
  type?: string;
  title: string;
  status: number;
  detail?: string | null;
  errors?: { field: string; detail: string }[];
}

export type FindingKind = "asset_risk" | "vulnerability" | "unsafe_setting" | "alarm";
export type Severity = "low" | "medium" | "high" | "critical";
export type Status = "unhandled" | "handled" | "resolved";
export type HandleAction = "ignore" | "mark_handled" | "login_whitelist";
export type Role = "admin" | "operator" | "auditor" | "viewer";
export type Permission =
  | "read"
  | "handle"
  | "scan"
  | "manage_hosts"
  | "manage_policy"
  | "manage_users"
  | "manage_tokens"
  | "manage_settings"
  | "read_audit";
export type Importance = "important" | "general" | "test";
export type Connection = "online" | "offline" | "never";
export type Protection = "protected" | "degraded" | "unprotected";
export type Counts = Record<FindingKind, number>;

export interface Me {
  user: { id: string; name: string; role: Role };
  permissions: Permission[];
  must_change_password: boolean;
  expires_at: string;
}

export interface NamedRef {
  id: string;
  name: string;
}

export type DeductionReason =
  | "critical_findings"
  | "high_findings"
  | "medium_findings"
  | "low_findings"
  | "unprotected_hosts"
  | "degraded_hosts";

export interface Dashboard {
  as_of: string;
  risks: {
    kind: FindingKind;
    open: number;
    hosts: number;
    by_severity: Record<Severity, number>;
  }[];
  protection: {
    total: number;
    protected: number;
    degraded: number;
    unprotected: number;
    offline: number;
    blind_spots: { capability: string; hosts: number }[];
  };
  trend: ({ day: string } & Counts)[];
  handled: ({ day: string } & Counts)[];
  intrusions: { category: string; count: number }[];
  top_hosts: { host: NamedRef; risk: number; counts: Counts }[];
  latest: FindingItem[];
  score: {
    value: number;
    deductions: {
      reason_code: DeductionReason;
      points: number;
      count: number;
      kind?: FindingKind | null;
    }[];
  };
}

export interface Capability {
  id: string;
  state: "active" | "degraded" | "missing";
  reason: string;
}

export interface Host {
  id: string;
  name: string;
  addresses: string[];
  os: { id: string; name: string; version: string };
  kernel: string;
  arch: string;
  cpus: number;
  memory_bytes: number;
  agent_version: string;
  group: NamedRef;
  importance: Importance;
  connection: Connection;
  protection: Protection;
  protection_reasons: Text[];
  capabilities: Capability[];
  counts: Counts;
  risk: number;
  enrolled_at: string;
  last_seen_at?: string | null;
  booted_at?: string | null;
  remark: string;
  usage: { resident_bytes: number; cpu_ratio: number };
  telemetry_dropped: number;
}
interface HostExtra {
  open: { kind: FindingKind; category: string; severity: Severity; count: number }[];
  asset_counts: { kind: string; rows: number }[];
  trend: ({ day: string } & Counts)[];
  certificate_expires_at?: string | null;
}
export type HostAnswer = { host: Host } & HostExtra;
export type HostDetail = Host & HostExtra;

export type ColumnForm =
  | "text"
  | "integer"
  | "boolean"
  | "time"
  | "bytes"
  | "path"
  | "hash"
  | "address"
  | "port"
  | "user"
  | "list"
  | "level";
export interface ColumnSpec {
  name: string;
  form: ColumnForm;
  title: Text;
  about: string;
  volatile: boolean;
  shown: boolean;
}
export interface TableSpec {
  kind: string;
  title: Text;
  about: Text;
  key: string[];
  columns: ColumnSpec[];
}
export interface AssetKind {
  spec: TableSpec;
  summary_column: string;
  rows: number;
  hosts: number;
}
export type Row = Record<string, unknown>;
export interface AssetRow {
  host: NamedRef;
  key: string;
  row: Row;
  first_seen_at: string;
  last_seen_at: string;
}
export interface AssetSummary {
  value: string;
  column: string;
  hosts: number;
  rows: number;
}
export interface Change {
  id: string;
  at: string;
  host: NamedRef;
  kind: string;
  key: string;
  op: "added" | "removed" | "changed";
  diff: { column: string; before?: unknown; after?: unknown }[];
  row: Row;
}

export interface Handling {
  action: HandleAction;
  by: string;
  at: string;
  remark?: string | null;
}
export interface FindingItem {
  id: string;
  host: NamedRef;
  kind: FindingKind;
  rule: string;
  category: string;
  severity: Severity;
  subject: string;
  sentence: Text;
  status: Status;
  count: number;
  first_at: string;
  last_at: string;
  handling?: Handling | null;
  technique?: string | null;
}
export type Evidence =
  | {
      type: "log_lines";
      source: string;
      lines: { at: string; text: string }[];
      omitted: number;
    }
  | {
      type: "file";
      path: string;
      line?: number | null;
      text?: string | null;
      sha256?: string | null;
      package?: string | null;
    }
  | { type: "asset"; kind: string; key: string; row: Row }
  | {
      type: "processes";
      chain: {
        pid: number;
        started_at: string;
        user: string;
        executable: string;
        command: string;
        package?: string | null;
        sha256?: string | null;
      }[];
    }
  | {
      type: "login";
      service: string;
      user: string;
      address: string;
      country?: string | null;
      method?: string | null;
      key_fingerprint?: string | null;
    }
  | { type: "fact"; name: string; value: unknown };
interface FindingExtra {
  params: Record<string, unknown>;
  evidence: Evidence[];
  why?: Text | null;
  advice?: Text | null;
  rule_title?: Text | null;
  actions: HandleAction[];
  history: { at: string; by: string; action: string; remark?: string | null }[];
  similar: FindingItem[];
}
export type FindingAnswer = { finding: FindingItem } & FindingExtra;
export type Finding = FindingItem & FindingExtra;
export interface FindingCounters {
  total: number;
  open: { kind: FindingKind; category: string; severity: Severity; count: number }[];
}

export type ScanItemState = "queued" | "running" | "done" | "partial" | "failed";
export interface ScanItem {
  item: string;
  state: ScanItemState;
  rows: number;
  findings: number;
  reason: string;
}
export interface Scan {
  id: string;
  host: NamedRef;
  requested_by: string;
  wanted: string[];
  created_at: string;
  started_at?: string | null;
  finished_at?: string | null;
  refused?: string | null;
  items: ScanItem[];
}
export interface Login {
  at: string;
  service: string;
  user: string;
  address: string;
  country: string;
  method: string;
  key_fingerprint: string;
}

export interface Policy {
  login: {
    burst_failures: number;
    burst_window_s: number;
    slow_failures: number;
    slow_window_s: number;
    spread_sources: number;
    spray_accounts: number;
    spread_window_s: number;
    places_learned: number;
    whitelist: { address?: string | null; user?: string | null }[];
    common_places: string[];
    common_addresses: string[];
  };
  ports: { ignored: { protocol: string; port: number }[] };
  collect: { fast_s: number; slow_s: number };
}
export interface PolicyState {
  version: number;
  policy: Policy;
  changed_at: string;
  changed_by: string;
}
export interface Settings {
  alarm_retention_days: number;
  change_retention_days: number;
}
export interface User {
  id: string;
  name: string;
  role: Role;
  disabled: boolean;
  must_change_password: boolean;
  created_at: string;
  last_login_at?: string | null;
}
export interface ApiToken {
  id: string;
  name: string;
  user: string;
  role: Role;
  created_at: string;
  expires_at: string;
  last_used_at?: string | null;
}
export interface EnrolToken {
  id: string;
  group: NamedRef;
  uses_max: number;
  uses_left: number;
  created_at: string;
  created_by: string;
  expires_at: string;
}
export interface AuditEntry {
  id: string;
  at: string;
  actor: string;
  action: string;
  target: string;
  detail: unknown;
  address?: string | null;
}
export interface Rule {
  id: string;
  title: Text;
  category: string;
  kind: FindingKind;
  severity: Severity;
  why: Text;
  advice: Text;
  techniques: string[];
  actions: HandleAction[];
}
export interface ScanProgress {
  id: string;
  host: string;
  items: ScanItem[];
  finished: boolean;
}
export type SearchHit =
  | { type: "host"; host: NamedRef; addresses: string[] }
  | { type: "finding"; finding: FindingItem }
  | {
      type: "asset";
      asset: { kind: string; column: string; value: string; hosts: number; rows: number };
    };

/** What became of one finding that a person decided about. */
export interface Outcome {
  id: string;
  status: Status;
  undo: boolean;
  refused?: string | null;
}
