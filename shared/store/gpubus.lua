#!lua name=gpubus
--
-- The only writer of gpubus' state in Redis. KEYS[1] is always {gpubus:P}:meta of the shard; the other
-- keys are derived from it and carry the same tag (see meta.h for what they hold). Every function is
-- atomic, answers a word, and never puts input into an error.
--
-- A user that runs the scheduler needs, on ~{gpubus:* :
--   +fcall +function|load +hset +hdel +hget +hmget +hgetall +hscan +hincrby +del +unlink
--   (and +select for a database other than 0). Commands inside of functions are checked as well.
--
-- The version is part of the contract with store/library.c: a program loads its library over an older
-- one and refuses a newer one, so raise it with every change.

local VERSION = 2

local TABLES = { 'gpus', 'vms', 'hosts', 'pools', 'types', 'requests', 'marks' }

-- unpack() is limited by Lua's C stack (8000); even, because HSET takes pairs.
local SLICE = 6000

local function shard_prefix(keys)
	return string.sub(keys[1], 1, -5)
end

local function newer(epoch, than)
	return epoch and tonumber(epoch) > tonumber(than)
end

local function in_slices(command, key, args, first, last)
	while first <= last do
		local stop = math.min(first + SLICE - 1, last)
		redis.call(command, key, unpack(args, first, stop))
		first = stop + 1
	end
end

-- From args[i] on, per table: name, number of rows set, number of rows deleted, then the set rows as
-- field and value, then the deleted rows' fields.
local function write_rows(prefix, args, i)
	local n = #args
	while i < n do
		local key = prefix .. args[i]
		local set_end = i + 2 + 2 * tonumber(args[i + 1])
		local delete_end = set_end + tonumber(args[i + 2])
		in_slices('HSET', key, args, i + 3, set_end)
		in_slices('HDEL', key, args, set_end + 1, delete_end)
		i = delete_end + 1
	end
end

local function drop_generation(prefix, generation)
	local doomed = {}
	for i, name in ipairs(TABLES) do
		doomed[i] = prefix .. generation .. ':' .. name
	end
	redis.call('UNLINK', unpack(doomed))
end

-- No arguments.
local function version()
	return VERSION
end

-- No arguments. meta and staging, each as a flat list of fields and values.
local function where(keys)
	return { redis.call('HGETALL', keys[1]),
		 redis.call('HGETALL', shard_prefix(keys) .. 'staging') }
end

-- format, epoch of the caller, epoch, offset and sequence where the batch begins, 2 * number of meta
-- fields, meta fields and values, rows. OK, or DEPOSED or ELSEWHERE and nothing has changed.
-- Rows go first: if a command is refused in the middle (rights, type of a key), meta still says the
-- old position and the same batch can be sent again.
local function apply(keys, args)
	local at = redis.call('HMGET', keys[1], 'format', 'epoch', 'offset', 'sequence', 'generation')
	if newer(at[2], args[2]) then
		return 'DEPOSED'
	end
	if at[1] ~= args[1] or at[2] ~= args[3] or at[3] ~= args[4] or at[4] ~= args[5] or not at[5] then
		return 'ELSEWHERE'
	end
	local meta_end = 6 + tonumber(args[6])
	write_rows(shard_prefix(keys) .. at[5] .. ':', args, meta_end + 1)
	redis.call('HSET', keys[1], unpack(args, 7, meta_end))
	return 'OK'
end

-- epoch of the caller, new generation. Drops what an earlier rewrite left behind. OK or DEPOSED.
local function begin(keys, args)
	local prefix = shard_prefix(keys)
	local staged = redis.call('HMGET', prefix .. 'staging', 'epoch', 'generation')
	if newer(redis.call('HGET', keys[1], 'epoch'), args[1]) or newer(staged[1], args[1]) then
		return 'DEPOSED'
	end
	if staged[2] then
		drop_generation(prefix, staged[2])
	end
	redis.call('HSET', prefix .. 'staging', 'epoch', args[1], 'generation', args[2], 'chunks', '0')
	return 'OK'
end

-- generation, number of this chunk (from 0), rows. OK (also when the chunk is there already), or LOST:
-- the chunks before it are not all there, or another rewrite has begun.
local function stage(keys, args)
	local prefix = shard_prefix(keys)
	local staged = redis.call('HMGET', prefix .. 'staging', 'generation', 'chunks')
	if staged[1] ~= args[1] then
		return 'LOST'
	end
	local chunk = tonumber(args[2])
	if tonumber(staged[2]) == chunk + 1 then
		return 'OK'
	end
	if tonumber(staged[2]) ~= chunk then
		return 'LOST'
	end
	write_rows(prefix .. args[1] .. ':', args, 3)
	redis.call('HINCRBY', prefix .. 'staging', 'chunks', 1)
	return 'OK'
end

-- generation, number of chunks, epoch of the caller, format, meta fields and values. OK (also when it
-- has been done already), DEPOSED, or LOST as in stage.
local function switch(keys, args)
	local prefix = shard_prefix(keys)
	local at = redis.call('HMGET', keys[1], 'epoch', 'generation')
	if at[2] == args[1] then
		return 'OK'
	end
	if newer(at[1], args[3]) then
		return 'DEPOSED'
	end
	local staged = redis.call('HMGET', prefix .. 'staging', 'generation', 'chunks')
	if staged[1] ~= args[1] or staged[2] ~= args[2] then
		return 'LOST'
	end
	redis.call('DEL', keys[1], prefix .. 'staging')
	redis.call('HSET', keys[1], 'generation', args[1], 'format', args[4], unpack(args, 5))
	if at[2] then
		drop_generation(prefix, at[2])
	end
	return 'OK'
end

redis.register_function { function_name = 'gpubus_version', callback = version, flags = { 'no-writes' } }
redis.register_function { function_name = 'gpubus_where', callback = where, flags = { 'no-writes' } }
redis.register_function('gpubus_apply', apply)
redis.register_function('gpubus_begin', begin)
redis.register_function('gpubus_stage', stage)
redis.register_function('gpubus_switch', switch)
