-- Notifications: where they go, what goes there, what was found and not yet planned, the outbox.

CREATE TABLE notify_channel (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL COLLATE NOCASE UNIQUE,
    enabled INTEGER NOT NULL,
    config TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    last_success_at INTEGER,
    last_error_at INTEGER,
    last_error TEXT NOT NULL DEFAULT '',
    -- Deliveries by state.
    waiting INTEGER NOT NULL DEFAULT 0,
    sent INTEGER NOT NULL DEFAULT 0,
    dead INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE notify_route (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL COLLATE NOCASE UNIQUE,
    enabled INTEGER NOT NULL,
    rule TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    -- What is held back, and until when.
    state TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE TABLE notify_notice (id INTEGER PRIMARY KEY, notice TEXT NOT NULL) STRICT;

CREATE TABLE notify_delivery (
    id INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL,
    route INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    lease_until INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    state TEXT NOT NULL DEFAULT 'waiting',
    settled_at INTEGER,
    error TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL
) STRICT;
CREATE INDEX notify_delivery_due ON notify_delivery (next_at, id) WHERE state = 'waiting';
CREATE INDEX notify_delivery_by_channel ON notify_delivery (channel, id);
CREATE INDEX notify_delivery_by_state ON notify_delivery (state, id);
CREATE INDEX notify_delivery_settled ON notify_delivery (settled_at) WHERE settled_at IS NOT NULL;
