UPDATE perennial_families SET
    version = greatest(version + 1, (extract(epoch FROM statement_timestamp()) * 1000)::bigint),
    began = $1, used = $2, newest = $3, tolerance = $4, overlap_until = $5, overlap_uses = $6,
    revoked = $7, forget_at = $8, over_at = NULL
WHERE id = $9 AND version = $10 RETURNING version
