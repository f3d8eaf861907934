-- The book of every call. A hold stands while an attempt is open; one charge replaces it, in the same
-- transaction that adds the charge to the rollups. Charges are never changed and never deleted: a
-- correction is a row of kind 1 that names the old one.
--
-- An attempt's id is a time id: its upper 43 bits are the ms since 1970 of its admission, so that the
-- primary key is also the index by time, and the only one that every charge pays for. A correction
-- belongs to the time of the row it corrects.
--
-- No foreign keys here: a charge is a bill that is due, whatever has become of the account rows.

-- Names that recur in charges: dialects, models, tiers.
CREATE TABLE dimension (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (length(name) > 0)
) STRICT;

-- The prices that a charge was made with, shared by all charges with the same ones.
CREATE TABLE rate_set (
    id INTEGER PRIMARY KEY,
    rates TEXT NOT NULL UNIQUE CHECK (rates LIKE '[%]') -- JSON array of [class, price row, pusd a unit]
) STRICT;

CREATE TRIGGER rate_set_no_update BEFORE UPDATE ON rate_set
BEGIN
    SELECT RAISE(ABORT, 'rate_set is append-only');
END;

CREATE TRIGGER rate_set_no_delete BEFORE DELETE ON rate_set
BEGIN
    SELECT RAISE(ABORT, 'rate_set is append-only');
END;

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

CREATE INDEX charge_unreconciled ON charge (id) WHERE outcome = 3 AND kind = 0;
CREATE INDEX charge_adjusts ON charge (adjusts_id) WHERE adjusts_id IS NOT NULL;

CREATE TRIGGER charge_no_update BEFORE UPDATE ON charge
BEGIN
    SELECT RAISE(ABORT, 'charge is append-only');
END;

CREATE TRIGGER charge_no_delete BEFORE DELETE ON charge
BEGIN
    SELECT RAISE(ABORT, 'charge is append-only');
END;

-- The receipt's extras, kept for 30 days.
CREATE TABLE charge_detail (
    charge_id INTEGER PRIMARY KEY, -- the attempt's time id
    raw_usage TEXT NULL, -- JSON as the provider sent it
    response_id TEXT NULL, -- the provider's, of the answer's body
    upstream_request_id TEXT NULL, -- the provider's, of the answer's head
    client TEXT NULL, -- user agent
    error TEXT NULL -- what went wrong, for people
) STRICT;

CREATE TRIGGER charge_detail_no_update BEFORE UPDATE ON charge_detail
BEGIN
    SELECT RAISE(ABORT, 'charge_detail is append-only');
END;

-- Sums of charges. A day is one of the installation's reporting zone. The team is the key's.
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

-- From these a day of any time zone can be summed up.
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
