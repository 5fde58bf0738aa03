SELECT version, client, subject, scope, began, used, newest, tolerance, overlap_until, overlap_uses,
    revoked, forget_at, device, claims
FROM perennial_families WHERE id = $1
