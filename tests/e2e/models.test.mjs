// Goal: a hold is as large as what is known of the model says, and what an owner sets of a model holds
// from the next call on. Method: calls that wait at the simulator while their holds are read, compared
// with migrations/models.csv, and the ledger's costs with the simulator's bill times the price set.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { call } from './support/http.mjs';
import { nano } from './support/prices.mjs';
import { ROOT, SLOWNESS } from './support/process.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { until } from './support/wait.mjs';

const WAIT_MS = 1500 * SLOWNESS;

const known = readFileSync(join(ROOT, 'migrations/models.csv'), 'utf8').trim().split('\n').slice(1)
    .map((line) => line.split(','))
    .map(([provider, model, , context, output]) =>
        ({ id: `${provider}:${model}`, provider, context: Number(context), output: Number(output) }));
const find = (id) => known.find((model) => model.id === id);

let sim;
let gate;

before(async () => {
    sim = await Sim.start();
    gate = await Tollgate.start({ providers: {
        openai: { kind: 'openai', baseUrl: sim.baseUrl },
        house: { kind: 'openai-compatible', baseUrl: sim.baseUrl },
    } });
});

after(async () => {
    await gate?.stop();
    await sim?.stop();
});

const set = (id, ...options) => JSON.parse(gate.must('model', 'set', id, ...options, '--output', 'json'));
const messages = (content) => [{ role: 'user', content }];

describe('models', () => {
    test('holds are bounded by what is known', async () => {
        const image = `data:image/png;base64,${'A'.repeat(4000)}`;
        const cases = [
            { body: { model: 'gpt-4o' }, output: find('openai:gpt-4o').output },
            { body: { model: 'gpt-4o', n: 3, max_tokens: 70 }, output: 210 },
            { body: { model: 'gpt-4.1', n: 2 }, output: 2 * 500 },
            { body: { model: 'gpt-9-brand-new' }, flags: ['ceiling_unknown', 'unpriced'],
                output: Math.max(...known.filter((model) => model.provider === 'openai').map((model) => model.output)) },
            { body: { model: 'gpt-4o', max_tokens: 9, web_search_options: {} }, flags: ['unbounded'],
                input: find('openai:gpt-4o').context, output: 9 },
            { body: { model: 'gpt-4.1', max_tokens: 9,
                messages: messages([{ type: 'image_url', image_url: { url: image } }]) },
            input: (bytes) => bytes - image.length + 73800, output: 9 },
        ];

        set('openai:gpt-4.1', '--max-output', '500');
        const running = cases.map(({ body }) => {
            const rawBody = JSON.stringify({ messages: messages('hello'), ...body });
            return { bytes: rawBody.length, answer: gate.chat({ rawBody, sim: `first_ms=${WAIT_MS}` }) };
        });
        const holds = await until('all to be held', async () => {
            const open = await gate.openHolds();
            return open.length === cases.length && open;
        });
        for (const [i, { body, flags = [], input = (bytes) => bytes, output }] of cases.entries()) {
            const answer = await running[i].answer;
            assert.equal(answer.status, 200, answer.body);
            const hold = holds.find(({ request_id: id }) => id === answer.headers['x-request-id']);
            assert.equal(hold.output_bound_tokens, output, JSON.stringify(body));
            assert.equal(hold.input_bound_tokens, typeof input === 'function' ? input(running[i].bytes) : input);
            const receipt = await gate.receipt(answer.headers['x-request-id']);
            assert.deepEqual(receipt.flags.toSorted(), flags.toSorted());
        }
        set('openai:gpt-4.1', '--max-output', '');
    });

    test('a model without a price is free, or has a ceiling price, once an owner says so', async () => {
        const states = [
            { options: [], cost: () => 0n, flags: ['unpriced'] },
            { options: ['--free', 'true'], cost: () => 0n, flags: [] },
            { options: ['--free', 'false', '--ceiling-price', '2.5'], flags: ['ceiling_price'],
                cost: ({ prompt_tokens: input, completion_tokens: output }) => BigInt(input + output) * 2500n },
            { options: ['--ceiling-price', ''], cost: () => 0n, flags: ['unpriced'] },
        ];

        for (const { options, cost, flags } of states) {
            set('house:llama', '--max-output', '4000', ...options);
            const answer = await gate.chat({ path: '/house/v1/chat/completions', body: { model: 'llama' } });
            assert.equal(answer.status, 200, answer.body);
            const { usage } = sim.line(JSON.parse(answer.body).id);
            const receipt = await gate.receipt(answer.headers['x-request-id']);
            assert.equal(nano(receipt.cost), cost(usage), JSON.stringify(options));
            assert.deepEqual(receipt.flags, flags);
        }
    });

    test('what is known is listed, found and set by the command line, and by owners alone', async () => {
        const listed = JSON.parse(gate.must('model', 'list', '--provider', 'openai', '--limit', '10000', '--output',
            'json'));
        const ids = known.filter(({ provider }) => provider === 'openai').map(({ id }) => id);

        assert.deepEqual(listed.map(({ id }) => id).toSorted(), ids.toSorted());
        assert.deepEqual(listed.map(({ context_tokens: n }) => n ?? 0),
            listed.map(({ id }) => find(id).context));
        assert.ok(listed.find(({ id }) => id === 'openai:gpt-4o').has_price);
        assert.equal(JSON.parse(gate.must('model', 'list', '--search', 'GPT-4O-MINI', '--output', 'json'))
            .every(({ id }) => id.toLowerCase().includes('gpt-4o-mini')), true);
        const one = find('openrouter:openai/gpt-4o') ?? known.find(({ id }) => id.includes('/'));
        assert.equal(JSON.parse(gate.must('model', 'get', one.id, '--output', 'json')).id, one.id);
        assert.equal(gate.cli('model', 'get', 'openai:none').status, 1);
        assert.equal(gate.cli('model', 'set', 'openai:gpt-4o', '--context', 'x').status, 2);
        assert.equal(gate.cli('model', 'set', 'openai:gpt-4o', '--output-field', 'n').status, 1);
        const token = gate.must('token', 'create', '--role', 'admin', '--name', 'a');
        const refused = await call(`${gate.adminUrl}/api/v1/models/openai%3Agpt-4o`, { method: 'PATCH',
            headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' }, body: { free: true } });
        assert.equal(refused.status, 403);
    });
});
