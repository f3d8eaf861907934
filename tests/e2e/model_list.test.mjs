// Goal: a provider's own list of models is there without anybody asking for it, calls go by it, and a
// provider that gives none holds up nobody. Method: the built binary beside two simulators that name
// models of their own, and a server that takes requests and says nothing.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { call } from './support/http.mjs';
import { Sim } from './support/sim.mjs';
import { ADMIN_TOKEN, Tollgate } from './support/tollgate.mjs';
import { makeCertificates } from './support/tls.mjs';
import { until, within } from './support/wait.mjs';

const LIST_MS = 10_000;
const START_MS = 5000;
const STOP_MS = 6000; // a fetch would wait 10 s

let first;
let second;
let certificates;

before(async () => {
    certificates = makeCertificates();
    first = await Sim.start({ models: ['first-only', 'both'] });
    second = await Sim.start({ models: ['second-only', 'both', 'vendor/second-only'], tls: certificates });
});
after(() => Promise.all([first?.stop(), second?.stop()]));

const compatible = (baseUrl) => ({ kind: 'openai-compatible', baseUrl });

async function provider(gate, name) {
    return (await gate.get(`/api/v1/providers?name=${name}`)).data[0];
}

/** Resolves once the provider shows its list. */
function listed(gate, name, count) {
    return until(() => `${count} models of ${name}\n${gate.daemon.log}`, async () => {
        const { id } = await provider(gate, name);
        const seen = await gate.get(`/api/v1/providers/${id}`);
        return seen.model_count === count && seen;
    }, { within: LIST_MS });
}

/** A server that takes requests and never answers; `asked` resolves at the first. */
async function silent() {
    const sockets = new Set();
    let server;
    const asked = new Promise((done) => {
        server = createServer((socket) => {
            sockets.add(socket);
            socket.on('error', () => {}).once('data', (bytes) => done(bytes.toString('latin1')));
        });
    });

    await new Promise((done) => server.listen(0, '127.0.0.1', done));
    return { asked, baseUrl: `http://127.0.0.1:${server.address().port}/v1`, stop: () => {
        sockets.forEach((socket) => socket.destroy());
        return new Promise((done) => server.close(done));
    } };
}

describe('model list', () => {
    test('a model that no price book knows goes to the provider that lists it', async () => {
        const gate = await Tollgate.start({ providers: { one: compatible(first.baseUrl), two: compatible(second.baseUrl) } });
        const one = await listed(gate, 'one', 2);

        await listed(gate, 'two', 3);
        assert.match(one.models_at, /^\d{4}-/);
        for (const [model, name, sim] of [['second-only', 'two', second], ['first-only', 'one', first],
            ['both', 'one', first], ['vendor/second-only', 'two', second]]) {
            const tag = `listed-${model}`;
            const answer = await gate.chat({ body: { model }, tag });
            assert.equal(answer.status, 200, `${model}: ${answer.body}`);
            assert.equal((await gate.receipt(answer.headers['x-request-id'])).provider, name);
            assert.deepEqual(sim.tagged(tag).map((line) => line.model), [model]);
        }
        const none = await gate.chat({ body: { model: 'listed-by-nobody' } });
        assert.equal(none.status, 404);
        assert.equal(JSON.parse(none.body).error.code, 'model_not_found');
        await gate.stop();
    });

    test('the sandbox and a provider of the environment have theirs, and a start changes neither', async () => {
        const env = { OPENAI_API_KEY: 'sk-of-the-environment', TOLLGATE_OPENAI_BASE_URL: first.baseUrl };
        const gate = await Tollgate.start({ env, args: ['--sandbox'] });
        const revision = async () => {
            const { id } = await provider(gate, 'openai');
            const { headers } = await call(`${gate.adminUrl}/api/v1/providers/${id}`,
                { method: 'GET', headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });
            return headers.etag;
        };

        await listed(gate, 'openai', 2);
        await listed(gate, 'sandbox', 2);
        const before = await revision();
        assert.ok(before);
        await gate.stop();
        await gate.boot();
        assert.equal(await revision(), before);
        assert.equal((await listed(gate, 'openai', 2)).source, 'environment');
        await gate.stop();
    });

    test('a list over TLS is checked by the authorities that calls are checked by', async () => {
        const gate = await Tollgate.start({ args: ['--ca-file', certificates.ca],
            providers: { secure: compatible(`https://127.0.0.1:${second.tlsPort}/v1`) } });

        await listed(gate, 'secure', 3);
        await gate.stop();
        const strict = await Tollgate.start({
            providers: { secure: compatible(`https://127.0.0.1:${second.tlsPort}/v1`) } });
        await until('the failure to be logged', () => /event="model list not fetched" provider=secure/.test(strict.daemon.log));
        assert.equal((await provider(strict, 'secure')).model_count, 0);
        assert.ok(!strict.daemon.log.includes('sk-the-secret'), 'the log holds no secret');
        await strict.stop();
    });

    test('a provider that says nothing delays neither start, nor calls, nor the end', async () => {
        const mute = await silent();
        const gate = await Tollgate.start({ providers: { mute: compatible(mute.baseUrl), one: compatible(first.baseUrl) } });

        assert.match(await within(LIST_MS, 'the list to be asked for', mute.asked), /^GET \/v1\/models HTTP\/1\.1\r\n/);
        assert.equal((await gate.chat({ path: '/one/v1/chat/completions' })).status, 200);
        await within(STOP_MS, 'the end', gate.stop());
        const start = performance.now();
        await gate.boot();
        const took = performance.now() - start;
        assert.ok(took < START_MS, `${took} ms`);
        assert.equal((await gate.chat({ path: '/one/v1/chat/completions' })).status, 200);
        await within(STOP_MS, 'the end', gate.stop());
        await mute.stop();
    });
});
