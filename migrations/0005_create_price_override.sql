-- What an owner sets beside the price book: prices for one team, and factors on what a provider takes
-- or on what teams are charged. Rows are kept as prices are: only their end may change, and only to an
-- earlier day, so that each past charge can be explained.

ALTER TABLE price /* scan */ ADD COLUMN team_id INTEGER NULL REFERENCES team (id)
    CHECK (team_id IS NULL OR origin = 'override'); -- what that team is charged; NULL: all, and the cost

DROP TRIGGER price_keeps_all_but_its_end;
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
