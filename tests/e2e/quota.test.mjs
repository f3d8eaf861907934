// Goal: limits hold on the wire. A refusal says why in the caller's dialect and is tried once by the
// official client; a maximum is lowered in the body that the provider gets; many at once overspend
// nothing and leave nothing unused; an agent's large prompts are not turned down for their bytes.
// Method: the built binary between clients and the simulator, whose bill is the truth.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { limitTeam, newTeam } from './support/limits.mjs';
import { APIError, openai } from './support/openai.mjs';
import { costs } from './support/prices.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { parallel, until } from './support/wait.mjs';

let sim;
let gate;

before(async () => {
    sim = await Sim.start();
    gate = await Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
});
after(async () => {
    await gate?.stop();
    await sim?.stop();
});

const chat = (team, body, more = {}) => gate.chat({ key: team.key, body, ...more });

/** Refusals of a kind, once they are written: the answer does not wait for that. */
const refusals = (are) => until('a refusal', async () => {
    const found = (await gate.get('/api/v1/refusals')).data.filter(are);

    return found.length > 0 && found;
});

describe('a refusal', () => {
    test('of what is spent is an answer that no client tries again', async () => {
        const team = await newTeam(gate);
        const limit = await limitTeam(gate, team, 'total_tokens', 'month', 1000);
        const answer = await chat(team, { max_tokens: 5000 });
        const { error } = JSON.parse(answer.body);

        assert.equal(answer.status, 429);
        assert.equal(answer.headers['x-should-retry'], 'false');
        assert.equal(answer.headers['retry-after'], undefined);
        assert.equal(answer.headers['x-tollgate-reason'], 'too_large');
        assert.equal(answer.headers['x-tollgate-limit-id'], limit.id);
        assert.equal(answer.headers['x-tollgate-scope'], 'team');
        assert.equal(error.type, 'insufficient_quota');
        assert.equal(error.code, 'project_spend_limit_exceeded');
        assert.match(error.message, /1000/);
        assert.equal(error.tollgate.limit_id, limit.id);
        assert.equal(error.tollgate.reason, 'too_large');
        assert.equal(error.tollgate.amount, 1000);
        assert.equal(error.tollgate.spent, 0);
        assert.ok(error.tollgate.estimate > 5000);
        assert.match(error.tollgate.resets_at, /^\d{4}-\d\d-01T00:00:00/);
    });

    test('costs the official client one request', async () => {
        const team = await newTeam(gate);
        const client = openai(gate.baseUrl, team.key);

        await limitTeam(gate, team, 'requests', 'month', 1);
        await client.chat.completions.create({ model: 'gpt-4o', messages: [{ role: 'user', content: 'x' }], max_tokens: 5 });
        await assert.rejects(client.chat.completions.create(
            { model: 'gpt-4o', messages: [{ role: 'user', content: 'x' }], max_tokens: 5 }),
        (error) => error instanceof APIError && error.status === 429 && error.code === 'project_spend_limit_exceeded');
        assert.equal((await refusals((one) => one.team_id === team.id)).length, 1);
    });

    test('by the minute says when to come again, within the minute', async () => {
        const team = await newTeam(gate);

        await limitTeam(gate, team, 'requests', 'minute', 1);
        const first = await chat(team, { max_tokens: 5 });
        const answer = await chat(team, { max_tokens: 5 });

        assert.equal(first.status, 200);
        assert.equal(first.headers['x-ratelimit-limit-requests'], '1');
        assert.equal(first.headers['x-ratelimit-remaining-requests'], '0');
        assert.match(first.headers['x-ratelimit-reset-requests'], /^\d+s$/);
        if (answer.status === 200)
            return; // the minute has turned in between
        assert.equal(answer.status, 429);
        assert.equal(answer.headers['x-should-retry'], 'true');
        assert.equal(answer.headers['x-tollgate-reason'], 'rate');
        assert.ok(Number(answer.headers['retry-after']) >= 1 && Number(answer.headers['retry-after']) <= 60);
        assert.equal(Number(answer.headers['retry-after-ms']), 1000 * Number(answer.headers['retry-after']));
        assert.equal(JSON.parse(answer.body).error.code, 'rate_limit_exceeded');
        assert.equal(JSON.parse(answer.body).error.type, 'requests');
    });

    test('leaves no charge, and is counted', async () => {
        const team = await newTeam(gate);

        await limitTeam(gate, team, 'total_tokens', 'day', 10);
        const answer = await chat(team, { max_tokens: 500 });
        const id = answer.headers['x-request-id'];

        assert.equal(answer.status, 429);
        assert.ok(!(await gate.calls()).some((one) => one.id === id && one.outcome !== 'refused'));
        assert.deepEqual((await refusals((one) => one.id === id)).map((one) => one.reason), ['too_large']);
        assert.equal(sim.bill().filter((line) => line.client_request === id).length, 0);
    });

    test('of a model without a price under a limit in money names the remedy', async () => {
        const team = await newTeam(gate);

        await limitTeam(gate, team, 'cost', 'month', '100');
        const answer = await chat(team, { model: 'gpt-nobody-knows', max_tokens: 5 });
        assert.equal(answer.status, 400);
        assert.equal(JSON.parse(answer.body).error.code, 'model_not_priced');
    });
});

describe('a maximum', () => {
    for (const [field, body] of [['max_tokens', { max_tokens: 30000 }],
        ['max_completion_tokens', { max_completion_tokens: 30000 }], ['neither', {}]])
        test(`is lowered where it stands: ${field}`, async () => {
            const team = await newTeam(gate);

            await limitTeam(gate, team, 'cost', 'month', '0.02'); // 2,000 output tokens of gpt-4o
            const answer = await chat(team, { model: 'gpt-4o', ...body }, { sim: 'hop=1' });
            const lowered = Number(answer.headers['x-tollgate-max-tokens']);
            const sent = JSON.parse(JSON.parse(answer.body).echo.body);

            assert.equal(answer.status, 200, String(answer.body));
            assert.ok(lowered >= 1900 && lowered < 2000, `lowered to ${lowered}`);
            assert.equal(sent.max_completion_tokens ?? sent.max_tokens, lowered);
            assert.deepEqual({ ...sent, max_tokens: undefined, max_completion_tokens: undefined },
                { model: 'gpt-4o', messages: [{ role: 'user', content: 'hello' }], max_tokens: undefined,
                    max_completion_tokens: undefined });
            const receipt = await gate.receipt(answer.headers['x-request-id']);
            assert.ok(receipt.flags.includes('clamped'));
        });

    test('is left alone where it fits, byte for byte', async () => {
        const team = await newTeam(gate);

        await limitTeam(gate, team, 'cost', 'month', '10');
        const rawBody = '{ "model" : "gpt-4o","messages":[{"role":"user","content":"hello"}] , "max_tokens": 30 }';
        const answer = await gate.chat({ key: team.key, rawBody, sim: 'hop=1' });
        assert.equal(JSON.parse(answer.body).echo.body, rawBody);
        assert.equal(answer.headers['x-tollgate-max-tokens'], undefined);
    });
});

// "max_tokens of 0, -1, 1.5, "100", 10^18, both spellings at once, or twice"
describe('a maximum that is none', () => {
    for (const [what, text] of Object.entries({
        zero: '"max_tokens":0', negative: '"max_tokens":-1', fraction: '"max_tokens":1.5', string: '"max_tokens":"100"',
        huge: '"max_tokens":1000000000000000000', twice: '"max_tokens":5,"max_tokens":50000',
        escaped: '"max_tokens":5,"max\\u005ftokens":50000',
    }))
        test(`is refused: ${what}`, async () => {
            const answer = await gate.chat({
                rawBody: `{"model":"gpt-4o","messages":[{"role":"user","content":"x"}],${text}}` });

            assert.equal(answer.status, 400, String(answer.body));
        });

    test('in both spellings is held at the larger', async () => {
        const team = await newTeam(gate);

        await limitTeam(gate, team, 'output_tokens', 'month', 100);
        assert.equal((await chat(team, { max_tokens: 5, max_completion_tokens: 101 })).status, 429);
        assert.equal((await chat(team, { max_tokens: 101, max_completion_tokens: 5 })).status, 429);
        assert.equal((await chat(team, { max_tokens: 5, max_completion_tokens: 5 })).status, 200);
    });
});

describe('many at once', () => {
    // Each is held at 60 in and 100 out at most and takes 40 in all.
    for (const stream of [false, true])
        test(`overspend nothing and use all there is, ${stream ? 'streamed' : 'plain'}`, async (t) => {
            const team = await newTeam(gate);
            const amount = 4000;
            const limit = await limitTeam(gate, team, 'total_tokens', 'month', amount);
            const tag = `many-${stream}`;
            let admitted = 0;
            let largest = 0;

            // Each comes again while others hold the rest, and stops when it is spent.
            await parallel(64, 64, async () => {
                for (let reason = ''; reason !== 'spent';) {
                    const answer = await chat(team, { max_tokens: 100, stream }, { sim: 'prompt=20;out=20', tag });
                    const now = await limit.show();

                    assert.ok(now.spent + now.held <= now.amount);
                    admitted += answer.status === 200 ? 1 : 0;
                    reason = answer.headers['x-tollgate-reason'] ?? '';
                    assert.ok(answer.status === 200 || ['held', 'spent'].includes(reason), String(answer.body));
                    if (answer.status === 429)
                        largest = Math.max(largest, JSON.parse(answer.body).error.tollgate.estimate);
                }
            });
            await gate.quiet();
            const { spent, held } = await limit.show();
            const billed = sim.tagged(tag).reduce((sum, line) => sum + line.usage.total_tokens, 0);
            assert.equal(held, 0n);
            assert.equal(spent, BigInt(billed));
            assert.ok(billed <= amount);
            assert.ok(largest > 0);
            assert.ok(admitted >= Math.floor((amount - largest) / 40) + 1, `${admitted} admitted`);
            t.diagnostic(`${admitted} admitted, ${billed} of ${amount} tokens used, each held at ${largest}`);
        });
});

describe('a coding agent', () => {
    const BODY_BYTES = 120_000;
    const SCRIPT = 'prompt=30000;cached=28500;out=500';
    const prompt = 'x'.repeat(BODY_BYTES - 200);
    const ask = (team) => chat(team, { model: 'gpt-4o', max_tokens: 32000,
        messages: [{ role: 'user', content: prompt }] }, { sim: SCRIPT });
    let cost;

    before(async () => {
        const team = await newTeam(gate);

        for (let i = 0; i < 50; i++)
            assert.equal((await ask(team)).status, 200);
        [cost] = await costs([sim.bill().at(-1)]);
    });

    const usd = (nanoUsd) => `${nanoUsd / 1_000_000_000n}.${String(nanoUsd % 1_000_000_000n).padStart(9, '0')}`;

    for (const [metric, more, least] of [
        ['total_tokens', {}, 95], ['total_tokens', { when_short: 'clamp' }, 95], ['total_tokens', { strict: true }, 0],
        ['cost', {}, 85], ['cost', { when_short: 'refuse' }, 0], ['cost', { strict: true }, 0]])
        test(`gets through under ${metric} ${JSON.stringify(more)}`, async (t) => {
            const team = await newTeam(gate);
            const amount = metric === 'cost' ? usd(100n * BigInt(cost)) : 100 * 30_500;
            const limit = await limitTeam(gate, team, metric, 'month', amount, more);
            let through = 0;

            for (let i = 0; i < 110; i++) {
                const answer = await ask(team);

                if (answer.status !== 200)
                    break;
                through++;
            }
            const { spent, amount: most } = await limit.show();
            assert.ok(spent <= most);
            assert.ok(through >= least, `${through} of 100`);
            t.diagnostic(`${through} of 100 calls`);
        });
});
