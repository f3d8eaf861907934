-- Limits: ceilings on what an organization, a team or a key may use. What a limit has spent stands
-- nowhere but in the charges: it is summed up when the program starts and when a limit is made, and
-- counted on in memory, so that there is no second book that could disagree with the first.
--
-- A call that a limit turns down leaves no charge. The first few of a minute are kept as rows of
-- their own, all are counted by quarter hour.

CREATE TABLE "limit" (
    id INTEGER PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE CHECK (public_id LIKE 'lim@_%' ESCAPE '@'),
    scope TEXT NOT NULL CHECK (scope IN ('organization', 'team', 'key')),
    team_id INTEGER NULL REFERENCES team (id) CHECK ((scope = 'organization') = (team_id IS NULL)), -- of a key: its team
    key_id INTEGER NULL REFERENCES "key" (id) CHECK ((scope = 'key') = (key_id IS NOT NULL)),
    each_key INTEGER NOT NULL DEFAULT 0 CHECK (each_key IN (0, 1)) CHECK (each_key = 0 OR scope = 'team'), -- one for each key of the team
    models TEXT NULL CHECK (models LIKE '[%]'), -- JSON array of names and prefix*, of the model asked for; NULL: all
    metric TEXT NOT NULL CHECK (metric IN ('cost', 'input_tokens', 'output_tokens', 'total_tokens', 'requests', 'parallel')),
    window TEXT NULL CHECK (window IN ('minute', 'hour', 'day', 'week', 'month', 'total')) CHECK ((metric = 'parallel') = (window IS NULL)),
    amount INTEGER NOT NULL CHECK (amount > 0), -- of cost nano-USD, else what the metric counts
    timezone TEXT NOT NULL CHECK (length(timezone) > 0), -- IANA name; of its days, weeks and months
    week_start INTEGER NOT NULL DEFAULT 1 CHECK (week_start BETWEEN 1 AND 7), -- 1 monday .. 7 sunday
    anchor_day INTEGER NOT NULL DEFAULT 1 CHECK (anchor_day BETWEEN 1 AND 28), -- day of the month on which its months begin
    is_hard INTEGER NOT NULL DEFAULT 1 CHECK (is_hard IN (0, 1)), -- refuses; 0: counts and tells only
    may_clamp INTEGER NOT NULL CHECK (may_clamp IN (0, 1)), -- a call that does not fit has its output maximum lowered
    is_strict INTEGER NOT NULL DEFAULT 0 CHECK (is_strict IN (0, 1)), -- holds bounds that are proven, never learned ones
    thresholds TEXT NOT NULL DEFAULT '[50,80,90,100]' CHECK (thresholds LIKE '[%]'), -- JSON array, percent
    override_amount INTEGER NULL CHECK (override_amount > 0), -- in place of `amount`; NULL: none
    override_start_ms INTEGER NULL CHECK ((override_start_ms IS NULL) = (override_amount IS NULL)), -- ms since 1970; of the only period it holds for
    revision INTEGER NOT NULL DEFAULT 1 CHECK (revision > 0), -- changes so far + 1
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0), -- ms since 1970
    deleted_ms INTEGER NULL CHECK (deleted_ms >= 0) -- ms since 1970; NULL: in force
) STRICT;

CREATE INDEX limit_by_team ON "limit" (team_id) WHERE deleted_ms IS NULL;
CREATE INDEX limit_by_key ON "limit" (key_id) WHERE deleted_ms IS NULL;

-- What people want to be told of a limit, once for each period: that a share of it is spent, or that a
-- provider billed more than was set aside.
CREATE TABLE limit_event (
    id INTEGER PRIMARY KEY,
    limit_id INTEGER NOT NULL,
    key_id INTEGER NOT NULL DEFAULT 0, -- of a limit for each key; 0: it has but one count
    period_start_ms INTEGER NOT NULL CHECK (period_start_ms >= 0), -- ms since 1970
    threshold INTEGER NOT NULL CHECK (threshold BETWEEN 1 AND 1000), -- percent of the amount
    amount INTEGER NOT NULL, -- of the limit at that time
    spent INTEGER NOT NULL, -- by then
    at_ms INTEGER NOT NULL CHECK (at_ms >= 0), -- ms since 1970
    UNIQUE (limit_id, key_id, period_start_ms, threshold)
) STRICT;

-- Calls that were turned down: the first ten of a minute, by key and reason.
CREATE TABLE refusal (
    id INTEGER PRIMARY KEY CHECK (id > 0), -- the call's time id
    team_id INTEGER NOT NULL CHECK (team_id > 0),
    key_id INTEGER NOT NULL CHECK (key_id > 0),
    provider_id INTEGER NOT NULL CHECK (provider_id > 0),
    dialect_id INTEGER NOT NULL CHECK (dialect_id > 0), -- in dimension
    model_id INTEGER NOT NULL CHECK (model_id > 0), -- in dimension; as asked for
    limit_id INTEGER NULL, -- NULL: no price, under a limit in money
    reason TEXT NOT NULL CHECK (reason IN ('too_large', 'rate', 'spent', 'held', 'unpriced')),
    amount INTEGER NOT NULL, -- of the limit, in its metric
    spent INTEGER NOT NULL, -- at that instant
    held INTEGER NOT NULL, -- at that instant
    estimate INTEGER NOT NULL, -- of the call
    flags INTEGER NOT NULL CHECK (flags >= 0) -- bits of enum ledger_flags
) STRICT;

CREATE TRIGGER refusal_no_update BEFORE UPDATE ON refusal
BEGIN
    SELECT RAISE(ABORT, 'refusal is append-only');
END;

-- All of them.
CREATE TABLE refusal_count (
    bucket INTEGER NOT NULL, -- quarter hours since 1970-01-01T00:00Z
    key_id INTEGER NOT NULL,
    model_id INTEGER NOT NULL, -- in dimension; as asked for
    reason TEXT NOT NULL CHECK (reason IN ('too_large', 'rate', 'spent', 'held', 'unpriced')),
    count INTEGER NOT NULL CHECK (count > 0),
    PRIMARY KEY (bucket, key_id, model_id, reason)
) STRICT, WITHOUT ROWID;
