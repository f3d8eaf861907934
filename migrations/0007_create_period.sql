-- The days, weeks and months that limits count in, fixed ahead. A government that moves its clocks, or a
-- newer zone file, changes what is still to come, never a period that has begun: what was spent in it
-- stays where it was, and its end comes when people were told it would.
--
-- The rows of one zone and rule follow each other without a gap. Minutes and hours need none.

CREATE TABLE period (
    zone TEXT NOT NULL CHECK (length(zone) > 0), -- IANA name
    window TEXT NOT NULL CHECK (window IN ('day', 'week', 'month')),
    week_start INTEGER NOT NULL CHECK (week_start BETWEEN 1 AND 7), -- of weeks: 1 monday .. 7 sunday; else 1
    anchor_day INTEGER NOT NULL CHECK (anchor_day BETWEEN 1 AND 28), -- of months: the day that one begins on; else 1
    start_ms INTEGER NOT NULL, -- ms since 1970, the first
    end_ms INTEGER NOT NULL CHECK (end_ms > start_ms), -- ms since 1970, the first after
    PRIMARY KEY (zone, window, week_start, anchor_day, start_ms)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER period_no_update BEFORE UPDATE ON period
BEGIN
    SELECT RAISE(ABORT, 'a period never changes');
END;
