// Goal: in OpenAI's other dialects too the official client sees what it would see without Tollgate, and the
// ledger says what the provider billed, class by class and to the nano-dollar. Method: the openai client and raw
// requests through the built binary to the simulator; counts are compared with the simulator's own bill, money
// with ref_cost.py and the price list.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Raw, call } from './support/http.mjs';
import { APIError, drink, openai } from './support/openai.mjs';
import { costs, nano } from './support/prices.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { parallel, until } from './support/wait.mjs';

const INPUT = 'What does it cost?';
const MODELS = ['gpt-4o', 'gpt-4.1', 'gpt-5', 'gpt-5-mini', 'gpt-5.6-sol'];

const COUNTS = [
    '', 'prompt=1;out=1', 'prompt=1000;cached=999;out=3', 'prompt=120000;cached=119808;out=4096;reasoning=4032',
    'prompt=700;cached=50;cache_write=600;out=5', 'prompt=700;cache_write=600;cache_12h=600;out=5',
    'prompt=700;cached=20;cache_write=600;cache_12h=1;out=5', 'web=1', 'web=3;no_output=1', 'files=2;out=9',
    'code=1', 'web=2;files=1;code=2;prompt=99999;out=77;reasoning=70', 'out=0',
];

// Ways to write a stream that must reach the client byte by byte.
const WRITINGS = [
    '', 'crlf=1', 'cr=1', 'comments=1', 'crlf=1;comments=1', 'bom=1', 'multiline=1', 'obfuscation=1', 'split=1',
    'split=7', 'split=1;crlf=1', 'coalesce=1', 'usage=none', 'usage=wrong', 'usage=string', 'usage=negative',
    'usage=huge', 'usage=null_after', 'chunk_ext=1', 'trailers=1', 'eof=1', 'close=1', 'error_after=0',
    'error_after=5', 'garbage=json', 'garbage=body', 'big=200000', 'web=2;code=1', 'call=1', 'no_output=1',
];

let sim;
let gate;
let client;

before(async () => {
    sim = await Sim.start();
    gate = await Tollgate.start({ providers: {
        openai: { kind: 'openai', baseUrl: sim.baseUrl }, groq: { kind: 'groq', baseUrl: sim.baseUrl },
        deepseek: { kind: 'deepseek', baseUrl: sim.url },
    } });
    client = openai(gate.baseUrl, gate.key);
});

after(async () => {
    await gate?.stop();
    await sim?.stop();
});

const sent = (script) => ({ headers: { 'x-sim': script } });

/** Ask plainly; `what` is given the request's options and asks. */
async function plain(what, script = '') {
    const { data, response } = await what(sent(script)).withResponse();

    return { data, call: response.headers.get('x-request-id'), cost: response.headers.get('x-tollgate-cost-usd'),
        answer: data.id };
}

async function streamed(what, script = '') {
    const { data, response } = await what(sent(script)).withResponse();
    const { chunks, error } = await drink(data);

    assert.equal(error, null, script);
    return { chunks, call: response.headers.get('x-request-id'), answer: chunks[0].response?.id ?? chunks[0].id };
}

/** The ledger is the bill: classes, totals, cost. */
async function assertCharged(done, dialect, options) {
    const bill = new Map(sim.bill().map((line) => [line.id, line]));
    const lines = done.map(({ answer }) => bill.get(answer));
    const expected = await costs(lines, options);

    for (const [i, { call: id, cost }] of done.entries()) {
        const row = await gate.receipt(id);
        const where = `${id} ${JSON.stringify(lines[i])} ${JSON.stringify(row)}`;

        assert.equal(lines[i].dialect, dialect, where);
        assert.equal(row.dialect, dialect, where);
        assert.deepEqual(row.usage, lines[i].classes, where);
        assert.equal(row.input_tokens, lines[i].usage.prompt_tokens, where);
        assert.equal(row.output_tokens, lines[i].usage.completion_tokens, where);
        assert.equal(row.source, 'provider', where);
        assert.equal(row.outcome, 'ok', where);
        assert.equal(row.stream, lines[i].stream, where);
        assert.equal(row.served_model, lines[i].served_model, where);
        assert.equal(nano(row.cost), expected[i], where);
        assert.ok(!row.flags.includes('estimated') && !row.flags.includes('unpriced'), where);
        if (cost !== undefined && cost !== null)
            assert.equal(nano(cost), expected[i], where);
    }
}

const respond = (more) => (options) => client.responses.create({ model: 'gpt-5', input: INPUT, ...more }, options);

describe('responses', () => {
    test('every kind of count and fee is charged to the token and the nano-dollar, plain and streamed', async () => {
        const cases = MODELS.flatMap((model) => COUNTS.flatMap((script) => [false, true].map((stream) => ({ model, script, stream }))));
        const done = await parallel(8, cases.length, (i) => (cases[i].stream ? streamed : plain)(
            respond({ model: cases[i].model, stream: cases[i].stream }), cases[i].script));

        await assertCharged(done, 'openai-responses');
    });

    test('the tier and the model that the end names are the ones that are charged', async () => {
        await assertCharged([
            await plain(respond({ model: 'gpt-4o' }), 'tier=priority;prompt=1001;cached=1;out=7'),
            await streamed(respond({ model: 'gpt-4o', stream: true }), 'tier=priority;prompt=1001;out=7'),
            await streamed(respond({ model: 'gpt-5-mini', stream: true }), 'tier=flex;prompt=999;out=3'),
            await streamed(respond({ stream: true }), 'model=gpt-5-2025-08-07;prompt=999;out=3'),
        ], 'openai-responses');
    });

    test('the helper of the official client sees the text and the end', async () => {
        const { data } = await plain(respond({}), 'out=3;prompt=9');
        const events = await streamed(respond({ stream: true, max_output_tokens: 5 }), 'out=5;prompt=9');
        const end = events.chunks.at(-1);

        assert.equal(data.output_text, ' one token at');
        assert.equal(end.type, 'response.incomplete');
        assert.equal(end.response.usage.output_tokens, 5);
        assert.equal(events.chunks.filter((event) => event.type === 'response.output_text.delta').length, 5);
    });

    test('tools: a function is called, plain and streamed', async () => {
        const tools = [{ type: 'function', name: 'weather', strict: false, parameters: { type: 'object', properties: {} } }];
        const whole = await plain(respond({ tools }), 'call=1;out=20');
        const events = await streamed(respond({ tools, stream: true }), 'call=1;out=20;events=6');
        const deltas = events.chunks.filter((event) => event.type === 'response.function_call_arguments.delta');
        const item = events.chunks.at(-1).response.output.at(-1);

        assert.equal(whole.data.output[0].name, 'weather');
        assert.ok(JSON.parse(whole.data.output[0].arguments).city.length > 0);
        assert.equal(deltas.map((event) => event.delta).join(''), item.arguments);
        await assertCharged([whole, events], 'openai-responses');
        for (const { call: id } of [whole, events])
            assert.ok(!(await gate.receipt(id)).flags.includes('unbounded'));
    });

    test('what the provider finds by itself is held as such', async () => {
        for (const more of [{ tools: [{ type: 'web_search' }] }, { previous_response_id: 'resp_1' },
            { input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }] }]) {
            const { call: id } = await plain(respond({ max_output_tokens: 100, ...more }), 'out=9');
            assert.ok((await gate.receipt(id)).flags.includes('unbounded'), JSON.stringify(more));
        }
    });

    test('a stream and a plain answer reach the client as the provider wrote them, and so does the request', async () => {
        const normal = (body) => body.toString('latin1').replace(/_sim_\d+/g, '_sim_0').replace(/"created_at":\d+/g, '');

        await parallel(6, WRITINGS.length * 2, async (i) => {
            const stream = i % 2 === 0;
            const script = `prompt=50;out=20;${WRITINGS[i >> 1]}`;
            const body = { model: 'gpt-4o', input: INPUT, stream };
            const there = await call(`${sim.baseUrl}/responses`, { body, headers: { authorization: 'Bearer x', 'x-sim': script } });
            const here = await gate.chat({ path: '/v1/responses', rawBody: JSON.stringify(body), sim: script });

            assert.equal(here.status, there.status, script);
            assert.equal(normal(here.body), normal(there.body), script);
            assert.equal(here.headers['content-type'], there.headers['content-type'], script);
        });
        const body = '\n{ "input" : [ ] ,\t"model":"gpt-4o","x":1e-1, "max_output_tokens": 16 } ';
        const { body: text } = await gate.chat({ path: '/v1/responses', rawBody: body, sim: 'hop=1' });
        assert.equal(JSON.parse(text).echo.body, body);
        assert.equal(JSON.parse(text).echo.path, '/v1/responses');
    });

    test('an answer without usage is estimated, one that cannot be right is flagged; neither is free', async () => {
        for (const stream of [false, true])
            for (const script of ['usage=none', 'usage=negative', 'usage=huge', 'usage=wrong', 'usage=string']) {
                const answer = await gate.chat({ path: '/v1/responses', sim: `${script};out=50`,
                    rawBody: JSON.stringify({ model: 'gpt-4o', input: INPUT, stream }) });
                const row = await gate.receipt(answer.headers['x-request-id']);

                assert.ok(row.flags.includes(script === 'usage=none' ? 'estimated' : 'usage_doubtful'), `${script} ${JSON.stringify(row)}`);
                assert.ok(row.input_tokens >= 0 && row.output_tokens >= 50 && nano(row.cost) > 0n, script);
            }
    });

    test('an error in the middle of a stream is passed on, and what was generated is charged', async () => {
        const { data, response } = await respond({ stream: true })(sent('error_after=20;out=60')).withResponse();
        const { chunks, error } = await drink(data);
        const row = await gate.receipt(response.headers.get('x-request-id'));

        assert.ok(error instanceof APIError || chunks.at(-1).type === 'error', JSON.stringify(chunks.at(-1)));
        assert.equal(row.outcome, 'upstream_error');
        assert.ok(row.output_tokens >= 20 && nano(row.cost) > 0n, JSON.stringify(row));
    });

    test('a client that leaves after any event leaves exactly one charge, never nothing', async () => {
        const cases = ['openai', 'groq'].flatMap((provider) => [1, 3, 4, 8, 15, 22, 24].map((events) => ({ provider, events })));
        const ends = [];

        await parallel(4, cases.length, async (i) => {
            const { provider, events } = cases[i];
            const tag = `${provider} ${events}`;
            const key = gate.newKey();
            const body = JSON.stringify({ model: provider === 'groq' ? 'llama-3.1-8b-instant' : 'gpt-4o', input: INPUT, stream: true });
            const raw = (await Raw.open(gate.port)).send(`POST /${provider}/v1/responses HTTP/1.1\r\nHost: a\r\n` +
                `Authorization: Bearer ${key}\r\nx-sim: events=20;out=60;gap_ms=5\r\nx-sim-tag: ${tag}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);

            await until(`${tag}: the event`, () => raw.text.split('event: ').length > Math.min(events, 23));
            raw.leave();
            const [line] = await sim.billed(tag);
            ends.push({ tag, key, line });
        });
        await gate.quiet();
        const ids = new Map((await gate.get('/api/v1/keys?limit=200')).data.map((key) => [key.id, key.prefix]));
        const calls = await gate.calls();
        for (const { tag, key, line } of ends) {
            const mine = calls.filter((row) => ids.get(row.key_id) === key.slice(0, 14));

            assert.equal(mine.length, 1, `${tag}: ${JSON.stringify(mine)}`);
            assert.ok(nano(mine[0].cost) > 0n && mine[0].output_tokens > 0, `${tag}: ${JSON.stringify(mine)}`);
            if (line.state === 'complete' && mine[0].source === 'provider')
                assert.equal(mine[0].output_tokens, line.usage.completion_tokens, tag);
        }
    });
});

describe('completions', () => {
    const complete = (more) => (options) =>
        client.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: INPUT, ...more }, options);

    test('plain and streamed, one prompt and several, with best_of: as billed', async () => {
        const done = [
            await plain(complete({})), await streamed(complete({ stream: true })),
            await plain(complete({ n: 3, max_tokens: 5 })), await streamed(complete({ n: 3, max_tokens: 5, stream: true })),
            await plain(complete({ prompt: ['a', 'b', 'c'], n: 2 })),
            await streamed(complete({ prompt: ['a', 'b', 'c'], n: 2, stream: true })),
            await plain(complete({ best_of: 4, max_tokens: 10 })), await plain(complete({ prompt: [11, 22, 33] })),
            await plain(complete({ prompt: [[11, 22], [33]], max_tokens: 3 })),
        ];

        assert.equal(done[4].data.choices.length, 6);
        assert.equal(done[5].chunks.flatMap((chunk) => chunk.choices).filter((one) => one.finish_reason).length, 6);
        for (const { chunks } of done)
            assert.ok(!chunks?.some((chunk) => chunk.usage), 'usage that was not asked for is kept from the client');
        assert.equal(sim.line(done[6].answer).usage.completion_tokens, 40);
        assert.equal(sim.line(done[7].answer).usage.prompt_tokens, 3);
        await assertCharged(done, 'openai-completions');
    });

    test('a usage chunk that was asked for is passed on', async () => {
        const { chunks, answer } = await streamed(complete({ stream: true, stream_options: { include_usage: true } }));

        assert.deepEqual(chunks.at(-1).usage, sim.line(answer).usage);
    });

    test('DeepSeek has them under a path of its own', async () => {
        const answer = await gate.chat({ path: '/deepseek/v1/completions', sim: 'hop=1',
            rawBody: '{"model":"deepseek-chat","prompt":"a"}' });

        assert.equal(JSON.parse(answer.body).echo.path, '/beta/completions');
    });
});

describe('embeddings', () => {
    const embed = (input, more = {}) => (options) =>
        client.embeddings.create({ model: 'text-embedding-3-small', input, ...more }, options);

    test('text, lists and tokens are charged by what was read, and nothing comes out', async () => {
        const inputs = ['a short text', ['one', 'two', 'three'], [1, 22, 333], [[1, 22], [333]]];

        for (const [i, input] of inputs.entries()) {
            const tag = `embedding ${i}`;
            const { data, response } = await client.embeddings.create({ model: 'text-embedding-3-small', input },
                { headers: { 'x-sim-tag': tag } }).withResponse();
            const [line] = sim.tagged(tag);
            const id = response.headers.get('x-request-id');
            const row = await gate.receipt(id);

            assert.deepEqual([...data.data[0].embedding], [0, 1]);
            assert.equal(data.data.length, i === 1 ? 3 : i === 3 ? 2 : 1);
            if (i > 1)
                assert.equal(line.usage.prompt_tokens, 3);
            assert.equal(row.output_tokens, 0);
            assert.ok(!row.flags.includes('ceiling_unknown') && !row.flags.includes('overrun'), JSON.stringify(row));
            await assertCharged([{ call: id, answer: line.id, cost: response.headers.get('x-tollgate-cost-usd') }],
                'openai-embeddings');
        }
    });

    test('without usage they are estimated by their bytes', async () => {
        const { response } = await embed('a text of some length')(sent('usage=none')).withResponse();
        const row = await gate.receipt(response.headers.get('x-request-id'));

        assert.equal(row.source, 'estimated');
        assert.ok(row.input_tokens > 0 && row.output_tokens === 0 && nano(row.cost) > 0n, JSON.stringify(row));
    });
});

describe('moderations', () => {
    test('need no model and cost nothing', async () => {
        const lines = sim.bill().length;
        const { data, response } = await client.moderations.create({ input: INPUT }).withResponse();
        const row = await gate.receipt(response.headers.get('x-request-id'));

        assert.equal(data.results[0].flagged, false);
        assert.equal(row.dialect, 'openai-moderations');
        assert.equal(row.model, 'omni-moderation-latest');
        assert.equal(row.total_tokens, 0);
        assert.equal(nano(row.cost), 0n);
        assert.equal(row.source, 'provider');
        assert.ok(!row.flags.includes('unpriced') && !row.flags.includes('estimated'), JSON.stringify(row));
        assert.equal(sim.bill().length, lines);
    });
});

describe('errors', () => {
    const BODIES = { '/v1/responses': { input: 'a' }, '/v1/completions': { prompt: 'a' }, '/v1/embeddings': { input: 'a' },
        '/v1/moderations': { input: 'a' } };

    test('of the provider pass unchanged and cost nothing', async () => {
        for (const [path, more] of Object.entries(BODIES))
            for (const script of ['status=400', 'status=429;retry_after=7', 'status=500', 'status=529']) {
                const body = { model: 'gpt-4o', ...more };
                const there = await call(sim.url + path, { body, headers: { authorization: 'Bearer x', 'x-sim': script } });
                const here = await gate.chat({ path, rawBody: JSON.stringify(body), sim: script });
                const row = await gate.receipt(here.headers['x-request-id']);

                assert.equal(here.status, there.status, script);
                assert.equal(here.body.toString(), there.body.toString(), script);
                assert.equal(here.headers['retry-after'], there.headers['retry-after'], script);
                assert.equal(row.outcome, 'upstream_error', script);
                assert.equal(nano(row.cost), 0n, script);
            }
    });

    test('of ours are in OpenAI\'s envelope', async () => {
        for (const [path, more] of Object.entries(BODIES)) {
            const ask = (body, key = gate.key) => gate.chat({ path, key, rawBody: JSON.stringify(body) });
            const cases = [
                [await ask({ model: 'gpt-4o', ...more }, 'tgk_wrong'), 401, 'invalid_api_key'],
                [await ask({ model: 7, ...more }), 400, 'invalid_request'],
                [await gate.chat({ path, rawBody: '{"model":"gpt-4o","model":"gpt-5"}' }), 400, 'invalid_request'],
                [await gate.chat({ path: `/nobody${path}`, rawBody: JSON.stringify({ model: 'gpt-4o', ...more }) }), 404, 'model_not_found'],
                [await gate.chat({ path, method: 'GET', rawBody: null }), 405, 'method_not_allowed'],
            ];

            for (const [answer, status, code] of cases) {
                const { error } = JSON.parse(answer.body);

                assert.equal(answer.status, status, `${path} ${answer.body}`);
                assert.equal(error.code, code, path);
                assert.ok(error.message.length > 0 && 'type' in error && error.param === null, path);
                assert.match(answer.headers['x-request-id'], /^call_/);
            }
        }
    });

    test('a call in the background is refused with the field and the remedy', async () => {
        const answer = await gate.chat({ path: '/v1/responses', rawBody: '{"model":"gpt-5","input":"a","background":true}' });

        assert.equal(answer.status, 400);
        assert.match(JSON.parse(answer.body).error.message, /'background'.*Send false/);
    });

    test('an upgrade to WebSocket is turned down so that the client falls back to HTTP', async () => {
        const raw = (await Raw.open(gate.port)).send(`GET /v1/responses HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${gate.key}\r\n` +
            'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n');

        await until('the answer', () => raw.text.includes('\r\n\r\n'));
        assert.match(raw.text, /^HTTP\/1.1 426 /);
        raw.leave();
    });
});
