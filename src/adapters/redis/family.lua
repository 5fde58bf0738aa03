-- One step on families of refresh tokens: hashes, and for each subject the set of its families' names.
-- KEYS[1]: a family, or a subject's set; all keys of a store have one hash tag.
-- ARGV: the step, what the keys of families and of subjects begin with, and what the step needs.
local key, step, families, subjects = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A record is deleted this long after it may be: clocks differ.
local GRACE = 3600000
-- One without a refresh token: nothing is lost with it.
local SHORT_GRACE = 60000

-- No version is used twice, not even by a server that has lost the last ones.
local function next_version(version)
  return string.format('%.0f', math.max(tonumber(version) + 1, now))
end

-- When a record is deleted, in milliseconds; nil for never.
local function ends(forget_at, grace)
  if forget_at == '' then return nil end
  local at = math.max(tonumber(forget_at), now) + grace
  return at < 4503599627370496 and at or nil
end

local function expire(family, subject, forget_at, grace)
  local at, set = ends(forget_at, grace), subjects .. subject
  if not at then
    redis.call('PERSIST', family)
    redis.call('PERSIST', set)
    return
  end
  redis.call('PEXPIREAT', family, string.format('%.0f', at))
  -- A set lasts as long as its longest family. One without an expiry is new, or has one that stays.
  local left = redis.call('PTTL', set)
  if (left >= 0 and now + left < at) or (left == -1 and redis.call('SCARD', set) == 1) then
    redis.call('PEXPIREAT', set, string.format('%.0f', at))
  end
end

local function revoke(family)
  local found = redis.call('HMGET', family, 'version', 'revoked')
  if not found[1] then return nil end
  redis.call('HSET', family, 'revoked', '1', 'version', next_version(found[1]))
  return found[2] ~= '1'
end

if step == 'insert' then
  -- ARGV[4]: the name, ARGV[5]: the subject, ARGV[6]: when it may be forgotten, ARGV[7]: whether it has a
  -- refresh token, then fields and values.
  if redis.call('EXISTS', key) == 1 then return { 'taken' } end
  local set = subjects .. ARGV[5]
  -- Names of families that are gone go as new ones come.
  for _, name in ipairs(redis.call('SRANDMEMBER', set, 8)) do
    if redis.call('EXISTS', families .. name) == 0 then redis.call('SREM', set, name) end
  end
  redis.call('SADD', set, ARGV[4])
  redis.call('HSET', key, 'version', next_version('0'), unpack(ARGV, 8))
  expire(key, ARGV[5], ARGV[6], ARGV[7] == '1' and GRACE or SHORT_GRACE)
  return { 'done' }
elseif step == 'find' then
  local found = redis.call('HGETALL', key)
  table.insert(found, 1, 'found')
  return found
elseif step == 'swap' then
  -- ARGV[4]: the expected version, ARGV[5]: when it may be forgotten, then fields and values.
  local found = redis.call('HMGET', key, 'version', 'subject')
  if found[1] ~= ARGV[4] then
    local now_there = redis.call('HGETALL', key)
    table.insert(now_there, 1, 'conflict')
    return now_there
  end
  redis.call('HSET', key, 'version', next_version(found[1]), unpack(ARGV, 6))
  expire(key, found[2] or '', ARGV[5], GRACE)
  return { 'done' }
elseif step == 'revoke' then
  revoke(key)
  return { 'done' }
elseif step == 'revoke_subject' then
  local revoked = 0
  for _, name in ipairs(redis.call('SMEMBERS', key)) do
    local newly = revoke(families .. name)
    if newly == nil then redis.call('SREM', key, name) end
    if newly then revoked = revoked + 1 end
  end
  return { 'done', string.format('%.0f', revoked) }
elseif step == 'families_of' then
  -- ARGV[4]: how many at most. For each family its name, how many texts follow, and its fields and values.
  local found = {}
  for _, name in ipairs(redis.call('SMEMBERS', key)) do
    local record = redis.call('HGETALL', families .. name)
    if #record > 0 then
      local state = redis.call('HMGET', families .. name, 'used', 'revoked', 'newest')
      if state[2] ~= '1' and state[3] ~= '0' then
        table.insert(found, { name = name, record = record, used = tonumber(state[1]) or 0 })
      end
    else
      redis.call('SREM', key, name)
    end
  end
  table.sort(found, function(one, other) return one.used > other.used end)
  local reply = { 'found' }
  for place = 1, math.min(#found, tonumber(ARGV[4])) do
    table.insert(reply, found[place].name)
    table.insert(reply, string.format('%.0f', #found[place].record))
    for _, text in ipairs(found[place].record) do table.insert(reply, text) end
  end
  return reply
end
