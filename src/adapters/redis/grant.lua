-- One step on a grant: the hash KEYS[1] with the fields `version`, `record` (see `Versioned::to_json`),
-- `sum`, the SHA-1 of the record, by which a step notices damage, and while somebody holds the lease `fence`, `until` (milliseconds of this server's clock) and `term`.
-- ARGV: the step, the highest version that the caller has seen, and what the step needs.
-- A step writes by one command, so that it is done or not. Instants and versions are below 2^53.
local key, step, seen = KEYS[1], ARGV[1], ARGV[2]
local kind = redis.call('TYPE', key)['ok']
if kind ~= 'hash' and kind ~= 'none' then return { 'foreign' } end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local held = redis.call('HMGET', key, 'version', 'record', 'fence', 'until', 'term', 'sum')
local version, record, fence = held[1], held[2], held[3]

local function whole(number) return string.format('%.0f', number) end
local function tell() redis.pcall('PUBLISH', 'perennial:changed', key) end

if step == 'repair' then
  -- ARGV[3], ARGV[4]: version and record as the caller has found them, ARGV[5]: the new record,
  -- ARGV[6]: whether to keep a copy.
  if (version or '') ~= ARGV[3] or (record or '') ~= ARGV[4] then return { 'changed' } end
  local next = whole(math.max(now, tonumber(seen) + 1, (tonumber(version) or 0) + 1))
  local written = { 'version', next, 'record', ARGV[5], 'sum', redis.sha1hex(ARGV[5]),
    'fence', '', 'until', '0', 'term', '0' }
  if ARGV[6] == '1' and record then written[13], written[14] = 'damaged', record end
  redis.call('HSET', key, unpack(written))
  tell()
  return { 'done', next }
end

local number = tonumber(version or '0')
if kind == 'hash' and (not version or not record or not number or held[6] ~= redis.sha1hex(record)) then
  return { 'damaged', version, record }
end
-- Without the key, and with a version that runs backwards, this server has lost what others have seen.
local emptied = number < tonumber(seen)
if emptied then version, number = seen, tonumber(seen) end

-- Whoever has the lease, and how long: a clock that was set back does not prolong it.
local remaining = 0
if not emptied and fence and fence ~= '' then
  remaining = math.min((tonumber(held[4]) or 0) - now, tonumber(held[5]) or 0)
end

-- No version is used twice, not even by a server that has lost the last ones.
local function next_version()
  local next = math.max(number + 1, now)
  return next < 9007199254740992 and whole(next) or false
end

if step == 'load' then
  if emptied then return { 'emptied' } end
  return { 'found', version or '0', record, fence }
elseif step == 'swap' then
  -- ARGV[3]: the expected version, ARGV[4]: the new record.
  if not emptied and (version or '0') ~= ARGV[3] then
    return { 'conflict', version or '0', record }
  end
  local next = next_version()
  if not next then return { 'stuck' } end
  local sum = redis.sha1hex(ARGV[4])
  if emptied then
    redis.call('HSET', key, 'version', next, 'record', ARGV[4], 'sum', sum, 'fence', '', 'until', '0', 'term', '0')
  else
    redis.call('HSET', key, 'version', next, 'record', ARGV[4], 'sum', sum)
  end
  tell()
  return { 'done', next }
elseif step == 'acquire' then
  -- ARGV[3]: the term, ARGV[4]: the record of a store without a grant.
  if emptied then return { 'emptied' } end
  if remaining > 0 then
    if (tonumber(held[4]) or 0) - now > remaining then
      redis.call('HSET', key, 'until', whole(now + remaining))
    end
    return { 'busy', version, whole(remaining), fence }
  end
  local next = next_version()
  if not next then return { 'stuck' } end
  local kept = record or ARGV[4]
  redis.call('HSET', key, 'version', next, 'record', kept, 'sum', redis.sha1hex(kept),
    'fence', next, 'until', whole(now + ARGV[3]), 'term', ARGV[3])
  return { 'held', next, kept }
elseif step == 'renew' then
  -- ARGV[3]: the fencing number, ARGV[4]: the term.
  if remaining <= 0 or fence ~= ARGV[3] then return { 'lost' } end
  redis.call('HSET', key, 'until', whole(now + ARGV[4]), 'term', ARGV[4])
  return { 'held', version }
elseif step == 'release' then
  -- ARGV[3]: the fencing number.
  if emptied or fence ~= ARGV[3] then return { 'lost' } end
  redis.call('HDEL', key, 'fence', 'until', 'term')
  tell()
  return { 'done', version }
end
