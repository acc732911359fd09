// Where oidc-provider keeps what it has issued: in memory, and all of it. The storage that it brings
// for a quick start drops what is not among the last 1,000 entries, refresh tokens too, and each
// DPoP proof makes one.
const entries = new Map();
const now = () => Math.floor(Date.now() / 1000);

export default class Storage {
  constructor(model) { this.model = model; }

  key(id) { return `${this.model}:${id}`; }

  async upsert(id, payload, expiresIn) {
    entries.set(this.key(id), { payload, end: expiresIn ? now() + expiresIn : Infinity });
  }

  async find(id) {
    const entry = entries.get(this.key(id));
    return entry && now() < entry.end ? entry.payload : undefined;
  }

  #first(field, value) {
    const ofModel = [...entries].filter(([key, { end }]) => key.startsWith(`${this.model}:`) && now() < end);
    return ofModel.find(([, { payload }]) => payload[field] === value)?.[1].payload;
  }

  async findByUid(uid) { return this.#first('uid', uid); }

  async findByUserCode(userCode) { return this.#first('userCode', userCode); }

  async consume(id) { entries.get(this.key(id)).payload.consumed = now(); }

  async destroy(id) { entries.delete(this.key(id)); }

  async revokeByGrantId(grantId) {
    for (const [key, { payload }] of entries) if (payload.grantId === grantId) entries.delete(key);
  }
}
