-- Who calls, and whom is called: the account tree, the keys, the providers and the people's tokens.
--
-- Every row has a small number, which the ledger stores, and a public id, which the API shows. Rows that
-- the ledger may name are never deleted: they are archived, revoked or marked deleted.
-- `revision` counts the changes of a row; it is what `If-Match` compares.

CREATE TABLE installation (
    id INTEGER PRIMARY KEY CHECK (id = 1), -- there is one
    public_id TEXT NOT NULL CHECK (length(public_id) > 0), -- in x-tollgate-hop, against loops
    reporting_zone TEXT NOT NULL DEFAULT 'UTC' CHECK (length(reporting_zone) > 0), -- IANA name; of rollup_day
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0) -- ms since 1970
) STRICT;

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

CREATE INDEX key_by_team ON "key" (team_id);
CREATE UNIQUE INDEX key_by_name ON "key" (team_id, name) WHERE revoked_ms IS NULL; -- free again once revoked

CREATE TRIGGER key_keeps_its_team BEFORE UPDATE OF id, team_id ON "key"
WHEN new.id <> old.id OR new.team_id <> old.team_id
BEGIN
    SELECT RAISE(ABORT, 'a key never changes its team');
END;

-- A key has one secret, and two while a rotation overlaps.
CREATE TABLE key_secret (
    id INTEGER PRIMARY KEY,
    key_id INTEGER NOT NULL REFERENCES "key" (id),
    hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32), -- keyed BLAKE2b-256 of the whole secret
    last4 TEXT NOT NULL CHECK (length(last4) <= 4), -- what people recognize it by
    created_ms INTEGER NOT NULL CHECK (created_ms >= 0), -- ms since 1970
    expires_ms INTEGER NULL CHECK (expires_ms >= 0) -- ms since 1970, set when it is rotated out; NULL: with its key
) STRICT;

CREATE INDEX key_secret_by_key ON key_secret (key_id);

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

CREATE UNIQUE INDEX provider_by_name ON provider (name) WHERE deleted_ms IS NULL;
CREATE UNIQUE INDEX provider_default ON provider (is_default) WHERE is_default = 1 AND deleted_ms IS NULL;

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

CREATE UNIQUE INDEX admin_token_by_name ON admin_token (name) WHERE revoked_ms IS NULL;
