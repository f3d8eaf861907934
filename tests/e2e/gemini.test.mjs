// Goal: Google's official client sees through Tollgate what it would see without it, in either framing
// of a stream, and the ledger says what the provider billed, to the token in every class and to the
// nano-dollar, whichever way a client leaves. Method: the client, the openai client at Google's address
// and raw requests through the built binary to the simulator; classes are compared with the simulator's
// own bill, money with ref_cost.py.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ApiError, genai } from './support/genai.mjs';
import { Raw, call, sseData } from './support/http.mjs';
import { limitTeam, newTeam } from './support/limits.mjs';
import { APIError, drink, openai } from './support/openai.mjs';
import { costs, nano } from './support/prices.mjs';
import { SLOWNESS } from './support/process.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { parallel, until } from './support/wait.mjs';

const MODEL = 'gemini-2.5-flash';
const MODELS = [MODEL, 'gemini-2.5-pro', 'gemini-3-flash-preview'];
const TEXT = 'What does it cost?';
const CONTENTS = [{ role: 'user', parts: [{ text: TEXT }] }];

// Counts of every kind; 200,001 prompt tokens is where gemini-2.5-pro gets dearer.
const COUNTS = [
    '',
    'prompt=1;out=1',
    'prompt=1000;cached=999;out=3',
    'prompt=300;out=190;reasoning=160',
    'prompt=300;out=160;reasoning=160',
    'prompt=250;out=980;reasoning=800;tool=1700',
    'prompt=5000;audio_in=1234;out=77',
    'prompt=5000;cached=1000;cached_audio=400;audio_in=600;out=7;reasoning=3',
    'prompt=200000;out=10',
    'prompt=200001;cached=1;out=10',
    'prompt=9999;out=60000;reasoning=50000;events=40',
];

// Ways to write a stream that must reach the client byte by byte.
const WRITINGS = [
    '', 'crlf=1', 'cr=1', 'comments=1', 'crlf=1;comments=1', 'bom=1', 'multiline=1', 'split=1', 'split=7',
    'split=1;crlf=1', 'coalesce=1', 'usage=last', 'usage=null_after', 'usage=none', 'usage=wrong', 'usage=string',
    'usage=negative', 'usage=huge', 'chunk_ext=1', 'trailers=1', 'eof=1', 'close=1', 'hundred=1', 'error_after=0',
    'error_after=5', 'garbage=json', 'garbage=body', 'big=200000', 'big=900000;events=3', 'slow_ms=1;events=2',
    'early=1', 'blocked=1', 'call=1', 'web=2', 'model=gemini-2.5-flash-preview-09-2025', 'tier=priority', 'out=0',
    'out=6;events=6;gap_ms=5',
];

let sim;
let gate;
let client;

before(async () => {
    sim = await Sim.start();
    gate = await Tollgate.start({ providers: { google: { kind: 'google', baseUrl: sim.url } } });
    client = genai(gate.url, gate.key);
});

after(async () => {
    await gate?.stop();
    await sim?.stop();
});

/** A call by hand; the same straight to the simulator with `to` its address. */
function post({ to = gate.url, model = MODEL, verb = 'generateContent', query = '', path = undefined, body = {},
    rawBody = undefined, headers = {}, script = '', tag = undefined, ...rest } = {}) {
    return call(to + (path ?? `/v1beta/models/${model}:${verb}`) + query, {
        headers: { 'x-goog-api-key': to === gate.url ? gate.key : 'direct', ...(script && { 'x-sim': script }),
            ...(tag && { 'x-sim-tag': tag }), ...headers },
        body: rawBody ?? { contents: CONTENTS, ...body }, ...rest,
    });
}

const asEvents = { verb: 'streamGenerateContent', query: '?alt=sse' };
const asArray = { verb: 'streamGenerateContent' };

function config(script, more = {}) {
    return { httpOptions: { headers: { 'x-sim': script } }, ...more };
}

async function plain(model, script, more = {}) {
    const data = await client.models.generateContent({ model, contents: TEXT, config: config(script, more) });

    return { answer: data.responseId, call: data.sdkHttpResponse.headers['x-request-id'], data,
        cost: data.sdkHttpResponse.headers['x-tollgate-cost-usd'] };
}

async function streamed(model, script, more = {}) {
    const chunks = [];

    for await (const chunk of await client.models
        .generateContentStream({ model, contents: TEXT, config: config(script, more) }))
        chunks.push(chunk);
    return { answer: chunks[0].responseId, call: chunks[0].sdkHttpResponse.headers['x-request-id'], chunks };
}

async function arrayed(model, script, body = {}) {
    const answer = await post({ ...asArray, model, script, body });
    const chunks = JSON.parse(answer.body);

    assert.equal(answer.headers['content-type'], 'application/json; charset=UTF-8');
    assert.equal(answer.headers['x-accel-buffering'], 'no');
    return { answer: chunks[0].responseId, call: answer.headers['x-request-id'], chunks };
}

/** What is true of every call that came to its end: the ledger is the bill. */
async function assertCharged(done) {
    const bill = new Map(sim.bill().map((line) => [line.id, line]));
    const lines = done.map(({ answer }) => bill.get(answer));
    const expected = await costs(lines, { provider: 'google' });

    for (const [i, { call: id, cost }] of done.entries()) {
        const row = await gate.receipt(id);
        const line = lines[i];
        const nanos = expected[i];
        const where = `${id} ${JSON.stringify(line)} ${JSON.stringify(row)}`;

        assert.deepEqual(row.usage, line.classes, where);
        assert.equal(row.dialect, line.dialect, where);
        assert.equal(row.source, 'provider', where);
        assert.equal(row.outcome, 'ok', where);
        assert.equal(row.served_model, line.served_model, where);
        assert.equal(row.stream, line.stream, where);
        assert.equal(nano(row.cost), nanos, where);
        assert.ok(!row.flags.includes('estimated') && !row.flags.includes('unpriced'), where);
        assert.ok(!row.flags.includes('usage_doubtful'), where);
        if (cost !== undefined)
            assert.equal(nano(cost), nanos, where);
    }
}

describe('gemini', () => {
    test('every kind of count is charged to the token and the nano-dollar, plain and in both framings', async () => {
        const cases = MODELS.flatMap((model) => COUNTS.flatMap((script) =>
            [plain, streamed, arrayed].map((how) => ({ model, script, how }))));
        const done = await parallel(8, cases.length, (i) => cases[i].how(cases[i].model, cases[i].script));

        assert.equal(new Set(done.map((one) => one.call)).size, done.length, 'each call has an id of its own');
        await assertCharged(done);
    });

    test('images and audio that come out, and searches, have prices of their own', async () => {
        await assertCharged([
            await plain('gemini-2.5-flash-image', 'prompt=10;out=1350;image_out=1290'),
            await streamed('gemini-2.5-flash-image', 'prompt=10;out=1350;image_out=1290'),
            await arrayed('gemini-2.5-flash-image', 'prompt=10;out=1350;reasoning=20;image_out=1290'),
            await plain(MODEL, 'prompt=10;out=20;web=3'),
            await streamed(MODEL, 'prompt=10;out=20;web=3'),
            await plain('gemini-3-flash-preview', 'prompt=10;out=20;web=3'),
            await arrayed('gemini-3-flash-preview', 'prompt=10;out=20;web=2'),
        ]);
        assert.equal(sim.bill().at(-1).classes.web_search, 2);
    });

    test('the tier and the model that the answer names are the ones that are charged', async () => {
        await assertCharged([
            await plain('gemini-3-flash-preview', 'tier=priority;prompt=1001;cached=1;out=7'),
            await streamed('gemini-3-flash-preview', 'tier=priority;prompt=1001;out=7'),
            await plain(MODEL, 'model=gemini-2.5-pro;prompt=999;out=3'),
            await arrayed(MODEL, 'model=gemini-2.5-pro;prompt=999;out=3'),
        ]);
    });

    test('several candidates are one call, and end with the last of them', async () => {
        const more = { candidateCount: 3, maxOutputTokens: 20 };
        const done = [
            await plain(MODEL, '', more), await streamed(MODEL, '', more),
            await arrayed(MODEL, 'events=30', { generationConfig: more }),
        ];

        assert.equal(done[0].data.candidates.length, 3);
        for (const { chunks } of done.slice(1))
            assert.deepEqual(chunks.flatMap((one) => one.candidates).filter((one) => one.finishReason)
                .map((one) => one.index), [0, 1, 2]);
        await assertCharged(done);
    });

    test('a stream comes as it is made, its end when it is charged', async () => {
        for (const how of [asEvents, asArray]) {
            const answer = await post({ ...how, script: 'events=5;out=50;gap_ms=100' });
            const times = answer.events.map(([ms]) => ms);

            assert.ok(times.length >= 5, `${how.query}: ${times}`);
            assert.ok(times.at(-1) - times[0] >= 300, `${how.query}: ${times}`);
            assert.equal(answer.error, null);
        }
    });

    test('functions are called, plain and streamed', async () => {
        const tools = [{ functionDeclarations: [{ name: 'weather', parameters: { type: 'OBJECT',
            properties: { city: { type: 'STRING' } } } }] }];
        const done = [await plain(MODEL, 'call=1', { tools }), await streamed(MODEL, 'call=1', { tools })];

        assert.deepEqual(done[0].data.functionCalls, [{ name: 'weather', args: { city: 'Oslo' } }]);
        assert.deepEqual(done[1].chunks[0].functionCalls, [{ name: 'weather', args: { city: 'Oslo' } }]);
        await assertCharged(done);
        for (const { call: id } of done)
            assert.ok(!(await gate.receipt(id)).flags.includes('unbounded'));
        const searching = await plain(MODEL, '', { tools: [{ googleSearch: {} }] });
        assert.ok((await gate.receipt(searching.call)).flags.includes('unbounded'));
    });

    test('a prompt that is blocked is charged for the prompt alone', async () => {
        const done = [await plain(MODEL, 'blocked=1;prompt=12'), await streamed(MODEL, 'blocked=1;prompt=12'),
            await arrayed(MODEL, 'blocked=1;prompt=12')];

        assert.equal(done[0].data.promptFeedback.blockReason, 'SAFETY');
        assert.equal(done[1].chunks[0].promptFeedback.blockReason, 'SAFETY');
        await assertCharged(done);
        assert.deepEqual((await gate.receipt(done[2].call)).usage, { input: 12 });
    });

    test('counting tokens is free', async () => {
        const data = await client.models.countTokens({ model: MODEL, contents: TEXT, config: config('prompt=31') });
        const row = await gate.receipt(data.sdkHttpResponse.headers['x-request-id']);

        assert.equal(data.totalTokens, 31);
        assert.equal(row.dialect, 'gemini-count');
        assert.equal(nano(row.cost), 0n);
        assert.equal(row.total_tokens, 0);
        assert.equal(row.outcome, 'ok');
        assert.ok(!row.flags.includes('estimated') && !row.flags.includes('unpriced'), JSON.stringify(row));
    });

    test('embeddings are charged for what goes in', async () => {
        const model = 'gemini-embedding-001';
        const last = async (id) => {
            const line = sim.bill().at(-1);
            const row = await gate.receipt(id);

            assert.deepEqual(row.usage, line.classes);
            assert.equal(row.dialect, line.dialect);
            assert.equal(nano(row.cost), (await costs([line], { provider: 'google' }))[0]);
            assert.equal(row.output_tokens, 0);
            assert.equal(row.source, 'provider');
        };
        const two = await client.models.embedContent({ model, contents: ['one', 'two'], config: config('prompt=21') });

        assert.equal(two.embeddings.length, 2);
        await last(two.sdkHttpResponse.headers['x-request-id']);
        const one = await post({ model, verb: 'embedContent', body: { contents: undefined, model: `models/${model}`,
            content: { parts: [{ text: 'one' }] } } });
        assert.deepEqual(JSON.parse(one.body).embedding.values, [0.01, -2e-3, 1]);
        await last(one.headers['x-request-id']);

        const silent = await client.models.embedContent({ model, contents: TEXT, config: config('usage=none') });
        const row = await gate.receipt(silent.sdkHttpResponse.headers['x-request-id']);
        assert.ok(row.flags.includes('estimated') && row.input_tokens > 0 && row.output_tokens === 0);
        assert.ok(nano(row.cost) > 0n);
    });
});

/** Ids differ from one answer to the next, nothing else may. */
function normal(body) {
    return body.toString('latin1').replace(/"r-sim-\d+"/g, '"X"');
}

describe('bytes', () => {
    test('a stream reaches the client as the provider wrote it, in both framings', async () => {
        const cases = WRITINGS.flatMap((script) => [asEvents, asArray].map((how) => ({ script, how })));

        await parallel(6, cases.length, async (i) => {
            const { script, how } = cases[i];
            const counts = script.includes('out=') ? script : `prompt=50;out=20;${script}`;
            const there = await post({ to: sim.url, ...how, script: counts });
            const here = await post({ ...how, script: counts });

            assert.equal(here.status, there.status, script);
            assert.equal(normal(here.body), normal(there.body), `${script} ${how.query}`);
            assert.equal(here.headers['content-type'], there.headers['content-type'], script);
            assert.equal(here.error, null, script);
        });
    });

    test('a plain answer reaches the client as the provider wrote it', async () => {
        for (const script of ['', 'split=1', 'chunk_ext=1', 'trailers=1', 'eof=1', 'close=1', 'big=70000', 'big=3000000',
            'usage=none', 'usage=string', 'garbage=json', 'garbage=body', 'hundred=1', 'early=1', 'blocked=1', 'call=1']) {
            const counts = `prompt=50;out=20;${script}`;
            const there = await post({ to: sim.url, script: counts });
            const here = await post({ script: counts });

            assert.equal(here.status, 200, script);
            assert.equal(normal(here.body), normal(there.body), script);
        }
    });

    test('the request reaches the provider as the client wrote it', async () => {
        const bodies = [
            '{"contents":[{"parts":[{"text":"\\u00e9\\ud83d\\ude00 \\"generationConfig\\":2"}]}]}',
            '\n { "contents" : [ ] ,\t"generation_config" : { "temperature" : 1e-1 } , "x" : 12345678901234567890 } \n',
            '{"model":"models/gemini-2.5-flash","contents":{"parts":{"text":"x"}},"tools":[{"functionDeclarations":[]}]}',
        ];

        for (const how of [{}, asEvents, asArray])
            for (const rawBody of bodies) {
                const answer = await post({ ...how, rawBody, script: 'hop=1' });
                const first = how === asEvents ? sseData(answer.body)[0] : answer.body.toString();
                const { echo } = [JSON.parse(first)].flat()[0];

                assert.equal(echo.body, rawBody);
                assert.equal(echo.path, `/v1beta/models/${MODEL}:${how.verb ?? 'generateContent'}${how.query ?? ''}`);
                assert.equal(echo.headers['x-goog-api-key'], 'sk-the-secret-of-the-provider-account');
                assert.equal(echo.headers.authorization, undefined);
            }
    });
});

describe('ways in', () => {
    const ECHO = (answer) => JSON.parse(answer.body).echo;

    test('a model is named in every way that clients have', async () => {
        for (const [path, upstream] of [
            [`/v1beta/models/${MODEL}:generateContent`, `models/${MODEL}`],
            [`/v1/models/${MODEL}:generateContent`, `models/${MODEL}`],
            [`/models/${MODEL}:generateContent`, `models/${MODEL}`],
            [`/google/v1beta/models/${MODEL}:generateContent`, `models/${MODEL}`],
            [`/google/models/${MODEL}:generateContent`, `models/${MODEL}`],
            [`/v1beta/models/google/${MODEL}:generateContent`, `models/${MODEL}`],
            [`/v1beta/models/google%2F${MODEL}%3AgenerateContent`, `models/${MODEL}`],
            ['/v1beta/models/gemini-of-tomorrow:generateContent', 'models/gemini-of-tomorrow'],
            ['/v1beta/models/gemini%3Aodd:generateContent', 'models/gemini%3Aodd'],
            ['/v1beta/tunedModels/mine:generateContent', 'tunedModels/mine'],
        ]) {
            const answer = await post({ path, script: 'hop=1' });

            assert.equal(answer.status, 200, `${path} ${answer.body}`);
            assert.equal(ECHO(answer).path, `/v1beta/${upstream}:generateContent`);
            assert.equal((await gate.receipt(answer.headers['x-request-id'])).provider, 'google');
        }
        const { data } = await plain(`google/${MODEL}`, '');
        assert.equal(data.modelVersion, MODEL);
        assert.equal((await plain(`models/${MODEL}`, '')).data.modelVersion, MODEL);
    });

    test('a key is found where Google\'s clients put it, and goes no further', async () => {
        for (const [headers, query] of [[{ 'x-goog-api-key': gate.key }, ''], [{}, `?key=${gate.key}`],
            [{}, `?alt=json&key=${gate.key}&fields=candidates`], [{ authorization: `Bearer ${gate.key}` }, '']]) {
            const answer = await post({ headers: { 'x-goog-api-key': 'other', 'x-goog-fieldmask': 'candidates', ...headers },
                query, script: 'hop=1' });
            const echo = ECHO(answer);

            assert.equal(answer.status, 200);
            assert.ok(!JSON.stringify(echo).includes(gate.key));
            assert.equal(echo.path, `/v1beta/models/${MODEL}:generateContent${query.includes('alt') ? '?alt=json' : ''}`);
            assert.equal(echo.headers['x-goog-fieldmask'], undefined);
        }
    });

    test('the models of a key come in Google\'s shape', async () => {
        const list = await call(`${gate.url}/v1beta/models`, { method: 'GET', headers: { 'x-goog-api-key': gate.key } });
        const { models } = JSON.parse(list.body);
        const flash = models.find((one) => one.name === `models/${MODEL}`);

        assert.ok(models.length > 20 && models.every((one) => one.name.startsWith('models/')));
        assert.deepEqual(flash.supportedGenerationMethods, ['generateContent', 'streamGenerateContent', 'countTokens']);
        assert.ok(!models.some((one) => one.name.includes('gpt-4')));
        assert.equal((await client.models.get({ model: MODEL })).name, `models/${MODEL}`);
        const names = [];
        for await (const model of await client.models.list())
            names.push(model.name);
        assert.equal(names.length, models.length);
        await assert.rejects(client.models.get({ model: 'no-such-model' }), (error) => error.status === 404);
    });
});

describe('errors', () => {
    test('a provider\'s pass unchanged and cost nothing', async () => {
        for (const status of [400, 401, 403, 404, 429, 500, 503])
            for (const how of [{}, asEvents, asArray, { verb: 'countTokens' }, { verb: 'embedContent' }]) {
                const script = `status=${status};retry_after=7`;
                const there = await post({ to: sim.url, ...how, script });
                const here = await post({ ...how, script });
                const row = await gate.receipt(here.headers['x-request-id']);

                assert.equal(here.status, status);
                assert.equal(here.body.toString(), there.body.toString(), script);
                assert.equal(row.outcome, 'upstream_error');
                assert.equal(row.status, status);
                assert.equal(nano(row.cost), 0n);
            }
        await assert.rejects(plain(MODEL, 'status=429;retry_after=7'), (error) => error instanceof ApiError &&
            error.status === 429 && JSON.parse(error.message).error.details[0].retryDelay === '7s');
    });

    async function assertOurs(answer, status, name, message) {
        const { error, ...rest } = JSON.parse(answer.body);

        assert.equal(answer.status, status, answer.body.toString());
        assert.deepEqual(rest, {});
        assert.equal(error.code, status);
        assert.equal(error.status, name);
        assert.match(error.message, message);
        assert.match(answer.headers['x-request-id'], /^call_/);
        assert.match(answer.headers['content-type'], /^application\/json/);
    }

    test('ours are in Google\'s envelope', async () => {
        const wrong = { 'x-goog-api-key': 'tgk_wrong' };
        const get = (path, headers = {}) => call(gate.url + path, { method: 'GET',
            headers: { 'x-goog-api-key': gate.key, ...headers } });
        const large = JSON.stringify({ contents: [{ parts: [{ text: 'x'.repeat(1 << 20) }] }] });

        await assertOurs(await post({ headers: wrong }), 401, 'UNAUTHENTICATED', /API key/);
        await assertOurs(await post({ headers: wrong, rawBody: large }), 401, 'UNAUTHENTICATED', /API key/);
        await assertOurs(await get('/v1beta/models', wrong), 401, 'UNAUTHENTICATED', /API key/);
        await assertOurs(await post({ model: 'other/model', path: '/none/v1beta/models/x:generateContent' }), 404, 'NOT_FOUND',
            /no provider none.*google/);
        await assertOurs(await post({ verb: 'predict' }), 404, 'NOT_FOUND', /URL/);
        await assertOurs(await get('/v1beta/models/none'), 404, 'NOT_FOUND', /model/);
        await assertOurs(await get('/v1beta/files'), 404, 'NOT_FOUND', /URL/);
        await assertOurs(await post({ path: '/v1beta/models/..%2Fx:generateContent' }), 400, 'INVALID_ARGUMENT', /./);
        for (const [generationConfig, field] of [[{ maxOutputTokens: 0 }, /maximum/], [{ maxOutputTokens: '100' }, /maximum/],
            [{ maxOutputTokens: 1.5 }, /maximum/], [{ candidateCount: -1 }, /candidateCount/],
            [{ thinkingConfig: { thinkingBudget: 'x' } }, /thinkingBudget/]])
            await assertOurs(await post({ body: { generationConfig } }), 400, 'INVALID_ARGUMENT', field);
        for (const rawBody of ['{"generationConfig":{},"generation_config":{}}', '{"GenerationConfig":{}}',
            '{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":2}}', '{"model":"models/gemini-2.5-pro"}', '[]', '{'])
            await assertOurs(await post({ rawBody }), 400, 'INVALID_ARGUMENT', /./);
        assert.equal(sim.bill().filter((line) => line.model === 'none').length, 0);
        const other = genai(gate.url, 'tgk_wrong');
        await assert.rejects(other.models.generateContent({ model: MODEL, contents: TEXT }),
            (error) => error instanceof ApiError && error.status === 401);
    });

    test('a provider that cannot be reached is said to be, and costs nothing', async () => {
        const lonely = await Sim.start();
        gate.addProvider('lonely', 'google', lonely.url);
        await lonely.stop();
        await assertOurs(await post({ path: `/lonely/v1beta/models/${MODEL}:generateContent` }), 502, 'UNAVAILABLE',
            /reached/);
    });
});

describe('limits', () => {
    const asked = (team, more = {}) => post({ headers: { 'x-goog-api-key': team.key }, ...more });

    test('what is used up is told so that Gemini\'s command line gives up at once', async () => {
        const team = await newTeam(gate);
        const limit = await limitTeam(gate, team, 'total_tokens', 'month', 1000);

        for (const how of [{}, asEvents, asArray]) {
            const answer = await asked(team, { ...how, body: { generationConfig: { maxOutputTokens: 5000 } } });
            const { error } = JSON.parse(answer.body);

            assert.equal(answer.status, 429);
            assert.equal(answer.headers['x-should-retry'], 'false');
            assert.equal(error.status, 'RESOURCE_EXHAUSTED');
            assert.equal(error.details[0]['@type'], 'type.googleapis.com/google.rpc.QuotaFailure');
            assert.match(error.details[0].violations[0].quotaId, /PerDay/);
            assert.equal(error.tollgate.limit_id, limit.id);
            assert.equal(error.tollgate.reason, 'too_large');
            assert.ok(error.tollgate.estimate > 5000);
        }
        const counted = await asked(team, { verb: 'countTokens' });
        assert.equal(counted.status, 200, 'what is free takes nothing of a limit');
    });

    test('a rate is told with the seconds to wait', async () => {
        const team = await newTeam(gate);

        await limitTeam(gate, team, 'requests', 'minute', 1);
        assert.equal((await asked(team)).status, 200);
        const answer = await asked(team);
        const [detail] = JSON.parse(answer.body).error.details;

        assert.equal(answer.status, 429);
        assert.equal(detail['@type'], 'type.googleapis.com/google.rpc.RetryInfo');
        assert.equal(detail.retryDelay, `${answer.headers['retry-after']}s`);
    });

    test('a maximum is lowered where it stands, or put in', async () => {
        const team = await newTeam(gate);

        await limitTeam(gate, team, 'output_tokens', 'month', 4000, { when_short: 'clamp' });
        for (const [rawBody, before, after] of [
            ['{"contents":[],"generationConfig":{"temperature":1,"maxOutputTokens":5000}}', '5000', ''],
            ['{"contents":[],"generation_config":{"max_output_tokens":null}}', 'null', ''],
            ['{"contents":[],"generationConfig":{"topK":3}}', '"topK"', '"maxOutputTokens":N,"topK"'],
            ['{"contents":[],"generationConfig":{}}', '{}', '{"maxOutputTokens":N}'],
            ['{"contents":[],"generationConfig":null}', ':null', ':{"maxOutputTokens":N}'],
            ['{"contents":[]}', '{', '{"generationConfig":{"maxOutputTokens":N},'],
        ]) {
            const answer = await asked(team, { rawBody, script: 'hop=1;out=3' });
            const lowered = answer.headers['x-tollgate-max-tokens'];

            assert.equal(answer.status, 200, `${rawBody} ${answer.body}`);
            assert.ok(Number(lowered) >= 256 && Number(lowered) <= 4000);
            assert.equal(JSON.parse(answer.body).echo.body, rawBody.replace(before, (after || 'N').replace('N', lowered)));
        }
        const kept = await asked(team, { script: 'hop=1', body: { generationConfig: { maxOutputTokens: 300 } } });
        assert.equal(kept.headers['x-tollgate-max-tokens'], undefined);
    });
});

describe('Google\'s address in OpenAI\'s dialect', () => {
    const MESSAGES = [{ role: 'user', content: TEXT }];

    test('chat is charged with its thoughts, plain and streamed', async () => {
        const compatible = openai(`${gate.url}/v1beta/openai`, gate.key);
        const script = { headers: { 'x-sim': 'usage=residual;prompt=300;out=190;reasoning=160' } };
        const one = await compatible.chat.completions.create({ model: MODEL, messages: MESSAGES }, script).withResponse();
        const many = await compatible.chat.completions
            .create({ model: MODEL, messages: MESSAGES, stream: true }, script).withResponse();
        const { chunks, error } = await drink(many.data);
        const ids = [[one.data.id, one.response], [chunks.at(-1).id, many.response]];

        assert.equal(error, null);
        assert.equal(one.data.usage.completion_tokens, 30);
        for (const [id, response] of ids) {
            const line = sim.line(id);
            const row = await gate.receipt(response.headers.get('x-request-id'));

            assert.equal(row.dialect, 'openai-chat');
            assert.deepEqual(row.usage, line.classes);
            assert.deepEqual(line.classes, { input: 300, output: 190 });
            assert.equal(nano(row.cost), (await costs([line], { provider: 'google' }))[0]);
        }
        const named = openai(`${gate.url}/google/v1beta/openai`, gate.key);
        const { data } = await named.chat.completions.create({ model: MODEL, messages: MESSAGES },
            { headers: { 'x-sim': 'hop=1' } }).withResponse();
        assert.equal(data.echo.path, '/v1beta/openai/chat/completions');
        assert.equal(data.echo.headers.authorization, 'Bearer sk-the-secret-of-the-provider-account');
        assert.equal(data.echo.headers['x-goog-api-key'], undefined);
        const embedded = await compatible.embeddings.create({ model: 'gemini-embedding-001', input: 'x' });
        assert.equal(embedded.data.length, 1);
    });

    test('lists and errors are OpenAI\'s there', async () => {
        const compatible = openai(`${gate.url}/v1beta/openai`, gate.key);

        assert.ok((await compatible.models.list()).data.some((one) => one.id === MODEL));
        await assert.rejects(openai(`${gate.url}/v1beta/openai`, 'tgk_wrong').models.list(),
            (error) => error instanceof APIError && error.status === 401 && error.code === 'invalid_api_key');
    });
});

describe('leaving', () => {
    const EVENTS = 24; // so many more than a client waits for that a busy machine does not end them first

    async function leaveAt({ how, index, tag, key }) {
        const body = JSON.stringify({ contents: CONTENTS });
        const raw = await Raw.open(gate.port);

        raw.send(`POST /v1beta/models/${MODEL}:${how.verb}${how.query ?? ''} HTTP/1.1\r\nHost: a\r\nx-goog-api-key: ${key}\r\n` +
            `x-sim: gap_ms=100;events=${EVENTS};out=60;reasoning=12\r\nx-sim-tag: ${tag}\r\n` +
            `Content-Length: ${body.length}\r\n\r\n${body}`);
        await until(`${tag}: event ${index}`, () => raw.text.split('"candidates"').length - 1 >= index);
        assert.ok(!raw.text.includes('finishReason'), `${tag}: left too late`);
        raw.leave({ reset: index % 2 === 1 });
        return (await sim.billed(tag, 1, 10_000 * SLOWNESS))[0];
    }

    // Google bills what it generates for nobody, so the answer is read on to its usage.
    test('a client that leaves at any event has one charge, and never nothing', async () => {
        const cases = [asEvents, asArray].flatMap((how) => [1, 2, 3, 5, 8, 12].map((index) => ({ how, index,
            tag: `${how.query ?? 'array'} ${index}`, key: gate.newKey() })));
        const lines = await parallel(6, cases.length, (i) => leaveAt(cases[i]));
        const prefixes = new Map((await gate.get('/api/v1/keys?limit=200')).data.map((one) => [one.prefix, one.id]));

        await gate.quiet();
        const calls = await gate.calls();
        for (const [i, { tag, key }] of cases.entries()) {
            const rows = calls.filter((row) => row.key_id === prefixes.get(key.slice(0, 14)));
            const where = `${tag}: ${JSON.stringify(rows)} ${JSON.stringify(lines[i])}`;

            assert.equal(rows.length, 1, where);
            assert.equal(rows[0].outcome, 'client_gone', where);
            assert.equal(lines[i].state, 'complete', where);
            assert.equal(rows[0].source, 'provider', where);
            assert.equal(rows[0].output_tokens, 60, where);
            assert.equal(nano(rows[0].cost), (await costs([lines[i]], { provider: 'google' }))[0], where);
        }
    });
});

describe('sandbox', () => {
    test('it speaks Google\'s dialect, and its words are what is charged', async () => {
        const own = await Tollgate.start({ args: ['--sandbox'] });
        const echo = genai(own.url, own.key);
        const whole = await echo.models.generateContent({ model: 'echo', contents: 'one two  three' });
        const text = [];
        const ids = [whole.sdkHttpResponse.headers['x-request-id']];

        for await (const chunk of await echo.models.generateContentStream({ model: 'echo', contents: 'one two  three' })) {
            text.push(chunk.text);
            ids[1] = chunk.sdkHttpResponse.headers['x-request-id'];
        }
        const array = await call(`${own.url}/v1beta/models/echo:streamGenerateContent`, {
            headers: { 'x-goog-api-key': own.key }, body: { contents: [{ parts: [{ text: 'one two  three' }] }] } });
        ids.push(array.headers['x-request-id']);

        assert.equal(whole.text, 'one two  three');
        assert.equal(text.join(''), 'one two  three');
        assert.equal(JSON.parse(array.body).map((one) => one.candidates[0].content.parts[0].text).join(''), 'one two  three');
        for (const id of ids) {
            const row = await own.receipt(id);

            assert.deepEqual(row.usage, { input: 3, output: 3 });
            assert.equal(nano(row.cost), 9000n);
            assert.equal(row.source, 'provider');
        }
        assert.equal((await echo.models.countTokens({ model: 'echo', contents: 'one two' })).totalTokens, 2);
        assert.equal((await echo.models.embedContent({ model: 'echo', contents: 'one two' })).embeddings.length, 1);
        await assert.rejects(echo.models.generateContent({ model: 'none', contents: 'x' }), (error) => error.status === 404);
        await own.stop();
    });
});
