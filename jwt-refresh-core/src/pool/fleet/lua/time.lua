-- The time of the node that has the fleet's keys. KEYS: any key of the fleet, for its slot.
return redis.call('TIME')
