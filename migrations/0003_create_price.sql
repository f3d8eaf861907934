-- The price book. A row is never changed but for its end: a new price closes the old row and opens one
-- of its own, so that each charge can show for ever what it was made with.

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
    origin TEXT NOT NULL CHECK (origin IN ('seed', 'override')), -- from the file, or set by a person
    CHECK (valid_until_ms >= valid_from_ms)
) STRICT;

CREATE INDEX price_by_model ON price (provider, model);

CREATE TRIGGER price_keeps_all_but_its_end BEFORE UPDATE ON price
WHEN new.id <> old.id OR new.provider <> old.provider OR new.model <> old.model
    OR new.component <> old.component OR new.unit <> old.unit
    OR new.unit_price_pusd <> old.unit_price_pusd OR new.tier <> old.tier OR new.ctx_min <> old.ctx_min
    OR new.variant <> old.variant OR new.utc_window <> old.utc_window
    OR new.valid_from_ms <> old.valid_from_ms OR new.as_of <> old.as_of OR new.sources <> old.sources
    OR new.status <> old.status OR new.dissent <> old.dissent OR new.origin <> old.origin
    OR new.valid_until_ms > old.valid_until_ms
BEGIN
    SELECT RAISE(ABORT, 'a price can only be ended earlier');
END;

CREATE TRIGGER price_no_delete BEFORE DELETE ON price
BEGIN
    SELECT RAISE(ABORT, 'price is append-only');
END;

-- Files whose rows have been taken in.
CREATE TABLE price_seed (
    sha256 TEXT PRIMARY KEY CHECK (length(sha256) = 64), -- of the file, hex
    loaded_ms INTEGER NOT NULL CHECK (loaded_ms >= 0), -- ms since 1970
    row_count INTEGER NOT NULL CHECK (row_count >= 0) -- rows in the file
) STRICT, WITHOUT ROWID;
