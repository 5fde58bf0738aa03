//! The statements on grants. Each is one step, which the database does or does not.
//!
//! `INSERT … ON CONFLICT DO UPDATE … WHERE` decides on the row as it is once it is locked, and not on
//! a snapshot. A version is at least the statement's time in milliseconds, so that none is used twice,
//! not even by a replica that takes over without the latest writes. A record whose sum differs was
//! damaged, and no step but a repair replaces it.

/// The tables, for your own migrations. [`PostgresConnection::migrate`](super::PostgresConnection::migrate)
/// creates them.
pub const SCHEMA: &str = include_str!("schema.sql");

/// $1: the key.
pub(super) const LOAD: &str =
    "SELECT version, record, lease_fence, record_sum = sha256(convert_to(record, 'UTF8'))
FROM perennial_grants WHERE key = $1";

/// $1: the key, $2: the expected version, $3: the highest version seen, $4: the record.
///
/// A row that is gone, or behind what was seen, has lost its content: there is none to compare.
pub(super) const SWAP: &str = "
WITH written AS (
    INSERT INTO perennial_grants AS held (key, version, record, record_sum)
    SELECT $1, greatest($3 + 1, (extract(epoch FROM statement_timestamp()) * 1000)::bigint),
        $4, sha256(convert_to($4, 'UTF8'))
    WHERE $2 = 0 OR $3 > 0 OR EXISTS (SELECT FROM perennial_grants WHERE key = $1)
    ON CONFLICT (key) DO UPDATE SET
        version = greatest(held.version + 1, excluded.version),
        record = excluded.record,
        record_sum = excluded.record_sum,
        lease_fence = CASE WHEN held.version < $3 THEN NULL ELSE held.lease_fence END,
        lease_until = CASE WHEN held.version < $3 THEN NULL ELSE held.lease_until END
    WHERE (held.version = $2 OR held.version < $3)
        AND held.record_sum = sha256(convert_to(held.record, 'UTF8'))
    RETURNING key, version
)
SELECT version, pg_notify('perennial_changed', key) FROM written";

/// $1: the key, $2: the version and $3: the record as they were found, $4: the highest version seen,
/// $5: the new record, $6: whether to keep a copy.
pub(super) const REPAIR: &str = "
WITH written AS (
    UPDATE perennial_grants SET
        version = greatest(version + 1, $4 + 1, (extract(epoch FROM statement_timestamp()) * 1000)::bigint),
        record = $5,
        record_sum = sha256(convert_to($5, 'UTF8')),
        damaged = CASE WHEN $6 THEN record ELSE damaged END,
        lease_fence = NULL, lease_until = NULL, lease_term = NULL
    WHERE key = $1 AND version = $2 AND record = $3
    RETURNING key, version
)
SELECT version, pg_notify('perennial_changed', key) FROM written";

/// $1: the key, $2: the term in seconds, $3: the highest version seen, $4: the record of a store
/// without a grant.
pub(super) const ACQUIRE: &str = "
INSERT INTO perennial_grants AS held
    (key, version, record, record_sum, lease_fence, lease_until, lease_term)
SELECT $1, now_is.millis, $4, sha256(convert_to($4, 'UTF8')), now_is.millis,
    clock_timestamp() + make_interval(secs => $2), make_interval(secs => $2)
FROM (SELECT (extract(epoch FROM statement_timestamp()) * 1000)::bigint AS millis) AS now_is
WHERE $3 = 0 OR EXISTS (SELECT FROM perennial_grants WHERE key = $1)
ON CONFLICT (key) DO UPDATE SET
    version = greatest(held.version + 1, excluded.version),
    lease_fence = greatest(held.version + 1, excluded.version),
    lease_until = clock_timestamp() + make_interval(secs => $2),
    lease_term = excluded.lease_term
WHERE held.version >= $3
    AND held.record_sum = sha256(convert_to(held.record, 'UTF8'))
    AND (held.lease_fence IS NULL OR held.lease_until <= clock_timestamp())
RETURNING version, record";

/// $1: the key. Who holds the lease, and for how many seconds: a clock that was set back does not
/// prolong it.
pub(super) const BUSY: &str = "
WITH prolonged AS (
    UPDATE perennial_grants SET lease_until = clock_timestamp() + lease_term
    WHERE key = $1 AND lease_until > clock_timestamp() + lease_term
)
SELECT version, lease_fence,
    extract(epoch FROM least(lease_until - clock_timestamp(), lease_term))::double precision,
    record_sum = sha256(convert_to(record, 'UTF8'))
FROM perennial_grants WHERE key = $1";

/// $1: the key, $2: the fencing number, $3: the term in seconds, $4: the highest version seen.
pub(super) const RENEW: &str = "
UPDATE perennial_grants SET
    lease_until = clock_timestamp() + make_interval(secs => $3),
    lease_term = make_interval(secs => $3)
WHERE key = $1 AND lease_fence = $2 AND lease_until > clock_timestamp() AND version >= $4
RETURNING version";

/// $1: the key, $2: the fencing number.
pub(super) const RELEASE: &str = "
WITH released AS (
    UPDATE perennial_grants SET lease_fence = NULL, lease_until = NULL, lease_term = NULL
    WHERE key = $1 AND lease_fence = $2
    RETURNING key
)
SELECT pg_notify('perennial_changed', key) FROM released";
