// Goal: Anthropic's official client sees through Tollgate what it would see without it, and the ledger
// says what the provider billed, to the token in every class and to the nano-dollar, whichever way a
// client leaves. Method: the client and raw requests through the built binary to the simulator; classes
// are compared with the simulator's own bill, money with ref_cost.py.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
    APIError, AuthenticationError, BadRequestError, NotFoundError, anthropic,
} from './support/anthropic.mjs';
import { Canned } from './support/canned.mjs';
import { Raw, call, sseData } from './support/http.mjs';
import { drink } from './support/openai.mjs';
import { costs, nano } from './support/prices.mjs';
import { Sim } from './support/sim.mjs';
import { Tap } from './support/tap.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { parallel, until } from './support/wait.mjs';

const MESSAGES = [{ role: 'user', content: 'What does it cost?' }];
const MODEL = 'claude-sonnet-4-5';
const MODELS = [MODEL, 'claude-haiku-4-5', 'claude-sonnet-4-6', 'claude-opus-4-5'];
const VERSION = { 'anthropic-version': '2023-06-01' };

// Counts of every kind; 200,001 prompt tokens is where claude-sonnet-4-5 gets dearer.
const COUNTS = [
    '',
    'prompt=1;out=1',
    'prompt=1000;cached=999;out=3',
    'prompt=5000;cached=100;cache_write=4000;out=77',
    'prompt=5000;cached=100;cache_write=4000;cache_1h=1500;out=77',
    'prompt=450;cache_write=450;cache_1h=450;out=2',
    'prompt=200000;cached=199990;out=10',
    'prompt=200001;cached=199990;out=10',
    'prompt=300;out=900;reasoning=850;events=20',
    'prompt=20001;out=501;web=2',
    'prompt=180;out=8;compaction=55000',
    'prompt=180;out=8;advisor=12345',
    'prompt=180;cached=20;out=8;compaction=55000;advisor=999;web=1',
];

const WRITINGS = [
    '', 'crlf=1', 'cr=1', 'comments=1', 'crlf=1;comments=1', 'bom=1', 'multiline=1', 'obfuscation=1', 'done=no', 'split=1',
    'split=7', 'split=1;crlf=1', 'coalesce=1', 'usage=every', 'usage=null_after', 'usage=none', 'usage=wrong',
    'usage=string', 'usage=negative', 'usage=huge', 'chunk_ext=1', 'trailers=1', 'eof=1', 'close=1', 'hundred=1',
    'error_after=0', 'error_after=5', 'garbage=json', 'garbage=body', 'big=200000', 'big=900000;events=3',
    'slow_ms=1;events=2', 'early=1', 'model=claude-sonnet-4-5-20250929', 'tier=batch', 'out=0', 'call=1', 'web=2',
    'advisor=500', 'out=6;events=6;gap_ms=5',
];

let sim;
let gate;
let client;

before(async () => {
    sim = await Sim.start();
    gate = await Tollgate.start({ providers: { anthropic: { kind: 'anthropic', baseUrl: sim.url } } });
    client = anthropic(gate.url, gate.key);
});

after(async () => {
    await gate?.stop();
    await sim?.stop();
});

/** A message by hand; the same straight to the simulator with `to` its address. */
function post({ to = gate.url, path = '/v1/messages', body = {}, rawBody = undefined, headers = {}, script = '',
    tag = undefined, ...rest } = {}) {
    return call(to + path, {
        headers: { 'x-api-key': to === gate.url ? gate.key : 'direct', ...VERSION, ...(script && { 'x-sim': script }),
            ...(tag && { 'x-sim-tag': tag }), ...headers },
        body: rawBody ?? { model: MODEL, max_tokens: 40, messages: MESSAGES, ...body }, ...rest,
    });
}

async function plain(model, script, more = {}) {
    const { data, response } = await client.messages
        .create({ model, max_tokens: 4096, messages: MESSAGES, ...more }, { headers: { 'x-sim': script } }).withResponse();

    return { answer: data.id, call: response.headers.get('x-request-id'), data,
        cost: response.headers.get('x-tollgate-cost-usd') };
}

async function streamed(model, script, more = {}) {
    const { data, response } = await client.messages
        .create({ model, max_tokens: 4096, messages: MESSAGES, stream: true, ...more }, { headers: { 'x-sim': script } })
        .withResponse();
    const { chunks, error } = await drink(data);

    assert.equal(error, null);
    return { answer: chunks[0].message.id, call: response.headers.get('x-request-id'), chunks };
}

/** What is true of every call that came to its end: the ledger is the bill. */
async function assertCharged(done) {
    const bill = new Map(sim.bill().map((line) => [line.id, line]));
    const lines = done.map(({ answer }) => bill.get(answer));
    const expected = await costs(lines, { provider: 'anthropic' });

    assert.equal(new Set(done.map(({ call: id }) => id)).size, done.length, 'each call has an id of its own');
    await parallel(8, done.length, async (i) => {
        const row = await gate.receipt(done[i].call);
        const where = JSON.stringify({ row, line: lines[i] });

        assert.deepEqual(row.usage, lines[i].classes, where);
        assert.equal(nano(row.cost), expected[i], where);
        assert.equal(nano(row.provider_cost), expected[i], where);
        assert.equal(nano(row.sum.charged), expected[i], where);
        assert.equal(row.dialect, 'anthropic-messages', where);
        assert.equal(row.source, 'provider', where);
        assert.equal(row.outcome, 'ok', where);
        assert.equal(row.model, lines[i].model, where);
        assert.equal(row.served_model, lines[i].served_model, where);
        assert.equal(row.stream, lines[i].stream, where);
        for (const flag of ['estimated', 'unpriced', 'usage_doubtful'])
            assert.ok(!row.flags.includes(flag), where);
        if (done[i].cost !== undefined)
            assert.equal(nano(done[i].cost), expected[i], where);
    });
}

describe('messages', () => {
    test('every kind of count is charged to the token and the nano-dollar, plain and streamed', async () => {
        const cases = MODELS.flatMap((model) => COUNTS.flatMap((script) =>
            [plain, streamed].map((how) => ({ model, script, how }))));

        await assertCharged(await parallel(8, cases.length, (i) => cases[i].how(cases[i].model, cases[i].script)));
    });

    test('the tier and the model that the answer names are the ones that are charged', async () => {
        await assertCharged([
            await plain('claude-sonnet-4-6', 'tier=batch;prompt=1001;out=7'),
            await streamed('claude-sonnet-4-6', 'tier=batch;prompt=1001;out=7'),
            await plain('claude-haiku-4-5', 'model=claude-haiku-4-5-20251001;prompt=999;out=3'),
        ]);
    });

    test('a receipt adds up over the models that made the answer', async () => {
        const { call: id } = await plain(MODEL, 'prompt=180;out=8;compaction=55000;advisor=999');
        const row = await gate.receipt(id);
        const outputs = row.sum.products.filter((one) => one.class === 'output');

        assert.deepEqual(outputs.map((one) => [one.price.model, one.count]),
            [[MODEL, 558], ['claude-opus-4-5', 99]]);
        assert.equal(nano(row.sum.charged), nano(row.sum.exact), 'whole nano-dollars here');
    });

    test('tools are called, plain and streamed, with what they are called with', async () => {
        const tools = [{ name: 'weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } }];
        const asked = { model: MODEL, max_tokens: 4096, messages: MESSAGES, tools };
        const options = { headers: { 'x-sim': 'call=1;out=30' } };
        const { data: once, response } = await client.messages.create(asked, options).withResponse();
        const stream = client.messages.stream(asked, options);
        const final = await stream.finalMessage();
        const { response: later } = await stream.withResponse();

        for (const { stop_reason: reason, content } of [once, final]) {
            assert.equal(reason, 'tool_use');
            assert.equal(content[0].name, 'weather');
            assert.equal(content[0].input.city.length, 120);
        }
        await assertCharged([{ answer: once.id, call: response.headers.get('x-request-id') },
            { answer: final.id, call: later.headers.get('x-request-id') }]);
    });

    test('64 at a time, plain and streamed', async () => {
        await assertCharged(await parallel(64, 256, (i) =>
            (i % 2 ? plain : streamed)(MODELS[i % MODELS.length], i % 3 ? '' : 'gap_ms=2;events=10')));
    });

    test('counting tokens is metered and free', async () => {
        const { data, response } = await client.messages
            .countTokens({ model: MODEL, messages: MESSAGES }, { headers: { 'x-sim': 'prompt=1234' } }).withResponse();
        const row = await gate.receipt(response.headers.get('x-request-id'));

        assert.equal(data.input_tokens, 1234);
        assert.equal(row.dialect, 'anthropic-count-tokens');
        assert.equal(row.total_tokens, 0);
        assert.equal(nano(row.cost), 0n);
        assert.equal(nano(row.hold.amount), 0n);
        assert.equal(row.outcome, 'ok');
        for (const flag of ['estimated', 'unpriced', 'ceiling_unknown'])
            assert.ok(!row.flags.includes(flag), flag);
    });
});

/** Ids differ from one answer to the next, nothing else may. */
const normal = (body) => body.toString('latin1').replace(/msg_sim_\d+/g, 'X').replace(/req_sim_\d+/g, 'Y');

describe('bytes', () => {
    test('a stream reaches the client as the provider wrote it', async () => {
        await parallel(6, WRITINGS.length, async (i) => {
            const script = WRITINGS[i].includes('out=') ? WRITINGS[i] : `prompt=50;out=20;${WRITINGS[i]}`;
            const there = await post({ to: sim.url, body: { stream: true }, script });
            const here = await post({ body: { stream: true }, script });

            assert.equal(here.status, there.status, script);
            assert.equal(normal(here.body), normal(there.body), script);
            assert.equal(here.error, null, script);
        });
    });

    test('a plain answer reaches the client as the provider wrote it', async () => {
        for (const more of ['', 'split=1', 'chunk_ext=1', 'trailers=1', 'eof=1', 'close=1', 'big=70000', 'big=3000000',
            'usage=none', 'usage=string', 'garbage=json', 'hundred=1', 'early=1', 'call=1', 'web=3']) {
            const script = `prompt=50;out=20;${more}`;
            const there = await post({ to: sim.url, script });
            const here = await post({ script });

            assert.equal(here.status, 200, script);
            assert.equal(normal(here.body), normal(there.body), script);
            assert.equal(here.headers['content-type'], there.headers['content-type'], script);
        }
    });

    test('the request reaches the provider as the client wrote it', async () => {
        for (const rawBody of [
            `{"model":"${MODEL}","max_tokens":9,"messages":[{"role":"user","content":"\\u00e9\\ud83d\\ude00"}]}`,
            `\n { "messages" : [ ] ,\t"model" : "${MODEL}" , "temperature" : 1e-1 , "max_tokens":1, "x" : 12345678901234567890 } \n`,
            `{"stream":true,"model":"${MODEL}","max_tokens":9,"metadata":{"user_id":"u"},"messages":[]}`,
        ]) {
            const { body } = await post({ rawBody, script: 'hop=1' });
            assert.equal(JSON.parse(/"stream":true/.test(rawBody) ? sseData(body)[0] : body).echo.body, rawBody);
        }
    });

    test('the version, the betas and the query go on, no credential of the client does', async () => {
        const { body } = await post({ path: '/v1/messages?beta=true&key=tgk_nothing', script: 'hop=1', headers: {
            'anthropic-beta': 'a-2026-01-01,b', 'anthropic-version': '2026-10-21', authorization: `Bearer ${gate.key}`,
            'x-claude-code-session-id': 's1', cookie: 'a=b' } });
        const { echo } = JSON.parse(body);

        assert.equal(echo.path, '/v1/messages?beta=true');
        assert.equal(echo.headers['anthropic-beta'], 'a-2026-01-01,b');
        assert.equal(echo.headers['anthropic-version'], '2026-10-21');
        assert.equal(echo.headers['x-claude-code-session-id'], 's1');
        assert.equal(echo.headers['x-api-key'], 'sk-the-secret-of-the-provider-account');
        assert.equal(echo.headers.authorization, undefined);
        assert.equal(echo.headers.cookie, undefined);
        assert.ok(!JSON.stringify(echo).includes('tgk_'));
    });
});

describe('odd answers', () => {
    test('records in several places, without the last event, with an odd end: charged as billed', async () => {
        const done = [];

        for (const script of ['usage=every', 'usage=null_after', 'done=no', 'eof=1', 'eof=1;done=no', 'bom=1', 'cr=1',
            'crlf=1', 'comments=1', 'multiline=1', 'obfuscation=1', 'trailers=1', 'big=300000', 'split=1;events=4',
            'out=30;reasoning=10'])
            done.push(await streamed(MODEL, `prompt=100;cached=30;cache_write=20;cache_1h=5;${script}`));
        await assertCharged(done);
    });

    test('an answer without usage is estimated, never free', async () => {
        for (const stream of [false, true]) {
            const answer = await post({ body: { stream }, script: 'usage=none;out=50' });
            const row = await gate.receipt(answer.headers['x-request-id']);

            assert.equal(row.source, 'estimated');
            assert.ok(row.input_tokens > 0 && row.output_tokens >= 50 && nano(row.cost) > 0n, JSON.stringify(row));
        }
    });

    test('a usage record that cannot be right is bounded and flagged, never negative or free', async () => {
        for (const script of ['usage=wrong', 'usage=string', 'usage=negative', 'usage=huge'])
            for (const stream of [false, true]) {
                const answer = await post({ body: { stream }, script });
                const row = await gate.receipt(answer.headers['x-request-id']);

                // Of a stream the last record alone is judged, and cache_creation is not in it.
                if (script !== 'usage=wrong')
                    assert.ok(row.flags.includes('usage_doubtful'), `${script}: ${JSON.stringify(row)}`);
                assert.ok(row.output_tokens > 0 && row.input_tokens >= 0 && nano(row.cost) > 0n, script);
            }
    });

    test('an error in the middle of a stream is passed on; its input is exact, its output no less than was seen', async () => {
        const { data, response } = await client.messages.create(
            { model: MODEL, max_tokens: 99, messages: MESSAGES, stream: true },
            { headers: { 'x-sim': 'error_after=20;out=60;prompt=5000;cached=1000' } }).withResponse();
        const { chunks, error } = await drink(data);
        const row = await gate.receipt(response.headers.get('x-request-id'));

        assert.ok(error instanceof APIError);
        assert.equal(error.type, 'overloaded_error');
        assert.equal(chunks.filter((one) => one.type === 'content_block_delta').length, 20);
        assert.equal(row.outcome, 'upstream_error');
        assert.equal(row.source, 'estimated');
        assert.equal(row.usage.input, 4000);
        assert.equal(row.usage.cache_read, 1000);
        assert.ok(row.usage.output >= 20 && row.usage.output <= 60, JSON.stringify(row.usage));
    });

    test('a provider that breaks off leaves a charge, and the client can tell', async () => {
        for (const script of ['cut=900', 'reset=900', 'cut=40', 'cut=head', 'cut=start', 'garbage=head'])
            for (const stream of [false, true]) {
                const tag = `${script}-${stream}`;
                const answer = await post({ body: { stream, max_tokens: 200 }, script: `out=200;${script}`, tag });
                const row = await gate.receipt(answer.headers['x-request-id']);

                assert.ok(answer.error !== null || answer.status === 502, `${tag}: ${answer.status}`);
                assert.equal(row.outcome, 'upstream_error', tag);
                if (sim.tagged(tag).some(({ classes }) => classes.output > 0))
                    assert.ok(row.output_tokens > 0 && nano(row.cost) > 0n, `${tag}: ${JSON.stringify(row)}`);
            }
    });
});

describe('errors', () => {
    test('the provider\'s pass unchanged, with its own id, and cost nothing', async () => {
        for (const script of ['status=400', 'status=401', 'status=402', 'status=403', 'status=404', 'status=413',
            'status=429;retry_after=7', 'status=500', 'status=503', 'status=529']) {
            const there = await post({ to: sim.url, script });
            const here = await post({ script });
            const row = await gate.receipt(here.headers['x-request-id']);

            assert.equal(here.status, there.status, script);
            assert.equal(normal(here.body), normal(there.body), script);
            assert.equal(here.headers['retry-after'], there.headers['retry-after'], script);
            assert.match(here.headers['request-id'], /^req_sim_\d+$/);
            assert.match(here.headers['x-request-id'], /^call_/);
            assert.equal(here.headers['anthropic-ratelimit-requests-limit'], '4000');
            assert.equal(row.outcome, 'upstream_error', script);
            assert.equal(nano(row.cost), 0n, script);
        }
        await assert.rejects(plain(MODEL, 'status=404'), (error) => error instanceof NotFoundError &&
            error.type === 'not_found_error' && /^req_sim_/.test(error.requestID));
    });

    test('ours are in Anthropic\'s envelope, and its client knows them', async () => {
        const isOurs = (kind, type) => (error) => {
            assert.ok(error instanceof kind, String(error));
            assert.equal(error.type, type);
            assert.match(error.requestID, /^call_/);
            assert.equal(error.error.request_id, error.requestID);
            assert.equal(error.headers.get('x-should-retry'), 'false');
            return true;
        };
        const ask = (key, more, url = gate.url) => anthropic(url, key).messages
            .create({ model: MODEL, max_tokens: 9, messages: MESSAGES, ...more });

        await assert.rejects(ask('tgk_wrong', {}), isOurs(AuthenticationError, 'authentication_error'));
        await assert.rejects(ask(gate.key, {}, `${gate.url}/nobody`), isOurs(NotFoundError, 'not_found_error'));
        await assert.rejects(ask(gate.key, { max_tokens: 0 }), isOurs(BadRequestError, 'invalid_request_error'));
        await assert.rejects(ask(gate.key, { max_tokens: '100' }), /max/);
        for (const [answer, status, type] of [
            [await post({ path: '/v1/messages/batches' }), 404, 'not_found_error'],
            [await post({ path: '/nobody/v1/messages' }), 404, 'not_found_error'],
            [await call(`${gate.url}/v1/messages`, { method: 'GET', headers: { 'x-api-key': gate.key } }), 405, 'invalid_request_error'],
            [await post({ headers: { 'content-encoding': 'gzip' } }), 415, 'invalid_request_error'],
            [await post({ rawBody: '{"model":' }), 400, 'invalid_request_error'],
            [await post({ rawBody: '{"model":"m","max_tokens":1,"max_tokens":2}' }), 400, 'invalid_request_error'],
            [await post({ headers: { 'x-api-key': 'tgk_wrong' }, path: '/v1/messages/count_tokens' }), 401, 'authentication_error'],
            [await post({ script: 'switch=1' }), 502, 'api_error'],
        ]) {
            const body = JSON.parse(answer.body);

            assert.equal(answer.status, status, String(answer.body));
            assert.equal(body.type, 'error');
            assert.equal(body.error.type, type);
            assert.equal(body.request_id, answer.headers['request-id']);
            assert.equal(answer.headers['request-id'], answer.headers['x-request-id']);
        }
    });

    test('a body above the limit is refused as too large', async () => {
        const small = await Tollgate.start({ limits: { bodyMaxBytes: 2000 },
            providers: { anthropic: { kind: 'anthropic', baseUrl: sim.url } } });
        const answer = await call(`${small.url}/v1/messages`, { headers: { 'x-api-key': small.key, ...VERSION },
            body: { model: MODEL, max_tokens: 1, messages: [{ role: 'user', content: 'x'.repeat(3000) }] } });

        assert.equal(answer.status, 413);
        assert.equal(JSON.parse(answer.body).error.type, 'request_too_large');
        await small.stop();
    });

    test('our id stands in where the provider sent none', async () => {
        const canned = await Canned.start();

        gate.addProvider('canned', 'anthropic', canned.baseUrl); // with /v1, as it may be written
        canned.answer({ headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id: 'msg_c', type: 'message',
            role: 'assistant', model: MODEL, content: [], stop_reason: 'end_turn', usage: { input_tokens: 7, output_tokens: 3 } }) });
        const { response } = await anthropic(`${gate.url}/canned`, gate.key).messages
            .create({ model: MODEL, max_tokens: 9, messages: MESSAGES }).withResponse();
        assert.equal(response.headers.get('request-id'), response.headers.get('x-request-id'));
        assert.equal(nano((await gate.receipt(response.headers.get('request-id'))).cost), 7n * 3000n + 3n * 15000n);
        await canned.stop();
    });
});

describe('ways in', () => {
    test('every form of a credential, with and without a version, a prefix, a named provider', async () => {
        const other = { 'x-api-key': 'sk-other' };

        for (const headers of [{ 'x-api-key': gate.key }, { ...other, authorization: `Bearer ${gate.key}` },
            { ...other, 'x-goog-api-key': gate.key }, { ...other, 'api-key': gate.key }])
            assert.equal((await post({ headers })).status, 200, JSON.stringify(headers));
        assert.equal((await post({ headers: other, path: `/v1/messages?key=${gate.key}` })).status, 200);
        assert.equal((await post({ headers: other })).status, 401);
        for (const [path, model] of [['/v1/messages', MODEL], ['/messages', MODEL], ['/anthropic/v1/messages', MODEL],
            ['/anthropic/messages', MODEL], ['/v1/messages', `anthropic/${MODEL}`], ['/messages/count_tokens', MODEL],
            ['/anthropic/v1/messages/count_tokens', MODEL]]) {
            const answer = await post({ path, body: { model } });
            const row = await gate.receipt(answer.headers['x-request-id']);

            assert.equal(answer.status, 200, path);
            assert.equal(row.provider, 'anthropic', path);
        }
    });

    test('the list of models is in the shape that the caller reads', async () => {
        const names = [];

        for await (const model of client.models.list({ limit: 1000 }))
            names.push(model.id);
        assert.ok(names.includes(MODEL) && names.every((name) => !name.startsWith('gpt')), String(names.slice(0, 9)));
        const one = await client.models.retrieve(MODEL);
        assert.equal(one.type, 'model');
        assert.equal(one.display_name, MODEL);
        await assert.rejects(client.models.retrieve('claude-none'), (error) => error instanceof NotFoundError);
        const plainly = JSON.parse((await call(`${gate.url}/v1/models`,
            { method: 'GET', headers: { 'x-api-key': gate.key } })).body);
        assert.equal(plainly.object, 'list');
        assert.equal((await call(`${gate.url}/v1/models`, { method: 'GET', headers: VERSION })).status, 401);
    });

    test('the sandbox speaks it: a first call with no provider account', async () => {
        const own = await Tollgate.start({ args: ['--sandbox'] });
        const echo = anthropic(own.url, own.key);
        const asked = { model: 'echo', max_tokens: 50, system: 'be brief', messages: [{ role: 'user', content: 'one two three' }] };
        const { data, response } = await echo.messages.create(asked).withResponse();
        const stream = await echo.messages.stream(asked).finalMessage();
        const row = await own.receipt(response.headers.get('x-request-id'));

        assert.equal(data.content[0].text, 'one two three');
        assert.equal(stream.content[0].text, 'one two three');
        assert.deepEqual(row.usage, { input: 5, output: 3 });
        assert.equal(nano(row.cost), 5n * 1000n + 3n * 2000n);
        assert.equal((await echo.messages.countTokens({ model: 'echo', messages: asked.messages })).input_tokens, 3);
        assert.equal((await own.calls()).filter((one) => nano(one.cost) === 11000n).length, 2);
        await own.stop();
    });
});

describe('leaving', () => {
    test('a client that aborts at any event leaves exactly one charge, never nothing', async () => {
        const tap = await Tap.start(sim.port);
        const indexes = [0, 1, 2, 3, 4, 7, 12, 25];

        gate.addProvider('tapped', 'anthropic', tap.baseUrl);
        await parallel(4, indexes.length * 2, async (i) => {
            const index = indexes[i % indexes.length];
            const tag = `abort ${i}`;
            const key = gate.newKey();
            const own = anthropic(`${gate.url}/tapped`, key);
            const { data, response } = await own.messages.create(
                { model: MODEL, max_tokens: 120, messages: MESSAGES, stream: true },
                // It stops half way by itself, so that no client is too slow to leave before the end.
                { headers: { 'x-sim': 'prompt=700;cached=100;out=120;events=60;gap_ms=10;stall=body', 'x-sim-tag': tag } })
                .withResponse();
            let seen = 0;

            for await (const chunk of data)
                if (chunk.type && seen++ === index)
                    break;
            const [line] = await sim.billed(tag);
            const id = response.headers.get('x-request-id');
            const row = await until('the charge', () => gate.receipt(id).catch(() => null));
            const where = JSON.stringify({ index, row, line });

            assert.notEqual(line.state, 'complete', where);
            assert.equal(row.outcome, 'client_gone', where);
            assert.equal(row.source, 'estimated', where);
            assert.equal(row.usage.input, 600, where);
            assert.equal(row.usage.cache_read, 100, where);
            assert.ok(row.usage.output > 0 && row.usage.output <= 120 && nano(row.cost) > 0n, where);
            assert.equal(sim.tagged(tag).length, 1, where);
            await until('the provider to be left', () => tap.carrying(tag).closedAt !== null);
        });
        await gate.quiet();
        const charged = (await gate.calls()).filter((row) => row.provider === 'tapped');
        assert.equal(charged.length, indexes.length * 2);
        await tap.stop();
    });

    test('before the first byte, and in the middle of a plain answer', async () => {
        for (const [stream, script] of [[true, 'first_ms=300'], [false, 'first_ms=300'], [false, 'big=4000000']]) {
            const tag = `early ${stream} ${script}`;
            const body = JSON.stringify({ model: MODEL, max_tokens: 40, stream, messages: MESSAGES });
            const calls = (await gate.calls()).length;
            const raw = (await Raw.open(gate.port)).send(`POST /v1/messages HTTP/1.1\r\nHost: a\r\nx-api-key: ${gate.key}\r\n` +
                `anthropic-version: 1\r\nx-sim: out=40;${script}\r\nx-sim-tag: ${tag}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);

            await until('the call to be open', async () => (await gate.openHolds()).length === 1 || sim.tagged(tag).length === 1);
            raw.leave();
            await sim.billed(tag);
            await gate.quiet();
            const rows = await gate.calls();
            assert.equal(rows.length, calls + 1, tag);
            assert.ok(rows[0].output_tokens > 0 && nano(rows[0].cost) > 0n, `${tag}: ${JSON.stringify(rows[0])}`);
        }
    });
});
