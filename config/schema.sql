-- Generated from the run's fields: python docs/generate.py --write

CREATE TABLE IF NOT EXISTS agent_runs (
    event_id TEXT NOT NULL PRIMARY KEY,
    run_id TEXT NOT NULL DEFAULT '',
    agent_name TEXT NOT NULL DEFAULT '',
    job_type TEXT NOT NULL DEFAULT '',
    trigger_type TEXT CHECK (trigger_type = 'cli' OR trigger_type = 'web' OR trigger_type = 'scheduler' OR trigger_type = 'mcp' OR trigger_type = 'manual'),
    agent_owner TEXT,
    parent_run_id TEXT,
    status TEXT NOT NULL DEFAULT 'running' CHECK (status = 'running' OR status = 'success' OR status = 'failed' OR status = 'partial' OR status = 'timeout' OR status = 'cancelled'),
    start_time TEXT,
    end_time TEXT,
    duration_ms INTEGER CHECK (duration_ms >= 0),
    items_discovered INTEGER NOT NULL DEFAULT 0 CHECK (items_discovered >= 0),
    items_succeeded INTEGER NOT NULL DEFAULT 0 CHECK (items_succeeded >= 0),
    items_failed INTEGER NOT NULL DEFAULT 0 CHECK (items_failed >= 0),
    items_skipped INTEGER NOT NULL DEFAULT 0 CHECK (items_skipped >= 0),
    input_summary TEXT,
    output_summary TEXT,
    error_summary TEXT,
    error_details TEXT,
    source_ref TEXT,
    target_ref TEXT,
    insight_id TEXT,
    product TEXT,
    product_family TEXT,
    platform TEXT,
    subdomain TEXT,
    website TEXT,
    website_section TEXT,
    item_name TEXT,
    git_repo TEXT,
    git_branch TEXT,
    git_run_tag TEXT,
    git_commit_hash TEXT,
    git_commit_source TEXT CHECK (git_commit_source = 'manual' OR git_commit_source = 'llm' OR git_commit_source = 'ci'),
    git_commit_author TEXT,
    git_commit_timestamp TEXT,
    host TEXT,
    environment TEXT,
    pid INTEGER CHECK (pid >= 0),
    work_dir TEXT,
    trace_id TEXT,
    metrics_json TEXT,
    context_json TEXT,
    api_posted INTEGER NOT NULL DEFAULT 0 CHECK (api_posted = 0 OR api_posted = 1),
    api_posted_at TEXT,
    api_retry_count INTEGER NOT NULL DEFAULT 0 CHECK (api_retry_count >= 0),
    schema_version INTEGER NOT NULL DEFAULT 8 CHECK (schema_version >= 0),
    created_at TEXT,
    updated_at TEXT
);

CREATE TABLE IF NOT EXISTS run_events (
    id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    payload_json TEXT,
    PRIMARY KEY (event_id, id)
);

CREATE TABLE IF NOT EXISTS run_folds (
    event_id TEXT NOT NULL PRIMARY KEY,
    state BLOB NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1))
);

CREATE TABLE IF NOT EXISTS run_records (
    id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    change TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (event_id, id)
);

CREATE TABLE IF NOT EXISTS commits (
    id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    commit_hash TEXT NOT NULL,
    commit_source TEXT,
    commit_author TEXT,
    commit_timestamp TEXT,
    timestamp TEXT NOT NULL,
    PRIMARY KEY (event_id, id)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS run_rollups (
    span TEXT NOT NULL CHECK (span = 'day' OR span = 'month' OR span = 'all'),
    period TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    job_type TEXT NOT NULL,
    part INTEGER NOT NULL,
    running_count INTEGER NOT NULL,
    success_count INTEGER NOT NULL,
    failed_count INTEGER NOT NULL,
    partial_count INTEGER NOT NULL,
    timeout_count INTEGER NOT NULL,
    cancelled_count INTEGER NOT NULL,
    items_discovered_low INTEGER NOT NULL,
    items_discovered_high INTEGER NOT NULL,
    items_succeeded_low INTEGER NOT NULL,
    items_succeeded_high INTEGER NOT NULL,
    items_failed_low INTEGER NOT NULL,
    items_failed_high INTEGER NOT NULL,
    items_skipped_low INTEGER NOT NULL,
    items_skipped_high INTEGER NOT NULL,
    duration_ms_low INTEGER NOT NULL,
    duration_ms_high INTEGER NOT NULL,
    durations_json TEXT NOT NULL,
    PRIMARY KEY (span, period, agent_name, job_type, part)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS cursors (
    sink TEXT NOT NULL,
    segment TEXT NOT NULL,
    offset INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL,
    PRIMARY KEY (sink, segment)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER NOT NULL PRIMARY KEY,
    applied_at TEXT NOT NULL,
    description TEXT NOT NULL
);

CREATE INDEX IF NOT EXISTS idx_runs_start_time ON agent_runs (start_time);

CREATE INDEX IF NOT EXISTS idx_runs_created_at ON agent_runs (created_at);

CREATE INDEX IF NOT EXISTS idx_runs_agent_status_created ON agent_runs (agent_name, status, created_at);

CREATE INDEX IF NOT EXISTS idx_runs_agent_created ON agent_runs (agent_name, created_at);

CREATE INDEX IF NOT EXISTS idx_runs_job_created ON agent_runs (job_type, created_at);

CREATE INDEX IF NOT EXISTS idx_runs_run_id ON agent_runs (run_id);

CREATE INDEX IF NOT EXISTS idx_runs_insight ON agent_runs (insight_id, start_time) WHERE insight_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS idx_runs_parent ON agent_runs (parent_run_id) WHERE parent_run_id IS NOT NULL;

CREATE INDEX IF NOT EXISTS idx_runs_running ON agent_runs (created_at) WHERE status = 'running';

CREATE INDEX IF NOT EXISTS idx_runs_unsuccessful ON agent_runs (created_at, status) WHERE status <> 'success' AND status <> 'running';

CREATE INDEX IF NOT EXISTS idx_events_run ON run_events (run_id) WHERE event_id = '';

CREATE INDEX IF NOT EXISTS idx_folds_deleted ON run_folds (event_id) WHERE deleted = 1;

