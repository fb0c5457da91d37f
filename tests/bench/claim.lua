#!lua name=bench_claim
-- The bare one-claim function that gpubus' apply is compared with. It records what any allocation in Redis
-- has to record, and nothing more: check that the GPU is free; who owns it, what the VM has, what the
-- request was answered.
redis.register_function('bench_claim', function(keys, args)
  if redis.call('HGET', keys[1], args[1]) then
    return 0
  end
  redis.call('HSET', keys[1], args[1], args[2])
  redis.call('HSET', keys[2], args[2], args[1])
  redis.call('HSET', keys[3], args[3], args[1])
  return 1
end)
