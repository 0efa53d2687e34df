-- Decisions about all findings of a kind: jobs outlive the process that carries them out.

CREATE TABLE handling_job (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    action TEXT NOT NULL,
    by TEXT NOT NULL,
    remark TEXT NOT NULL,
    -- Which findings, as they were asked for.
    filter TEXT NOT NULL,
    -- Who answers for it in the audit log, and from where.
    actor TEXT NOT NULL,
    address TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    total INTEGER NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0,
    undone INTEGER NOT NULL DEFAULT 0,
    undone_by TEXT NOT NULL DEFAULT '',
    reason TEXT NOT NULL DEFAULT ''
) STRICT;

-- What a job decided: the line of the finding's history, so that a later decision is seen.
CREATE TABLE handling_job_entry (
    job INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    finding INTEGER NOT NULL,
    PRIMARY KEY (job, entry)
) STRICT, WITHOUT ROWID;
