-- What is known of models beside their prices: how much goes in and comes out at most, and which field
-- bounds it. A hold is sized by it. The rows come with the program (models.csv) and are replaced by the
-- next release's; what an owner has set stands in columns of its own, which no release touches.

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

-- Files whose rows have been taken in.
CREATE TABLE model_seed (
    sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64), -- of the file, hex
    loaded_ms INTEGER NOT NULL CHECK (loaded_ms >= 0), -- ms since 1970
    row_count INTEGER NOT NULL CHECK (row_count >= 0) -- rows in the file
) STRICT, WITHOUT ROWID;
