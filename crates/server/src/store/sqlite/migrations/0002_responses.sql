-- What agents are asked to do besides scans, what they did, and what nobody wants to hear of.

-- Only of findings that stand in an incident or say how sure their rule is.
CREATE TABLE finding_more (
    finding INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    incident TEXT NOT NULL,
    confidence INTEGER NOT NULL
) STRICT;
CREATE INDEX finding_by_incident ON finding_more (incident, finding) WHERE incident <> '';

CREATE INDEX finding_by_rule ON finding (rule, last_at, id, category, status, severity, host);
CREATE INDEX finding_history_of_people ON finding_history (id) WHERE by <> '';

-- By the day of the first occurrence, so that the share of what was dismissed is a share of
-- the same findings.
CREATE TABLE rule_day (
    rule TEXT NOT NULL,
    day INTEGER NOT NULL,
    found INTEGER NOT NULL,
    dismissed INTEGER NOT NULL,
    PRIMARY KEY (rule, day)
) STRICT, WITHOUT ROWID;
INSERT INTO rule_day
SELECT rule, first_at / 86400000000, count(*), sum(ifnull(action, 0) IN (1, 3))
FROM finding GROUP BY 1, 2;

ALTER TABLE host_more ADD COLUMN costs TEXT NOT NULL DEFAULT '[]';

CREATE TABLE response (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL,
    finding INTEGER,
    -- Paths or addresses, for people.
    subject TEXT NOT NULL,
    -- What the agent is asked; null when it acted by itself.
    orders TEXT,
    -- Empty when the agent acted by itself.
    by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    finished_at INTEGER,
    reason TEXT NOT NULL DEFAULT '',
    steps TEXT NOT NULL DEFAULT '[]'
) STRICT;
CREATE INDEX response_by_host ON response (host, id);
CREATE INDEX response_by_finding ON response (finding) WHERE finding IS NOT NULL;
CREATE INDEX response_open ON response (host, id) WHERE state IN ('waiting', 'sent');
CREATE INDEX response_expiring ON response (expires_at) WHERE state IN ('waiting', 'sent');

CREATE TABLE isolated_file (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    -- What the agent calls it.
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    path TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    mode INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    gid INTEGER NOT NULL,
    user TEXT NOT NULL,
    finding INTEGER,
    reason TEXT NOT NULL,
    automatic INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    isolated_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    -- Who asked for it; empty when the agent acted by itself.
    by TEXT NOT NULL,
    -- The response under way that will change it.
    pending INTEGER,
    UNIQUE (host, name)
) STRICT;
CREATE INDEX isolated_by_host ON isolated_file (host, id);
CREATE INDEX isolated_by_hash ON isolated_file (sha256, id);
CREATE INDEX isolated_by_finding ON isolated_file (finding) WHERE finding IS NOT NULL;
CREATE INDEX isolated_pending ON isolated_file (pending) WHERE pending IS NOT NULL;

CREATE TABLE isolated_history (
    id INTEGER PRIMARY KEY,
    isolated INTEGER NOT NULL,
    at INTEGER NOT NULL,
    by TEXT NOT NULL,
    state TEXT NOT NULL
) STRICT;
CREATE INDEX isolated_history_by_file ON isolated_history (isolated);

CREATE TABLE blocked_address (
    id INTEGER PRIMARY KEY,
    host INTEGER NOT NULL,
    address TEXT NOT NULL,
    -- As the agent said it: the same address blocked again is another block.
    since_said INTEGER NOT NULL,
    state TEXT NOT NULL,
    since_at INTEGER NOT NULL,
    until_at INTEGER NOT NULL,
    finding INTEGER,
    reason TEXT NOT NULL,
    automatic INTEGER NOT NULL,
    packets INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    by TEXT NOT NULL,
    pending INTEGER,
    UNIQUE (host, address, since_said)
) STRICT;
CREATE INDEX blocked_by_host ON blocked_address (host, id);
CREATE INDEX blocked_by_address ON blocked_address (address, id);
CREATE INDEX blocked_by_finding ON blocked_address (finding) WHERE finding IS NOT NULL;
CREATE INDEX blocked_active ON blocked_address (until_at) WHERE state = 'active';
CREATE INDEX blocked_pending ON blocked_address (pending) WHERE pending IS NOT NULL;

-- Facts about entries of the policy's whitelists; the policy alone says which are in force.
CREATE TABLE whitelist (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    entry TEXT NOT NULL,
    owner TEXT NOT NULL,
    remark TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    finding INTEGER,
    removed_at INTEGER,
    removed_by TEXT NOT NULL DEFAULT '',
    hits INTEGER NOT NULL DEFAULT 0,
    last_hit_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX whitelist_removed ON whitelist (removed_at) WHERE removed_at IS NOT NULL;

-- A token carries permissions of its own instead of a role.
ALTER TABLE api_token ADD COLUMN permissions TEXT NOT NULL DEFAULT '[]';
UPDATE api_token SET permissions = CASE role
    WHEN 'admin' THEN '["read","handle","scan","manage_hosts","manage_policy","manage_users",'
        || '"manage_tokens","manage_settings","read_audit"]'
    WHEN 'operator' THEN '["read","handle","scan","manage_policy"]'
    WHEN 'auditor' THEN '["read","read_audit"]'
    ELSE '["read"]' END;
ALTER TABLE api_token DROP COLUMN role;
