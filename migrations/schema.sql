-- Written by `make schema`: what the migrations add up to.

CREATE TABLE admin_token (
    id INTEGER PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE CHECK (public_id LIKE 'tok@_%' ESCAPE '@'),
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'finance', 'team', 'viewer')),
    team_id INTEGER NULL REFERENCES team (id) CHECK ((role = 'team') = (team_id IS NOT NULL)), -- whose, for 'team'
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- keyed BLAKE2b-256 of the whole token
    prefix TEXT NOT NULL, -- tga_ and ten digits
    last4 TEXT NOT NULL CHECK (length(last4) <= 4), -- what people recognize it by
    revision INTEGER NOT NULL DEFAULT 1 CHECK (revision > 0), -- changes so far + 1
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0), -- ms since 1970
    expires_ms INTEGER NULL CHECK (expires_ms >= 0), -- ms since 1970; NULL: never
    revoked_ms INTEGER NULL CHECK (revoked_ms >= 0), -- ms since 1970; NULL: not revoked
    last_used_ms INTEGER NULL CHECK (last_used_ms >= 0) -- ms since 1970, to the minute; NULL: never
) STRICT;

CREATE TABLE charge (
    id INTEGER PRIMARY KEY CHECK (id > 0), -- the attempt's time id; of a correction one of its own
    call_id INTEGER NULL CHECK (call_id > 0), -- time id of the call's first attempt; NULL: this is it
    kind INTEGER NOT NULL CHECK (kind IN (0, 1)), -- 0 attempt, 1 adjustment
    adjusts_id INTEGER NULL CHECK ((kind = 1) = (adjusts_id IS NOT NULL)), -- the charge that this one corrects
    team_id INTEGER NOT NULL CHECK (team_id > 0),
    key_id INTEGER NOT NULL CHECK (key_id > 0),
    provider_id INTEGER NOT NULL CHECK (provider_id > 0),
    dialect_id INTEGER NOT NULL CHECK (dialect_id > 0), -- in dimension
    model_id INTEGER NOT NULL CHECK (model_id > 0), -- in dimension; as asked for
    served_model_id INTEGER NULL, -- in dimension; as the answer named it; NULL: it did not
    tier_id INTEGER NULL, -- in dimension; NULL: standard
    -- usage in disjoint classes, in tokens
    input INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    input_audio INTEGER NOT NULL,
    output INTEGER NOT NULL,
    output_audio INTEGER NOT NULL,
    other_usage TEXT NULL CHECK (other_usage LIKE '{%}'), -- JSON object of all other classes, in their units; NULL: none
    reasoning INTEGER NOT NULL, -- tokens; part of output
    prompt_tokens INTEGER NOT NULL, -- tokens of the whole prompt, which picked the price's context tier
    cost_nusd INTEGER NOT NULL, -- what the team is charged, nano-USD
    provider_cost_nusd INTEGER NOT NULL, -- what the provider takes, nano-USD
    hold_nusd INTEGER NOT NULL, -- what had been set aside, nano-USD
    rate_set_id INTEGER NULL, -- the prices; NULL: none were used
    outcome INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 4), -- enum ledger_outcome; of an adjustment: what it ends
    source INTEGER NOT NULL CHECK (source BETWEEN 0 AND 4), -- enum ledger_source
    flags INTEGER NOT NULL CHECK (flags >= 0), -- bits of enum ledger_flags
    http_status INTEGER NULL CHECK (http_status BETWEEN 100 AND 999), -- of the provider's answer; NULL: none came
    ttft_ms INTEGER NULL CHECK (ttft_ms >= 0), -- ms from dispatch to the answer's first byte; NULL: none came
    total_ms INTEGER NOT NULL CHECK (total_ms >= 0), -- ms from dispatch to the end
    request_bytes INTEGER NOT NULL CHECK (request_bytes >= 0), -- of the body sent
    answer_bytes INTEGER NOT NULL CHECK (answer_bytes >= 0), -- of the body received
    CHECK (kind = 1
           OR (min(input, cache_read, cache_write, cache_write_1h, input_audio, output, output_audio,
                   reasoning, prompt_tokens, cost_nusd, provider_cost_nusd, hold_nusd) >= 0))
) STRICT;

CREATE TABLE charge_detail (
    charge_id INTEGER PRIMARY KEY, -- the attempt's time id
    raw_usage TEXT NULL, -- JSON as the provider sent it
    response_id TEXT NULL, -- the provider's, of the answer's body
    upstream_request_id TEXT NULL, -- the provider's, of the answer's head
    client TEXT NULL, -- user agent
    error TEXT NULL -- what went wrong, for people
) STRICT;

CREATE TABLE dimension (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (length(name) > 0)
) STRICT;

CREATE TABLE hold (
    id INTEGER PRIMARY KEY CHECK (id > 0), -- the attempt's time id
    call_id INTEGER NULL CHECK (call_id > 0), -- time id of the call's first attempt; NULL: this is it
    team_id INTEGER NOT NULL CHECK (team_id > 0),
    key_id INTEGER NOT NULL CHECK (key_id > 0),
    provider_id INTEGER NOT NULL CHECK (provider_id > 0),
    dialect_id INTEGER NOT NULL CHECK (dialect_id > 0), -- in dimension
    model_id INTEGER NOT NULL CHECK (model_id > 0), -- in dimension; as asked for
    input_bound INTEGER NOT NULL CHECK (input_bound >= 0), -- tokens, at most
    output_bound INTEGER NOT NULL CHECK (output_bound >= 0), -- tokens, at most
    amount_nusd INTEGER NOT NULL CHECK (amount_nusd >= 0), -- set aside, nano-USD
    flags INTEGER NOT NULL CHECK (flags >= 0) -- bits of enum ledger_flags
) STRICT;

CREATE TABLE installation (
    id INTEGER PRIMARY KEY CHECK (id = 1), -- there is one
    public_id TEXT NOT NULL CHECK (length(public_id) > 0), -- in x-tollgate-hop, against loops
    reporting_zone TEXT NOT NULL DEFAULT 'UTC' CHECK (length(reporting_zone) > 0), -- IANA name; of rollup_day
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0) -- ms since 1970
) STRICT;

CREATE TABLE "key" (
    id INTEGER PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE CHECK (public_id LIKE 'key@_%' ESCAPE '@'),
    team_id INTEGER NOT NULL REFERENCES team (id), -- never changes: the ledger's sums rest on it
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    prefix TEXT NOT NULL, -- tgk_ and the ten digits that stay the same when it is rotated; '': imported
    models TEXT NULL CHECK (models LIKE '[%]'), -- JSON array of names and prefix*; NULL: all
    metadata TEXT NOT NULL DEFAULT '{}' CHECK (metadata LIKE '{%}'), -- JSON object, the owner's own
    revision INTEGER NOT NULL DEFAULT 1 CHECK (revision > 0), -- changes so far + 1
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0), -- ms since 1970
    expires_ms INTEGER NULL CHECK (expires_ms >= 0), -- ms since 1970; NULL: never
    revoked_ms INTEGER NULL CHECK (revoked_ms >= 0), -- ms since 1970; NULL: not revoked
    last_used_ms INTEGER NULL CHECK (last_used_ms >= 0) -- ms since 1970, to the minute; NULL: never
) STRICT;

CREATE TABLE key_secret (
    id INTEGER PRIMARY KEY,
    key_id INTEGER NOT NULL REFERENCES "key" (id),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- keyed BLAKE2b-256 of the whole secret
    last4 TEXT NOT NULL CHECK (length(last4) <= 4), -- what people recognize it by
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0), -- ms since 1970
    expires_ms INTEGER NULL CHECK (expires_ms >= 0) -- ms since 1970, set when it is rotated out; NULL: with its key
) STRICT;

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

CREATE TABLE migration (
    number INTEGER PRIMARY KEY, -- of the file's name, from 1
    name TEXT NOT NULL, -- the file's
    sha256 TEXT NOT NULL CHECK (length(sha256) = 64), -- of the file, hex
    applied_ms INTEGER NOT NULL CHECK (applied_ms >= 0) -- ms since 1970
) STRICT;

CREATE TABLE model (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL CHECK (length(provider) BETWEEN 1 AND 63), -- in the price book's spelling: openai; of a kind that is not in it, the provider's own name
    name TEXT NOT NULL CHECK (length(name) > 0), -- as the provider writes it
    match_name TEXT NOT NULL CHECK (length(match_name) > 0), -- the form by which names are compared: small letters, no models/
    origin TEXT NOT NULL CHECK (origin IN ('seed', 'owner')), -- the file has it, or only an owner does
    -- from the file
    kind TEXT NULL, -- chat, embedding, image_generation, ...; NULL: not known
    context_tokens INTEGER NULL CHECK (context_tokens > 0), -- prompt and answer together, at most; NULL: not known
    max_output_tokens INTEGER NULL CHECK (max_output_tokens > 0), -- of one choice, at most; NULL: not known
    is_reasoning INTEGER NOT NULL DEFAULT 0 CHECK (is_reasoning IN (0, 1)), -- thinks before it answers
    output_field TEXT NULL, -- of a request, bounds the output in the provider's own chat dialect; NULL: not known
    default_output_tokens INTEGER NULL CHECK (default_output_tokens > 0), -- of one choice, where the request has no maximum; NULL: the ceiling
    context_sources TEXT NOT NULL DEFAULT '', -- of the context, a letter each
    output_sources TEXT NOT NULL DEFAULT '', -- of the output's ceiling, a letter each
    -- from an owner; in place of the file's
    own_context_tokens INTEGER NULL CHECK (own_context_tokens > 0), -- NULL: as the file has it
    own_max_output_tokens INTEGER NULL CHECK (own_max_output_tokens > 0), -- NULL: as the file has it
    own_output_field TEXT NULL, -- NULL: as the file has it
    own_is_free INTEGER NOT NULL DEFAULT 0 CHECK (own_is_free IN (0, 1)), -- costs nothing, whatever the price book says
    own_ceiling_price_pusd INTEGER NULL CHECK (own_ceiling_price_pusd > 0), -- pico-USD of a token that has no price; NULL: none
    revision INTEGER NOT NULL DEFAULT 1 CHECK (revision > 0), -- changes so far + 1
    changed_ms INTEGER NULL CHECK (changed_ms >= 0), -- ms since 1970, by an owner; NULL: never
    UNIQUE (provider, match_name)
) STRICT;

CREATE TABLE model_seed (
    sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64), -- of the file, hex
    loaded_ms INTEGER NOT NULL CHECK (loaded_ms >= 0), -- ms since 1970
    row_count INTEGER NOT NULL CHECK (row_count >= 0) -- rows in the file
) STRICT, WITHOUT ROWID;

CREATE TABLE price (
    id INTEGER PRIMARY KEY,
    provider TEXT NOT NULL CHECK (length(provider) > 0), -- in the book's spelling: openai
    model TEXT NOT NULL CHECK (length(model) > 0), -- as the provider writes it
    component TEXT NOT NULL CHECK (length(component) > 0), -- class of usage: input, output, ...
    unit TEXT NOT NULL CHECK (length(unit) > 0), -- token, image, char, call, page, second, hour, ...
    unit_price_pusd INTEGER NOT NULL CHECK (unit_price_pusd >= 0), -- of one unit, pico-USD
    tier TEXT NOT NULL DEFAULT 'standard' CHECK (length(tier) > 0), -- standard, batch, flex, priority, fast
    ctx_min INTEGER NOT NULL DEFAULT 0 CHECK (ctx_min >= 0), -- holds from this many prompt tokens
    variant TEXT NOT NULL DEFAULT '', -- image quality/size, region=..., context=low; '': the plain price
    utc_window TEXT NOT NULL DEFAULT '', -- HH:MM-HH:MM+.../Mon-Fri, 'else': all other times; '': always
    valid_from_ms INTEGER NOT NULL DEFAULT 0 CHECK (valid_from_ms >= 0), -- ms since 1970, the first; 0: always
    valid_until_ms INTEGER NOT NULL DEFAULT 9223372036854775807, -- ms since 1970, the first after; the largest: open
    as_of TEXT NOT NULL DEFAULT '', -- date of the newest source
    sources TEXT NOT NULL DEFAULT '', -- a letter each
    status TEXT NOT NULL DEFAULT '', -- page, agreed, majority, disputed, single, derived
    dissent TEXT NOT NULL DEFAULT '', -- letter=pusd of each source that says otherwise
    origin TEXT NOT NULL CHECK (origin IN ('seed', 'override')), team_id INTEGER NULL REFERENCES team (id)
    CHECK (team_id IS NULL OR origin = 'override'), -- from the file, or set by a person
    CHECK (valid_until_ms >= valid_from_ms)
) STRICT;

CREATE TABLE price_markup (
    id INTEGER PRIMARY KEY CHECK (id > 0),
    side TEXT NOT NULL CHECK (side IN ('cost', 'charge')), -- of what the provider takes, or of what teams are charged
    provider TEXT NOT NULL DEFAULT '', -- in the book's spelling; '': any
    model TEXT NOT NULL DEFAULT '', -- a name or prefix*; '': any
    team_id INTEGER NULL REFERENCES team (id), -- NULL: all
    num INTEGER NOT NULL CHECK (num BETWEEN 0 AND 1000000), -- the factor is num / den
    den INTEGER NOT NULL CHECK (den BETWEEN 1 AND 10000),
    valid_from_ms INTEGER NOT NULL CHECK (valid_from_ms >= 0), -- ms since 1970, the first; 0: always
    valid_until_ms INTEGER NOT NULL DEFAULT 9223372036854775807, -- ms since 1970, the first after; the largest: open
    note TEXT NOT NULL DEFAULT '', -- why
    CHECK (valid_until_ms >= valid_from_ms),
    CHECK (team_id IS NULL OR side = 'charge')
) STRICT;

CREATE TABLE price_seed (
    sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64), -- of the file, hex
    loaded_ms INTEGER NOT NULL CHECK (loaded_ms >= 0), -- ms since 1970
    row_count INTEGER NOT NULL CHECK (row_count >= 0) -- rows in the file
) STRICT, WITHOUT ROWID;

CREATE TABLE provider (
    id INTEGER PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE CHECK (public_id LIKE 'prov@_%' ESCAPE '@'),
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 63 AND name NOT GLOB '*[^a-z0-9-]*'), -- a path prefix
    kind TEXT NOT NULL CHECK (length(kind) > 0), -- of the catalogue
    base_url TEXT NOT NULL CHECK (length(base_url) > 0), -- without a slash at its end
    secret BLOB NULL, -- sealed with the master key, bound to this row; NULL: needs none
    last4 TEXT NOT NULL DEFAULT '' CHECK (length(last4) <= 4), -- of the secret; '': none, or a short one
    models TEXT NULL, -- JSON array, the list it gave when asked; NULL: never asked
    models_ms INTEGER NULL CHECK (models_ms >= 0), -- ms since 1970, when it was asked
    source TEXT NOT NULL CHECK (source IN ('api', 'environment')), -- who set it up
    is_default INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)), -- takes models that nobody claims
    revision INTEGER NOT NULL DEFAULT 1 CHECK (revision > 0), -- changes so far + 1
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0), -- ms since 1970
    disabled_ms INTEGER NULL CHECK (disabled_ms >= 0), -- ms since 1970; NULL: in use
    deleted_ms INTEGER NULL CHECK (deleted_ms >= 0) -- ms since 1970; NULL: not deleted
) STRICT;

CREATE TABLE rate_set (
    id INTEGER PRIMARY KEY,
    rates TEXT NOT NULL UNIQUE CHECK (rates LIKE '[%]') -- JSON array of [class, price row, pusd a unit]
) STRICT;

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

CREATE TABLE refusal_count (
    bucket INTEGER NOT NULL, -- quarter hours since 1970-01-01T00:00Z
    key_id INTEGER NOT NULL,
    model_id INTEGER NOT NULL, -- in dimension; as asked for
    reason TEXT NOT NULL CHECK (reason IN ('too_large', 'rate', 'spent', 'held', 'unpriced')),
    count INTEGER NOT NULL CHECK (count > 0),
    PRIMARY KEY (bucket, key_id, model_id, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_day (
    day INTEGER NOT NULL, -- days since 1970-01-01
    key_id INTEGER NOT NULL,
    model_id INTEGER NOT NULL, -- in dimension; as asked for
    provider_id INTEGER NOT NULL,
    requests INTEGER NOT NULL, -- calls of which something was sent
    errors INTEGER NOT NULL, -- attempts that the provider failed
    estimated INTEGER NOT NULL, -- attempts without a usage record
    unreconciled INTEGER NOT NULL, -- attempts whose end is not known
    unpriced INTEGER NOT NULL, -- attempts with tokens that have no price
    input INTEGER NOT NULL, -- tokens
    cache_read INTEGER NOT NULL, -- tokens, media too
    cache_write INTEGER NOT NULL, -- tokens, media and all durations too
    media_in INTEGER NOT NULL, -- tokens of audio, image and video input
    output INTEGER NOT NULL, -- tokens, reasoning with its own price too
    media_out INTEGER NOT NULL, -- tokens of audio, image and video output
    reasoning INTEGER NOT NULL, -- tokens; part of output
    cost_nusd INTEGER NOT NULL, -- nano-USD
    provider_cost_nusd INTEGER NOT NULL, -- nano-USD
    PRIMARY KEY (day, key_id, model_id, provider_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE rollup_quarter_hour (
    bucket INTEGER NOT NULL, -- quarter hours since 1970-01-01T00:00Z
    team_id INTEGER NOT NULL,
    model_id INTEGER NOT NULL, -- in dimension; as asked for
    requests INTEGER NOT NULL, -- calls of which something was sent
    errors INTEGER NOT NULL, -- attempts that the provider failed
    estimated INTEGER NOT NULL, -- attempts without a usage record
    unreconciled INTEGER NOT NULL, -- attempts whose end is not known
    unpriced INTEGER NOT NULL, -- attempts with tokens that have no price
    input INTEGER NOT NULL, -- tokens
    cache_read INTEGER NOT NULL, -- tokens, media too
    cache_write INTEGER NOT NULL, -- tokens, media and all durations too
    media_in INTEGER NOT NULL, -- tokens of audio, image and video input
    output INTEGER NOT NULL, -- tokens, reasoning with its own price too
    media_out INTEGER NOT NULL, -- tokens of audio, image and video output
    reasoning INTEGER NOT NULL, -- tokens; part of output
    cost_nusd INTEGER NOT NULL, -- nano-USD
    provider_cost_nusd INTEGER NOT NULL, -- nano-USD
    PRIMARY KEY (bucket, team_id, model_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE team (
    id INTEGER PRIMARY KEY,
    public_id TEXT NOT NULL UNIQUE CHECK (public_id LIKE 'team@_%' ESCAPE '@'),
    name TEXT NOT NULL UNIQUE CHECK (length(name) BETWEEN 1 AND 200), -- unique among archived ones too
    timezone TEXT NULL CHECK (length(timezone) > 0), -- IANA name; NULL: the installation's
    metadata TEXT NOT NULL DEFAULT '{}' CHECK (metadata LIKE '{%}'), -- JSON object, the owner's own
    revision INTEGER NOT NULL DEFAULT 1 CHECK (revision > 0), -- changes so far + 1
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0), -- ms since 1970
    archived_ms INTEGER NULL CHECK (archived_ms >= 0) -- ms since 1970; NULL: active
) STRICT;

CREATE UNIQUE INDEX admin_token_by_name ON admin_token (name) WHERE revoked_ms IS NULL;

CREATE INDEX charge_adjusts ON charge (adjusts_id) WHERE adjusts_id IS NOT NULL;

CREATE INDEX charge_unreconciled ON charge (id) WHERE outcome = 3 AND kind = 0;

CREATE UNIQUE INDEX key_by_name ON "key" (team_id, name) WHERE revoked_ms IS NULL;

CREATE INDEX key_by_team ON "key" (team_id);

CREATE INDEX key_secret_by_key ON key_secret (key_id);

CREATE INDEX limit_by_key ON "limit" (key_id) WHERE deleted_ms IS NULL;

CREATE INDEX limit_by_team ON "limit" (team_id) WHERE deleted_ms IS NULL;

CREATE INDEX price_by_model ON price (provider, model);

CREATE UNIQUE INDEX provider_by_name ON provider (name) WHERE deleted_ms IS NULL;

CREATE UNIQUE INDEX provider_default ON provider (is_default) WHERE is_default = 1 AND deleted_ms IS NULL;

CREATE TRIGGER charge_detail_no_update BEFORE UPDATE ON charge_detail
BEGIN
    SELECT RAISE(ABORT, 'charge_detail is append-only');
END;

CREATE TRIGGER charge_no_delete BEFORE DELETE ON charge
BEGIN
    SELECT RAISE(ABORT, 'charge is append-only');
END;

CREATE TRIGGER charge_no_update BEFORE UPDATE ON charge
BEGIN
    SELECT RAISE(ABORT, 'charge is append-only');
END;

CREATE TRIGGER key_keeps_its_team BEFORE UPDATE OF id, team_id ON "key"
WHEN new.id <> old.id OR new.team_id <> old.team_id
BEGIN
    SELECT RAISE(ABORT, 'a key never changes its team');
END;

CREATE TRIGGER price_keeps_all_but_its_end BEFORE UPDATE ON price
WHEN new.id <> old.id OR new.provider <> old.provider OR new.model <> old.model
    OR new.component <> old.component OR new.unit <> old.unit
    OR new.unit_price_pusd <> old.unit_price_pusd OR new.tier <> old.tier OR new.ctx_min <> old.ctx_min
    OR new.variant <> old.variant OR new.utc_window <> old.utc_window
    OR new.valid_from_ms <> old.valid_from_ms OR new.as_of <> old.as_of OR new.sources <> old.sources
    OR new.status <> old.status OR new.dissent <> old.dissent OR new.origin <> old.origin
    OR new.team_id IS NOT old.team_id OR new.valid_until_ms > old.valid_until_ms
BEGIN
    SELECT RAISE(ABORT, 'a price can only be ended earlier');
END;

CREATE TRIGGER price_markup_keeps_all_but_its_end BEFORE UPDATE ON price_markup
WHEN new.id <> old.id OR new.side <> old.side OR new.provider <> old.provider OR new.model <> old.model
    OR new.team_id IS NOT old.team_id OR new.num <> old.num OR new.den <> old.den
    OR new.valid_from_ms <> old.valid_from_ms OR new.note <> old.note
    OR new.valid_until_ms > old.valid_until_ms
BEGIN
    SELECT RAISE(ABORT, 'a markup can only be ended earlier');
END;

CREATE TRIGGER price_markup_no_delete BEFORE DELETE ON price_markup
BEGIN
    SELECT RAISE(ABORT, 'price_markup is append-only');
END;

CREATE TRIGGER price_no_delete BEFORE DELETE ON price
BEGIN
    SELECT RAISE(ABORT, 'price is append-only');
END;

CREATE TRIGGER rate_set_no_delete BEFORE DELETE ON rate_set
BEGIN
    SELECT RAISE(ABORT, 'rate_set is append-only');
END;

CREATE TRIGGER rate_set_no_update BEFORE UPDATE ON rate_set
BEGIN
    SELECT RAISE(ABORT, 'rate_set is append-only');
END;

CREATE TRIGGER refusal_no_update BEFORE UPDATE ON refusal
BEGIN
    SELECT RAISE(ABORT, 'refusal is append-only');
END;

