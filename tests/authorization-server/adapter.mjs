// The provider's storage: maps in memory. The one that ships with the provider forgets after a thousand entries, and the
// tests let thousands of users expire at once.

const records = new Map();
const byGrant = new Map();

export class Adapter {
  constructor(model) {
    this.model = model;
  }

  #key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    const key = this.#key(id);
    records.set(key, payload);
    if (payload.grantId) {
      if (!byGrant.has(payload.grantId)) byGrant.set(payload.grantId, new Set());
      byGrant.get(payload.grantId).add(key);
    }
  }

  async find(id) {
    return records.get(this.#key(id));
  }

  async findByUid(uid) {
    return [...records.values()].find((payload) => payload.uid === uid);
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    records.get(this.#key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    records.delete(this.#key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of byGrant.get(grantId) ?? []) {
      if (key.startsWith(`${this.model}:`)) records.delete(key);
    }
  }
}
