// Goal: however a call ends, its hold ends with it, once, in one charge, and what limits count is those
// charges. Method: a table of ends, each for a plain and a streamed call of a team of its own under limits
// of every kind; triggers in the database file note each hold's beginning and end. Of each cell: holds
// begun = holds ended = charges (none where nothing was admitted), none open, nothing held, spent = the sum
// of the team's charges, `tollgate verify` finds nothing.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { Canned } from './support/canned.mjs';
import { installHoldLog, readHoldLog } from './support/hold_log.mjs';
import { Raw } from './support/http.mjs';
import { limitTeam, newTeam } from './support/limits.mjs';
import { nano } from './support/prices.mjs';
import { SLOWNESS, freePorts, run } from './support/process.mjs';
import { Sim } from './support/sim.mjs';
import { Tap } from './support/tap.mjs';
import { makeCertificates } from './support/tls.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { until, within } from './support/wait.mjs';

const FIRST_BYTE_MS = 1500 * SLOWNESS;
const IDLE_MS = 1500 * SLOWNESS;
const MINUTE_MS = 60_000;
/** Both calls must be under way before the minute turns. */
const HEAD_START_MS = 3000 * SLOWNESS;
const PAST_TURN_MS = 2000 * SLOWNESS;

// --- calls ------------------------------------------------------------------------------------------

/** To its end, whatever it is. */
const call = (at, { sim: script, provider = 'openai', body = {} } = {}) => at.gate.chat({
    key: at.team.key, path: `/${provider}/v1/chat/completions`, sim: script, tag: at.tag,
    body: { max_tokens: 50, stream: at.isStream, ...body } });

/** On a socket, so that the client can leave. */
async function open(at, script, provider = 'openai') {
    const body = JSON.stringify({ model: 'gpt-4o', stream: at.isStream, max_tokens: 50,
        messages: [{ role: 'user', content: 'hello' }] });

    return (await Raw.open(at.gate.port)).send(`POST /${provider}/v1/chat/completions HTTP/1.1\r\nHost: a\r\n` +
        `Authorization: Bearer ${at.team.key}\r\nx-sim: ${script}\r\nx-sim-tag: ${at.tag}\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`);
}

const holdsOf = async (at) => (await at.gate.get(`/api/v1/holds?team=${at.team.id}`)).data;
const isHeld = (at) => until('the hold', async () => (await holdsOf(at)).length === 1);
const hasEvent = (raw) => until('the first event', () => raw.text.includes('data: '));

/** Whether the client gets all of an answer, once it has that or the connection has ended. */
async function endOf(raw) {
    await until('the end of the answer', () => raw.closed || raw.answers[0]?.isWhole, { within: 10_000 * SLOWNESS });
    raw.leave();
    return raw.answers[0]?.isWhole ?? false;
}

// --- ends -------------------------------------------------------------------------------------------

const faults = (plain, stream = plain, more = {}) => async (at) => {
    const answer = await call(at, { sim: at.isStream ? stream : plain, ...more });

    return { status: answer.status, isWhole: answer.error === null };
};

const resetsAfterwards = async (at) => {
    const chunk = (delta, finish_reason) => `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk',
        created: 1, model: 'gpt-4o', choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
    const usage = { prompt_tokens: 7, completion_tokens: 9, total_tokens: 16 };

    canned.answer(({ stream }) => (stream
        ? { headers: { 'content-type': 'text/event-stream' }, resets: true,
            body: chunk({ content: 'x' }, null) + chunk({}, 'stop') +
                `data: ${JSON.stringify({ id: 'chatcmpl-1', choices: [], usage })}\n\ndata: [DONE]\n\n` }
        : { headers: { 'content-type': 'application/json' }, resets: true,
            body: JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'gpt-4o',
                choices: [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }], usage }) }));
    return faults('', '', { provider: 'canned' })(at);
};

const clientLeaves = (moment, way) => async (at) => {
    const scripts = { before: 'first_ms=600;out=20', during: at.isStream ? 'gap_ms=60;events=12;out=40' : 'big=4000000;out=40',
        after: 'events=3;out=20' };
    const raw = await open(at, scripts[moment], 'tapped');

    await until(`the moment: ${moment}`, {
        before: () => tap.carrying(at.tag),
        during: () => (at.isStream ? raw.text.split('data: ').length > 4 : raw.received.length > 100_000),
        after: () => raw.answers[0]?.isWhole,
    }[moment]);
    const isWhole = raw.answers[0]?.isWhole ?? false;
    if (way === 'half-closes') {
        raw.half();
        await raw.ended();
    } else {
        raw.leave({ reset: way === 'resets' });
    }
    return { isWhole };
};

/** SIGTERM while the call is open; it is let finish, or cut by a second one. */
const shutsDown = (isCut) => async (at) => {
    const raw = await open(at, isCut ? (at.isStream ? 'stall=body;out=40' : 'stall=head')
        : (at.isStream ? 'gap_ms=60;events=8;out=30' : 'first_ms=500;out=30'));

    await (at.isStream ? hasEvent(raw) : isHeld(at));
    at.gate.daemon.signal('SIGTERM');
    if (isCut) {
        await until('/readyz to say no', async () => !(await at.gate.isReady()));
        at.gate.daemon.signal('SIGTERM');
    }
    const isWhole = await endOf(raw);
    assert.equal((await within(10_000 * SLOWNESS, 'the end', at.gate.daemon.exited)).code, 0);
    await at.gate.boot();
    return { isWhole };
};

const limitFiles = (gate, limit) => {
    const { status, stderr } = run('prlimit', ['--pid', String(gate.daemon.pid), `--fsize=${limit}:`]);
    assert.equal(status, 0, stderr);
};

/** Files may not grow any more: before the call, or while it is open. */
const diskFills = (when) => async (at) => {
    let answer;

    if (when === 'before') {
        limitFiles(at.gate, 0);
        const { status, error } = await call(at);
        answer = { status, isWhole: error === null };
    } else {
        const raw = await open(at, at.isStream ? 'gap_ms=60;events=6;out=30' : 'first_ms=300;out=30');
        await (at.isStream ? hasEvent(raw) : isHeld(at));
        limitFiles(at.gate, 0);
        answer = { isWhole: await endOf(raw) };
        assert.equal((await holdsOf(at)).length, 1, 'the hold stays until its charge can be written');
    }
    limitFiles(at.gate, 'unlimited');
    // Of nobody's team: the cell's own has its one call.
    await until('calls to be served again', async () => (await at.gate.chat()).status === 200);
    return answer;
};

/** Begun before the minute's turn and ended after it, with a call in between that opens the new minute;
 * looked at at once, while the other cells run. */
async function crossTurn(at, turnMs) {
    const limit = await limitTeam(at.gate, at.team, 'total_tokens', 'minute', 900_000);
    const wait = turnMs - Date.now() + PAST_TURN_MS;
    const raw = await open(at, at.isStream ? `gap_ms=${wait};events=1;out=20` : `first_ms=${wait};out=20`);

    await isHeld(at);
    const opened = await limit.show();
    assert.ok(Date.now() < turnMs, 'begun before the turn');
    await until('the turn', () => Date.now() >= turnMs, { within: wait });
    const next = await at.gate.chat({ key: at.team.key, body: { max_tokens: 50 } });
    const receipt = await at.gate.receipt(next.headers['x-request-id']);
    const between = await limit.show();
    assert.equal((await holdsOf(at)).length, 1, 'still open after the turn');
    await raw.answered(1, wait + 10_000 * SLOWNESS);
    raw.leave();
    await until('the hold to end', async () => (await holdsOf(at)).length === 0);
    const ended = await limit.show();
    assert.ok(Date.now() < turnMs + MINUTE_MS, 'looked at before the next turn');
    return { opened, between, ended, receipt, isWhole: raw.answers[0].isWhole };
}

const periodChanges = async (at) => {
    const { opened, between, ended, receipt, isWhole } = await at.crossing;

    assert.ok(opened.held > 0n && opened.spent === 0n);
    assert.ok(Date.parse(between.period_start) > Date.parse(opened.period_start));
    for (const seen of [between, ended])
        assert.deepEqual([seen.spent, seen.held], [BigInt(receipt.total_tokens), 0n], 'each minute counts its own');
    return { isWhole };
};

// [what happens, to a call, what its charges must be]. `gate`: the server it happens to, shared by default.
// `status`: of the client's answer; `isWhole`: whether the client has all of one, [plain, streamed] where that
// differs; `charges`: 1 by default.
const EXITS = [
    ['finishes', faults('out=20'), { outcome: 'ok', status: 200, isWhole: true }],
    ['is refused by a limit', faults('', '', { body: { max_tokens: 16_000, n: 100 } }), { charges: 0, status: 429, isWhole: true }],
    ['cannot be connected', faults('', '', { provider: 'dead' }), { outcome: 'upstream_error', isSent: false, status: 502, isWhole: true }],
    ['meets a wrong certificate', faults('', '', { provider: 'stranger' }), { outcome: 'upstream_error', isSent: false, status: 502, isWhole: true }],
    ['meets a provider that hangs', faults('', '', { provider: 'silent' }), { outcome: 'upstream_error', status: 504, isWhole: true }],
    ['meets one that falls silent', faults('stall=body', 'stall=body;out=40'), { outcome: 'upstream_error' }],
    ['gets 400 from the provider', faults('status=400'), { outcome: 'upstream_error', status: 400, isWhole: true }],
    ['gets 401 from the provider', faults('status=401'), { outcome: 'upstream_error', status: 401, isWhole: true }],
    ['gets 429 from the provider', faults('status=429;retry_after=1'), { outcome: 'upstream_error', status: 429, isWhole: true }],
    ['gets 500 from the provider', faults('status=500'), { outcome: 'upstream_error', status: 500, isWhole: true }],
    ['gets 503 from the provider', faults('status=503'), { outcome: 'upstream_error', status: 503, isWhole: true }],
    ['is reset before the answer', faults('reset=start'), { outcome: 'upstream_error', status: 502, isWhole: true }],
    ['is reset in the head', faults('reset=head'), { outcome: 'upstream_error', status: 502, isWhole: true }],
    ['is reset in the body', faults('reset=60', 'events=8;out=40;reset=900'), { outcome: 'upstream_error' }],
    ['is reset after the body', resetsAfterwards, { outcome: 'ok', status: 200, isWhole: true }],
    ['is closed before the answer', faults('cut=start'), { outcome: 'upstream_error', status: 502, isWhole: true }],
    ['is closed in the body', faults('cut=60', 'events=8;out=40;cut=900'), { outcome: 'upstream_error' }],
    ['is left before the answer', clientLeaves('before', 'closes'), { isWhole: false }],
    ['is reset by its client before the answer', clientLeaves('before', 'resets'), { isWhole: false }],
    ['is left in the answer', clientLeaves('during', 'closes'), { isWhole: false }],
    ['is reset by its client in the answer', clientLeaves('during', 'resets'), { isWhole: false }],
    ['is half-closed by its client in the answer', clientLeaves('during', 'half-closes'), { isWhole: false }],
    ['is left after the answer', clientLeaves('after', 'closes'), { outcome: 'ok', isWhole: true }],
    ['is reset by its client after the answer', clientLeaves('after', 'resets'), { outcome: 'ok', isWhole: true }],
    ['gets no HTTP', faults('garbage=head'), { outcome: 'upstream_error', status: 502, isWhole: true }],
    ['gets a body that is no text', faults('garbage=body'), {}],
    ['gets broken JSON', faults('garbage=json'), {}],
    ['gets usage that is none', faults('usage=string', 'usage=last;usage=string'), { status: 200, isWhole: true }],
    ['gets negative usage', faults('usage=negative', 'usage=last;usage=negative'), { status: 200, isWhole: true }],
    ['gets a compressed answer', faults('encoding=gzip'), { status: 200, isWhole: true }],
    ['is open at a SIGTERM', shutsDown(false), { gate: 'mortal', outcome: 'ok', isWhole: true }],
    ['is cut by a second SIGTERM', shutsDown(true), { gate: 'mortal', isWhole: [true, false] }],
    ['begins on a full disk', diskFills('before'), { gate: 'full', charges: 0, status: 503, isWhole: true }],
    ['ends on a full disk', diskFills('during'), { gate: 'full', outcome: 'ok', isWhole: [true, false] }],
    ['ends in another period', periodChanges, { gate: 'slow', outcome: 'ok', isWhole: true, charges: 2 }],
];

const CELLS = EXITS.flatMap(([what, happens, wanted]) => [false, true].map((isStream) => ({
    what, happens, wanted, isStream, tag: `${isStream ? 'stream' : 'plain'} ${what}`,
    gateName: wanted.gate ?? 'shared' })));

/** How many cells each server has at once. */
const SERVERS = { shared: 6, mortal: 1, full: 1, slow: 2 };

// --- the servers ------------------------------------------------------------------------------------

let sim;
let secure;
let tap;
let canned;
let hanging;
const gates = {};

/** A server whose file has the log of holds. */
async function startGate(more = {}) {
    const [deadPort] = await freePorts(1);
    const at = (port) => ({ kind: 'openai', baseUrl: `http://127.0.0.1:${port}/v1` });
    const gate = await Tollgate.start({ ...more, providers: {
        openai: at(sim.port), tapped: { kind: 'openai', baseUrl: tap.baseUrl }, dead: at(deadPort), silent: at(hanging.address().port),
        canned: { kind: 'openai', baseUrl: canned.baseUrl },
        stranger: { kind: 'openai', baseUrl: `https://127.0.0.1:${secure.tlsPort}/v1` },
    } });

    await gate.stop();
    installHoldLog(gate);
    await gate.boot();
    return gate;
}

/** The team of a cell and its limits; none can be short but for what is refused. */
async function equip(at) {
    at.gate = gates[at.gateName];
    at.team = await newTeam(at.gate);
    at.limits = await Promise.all([['total_tokens', 1_000_000], ['cost', '1000'], ['requests', 1000], ['parallel', 50]]
        .map(([metric, amount]) => limitTeam(at.gate, at.team, metric, metric === 'parallel' ? undefined : 'total', amount)));
}

/** The turn that the slow cells wait for, once for both. */
function openAcrossTurn() {
    const now = Date.now();
    const next = (Math.floor(now / MINUTE_MS) + 1) * MINUTE_MS;
    const turnMs = next - now > HEAD_START_MS ? next : next + MINUTE_MS;

    for (const at of CELLS.filter((one) => one.gateName === 'slow')) {
        at.crossing = equip(at).then(() => crossTurn(at, turnMs));
        at.crossing.catch(() => {}); // its cell reports it
    }
}

before(async () => {
    sim = await Sim.start();
    secure = await Sim.start({ tls: makeCertificates() });
    tap = await Tap.start(sim.port);
    canned = await Canned.start();
    hanging = createServer((socket) => { socket.unref().on('error', () => {}).resume(); }).unref();
    await new Promise((done) => hanging.listen(0, '127.0.0.1', done));
    gates.slow = await startGate();
    openAcrossTurn();
    [gates.shared, gates.mortal, gates.full] = await Promise.all([
        startGate({ limits: { firstByteMs: FIRST_BYTE_MS, idleMs: IDLE_MS } }), startGate(), startGate()]);
});

after(async () => {
    for (const gate of Object.values(gates).filter((one) => one.daemon.isAlive))
        await gate.stop();
    for (const one of [tap, sim, secure, canned])
        await one?.stop();
    hanging?.close();
});

// --- what must hold ---------------------------------------------------------------------------------

const sum = (rows, of) => rows.reduce((total, row) => total + of(row), 0n);

/** What each metric makes of a team's charges. */
const COUNTED = {
    total_tokens: (rows) => sum(rows, (row) => BigInt(row.total_tokens)),
    cost: (rows) => sum(rows, (row) => nano(row.cost)),
    requests: (rows) => sum(rows, (row) => (row.flags.includes('not_sent') ? 0n : 1n)),
    parallel: () => 0n,
};

async function assertOneEnding(at, seen) {
    const { charges = 1, outcome, status, isSent = true } = at.wanted;
    const isWhole = [at.wanted.isWhole].flat()[at.isStream ? 1 : 0] ?? [at.wanted.isWhole].flat()[0];

    await until('the hold to end', async () => (await holdsOf(at)).length === 0);
    const rows = (await at.gate.get(`/api/v1/calls?team=${at.team.id}`)).data.filter((row) => row.outcome !== 'refused');
    const where = `${JSON.stringify(rows)} ${JSON.stringify(seen)}`;

    assert.equal(rows.length, charges, where);
    assert.equal(status ?? seen.status, seen.status, where);
    assert.equal(isWhole ?? seen.isWhole, seen.isWhole, where);
    assert.ok(rows.every((row) => row.outcome === (outcome ?? row.outcome) && row.outcome !== 'unreconciled'), where);
    assert.ok(rows.every((row) => row.flags.includes('not_sent') === !isSent), where);
    for (const limit of at.limits) {
        const { metric, spent, held, unreconciled } = await limit.show();
        assert.deepEqual([spent, held, unreconciled], [COUNTED[metric](rows), 0n, 0n], `${metric} ${where}`);
    }
    const billed = sim.tagged(at.tag).reduce((total, line) => total + line.usage.completion_tokens, 0);
    assert.ok(billed === 0 || rows.some((row) => row.output_tokens > 0 && nano(row.cost) > 0n), `${where} billed ${billed}`);
    const { status: verdict, stdout } = at.gate.cli('verify');
    assert.equal(verdict, 0, stdout);
}

let ran = 0;

describe('a call that', { concurrency: true }, () => {
    for (const [name, concurrency] of Object.entries(SERVERS))
        describe(`(${name} server)`, { concurrency }, () => {
            for (const at of CELLS.filter((one) => one.gateName === name))
                test(`${at.what}, ${at.isStream ? 'streamed' : 'plain'}`, async () => {
                    if (at.crossing === undefined)
                        await equip(at);
                    await assertOneEnding(at, await at.happens(at));
                    ran++;
                });
        });
});

test('every cell has run, and each hold has begun once, ended once and has one charge', async (t) => {
    let holds = 0;

    assert.equal(ran, EXITS.length * 2);
    await Promise.all(Object.values(gates).map((gate) => gate.stop()));
    for (const [name, gate] of Object.entries(gates)) {
        const log = readHoldLog(gate);

        for (const hold of log.holds)
            assert.deepEqual([hold.begun, hold.ended, hold.charges, hold.isOpen], [1, 1, 1, 0], JSON.stringify(hold));
        assert.equal(log.charges, log.holds.length, 'no charge without a hold');
        for (const at of CELLS.filter((one) => one.gateName === name))
            assert.equal(log.holds.filter((hold) => hold.team === at.team.id).length, at.wanted.charges ?? 1, at.tag);
        holds += log.holds.length;
    }
    t.diagnostic(`${ran} cells of ${CELLS.length} declared, ${holds} holds begun, ended and charged once`);
});
