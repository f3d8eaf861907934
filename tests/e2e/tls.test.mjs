// Goal: many cold streams over TLS at once start promptly, a provider that hangs in its handshake slows
// nobody else, and certificates are checked. Method: 200 streams through a server that has no provider
// connection yet; the same from this process straight to the simulator is the measure of the machine.
// The bound is a second, or on a slow or busy machine three times what the direct ones took.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { connect } from 'node:tls';
import { Raw } from './support/http.mjs';
import { SLOWNESS } from './support/process.mjs';
import { Sim } from './support/sim.mjs';
import { makeCertificates } from './support/tls.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { until, within } from './support/wait.mjs';

const STREAMS = 200;
const DEAD_CALLS = 150;
const BOUND_MS = 1000;
const OVER_DIRECT = 3;
const STOP_MS = 4000;
const BODY = '{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hello"}]}';
// Held open until all have begun, so that no connection can serve two of them.
const SCRIPT = 'events=2;gap_ms=800;out=9';

let sim;
let certificates;
let hanging;

before(async () => {
    certificates = makeCertificates();
    sim = await Sim.start({ tls: certificates });
    hanging = createServer((socket) => { socket.unref().on('error', () => {}).resume(); }).unref();
    await new Promise((done) => hanging.listen(0, '127.0.0.1', done));
});

after(async () => {
    await sim?.stop();
    hanging?.close();
});

function startGate() {
    return Tollgate.start({ args: ['--ca-file', certificates.ca], providers: {
        good: { kind: 'openai', baseUrl: `https://127.0.0.1:${sim.tlsPort}/v1` },
        hanging: { kind: 'openai', baseUrl: `https://127.0.0.1:${hanging.address().port}/v1` },
    } });
}

const request = (provider, key) => `POST /${provider}/v1/chat/completions HTTP/1.1\r\nHost: a\r\n` +
    `Authorization: Bearer ${key}\r\nx-sim: ${SCRIPT}\r\nConnection: close\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`;

/** Milliseconds until the last of 200 direct streams has its first event. */
async function directly() {
    const start = performance.now();

    await Promise.all(Array.from({ length: STREAMS }, () => new Promise((done, failed) => {
        const socket = connect({ port: sim.tlsPort, host: '127.0.0.1', ca: readFileSync(certificates.ca) }, () =>
            socket.write(request('good', 'direct').replace('/good', '')));
        let text = '';

        socket.on('error', failed).on('data', (piece) => {
            text += piece.toString('latin1');
            if (text.includes('data: ')) {
                socket.destroy();
                done();
            }
        });
    })));
    return performance.now() - start;
}

async function throughTollgate(gate) {
    const clients = await Promise.all(Array.from({ length: STREAMS }, () => Raw.open(gate.port)));
    const start = performance.now();

    for (const client of clients)
        client.send(request('good', gate.key));
    await until('the first event of every stream', () => clients.every((one) => one.received.includes('data: ')));
    const ms = performance.now() - start;
    for (const client of clients) {
        const [answer] = await client.ended();
        assert.equal(answer.status, 200);
        assert.match(answer.body, /data: \[DONE\]\n\n$/);
    }
    return ms;
}

describe('tls', () => {
    test('200 cold streams at once have their first byte within a second', async (t) => {
        const gate = await startGate();
        const direct = await directly();
        const ms = await throughTollgate(gate);

        t.diagnostic(`last first byte of ${STREAMS} cold streams: ${ms.toFixed(0)} ms, direct ${direct.toFixed(0)} ms`);
        assert.ok(ms < Math.max(BOUND_MS, OVER_DIRECT * direct) * SLOWNESS, `${ms} ms, direct ${direct} ms`);
        const rows = await gate.calls();
        assert.equal(rows.length, STREAMS);
        assert.ok(rows.every((row) => row.outcome === 'ok' && row.output_tokens === 9));
        await gate.stop();
    });

    test('that stays so beside a provider that hangs in its handshake', async (t) => {
        const gate = await startGate();
        const direct = await directly();
        const lost = await Promise.all(Array.from({ length: DEAD_CALLS }, () => Raw.open(gate.port)));

        for (const client of lost)
            client.send(request('hanging', gate.key));
        await until('the calls to be held', async () => (await gate.openHolds()).length > 0);
        const ms = await throughTollgate(gate);
        t.diagnostic(`beside ${DEAD_CALLS} calls that hang: ${ms.toFixed(0)} ms, direct ${direct.toFixed(0)} ms`);
        assert.ok(ms < Math.max(BOUND_MS, OVER_DIRECT * direct) * SLOWNESS, `${ms} ms, direct ${direct} ms`);
        for (const client of lost)
            client.leave();
        await gate.quiet();
        const rows = (await gate.calls()).filter((row) => row.provider === 'hanging');
        assert.ok(rows.length > 0 && rows.every((row) => row.cost === '0' && row.flags.includes('not_sent')));
        await within(STOP_MS * SLOWNESS, 'a stop while connects hang', gate.stop());
    });

    test('a certificate of an unknown authority or for another name is refused', async () => {
        const gate = await Tollgate.start({ providers: {
            stranger: { kind: 'openai', baseUrl: `https://127.0.0.1:${sim.tlsPort}/v1` } } });
        const answer = await gate.chat({ path: '/stranger/v1/chat/completions', tag: 'stranger' });

        assert.equal(answer.status, 502);
        assert.equal(JSON.parse(answer.body).error.code, 'provider_unreachable');
        await gate.stop();
        const other = await Tollgate.start({ args: ['--ca-file', certificates.ca], providers: {
            other: { kind: 'openai', baseUrl: `https://localhost:${sim.tlsPort}/v1` } } });
        assert.equal((await other.chat({ path: '/other/v1/chat/completions', tag: 'stranger' })).status, 502);
        await other.stop();
        assert.deepEqual(sim.tagged('stranger'), []);
    });
});
