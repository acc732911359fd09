-- What the node that has the fleet's keys says of itself. KEYS: any key of the fleet, for its slot.
return redis.call('INFO')
