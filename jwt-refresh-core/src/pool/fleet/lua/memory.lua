-- What the node that has the fleet's keys says of its memory. KEYS: any key of the fleet, for its slot.
return redis.call('INFO', 'memory')
