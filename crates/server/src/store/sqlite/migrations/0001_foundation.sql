-- Times are microseconds since 1970-01-01 UTC, days are days since then, ids are time-ordered.
-- Words are stored as the text or the number their type in the code gives them.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE host_group (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL COLLATE NOCASE UNIQUE,
    hosts INTEGER NOT NULL DEFAULT 0,
    is_default INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Only what lists filter, sort and count by; the rest is in host_more.
CREATE TABLE host (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL COLLATE NOCASE,
    group_id INTEGER NOT NULL,
    importance TEXT NOT NULL,
    connection TEXT NOT NULL,
    protection TEXT NOT NULL,
    revoked_at INTEGER,
    last_seen_at INTEGER NOT NULL DEFAULT 0,
    -- Unhandled findings by kind, by severity, and what they weigh in tenths.
    asset_risk INTEGER NOT NULL DEFAULT 0,
    vulnerability INTEGER NOT NULL DEFAULT 0,
    unsafe_setting INTEGER NOT NULL DEFAULT 0,
    alarm INTEGER NOT NULL DEFAULT 0,
    low INTEGER NOT NULL DEFAULT 0,
    medium INTEGER NOT NULL DEFAULT 0,
    high INTEGER NOT NULL DEFAULT 0,
    critical INTEGER NOT NULL DEFAULT 0,
    risk INTEGER NOT NULL DEFAULT 0,
    -- Name, addresses and operating system in lower case.
    search TEXT NOT NULL
) STRICT;
CREATE INDEX host_by_name ON host (name);
CREATE INDEX host_by_risk ON host (risk);
CREATE INDEX host_by_seen ON host (last_seen_at);
CREATE INDEX host_by_group ON host (group_id);

CREATE TABLE host_more (
    host INTEGER PRIMARY KEY,
    enrolled_at INTEGER NOT NULL,
    remark TEXT NOT NULL DEFAULT '',
    facts TEXT NOT NULL,
    capabilities TEXT NOT NULL DEFAULT '[]',
    machine_digest BLOB NOT NULL,
    installation_id BLOB NOT NULL,
    certificate_serial BLOB NOT NULL DEFAULT x'',
    certificate_expires_at INTEGER,
    beat_at INTEGER NOT NULL DEFAULT 0,
    cpu_us INTEGER NOT NULL DEFAULT 0,
    cpu_ratio REAL NOT NULL DEFAULT 0,
    resident_bytes INTEGER NOT NULL DEFAULT 0,
    telemetry_dropped INTEGER NOT NULL DEFAULT 0,
    spool_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX host_by_installation ON host_more (installation_id);

CREATE TABLE lane (
    host INTEGER NOT NULL,
    lane TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (host, lane, epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE category (
    id INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT;

CREATE TABLE finding (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    category INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    status INTEGER NOT NULL,
    absorbs INTEGER NOT NULL,
    -- First 8 bytes of BLAKE3 over rule and subject.
    fingerprint INTEGER NOT NULL,
    count INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    closed_day INTEGER,
    rule TEXT NOT NULL,
    subject TEXT NOT NULL,
    sentence_en TEXT NOT NULL,
    sentence_zh TEXT NOT NULL,
    action INTEGER,
    handled_by TEXT,
    handled_at INTEGER,
    remark TEXT,
    params TEXT NOT NULL,
    -- Last, so that its overflow pages are read only when it is asked for.
    evidence TEXT NOT NULL
) STRICT;
CREATE INDEX finding_by_host ON finding (host, last_at);
CREATE INDEX finding_by_category ON finding (category, last_at, id, status, severity, host);
CREATE INDEX finding_unhandled ON finding (category, last_at, id, severity, host) WHERE status = 1;
CREATE INDEX finding_absorbing ON finding (host, fingerprint) WHERE absorbs = 1;
CREATE VIRTUAL TABLE finding_word USING fts5 (
    words, content = '', contentless_delete = 1, detail = 'none',
    tokenize = "unicode61 remove_diacritics 0 tokenchars '._-:/'"
);

CREATE TABLE finding_history (
    id INTEGER PRIMARY KEY,
    finding INTEGER NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    change TEXT NOT NULL,
    remark TEXT NOT NULL
) STRICT;
CREATE INDEX finding_history_by_finding ON finding_history (finding);

-- Unhandled findings. Scope: 0 is the fleet, a positive number a host, a negative one the
-- group with that number.
CREATE TABLE open_count (
    scope INTEGER NOT NULL,
    category INTEGER NOT NULL,
    severity INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (scope, category, severity)
) STRICT, WITHOUT ROWID;

CREATE TABLE stat_day (
    day INTEGER NOT NULL,
    category INTEGER NOT NULL,
    total INTEGER NOT NULL,
    handled INTEGER NOT NULL,
    PRIMARY KEY (day, category)
) STRICT, WITHOUT ROWID;

CREATE TABLE stat_host (
    host INTEGER NOT NULL,
    day INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    total INTEGER NOT NULL,
    handled INTEGER NOT NULL,
    PRIMARY KEY (host, day, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE asset_spec (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    spec TEXT NOT NULL
) STRICT;

CREATE TABLE asset_kind (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL UNIQUE,
    spec INTEGER NOT NULL,
    rows INTEGER NOT NULL DEFAULT 0,
    hosts INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE host_table (
    host INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    spec INTEGER NOT NULL,
    rows INTEGER NOT NULL DEFAULT 0,
    digest BLOB NOT NULL,
    -- The whole table has been seen once; from then on, differences are changes.
    complete INTEGER NOT NULL DEFAULT 0,
    -- Differences found since the digests last agreed.
    mismatches INTEGER NOT NULL DEFAULT 0,
    observed_at INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (host, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE asset (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    row TEXT NOT NULL,
    UNIQUE (host, kind, key)
) STRICT;
CREATE INDEX asset_by_value ON asset (kind, value, host);

CREATE TABLE asset_value (
    kind INTEGER NOT NULL,
    value TEXT NOT NULL,
    hosts INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX asset_value_by_hosts ON asset_value (kind, hosts, value);
CREATE INDEX asset_value_by_text ON asset_value (value COLLATE NOCASE);

CREATE TABLE asset_change (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    op TEXT NOT NULL,
    at INTEGER NOT NULL,
    key TEXT NOT NULL,
    diff TEXT NOT NULL,
    row TEXT NOT NULL
) STRICT;
CREATE INDEX asset_change_by_host ON asset_change (host);
CREATE INDEX asset_change_by_kind ON asset_change (kind);

CREATE TABLE login (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    at INTEGER NOT NULL,
    service TEXT NOT NULL,
    user TEXT NOT NULL,
    address TEXT NOT NULL,
    country TEXT NOT NULL,
    method TEXT NOT NULL,
    key_fingerprint TEXT NOT NULL
) STRICT;
CREATE INDEX login_by_host ON login (host, at);

CREATE TABLE log_event (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    at INTEGER NOT NULL,
    source TEXT NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX log_event_by_host ON log_event (host, at);

CREATE TABLE scan (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    -- What the agent calls it: the text of the id, or a name of its own.
    label TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    wanted TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    refused TEXT,
    UNIQUE (host, label)
) STRICT;

CREATE TABLE scan_item (
    scan INTEGER NOT NULL,
    item TEXT NOT NULL,
    place INTEGER NOT NULL,
    state TEXT NOT NULL,
    rows INTEGER NOT NULL,
    findings INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (scan, item)
) STRICT, WITHOUT ROWID;

CREATE TABLE user (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL COLLATE NOCASE UNIQUE,
    role TEXT NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0,
    must_change_password INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_login_at INTEGER,
    password_hash TEXT NOT NULL,
    failures INTEGER NOT NULL DEFAULT 0,
    locked_until INTEGER
) STRICT;

CREATE TABLE session (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    user INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    idle_expires_at INTEGER NOT NULL,
    address TEXT NOT NULL
) STRICT;
CREATE INDEX session_by_user ON session (user);

CREATE TABLE api_token (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    user INTEGER NOT NULL,
    role TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;

CREATE TABLE enrol_token (
    id INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    group_id INTEGER NOT NULL,
    uses_max INTEGER NOT NULL,
    uses_left INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE policy (
    version INTEGER PRIMARY KEY,
    policy TEXT NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    hash BLOB NOT NULL
) STRICT;
