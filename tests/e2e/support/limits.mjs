// Limits for tests of the whole: made over the REST API, read there, compared by hand.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { call } from './http.mjs';
import { nano } from './prices.mjs';

/** The API of one instance, as its owner. `json` is the answer. */
export function api(gate) {
    const owner = readFileSync(gate.tokenFile, 'utf8').trim();

    return async (method, path, body = undefined) => {
        const answer = await call(gate.adminUrl + path, { method, body,
            headers: { authorization: `Bearer ${owner}` } });

        return { ...answer, json: answer.body.length > 0 ? JSON.parse(answer.body) : null };
    };
}

let teams = 0;

/** A team of its own with a key. */
export async function newTeam(gate) {
    const ask = api(gate);
    const name = `quota-${++teams}`;
    const team = await ask('POST', '/api/v1/teams', { name });
    const key = await ask('POST', '/api/v1/keys', { team_id: team.json.id, name: 'first' });

    assert.equal(key.status, 201, String(key.body));
    return { name, id: team.json.id, key: key.json.secret, keyId: key.json.id };
}

/** Limit a team; `show()` reads it as it is then, its amounts as BigInt. */
export async function limitTeam(gate, team, metric, window, amount, more = {}) {
    const ask = api(gate);
    const made = await ask('POST', '/api/v1/limits',
        { scope: { type: 'team', id: team.id }, metric, window, amount, ...more });
    const number = (value) => (metric === 'cost' ? nano(value) : BigInt(value));

    assert.equal(made.status, 201, String(made.body));
    return {
        id: made.json.id,
        remove: () => ask('DELETE', `/api/v1/limits/${made.json.id}`),
        async show() {
            const { json } = await ask('GET', `/api/v1/limits/${made.json.id}`);

            return { ...json, amount: number(json.amount), spent: number(json.spent), held: number(json.held),
                unreconciled: number(json.unreconciled) };
        },
    };
}
