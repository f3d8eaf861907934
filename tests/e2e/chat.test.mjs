// Goal: whatever the official client asks and however the provider words its answer, the client sees
// what it would have seen without Tollgate, and the ledger says what the provider billed, to the token
// and the nano-dollar. Method: the openai client and raw requests through the built binary to the
// simulator; counts are compared with the simulator's own bill, money with ref_cost.py.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { Canned } from './support/canned.mjs';
import { sseData } from './support/http.mjs';
import { APIError, drink, openai } from './support/openai.mjs';
import { costs, nano, pricedModels } from './support/prices.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { parallel } from './support/wait.mjs';

const MESSAGES = [{ role: 'user', content: 'What does it cost?' }];

const MODELS = ['gpt-4o', 'gpt-4o-mini', 'gpt-4.1', 'gpt-5', 'gpt-5-mini', 'gpt-5.4', 'gpt-4o-audio-preview'];

// Counts of every kind, small and large; 272,000 prompt tokens is where gpt-5.4 gets dearer.
const COUNTS = [
    '',
    'prompt=1;out=1',
    'prompt=1000;cached=999;out=3',
    'prompt=120000;cached=119808;out=4096;reasoning=4032',
    'prompt=500;audio_in=123;out=77',
    'prompt=500;cached=100;audio_in=50;out=7;reasoning=7',
    'prompt=700;cache_write=600;out=5',
    'prompt=700;cached=50;cache_write=600;out=5',
    'prompt=272000;out=10',
    'prompt=272001;cached=1;out=10',
    'prompt=9999;out=128000;reasoning=127000;events=40',
];

// Ways to write a stream that must reach the client byte by byte. `x-sim` for both, with and without.
const WRITINGS = [
    '', 'crlf=1', 'cr=1', 'comments=1', 'crlf=1;comments=1', 'bom=1', 'multiline=1', 'obfuscation=1', 'azure=1',
    'done=no', 'split=1', 'split=7', 'split=1;crlf=1', 'coalesce=1', 'usage=last', 'usage=extra', 'usage=every',
    'usage=null_after', 'usage=none', 'usage=wrong', 'usage=string', 'usage=last;usage=string', 'usage=negative',
    'usage=huge', 'chunk_ext=1', 'trailers=1', 'eof=1', 'close=1', 'hundred=1', 'error_after=0', 'error_after=5',
    'garbage=json', 'garbage=body', 'big=200000', 'big=900000;events=3', 'slow_ms=1;events=2', 'early=1',
    'model=gpt-4o-2024-11-20', 'tier=priority', 'out=0', 'out=6;events=6;gap_ms=5',
];

let sim;
let gate;
let client;

before(async () => {
    sim = await Sim.start();
    gate = await Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
    client = openai(gate.baseUrl, gate.key);
});

after(async () => {
    await gate?.stop();
    await sim?.stop();
});

/** What is true of every call that came to its end: the ledger is the bill. */
function assertCharged(call, line, costNano) {
    const where = `${call.id} ${line.id}`;
    const { usage } = line;

    assert.equal(call.input_tokens, usage.prompt_tokens, where);
    assert.equal(call.output_tokens, usage.completion_tokens, where);
    assert.equal(call.total_tokens, usage.total_tokens, where);
    assert.equal(call.source, 'provider', where);
    assert.equal(call.outcome, 'ok', where);
    assert.equal(call.model, line.model, where);
    assert.equal(call.served_model, line.served_model, where);
    assert.equal(call.stream, line.stream, where);
    assert.equal(nano(call.cost), costNano, where);
    assert.equal(nano(call.provider_cost), costNano, where);
    assert.ok(!call.flags.includes('estimated') && !call.flags.includes('unpriced'), where);
}

/** Counts of each class, from the overlapping ones of the bill. */
function classesOf({ usage }) {
    const cached = usage.prompt_tokens_details.cached_tokens;
    const written = usage.prompt_tokens_details.cache_write_tokens ?? 0;
    const audio = usage.prompt_tokens_details.audio_tokens;
    const classes = { input: usage.prompt_tokens - cached - written - audio, cache_read: cached,
        cache_write: written, input_audio: audio, output: usage.completion_tokens };

    return Object.fromEntries(Object.entries(classes).filter(([, count]) => count > 0));
}

async function plain(model, script, more = {}) {
    const { data, response } = await client.chat.completions
        .create({ model, messages: MESSAGES, ...more }, { headers: { 'x-sim': script } }).withResponse();

    return { answer: data.id, call: response.headers.get('x-request-id'), data,
        cost: response.headers.get('x-tollgate-cost-usd') };
}

async function streamed(model, script, more = {}) {
    const { data, response } = await client.chat.completions
        .create({ model, messages: MESSAGES, stream: true, ...more }, { headers: { 'x-sim': script } }).withResponse();
    const { chunks, error } = await drink(data);

    assert.equal(error, null);
    return { answer: chunks.at(-1).id, call: response.headers.get('x-request-id'), chunks };
}

async function assertAllCharged(done) {
    const bill = new Map(sim.bill().map((line) => [line.id, line]));
    const lines = done.map(({ answer }) => bill.get(answer));
    const expected = await costs(lines);
    const rows = new Map((await gate.calls()).map((row) => [row.id, row]));

    assert.equal(new Set(done.map(({ call }) => call)).size, done.length, 'each call has an id of its own');
    done.forEach(({ call, cost }, i) => {
        assert.ok(rows.has(call), `${call} is in the ledger`);
        assertCharged(rows.get(call), lines[i], expected[i]);
        if (cost !== undefined)
            assert.equal(nano(cost), expected[i]);
    });
}

describe('chat', () => {
    test('every kind of count is charged to the token and the nano-dollar, plain and streamed', async () => {
        const cases = MODELS.flatMap((model) => COUNTS.flatMap((script) =>
            [plain, streamed].map((how) => ({ model, script, how }))));
        const done = await parallel(8, cases.length, (i) => cases[i].how(cases[i].model, cases[i].script));

        await assertAllCharged(done);
        for (const { answer, call } of done.slice(0, 60))
            assert.deepEqual((await gate.receipt(call)).usage, classesOf(sim.line(answer)));
    });

    test('one call after the other on one connection', async () => {
        const done = [];

        for (let i = 0; i < 20; i++)
            done.push(await [plain, streamed][i % 2]('gpt-4o', ''));
        await assertAllCharged(done);
    });

    test('64 at a time, plain and streamed', async () => {
        await assertAllCharged(await parallel(64, 512, (i) =>
            (i % 2 ? plain : streamed)(MODELS[i % MODELS.length], i % 3 ? '' : 'gap_ms=2;events=10')));
    });

    test('every model of the book with a standard price is charged at it', async () => {
        const models = [...pricedModels('openai')]
            .filter(([, { components }]) => components.has('input') && components.has('output'))
            .map(([model]) => model);

        assert.ok(models.length > 50, `${models.length} models`);
        await assertAllCharged(await parallel(16, models.length, (i) => plain(models[i], 'prompt=12345;out=678')));
    });

    test('the tier and the model that the answer names are the ones that are charged', async () => {
        const done = [
            await plain('gpt-4o', 'tier=priority;prompt=1001;cached=1;out=7'),
            await streamed('gpt-4o', 'tier=priority;prompt=1001;out=7'),
            await plain('gpt-5-mini', 'tier=flex;prompt=999;out=3'),
            await plain('gpt-4o', 'model=gpt-4o-2024-11-20;prompt=999;out=3'),
            await streamed('gpt-5', 'model=gpt-5-2025-08-07;prompt=999;out=3'),
        ];

        await assertAllCharged(done);
    });

    test('several choices are one call', async () => {
        const done = [
            await plain('gpt-4o', '', { n: 3, max_tokens: 50 }),
            await streamed('gpt-4o', '', { n: 3, max_tokens: 50 }),
            await streamed('gpt-4o', 'events=300;out=900', { n: 128 }),
        ];

        assert.equal(done[0].data.choices.length, 3);
        for (const [i, n] of [[1, 3], [2, 128]]) {
            const finished = done[i].chunks.flatMap((chunk) => chunk.choices).filter((one) => one.finish_reason);
            assert.deepEqual(finished.map((one) => one.index), [...Array(n).keys()]);
        }
        await assertAllCharged(done);
    });

    test('a usage chunk that was not asked for is kept from the client, one that was is not', async () => {
        const done = [];

        for (const script of ['', 'usage=extra', 'crlf=1', 'split=3', 'n', 'azure=1', 'coalesce=1']) {
            const more = script === 'n' ? { n: 2 } : {};
            const sent = script === 'n' ? '' : script;
            const without = await streamed('gpt-4o', sent, more);
            const asked = await streamed('gpt-4o', sent, { ...more, stream_options: { include_usage: true } });
            const refused = await streamed('gpt-4o', sent, { ...more, stream_options: { include_usage: false } });

            for (const { chunks } of [without, refused])
                assert.ok(chunks.every((chunk) => !chunk.usage), script);
            const last = asked.chunks.at(-1);
            assert.deepEqual(last.choices, [], script);
            assert.deepEqual(last.usage, sim.line(asked.answer).usage, script);
            assert.equal(asked.chunks.length, without.chunks.length + 1, script);
            done.push(without, asked, refused);
        }
        await assertAllCharged(done);
    });
});

/** Ids and times differ from one answer to the next, nothing else may. */
function normal(body) {
    return body.toString('latin1')
        .replace(/"id":"chatcmpl-sim-\d+"/g, '"id":"X"').replace(/"created":[1-9]\d*/g, '"created":1');
}

function unpacked({ headers, body }) {
    return headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body;
}

function withoutUsageChunk(body) {
    return body.replace(/data: (?:(?!\r?\n\r?\n|\r\r)[^])*"choices":\[\],"usage":\{(?:(?!\r?\n\r?\n|\r\r)[^])*(?:\r\n\r\n|\n\n|\r\r)/g, '');
}

const ASKED = { stream: true, stream_options: { include_usage: true } };

describe('bytes', () => {
    test('a stream reaches the client as the provider wrote it', async () => {
        await parallel(6, WRITINGS.length, async (i) => {
            const script = WRITINGS[i];
            const body = { model: 'gpt-4o', messages: MESSAGES, max_tokens: 40, ...ASKED };
            const counts = script.includes('out=') ? script : `prompt=50;out=20;${script}`;
            const there = await sim.direct({ body, headers: { 'x-sim': counts } });
            const here = await gate.chat({ body, sim: counts });

            assert.equal(here.status, there.status, script);
            assert.equal(normal(here.body), normal(there.body), script);
            assert.equal(here.error, null, script);
        });
    });

    test('but for the usage chunk, that is so where usage was not asked for', async () => {
        const scripts = WRITINGS.filter((script) => !/usage=extra|error_after|garbage|multiline|obfuscation/.test(script));

        await parallel(6, scripts.length, async (i) => {
            const script = scripts[i];
            const counts = script.includes('out=') ? script : `prompt=50;out=20;${script}`;
            const body = { model: 'gpt-4o', messages: MESSAGES, max_tokens: 40 };
            const there = await sim.direct({ body: { ...body, ...ASKED }, headers: { 'x-sim': counts } });
            const here = await gate.chat({ body: { ...body, stream: true }, sim: counts });

            assert.equal(normal(here.body), withoutUsageChunk(normal(there.body)), script);
        });
    });

    test('a plain answer reaches the client as the provider wrote it', async () => {
        for (const script of ['', 'split=1', 'chunk_ext=1', 'trailers=1', 'eof=1', 'close=1', 'big=70000',
            'big=3000000', 'usage=none', 'usage=string', 'garbage=json', 'garbage=body', 'hundred=1', 'early=1',
            'encoding=gzip']) {
            const body = { model: 'gpt-4o', messages: MESSAGES };
            const counts = `prompt=50;out=20;${script}`;
            const there = await sim.direct({ body, headers: { 'x-sim': counts } });
            const here = await gate.chat({ body, sim: counts });

            assert.equal(here.status, 200, script);
            assert.equal(normal(unpacked(here)), normal(unpacked(there)), script);
            assert.equal(here.headers['content-type'], there.headers['content-type'], script);
            assert.equal(here.headers['content-encoding'], there.headers['content-encoding'], script);
        }
    });

    test('the request reaches the provider as the client wrote it, but for the question for usage', async () => {
        const tool = { type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } };
        const bodies = [
            '{"model":"gpt-4o","messages":[{"role":"user","content":"\\u00e9\\ud83d\\ude00 \\"n\\":2"}]}',
            '\n { "messages" : [ ] ,\t"model" : "gpt-4o" , "temperature" : 1e-1 , "x" : 12345678901234567890 } \n',
            JSON.stringify({ model: 'gpt-4o', messages: MESSAGES, tools: [tool], tool_choice: 'auto', n: 1 }),
            JSON.stringify({ model: 'gpt-4o', messages: MESSAGES, ...ASKED }),
        ];

        for (const body of bodies) {
            const headers = { authorization: `Bearer ${gate.key}`, 'x-sim': 'hop=1' };
            const { body: text } = await gate.chat({ headers, rawBody: body });
            const echo = JSON.parse(/"stream":true/.test(body) ? sseData(text)[0] : text).echo;
            assert.equal(echo.body, body);
        }
        const { body: text } = await gate.chat({ sim: 'hop=1', body: { stream: true, messages: MESSAGES } });
        const sent = JSON.parse(JSON.parse(sseData(text)[0]).echo.body);
        assert.deepEqual(sent, { stream_options: { include_usage: true }, model: 'gpt-4o', messages: MESSAGES, stream: true });
    });

    test('tool calls pass, plain and streamed, and are charged by their usage', async () => {
        const canned = await Canned.start();
        const usage = { prompt_tokens: 82, completion_tokens: 18, total_tokens: 100 };
        const call = { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } };
        const chunk = (delta, finish = null, more = {}) => `data: ${JSON.stringify({ id: 'chatcmpl-t', object:
            'chat.completion.chunk', created: 1, model: 'gpt-4o', choices: [{ index: 0, delta, finish_reason: finish }],
        ...more })}\n\n`;
        const stream = [
            chunk({ role: 'assistant', content: null, tool_calls: [{ index: 0, ...call, function: { name: 'weather', arguments: '' } }] }),
            chunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
            chunk({ tool_calls: [{ index: 0, function: { arguments: '"Oslo"}' } }] }),
            chunk({}, 'tool_calls'),
            `data: ${JSON.stringify({ id: 'chatcmpl-t', model: 'gpt-4o', choices: [], usage })}\n\n`,
            'data: [DONE]\n\n',
        ];

        gate.addProvider('canned', 'openai', canned.baseUrl);
        const tools = openai(`${gate.url}/canned/v1`, gate.key).chat.completions;
        canned.answer({ headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id: 'chatcmpl-t',
            object: 'chat.completion', created: 1, model: 'gpt-4o', choices: [{ index: 0, finish_reason: 'tool_calls',
                message: { role: 'assistant', content: null, tool_calls: [call] } }], usage }) });
        const plainly = await tools.create({ model: 'gpt-4o', messages: MESSAGES }).withResponse();
        assert.deepEqual(plainly.data.choices[0].message.tool_calls, [call]);
        canned.answer({ headers: { 'content-type': 'text/event-stream' }, body: stream.join('') });
        const streaming = await tools.create({ model: 'gpt-4o', messages: MESSAGES, stream: true }).withResponse();
        const { chunks } = await drink(streaming.data);
        const args = chunks.flatMap((one) => one.choices[0].delta.tool_calls ?? []).map((one) => one.function.arguments);
        assert.equal(args.join(''), call.function.arguments);
        assert.equal(chunks.length, 4);
        for (const { response } of [plainly, streaming]) {
            const row = await gate.receipt(response.headers.get('x-request-id'));
            assert.equal(row.input_tokens, 82);
            assert.equal(row.output_tokens, 18);
            assert.equal(nano(row.cost), 82n * 2500n + 18n * 10000n);
        }
        await canned.stop();
    });
});

describe('odd answers', () => {
    const DOUBTED = ['usage=negative', 'usage=huge', 'usage=wrong', 'usage=string'];

    test('a stream without [DONE], with usage in its last chunk, in every chunk: charged as billed', async () => {
        const done = [];

        for (const script of ['done=no', 'usage=last', 'usage=every', 'usage=null_after', 'usage=last;done=no', 'eof=1',
            'eof=1;done=no', 'azure=1', 'bom=1', 'cr=1', 'crlf=1', 'comments=1', 'multiline=1', 'obfuscation=1',
            'trailers=1', 'big=300000', 'split=1;events=4'])
            done.push(await streamed('gpt-4o', script));
        await assertAllCharged(done);
    });

    test('an answer without usage is estimated, never free', async () => {
        for (const stream of [false, true]) {
            const answer = await gate.chat({ body: { stream }, sim: 'usage=none;out=50' });
            const row = await gate.receipt(answer.headers['x-request-id']);

            assert.equal(row.source, 'estimated');
            assert.ok(row.flags.includes('estimated'));
            assert.ok(row.input_tokens > 0 && row.output_tokens >= 50 && nano(row.cost) > 0n, JSON.stringify(row));
        }
    });

    test('a usage record that cannot be right is bounded and flagged, never negative or free', async () => {
        for (const script of DOUBTED)
            for (const stream of [false, true]) {
                const answer = await gate.chat({ body: { stream }, sim: script });
                const row = await gate.receipt(answer.headers['x-request-id']);

                assert.ok(row.flags.includes('usage_doubtful'), `${script}: ${JSON.stringify(row)}`);
                assert.ok(row.output_tokens > 0 && row.input_tokens >= 0 && nano(row.cost) > 0n, script);
            }
    });

    test('an error in the middle of a stream is passed on, and what was generated is charged', async () => {
        const { data, response } = await client.chat.completions.create(
            { model: 'gpt-4o', messages: MESSAGES, stream: true },
            { headers: { 'x-sim': 'error_after=20;out=60' } }).withResponse();
        const { chunks, error } = await drink(data);
        const row = await gate.receipt(response.headers.get('x-request-id'));

        assert.ok(error instanceof APIError);
        assert.equal(chunks.length, 21);
        assert.equal(row.outcome, 'upstream_error');
        assert.ok(row.output_tokens >= 20 && nano(row.cost) > 0n, JSON.stringify(row));
    });

    test('a provider that breaks off leaves a charge, and the client can tell', async () => {
        for (const script of ['cut=900', 'reset=900', 'cut=40', 'cut=head', 'reset=head', 'cut=start', 'reset=start',
            'garbage=head'])
            for (const stream of [false, true]) {
                const tag = `${script}-${stream}`;
                const answer = await gate.chat({ body: { stream }, sim: `out=200;${script}`, tag });
                const row = await gate.receipt(answer.headers['x-request-id']);

                assert.ok(answer.error !== null || answer.status === 502, `${tag}: ${answer.status}`);
                assert.equal(row.outcome, 'upstream_error', tag);
                if (sim.tagged(tag).some(({ usage }) => usage.completion_tokens > 0))
                    assert.ok(row.output_tokens > 0 && nano(row.cost) > 0n, `${tag}: ${JSON.stringify(row)}`);
            }
    });

    test('a model without a price is metered and flagged', async () => {
        const answer = await gate.chat({ body: { model: 'gpt-of-the-future' } });
        const row = await gate.receipt(answer.headers['x-request-id']);

        assert.equal(answer.status, 200);
        assert.equal(answer.headers['x-tollgate-cost-usd'], undefined);
        assert.ok(row.flags.includes('unpriced'));
        assert.equal(row.total_tokens, JSON.parse(answer.body).usage.total_tokens);
    });

    test('error answers pass unchanged and cost nothing', async () => {
        for (const script of ['status=400', 'status=401', 'status=403', 'status=404', 'status=409', 'status=422',
            'status=429;retry_after=7', 'status=500', 'status=502', 'status=503', 'status=529']) {
            const there = await sim.direct({ body: { model: 'gpt-4o', messages: MESSAGES }, headers: { 'x-sim': script } });
            const here = await gate.chat({ body: { messages: MESSAGES }, sim: script });
            const row = await gate.receipt(here.headers['x-request-id']);

            assert.equal(here.status, there.status, script);
            assert.equal(here.body.toString(), there.body.toString(), script);
            assert.equal(here.headers['retry-after'], there.headers['retry-after'], script);
            assert.match(here.headers['x-request-id'], /^call_/);
            assert.match(here.headers['x-upstream-request-id'], /^req_sim_\d+$/);
            assert.equal(row.outcome, 'upstream_error', script);
            assert.equal(row.status, there.status, script);
            assert.equal(nano(row.cost), 0n, script);
        }
    });

    test('a redirect is not followed and not passed on', async () => {
        const answer = await gate.chat({ sim: 'switch=1' });

        assert.equal(answer.status, 502);
        assert.equal(answer.headers.location, undefined);
        assert.equal(JSON.parse(answer.body).error.code, 'provider_invalid_answer');
    });

    test('a compressed answer passes unchanged and is charged from its bound', async () => {
        const answer = await gate.chat({ sim: 'encoding=gzip', body: { max_tokens: 30 } });
        const row = await gate.receipt(answer.headers['x-request-id']);

        assert.ok(row.flags.includes('encoded') && row.flags.includes('estimated'));
        assert.equal(row.source, 'ceiling');
        assert.equal(row.output_tokens, 30);
    });
});

describe('headers', () => {
    const PASS = { 'x-custom': 'kept', 'openai-beta': 'assistants=v2', 'idempotency-key': 'i1', 'user-agent': 'test/1' };
    const STOP = {
        cookie: 'a=b', 'x-api-key': 'k', 'api-key': 'k', 'x-goog-api-key': 'k', forwarded: 'for=1.2.3.4',
        'x-forwarded-for': '1.2.3.4', 'x-forwarded-host': 'evil', via: '1.1 x', 'x-real-ip': '1.2.3.4',
        'true-client-ip': '1.2.3.4', 'cf-connecting-ip': '1.2.3.4', 'openai-organization': 'org-other',
        'openai-project': 'proj-other', 'x-goog-user-project': 'p', te: 'trailers', 'keep-alive': 'timeout=5',
        'proxy-authorization': 'Basic eDp5', 'x-tollgate-anything': '1', 'x-named': 'dropped',
        connection: 'x-named, keep-alive',
    };

    test('of the request go on by the deny list, with the provider\'s own credential', async () => {
        const answer = await gate.chat({ sim: 'hop=1', headers: { ...PASS, ...STOP, 'accept-encoding': 'gzip, br' } });
        const { echo } = JSON.parse(answer.body);

        assert.equal(answer.status, 200);
        for (const [name, value] of Object.entries(PASS))
            assert.equal(echo.headers[name], value, name);
        for (const name of Object.keys(STOP).filter((name) => name !== 'connection'))
            assert.equal(echo.headers[name], undefined, name);
        assert.doesNotMatch(echo.headers.connection ?? '', /x-named/);
        assert.equal(echo.headers.authorization, 'Bearer sk-the-secret-of-the-provider-account');
        assert.equal(echo.headers.host, `127.0.0.1:${sim.port}`);
        assert.equal(echo.headers['accept-encoding'], 'identity');
        assert.ok(echo.headers['x-tollgate-hop'].length > 0);
        assert.equal(echo.path, '/v1/chat/completions');
        assert.ok(!JSON.stringify(echo).includes(gate.key));
    });

    test('of the answer go on by the deny list', async () => {
        for (const stream of [false, true]) {
            const there = await sim.direct({ body: { model: 'gpt-4o', messages: MESSAGES, stream } });
            const here = await gate.chat({ body: { stream } });

            for (const name of ['set-cookie', 'server', 'alt-svc', 'cf-ray', 'cf-cache-status', 'openai-organization',
                'openai-project', 'strict-transport-security'])
                assert.ok(there.headers[name] !== undefined && here.headers[name] === undefined, name);
            for (const name of ['content-type', 'openai-processing-ms', 'x-ratelimit-limit-tokens'])
                assert.equal(here.headers[name], there.headers[name], name);
            assert.equal(here.headers['x-accel-buffering'], stream ? 'no' : undefined);
            assert.equal(here.headers['x-tollgate-cost-usd'] === undefined, stream);
        }
    });

    test('a request that has passed here before is refused', async () => {
        const first = await gate.chat({ sim: 'hop=1' });
        const hop = JSON.parse(first.body).echo.headers['x-tollgate-hop'];
        const again = await gate.chat({ headers: { 'x-tollgate-hop': hop } });

        assert.equal(again.status, 508);
        assert.equal((await gate.chat({ headers: { 'x-tollgate-hop': 'a, b, c, d, e' } })).status, 508);
        assert.equal((await gate.chat({ headers: { 'x-tollgate-hop': 'a, b, c, d' } })).status, 200);
    });

    test('a key is found in every place where a client may put it', async () => {
        const send = (headers, query = '') => gate.chat({ headers: { authorization: 'Bearer sk-other', ...headers }, query });

        assert.equal((await send({})).status, 401);
        for (const name of ['x-api-key', 'x-goog-api-key', 'api-key'])
            assert.equal((await send({ [name]: gate.key })).status, 200, name);
        assert.equal((await send({}, `?key=${gate.key}`)).status, 200);
        assert.equal((await send({ authorization: `bearer ${gate.key}` })).status, 200);
    });
});

describe('ways in', () => {
    test('a provider can be named in the path and in the model', async () => {
        for (const [path, model] of [['/v1', 'gpt-4o'], ['', 'gpt-4o'], ['/openai/v1', 'gpt-4o'], ['/openai', 'gpt-4o'],
            ['/v1', 'openai/gpt-4o']]) {
            const { data, response } = await openai(gate.url + path, gate.key).chat.completions
                .create({ model, messages: MESSAGES }).withResponse();
            const row = await gate.receipt(response.headers.get('x-request-id'));
            const { prompt_tokens: prompt, completion_tokens: completion } = data.usage;

            assert.equal(row.provider, 'openai');
            assert.equal(nano(row.cost), BigInt(prompt) * 2500n + BigInt(completion) * 10000n, `${path} ${model}`);
        }
    });

    test('GET and HEAD of / answer without a key', async () => {
        for (const method of ['GET', 'HEAD']) {
            const answer = await gate.chat({ method, path: '/', rawBody: null, headers: { authorization: '' } });
            assert.equal(answer.status, 200);
        }
    });
});
