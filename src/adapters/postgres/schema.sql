CREATE TABLE IF NOT EXISTS perennial_grants (
    key text PRIMARY KEY,
    version bigint NOT NULL CHECK (version > 0),
    record text NOT NULL,
    record_sum bytea NOT NULL,
    lease_fence bigint,
    lease_until timestamptz,
    lease_term interval,
    damaged text
) WITH (fillfactor = 70);

CREATE TABLE IF NOT EXISTS perennial_families (
    id bytea PRIMARY KEY,
    version bigint NOT NULL,
    client text NOT NULL,
    subject text NOT NULL,
    scope text,
    began bigint NOT NULL,
    used bigint NOT NULL,
    newest bigint NOT NULL,
    tolerance text NOT NULL CHECK (tolerance IN ('closed', 'open', 'unconfirmed')),
    overlap_until bigint,
    overlap_uses bigint,
    revoked boolean NOT NULL,
    forget_at bigint,
    device text,
    claims text,
    over_at bigint
) WITH (fillfactor = 70);

CREATE INDEX IF NOT EXISTS perennial_families_of_subject ON perennial_families (subject);
CREATE INDEX IF NOT EXISTS perennial_families_to_forget ON perennial_families (forget_at);
