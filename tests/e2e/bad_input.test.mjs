// Goal: bad input and a bad world each get the right answer, in OpenAI's envelope, logged once with the
// request id; nothing is dispatched that cannot be recorded, no charge already due is lost, and the
// process lives on. Method: one row a mistake, sent to the built binary; the simulator's bill tells
// whether anything was dispatched. The disk is made to fail under the running process by its file size
// limit, and by a file system of its own where the suite may mount one.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Raw } from './support/http.mjs';
import { APIError, openai } from './support/openai.mjs';
import { freePorts, freshFolder, run } from './support/process.mjs';
import { costs, nano } from './support/prices.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { until } from './support/wait.mjs';

const BODY_MAX = 100_000;
const HEAD_MS = 400;
const BODY_MS = 500;
const FIRST_BYTE_MS = 500;
const IDLE_MS = 400;
const LIMITS = { bodyMaxBytes: BODY_MAX, headMs: HEAD_MS, bodyMs: BODY_MS, firstByteMs: FIRST_BYTE_MS, idleMs: IDLE_MS };

const WELL = '{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}';

// [what, request, status, code]
const MISTAKES = [
    ['unknown path', { path: '/v1/nothing' }, 404, 'unknown_url'],
    ['path of nobody', { path: '/nobody/v1/chat/completions' }, 404, 'model_not_found'],
    ['model of nobody', { body: { model: 'nothing-known' } }, 404, 'model_not_found'],
    ['wrong method', { method: 'PUT' }, 405, 'method_not_allowed'],
    ['no key', { headers: { authorization: '' } }, 401, 'invalid_api_key'],
    ['a key of somebody else', { key: 'sk-proj-1234567890' }, 401, 'invalid_api_key'],
    ['a wrong key of ours', { key: `tgk_${'A'.repeat(48)}` }, 401, 'invalid_api_key'],
    ['basic credentials', { headers: { authorization: 'Basic eDp5' } }, 401, 'invalid_api_key'],
    ['an empty body', { rawBody: '' }, 400, 'invalid_request'],
    ['a body that is no JSON', { rawBody: '{"model":' }, 400, 'invalid_request'],
    ['a body that is no object', { rawBody: '["gpt-4o"]' }, 400, 'invalid_request'],
    ['two bodies', { rawBody: `${WELL}{}` }, 400, 'invalid_request'],
    ['single quotes', { rawBody: WELL.replaceAll('"', "'") }, 400, 'invalid_request'],
    ['a comma too many', { rawBody: '{"model":"gpt-4o","messages":[],}' }, 400, 'invalid_request'],
    ['UTF-16', { rawBody: Buffer.from(WELL, 'utf16le') }, 400, 'invalid_request'],
    ['no UTF-8', { rawBody: Buffer.from(WELL.replace('hello', '\xff\xfe'), 'latin1') }, 400, 'invalid_request'],
    ['no model', { rawBody: '{"messages":[]}' }, 400, 'invalid_request'],
    ['a model that is no text', { rawBody: '{"model":5,"messages":[]}' }, 400, 'invalid_request'],
    ['a model of 300 letters', { rawBody: `{"model":"${'g'.repeat(300)}","messages":[]}` }, 400, 'invalid_request'],
    ['the model twice', { rawBody: '{"model":"gpt-4o-mini","messages":[],"model":"gpt-4o"}' }, 400, 'invalid_request'],
    ['the model twice, once escaped', { rawBody: '{"model":"gpt-4o-mini","mod\\u0065l":"gpt-4o","messages":[]}' }, 400, 'invalid_request'],
    ['stream twice', { rawBody: '{"model":"gpt-4o","stream":false,"stream":true}' }, 400, 'invalid_request'],
    ['n twice', { rawBody: '{"model":"gpt-4o","n":1,"n":8}' }, 400, 'invalid_request'],
    ['max_tokens twice', { rawBody: '{"model":"gpt-4o","max_tokens":1,"max_tokens":9999}' }, 400, 'invalid_request'],
    ['max_tokens twice, once escaped', { rawBody: '{"model":"gpt-4o","max_tokens":1,"m\\u0061x_tokens":9999}' }, 400, 'invalid_request'],
    ['max_completion_tokens twice', { rawBody: '{"model":"gpt-4o","max_completion_tokens":1,"max_completion_tokens":2}' }, 400, 'invalid_request'],
    ['stream_options twice', { rawBody: '{"model":"gpt-4o","stream":true,"stream_options":{},"stream_options":{"include_usage":true}}' }, 400, 'invalid_request'],
    ['max_tokens below 0', { rawBody: '{"model":"gpt-4o","max_tokens":-1}' }, 400, undefined],
    ['max_tokens with a fraction', { rawBody: '{"model":"gpt-4o","max_tokens":1.5}' }, 400, undefined],
    ['max_tokens past 2^64', { rawBody: '{"model":"gpt-4o","max_tokens":18446744073709551617}' }, 400, undefined],
    ['n that is a text', { rawBody: '{"model":"gpt-4o","n":"2"}' }, 400, undefined],
    ['n of 129', { rawBody: '{"model":"gpt-4o","n":129}' }, 400, undefined],
    ['stream that is a number', { rawBody: '{"model":"gpt-4o","stream":1}' }, 400, undefined],
    ['100 levels', { rawBody: `{"model":"gpt-4o","x":${'['.repeat(100)}${']'.repeat(100)}}` }, 400, undefined],
    ['a body over its limit', { rawBody: `{"model":"gpt-4o","x":"${'v'.repeat(BODY_MAX)}"}` }, 413, 'request_too_large'],
    ['a compressed body', { headers: { 'content-encoding': 'gzip' } }, 415, 'unsupported_content_encoding'],
];

let sim;
let gate;
let deadPort;
let silent;

before(async () => {
    sim = await Sim.start();
    [deadPort] = await freePorts(1);
    silent = createServer((socket) => { socket.unref().on('error', () => {}).resume(); }).unref();
    await new Promise((done) => silent.listen(0, '127.0.0.1', done));
    gate = await Tollgate.start({ limits: LIMITS, providers: {
        openai: { kind: 'openai', baseUrl: sim.baseUrl },
        dead: { kind: 'openai', baseUrl: `http://127.0.0.1:${deadPort}/v1` },
        silent: { kind: 'openai', baseUrl: `http://127.0.0.1:${silent.address().port}/v1` },
    } });
});

after(async () => {
    await gate?.stop();
    await sim?.stop();
    silent?.close();
});

/** In OpenAI's envelope, and one line of the log. */
async function assertRefused(what, answer, status, code) {
    const id = answer.headers['x-request-id'];
    const { error } = JSON.parse(answer.body);

    assert.equal(answer.status, status, `${what}: ${answer.body}`);
    assert.match(answer.headers['content-type'], /^application\/json/, what);
    assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type'], what);
    assert.ok(typeof error.message === 'string' && error.message.length > 0, what);
    assert.ok(typeof error.type === 'string' && error.type.length > 0, what);
    if (code !== undefined)
        assert.equal(error.code, code, what);
    assert.match(id, /^call_/, what);
    await until(`a line of the log about ${what}`, () => gate.logged(id).length > 0);
    assert.equal(gate.logged(id).length, 1, `${what}: ${gate.logged(id).join('\n')}`);
}

async function assertServes(server = gate) {
    const answer = await server.chat();

    assert.equal(answer.status, 200, answer.body.toString());
    assert.equal((await server.receipt(answer.headers['x-request-id'])).outcome, 'ok');
}

describe('bad input', () => {
    test('each mistake gets its answer, is logged once, and reaches no provider', async () => {
        for (const [what, request, status, code] of MISTAKES) {
            const tag = `mistake ${what}`;

            await assertRefused(what, await gate.chat({ ...request, tag }), status, code);
            assert.deepEqual(sim.tagged(tag), [], what);
        }
        await gate.quiet();
        await assertServes();
    });

    test('the official client makes its own errors of them', async () => {
        const one = { model: 'gpt-4o', messages: [] };
        const fails = (client) => client.chat.completions.create(one).then(() => null, (error) => error);
        const wrong = await fails(openai(gate.baseUrl, 'tgk_wrong'));
        const lost = await fails(openai(`${gate.url}/v2`, gate.key));

        assert.ok(wrong instanceof APIError && lost instanceof APIError);
        assert.equal(wrong.status, 401);
        assert.equal(wrong.code, 'invalid_api_key');
        assert.match(wrong.requestID, /^call_/);
        assert.equal(lost.status, 404);
    });

    test('a body over its limit is refused before it is read, also when chunked', async () => {
        const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${gate.key}\r\n`;
        const announced = (await Raw.open(gate.port)).send(`${head}Content-Length: ${BODY_MAX + 1}\r\n\r\n`);
        const [first] = await announced.ended();
        await assertRefused('announced', first, 413, 'request_too_large');
        const chunked = (await Raw.open(gate.port)).send(`${head}Transfer-Encoding: chunked\r\n\r\n`);
        for (let sent = 0; sent <= BODY_MAX; sent += 4096)
            chunked.send(`1000\r\n${'v'.repeat(4096)}\r\n`);
        const [second] = await chunked.ended();
        await assertRefused('chunked', second, 413, 'request_too_large');
        const exact = JSON.stringify({ model: 'gpt-4o', messages: [], x: '' });
        const full = exact.replace('"x":""', `"x":"${'v'.repeat(BODY_MAX - exact.length)}"`);
        assert.equal((await gate.chat({ rawBody: full })).status, 200);
        assert.equal((await gate.chat({ rawBody: `${full} ` })).status, 413);
    });

    test('a head of more than 32 KiB or 100 fields is refused with 431', async () => {
        const many = Object.fromEntries(Array.from({ length: 120 }, (_, i) => [`x-${i}`, 'v']));

        await assertRefused('many fields', await gate.chat({ headers: many }), 431, 'headers_too_large');
        await assertRefused('a long field', await gate.chat({ headers: { 'x-long': 'v'.repeat(33_000) } }), 431, 'headers_too_large');
    });

    test('a head or a body that trickles in gets 408 at its deadline, however lively it is', async () => {
        const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${gate.key}\r\n`;

        for (const [what, first, rest, ms] of [['head', head, 'X: y\r\n', HEAD_MS],
            ['body', `${head}Content-Length: 90000\r\n\r\n`, 'v', BODY_MS]]) {
            const raw = (await Raw.open(gate.port)).send(first);
            const start = performance.now();
            const trickle = setInterval(() => raw.closed || raw.send(rest), 40);
            const [answer] = await raw.ended(ms + 3000);
            const took = performance.now() - start;

            clearInterval(trickle);
            await assertRefused(what, answer, 408, 'request_timeout');
            assert.ok(took >= ms - 50 && took < ms + 1500, `${what}: ${took} ms`);
        }
        await assertServes();
    });

    test('a provider that cannot be reached gives 502 and no charge', async () => {
        const answer = await gate.chat({ path: '/dead/v1/chat/completions' });
        const row = await gate.receipt(answer.headers['x-request-id']);

        await assertRefused('dead provider', answer, 502, 'provider_unreachable');
        assert.equal(nano(row.cost), 0n);
        assert.equal(row.total_tokens, 0);
        assert.equal(row.outcome, 'upstream_error');
        assert.ok(row.flags.includes('not_sent'));
    });

    test('a provider that stays silent gives 504, and what it may have generated is charged', async () => {
        for (const request of [{ path: '/silent/v1/chat/completions' }, { sim: 'stall=head' }, { sim: 'first_ms=60000' }]) {
            const start = performance.now();
            const answer = await gate.chat({ ...request, body: { max_tokens: 10 } });
            const took = performance.now() - start;
            const row = await gate.receipt(answer.headers['x-request-id']);

            await assertRefused(JSON.stringify(request), answer, 504, 'provider_timeout');
            assert.ok(took >= FIRST_BYTE_MS - 50 && took < FIRST_BYTE_MS + 2500, `${took} ms`);
            assert.ok(nano(row.cost) > 0n && row.flags.includes('estimated'), JSON.stringify(row));
        }
    });

    test('a provider that falls silent in a stream has it ended without its end, and charged', async () => {
        const answer = await gate.chat({ body: { stream: true }, sim: 'stall=body;out=40', tag: 'falls silent' });
        const row = await gate.receipt(answer.headers['x-request-id']);
        const [line] = await sim.billed('falls silent');

        assert.ok(answer.error !== null, 'the client can tell');
        assert.doesNotMatch(answer.body.toString(), /\[DONE\]|"finish_reason":"stop"/);
        assert.ok(row.output_tokens > 0 && line.usage.completion_tokens > 0);
        assert.equal(row.outcome, 'upstream_error');
    });

    test('answers that are no HTTP give 502', async () => {
        for (const script of ['garbage=head', 'cut=head', 'cut=start'])
            await assertRefused(script, await gate.chat({ sim: script }), 502, 'provider_invalid_answer');
        await assertServes();
    });
});

describe('a disk that fails', () => {
    let small;

    before(async () => {
        small = await Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
    });
    after(() => small?.stop());

    const limitFiles = (limit) => {
        const { status, stderr } = run('prlimit', ['--pid', String(small.daemon.pid), `--fsize=${limit}:`]);
        assert.equal(status, 0, stderr);
    };

    test('nothing is dispatched while the ledger cannot be written, and calls go on once it can', async () => {
        await assertServes(small);
        limitFiles(0);
        for (let i = 0; i < 5; i++) {
            const answer = await small.chat({ tag: 'unwritable', body: { stream: i % 2 === 1 } });

            assert.equal(answer.status, 503, answer.body.toString());
            assert.equal(JSON.parse(answer.body).error.code, 'ledger_unavailable');
            await until('a line of the log', () => small.logged(answer.headers['x-request-id']).length > 0);
        }
        assert.deepEqual(sim.tagged('unwritable'), []);
        limitFiles('unlimited');
        await until('calls to be served again', async () => (await small.chat()).status === 200);
        await assertServes(small);
    });

    test('a charge due while the ledger cannot be written is not lost, and its answer not completed', async () => {
        const body = WELL.replace('{', '{"stream":true,');
        const raw = (await Raw.open(small.port)).send('POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n' +
            `Authorization: Bearer ${small.key}\r\nx-sim: gap_ms=60;events=6;out=30\r\nx-sim-tag: due\r\n` +
            `Content-Length: ${body.length}\r\n\r\n${body}`);

        await until('the first event', () => raw.text.includes('data: '));
        limitFiles(0);
        const [answer] = await raw.ended();
        const [line] = await sim.billed('due');
        assert.equal(line.state, 'complete');
        assert.ok(!answer.isWhole);
        assert.doesNotMatch(answer.body, /\[DONE\]|"finish_reason":"stop"/);
        assert.equal((await small.chat()).status, 503);
        limitFiles('unlimited');
        const id = answer.headers['x-request-id'];
        const row = await until('the charge', () => small.receipt(id).then((one) => one.outcome && one, () => false));
        assert.equal(row.total_tokens, line.usage.total_tokens);
        assert.equal(nano(row.cost), (await costs([line]))[0]);
        await small.quiet();
        await until('calls to be served again', async () => (await small.chat()).status === 200);
    });

    test('admission stops while the disk still has room for settlements', async (t) => {
        const folder = freshFolder();

        if (run('mount', ['-t', 'tmpfs', '-o', 'size=96m', 'none', folder]).status !== 0)
            return t.skip('may not mount a file system');
        try {
            const tiny = await Tollgate.start({ dataDir: join(folder, 'data'),
                providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
            await assertServes(tiny);
            writeFileSync(join(folder, 'filler'), Buffer.alloc(48 << 20));
            await until('admission to stop', async () => (await tiny.chat({ tag: 'full' })).status === 503);
            const before = sim.tagged('full').length;
            const answer = await tiny.chat({ tag: 'full' });
            assert.equal(answer.status, 503);
            assert.equal(JSON.parse(answer.body).error.code, 'ledger_unavailable');
            assert.equal(sim.tagged('full').length, before);
            writeFileSync(join(folder, 'filler'), '');
            await until('calls to be served again', async () => (await tiny.chat()).status === 200);
            await tiny.stop();
        } finally {
            run('umount', ['-l', folder]);
        }
    });
});
