// Goal: a client that leaves early leaves exactly one charge behind, never nothing where the provider
// generated something; providers that keep generating are read to their usage record, the others are
// stopped at once. Method: clients that leave at three moments in three ways, for kinds of provider that
// stop on leave and that do not, before simulators of both habits; each case has a key of its own.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Raw } from './support/http.mjs';
import { costs, nano } from './support/prices.mjs';
import { SLOWNESS } from './support/process.mjs';
import { Sim } from './support/sim.mjs';
import { Tap } from './support/tap.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { parallel, until } from './support/wait.mjs';

const AT_ONCE_MS = 1000;

// A kind that stops on leave, two that generate on. Their streams have usage only where `script` says so.
const KINDS = [
    { kind: 'openai', model: 'gpt-4o', stops: true, script: '' },
    { kind: 'mistral', model: 'mistral-large-latest', stops: false, script: ';usage=last' },
    { kind: 'groq', model: 'llama-3.1-8b-instant', stops: false, script: ';usage=last' },
];

const EVENTS = 12;
const contentEvents = (text) => text.split('"delta":{"content":"').length - 1;

// [moment, stream, script, when the client leaves: true once it is time]
const MOMENTS = [
    ['before the first byte', true, `first_ms=300;events=${EVENTS};out=40`, (raw, wire) => wire() !== undefined],
    ['in the middle', true, `gap_ms=25;events=${EVENTS};out=40`, (raw) => contentEvents(raw.text) >= EVENTS / 2],
    ['before the last byte', true, `gap_ms=10;events=${EVENTS};out=40`, (raw) => contentEvents(raw.text) >= EVENTS],
    ['before the first byte', false, 'first_ms=300;out=40', (raw, wire) => wire() !== undefined],
    ['in the middle', false, 'big=4000000;out=40', (raw) => raw.received.length > 100_000],
];

const WAYS = [
    ['closing', (raw) => raw.leave()],
    ['resetting', (raw) => raw.leave({ reset: true })],
    ['half-closing', (raw) => raw.half()],
];

const sims = {};
const taps = {};
let gate;

before(async () => {
    const providers = {};

    for (const onLeave of ['stop', 'finish']) {
        sims[onLeave] = await Sim.start({ onLeave });
        taps[onLeave] = await Tap.start(sims[onLeave].port);
        for (const { kind } of KINDS)
            providers[`${kind}-${onLeave}`] = { kind, baseUrl: taps[onLeave].baseUrl };
    }
    gate = await Tollgate.start({ providers });
});

after(async () => {
    await gate?.stop();
    for (const one of [...Object.values(taps), ...Object.values(sims)])
        await one.stop();
});

function requestOf(at, key, tag) {
    const body = JSON.stringify({ model: at.model, stream: at.stream, messages: [{ role: 'user', content: 'hello' }] });

    return `POST /${at.kind}-${at.onLeave}/v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${key}\r\n` +
        `x-sim: ${at.sim}\r\nx-sim-tag: ${tag}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function allCases() {
    return KINDS.flatMap(({ kind, model, stops, script }) => ['stop', 'finish'].flatMap((onLeave) =>
        MOMENTS.flatMap(([moment, stream, sim, isTime]) => WAYS.map(([way, leave]) =>
            ({ kind, model, stops, onLeave, moment, stream, sim: sim + script, isTime, way, leave })))));
}

/** Whoever is read on has the usage record; a plain answer is, since nothing can be counted before its end. */
const isDrained = (at) => !at.stops || !at.stream;

async function leaveAt(at, key, tag) {
    const raw = (await Raw.open(gate.port)).send(requestOf(at, key, tag));
    const wire = () => taps[at.onLeave].carrying(tag);

    await until(`${tag}: the moment`, () => at.isTime(raw, wire));
    const left = performance.now();
    at.leave(raw);
    if (!isDrained(at) && at.moment !== 'before the last byte')
        await until(`${tag}: the provider's connection to be closed`, () => wire().closedAt !== null,
            { within: AT_ONCE_MS * SLOWNESS });
    const [line] = await sims[at.onLeave].billed(tag);
    raw.leave();
    return { line, left };
}

async function keyIds() {
    const ids = new Map();

    for (let after = ''; ;) {
        const page = await gate.get(`/api/v1/keys?limit=200${after}`);
        for (const key of page.data)
            ids.set(key.prefix, key.id);
        if (!page.has_more)
            return ids;
        after = `&after=${page.next_cursor}`;
    }
}

describe('leave', () => {
    test('each client that leaves early has one charge, exact where the answer was read on', async () => {
        const cases = allCases().map((at, i) => ({ ...at, tag: `${i} ${at.kind} ${at.onLeave} ${at.stream} ${at.moment} ${at.way}` }));
        const keys = cases.map(() => gate.newKey());
        const ends = await parallel(8, cases.length, (i) => leaveAt(cases[i], keys[i], cases[i].tag));
        await gate.quiet();
        const calls = await gate.calls();
        const ids = await keyIds();

        for (const [i, at] of cases.entries()) {
            const rows = calls.filter((row) => row.key_id === ids.get(keys[i].slice(0, 14)));
            const { line } = ends[i];
            const where = `${at.tag}: ${JSON.stringify(rows)} ${JSON.stringify(line)}`;

            assert.equal(rows.length, 1, where);
            assert.equal(sims[at.onLeave].tagged(at.tag).length, 1, where);
            if (line.usage.completion_tokens > 0)
                assert.ok(rows[0].output_tokens > 0 && nano(rows[0].cost) > 0n, where);
            assert.ok(rows[0].input_tokens > 0, where);
            if (isDrained(at)) {
                assert.equal(line.state, 'complete', where);
                assert.equal(rows[0].input_tokens, line.usage.prompt_tokens, where);
                assert.equal(rows[0].output_tokens, line.usage.completion_tokens, where);
                assert.equal(nano(rows[0].cost), (await costs([line], { provider: at.kind }))[0], where);
                assert.equal(rows[0].source, 'provider', where);
            } else if (at.moment !== 'before the last byte') {
                assert.equal(rows[0].outcome, 'client_gone', where);
                assert.ok(rows[0].flags.includes('estimated'), where);
            }
        }
    });

    test('a client that leaves while its call waits for the provider is seen at once', async () => {
        const at = { ...KINDS[0], onLeave: 'stop', stream: true, sim: 'stall=head' };

        await parallel(16, 32, async (i) => {
            const tag = `stalled ${i}`;
            const raw = (await Raw.open(gate.port)).send(requestOf(at, gate.key, tag));
            const wire = await until('the request', () => taps.stop.carrying(tag));

            raw.leave();
            await until('the provider to be left', () => wire.closedAt !== null, { within: AT_ONCE_MS * SLOWNESS });
        });
        await gate.quiet();
    });

    test('no connection is left behind', async () => {
        await until('the connections of clients that left to be closed', () => gate.clients() === 0);
    });
});
