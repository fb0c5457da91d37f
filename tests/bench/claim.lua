#!lua name=bench_claim
-- The bare one-claim function that gpubus' apply is compared with: check that a GPU is free, then write
-- its owner and the VM's GPU. Nothing more.
redis.register_function('bench_claim', function(keys, args)
  if redis.call('HGET', keys[1], args[1]) then
    return 0
  end
  redis.call('HSET', keys[1], args[1], args[2])
  redis.call('HSET', keys[2], args[2], args[1])
  return 1
end)
