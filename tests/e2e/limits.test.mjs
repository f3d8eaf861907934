// Goal: limits are made, seen and changed over the API and the command line as both say, by those who
// may; what they count is the bill to the nano-dollar, also after a restart; what they turn down is told
// to the caller, to the one who asks why, and to the one who looks back. Method: the built binary with a
// provider that keeps a bill of its own; each test has a team and a key to itself.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { Raw, call } from './support/http.mjs';
import { nano } from './support/prices.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { until } from './support/wait.mjs';

let sim;
let gate;
let owner;
let teams = 0;

before(async () => {
    sim = await Sim.start();
    gate = await Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
    owner = readFileSync(gate.tokenFile, 'utf8').trim();
});
after(async () => {
    await gate?.stop();
    await sim?.stop();
});

/** One request to the API; `json` is its answer. */
async function api(method, path, body = undefined, { token = owner, headers = {} } = {}) {
    const answer = await call(gate.adminUrl + path, { method, body,
        headers: { authorization: `Bearer ${token}`, ...headers } });

    return { ...answer, json: answer.body.length > 0 ? JSON.parse(answer.body) : null };
}

/** A team of its own with a key, and short ways to limit it. */
async function newTeam() {
    const name = `limited-${++teams}`;
    const team = (await api('POST', '/api/v1/teams', { name })).json.id;
    const made = (await api('POST', '/api/v1/keys', { team_id: team, name: 'first' })).json;

    return { name, id: team, key: made.secret, keyId: made.id,
        scope: { type: 'team', id: team }, keyScope: { type: 'key', id: made.id } };
}

async function limit(scope, metric, window, amount, more = {}) {
    const answer = await api('POST', '/api/v1/limits', { scope, metric, window, amount, ...more });

    assert.equal(answer.status, 201, String(answer.body));
    return answer.json;
}

const show = async (one) => (await api('GET', `/api/v1/limits/${one.id}`)).json;
const chat = (team, body = {}, more = {}) => gate.chat({ key: team.key, body: { max_tokens: 20, ...body }, ...more });
const rows = (text) => text.split('\r\n').filter(Boolean).map((line) => line.split(','));
const listed = (...args) => JSON.parse(gate.must(...args, '--output', 'json'));

describe('limits over the API', () => {
    test('a limit is made, read, changed under its tag, and deleted', async () => {
        const team = await newTeam();
        const made = await api('POST', '/api/v1/limits',
            { scope: team.scope, metric: 'cost', window: 'month', amount: '10', timezone: 'Europe/Berlin' });
        const path = `/api/v1/limits/${made.json.id}`;

        assert.equal(made.status, 201);
        assert.equal(made.headers.location, path);
        assert.match(made.json.id, /^lim_[0-9A-Za-z]{12}$/);
        assert.deepEqual(made.json.scope, { type: 'team', id: team.id, each: null });
        assert.equal(made.json.amount, '10');
        assert.equal(made.json.remaining, '10');
        const read = await api('GET', path);
        assert.equal(read.headers.etag, made.headers.etag);
        const changed = await api('PATCH', path, { amount: '12.000000001' }, { headers: { 'if-match': read.headers.etag } });
        assert.equal(changed.status, 200);
        assert.equal(changed.json.amount, '12.000000001');
        assert.notEqual(changed.headers.etag, read.headers.etag);
        const stale = await api('PATCH', path, { amount: '1' }, { headers: { 'if-match': read.headers.etag } });
        assert.equal(stale.status, 412);
        assert.equal((await api('DELETE', path, undefined, { headers: { 'if-match': read.headers.etag } })).status, 412);
        assert.equal((await api('DELETE', path, undefined, { headers: { 'if-match': changed.headers.etag } })).status, 204);
        assert.equal((await api('GET', path)).status, 404);
    });

    test('roles: finance edits, a viewer and the team read, the team sees what binds it alone', async () => {
        const [mine, other] = [await newTeam(), await newTeam()];
        const token = (role, ...more) => gate.must('token', 'create', '--role', role, '--name', `${role}-${teams}`, ...more);
        const [finance, viewer, team] = [token('finance'), token('viewer'), token('team', '--team', mine.name)];
        const body = { scope: mine.scope, metric: 'requests', window: 'day', amount: 5 };
        const one = (await api('POST', '/api/v1/limits', body, { token: finance })).json;
        const foreign = await limit(other.scope, 'requests', 'day', 5);

        for (const [who, status] of [[viewer, 403], [team, 403], ['tga_wrong', 401]]) {
            assert.equal((await api('POST', '/api/v1/limits', body, { token: who })).status, status);
            assert.equal((await api('PATCH', `/api/v1/limits/${one.id}`, { amount: 6 }, { token: who })).status, status);
            assert.equal((await api('DELETE', `/api/v1/limits/${one.id}`, undefined, { token: who })).status, status);
            assert.equal((await api('PUT', `/api/v1/limits/${one.id}/override`, { amount: 6 }, { token: who })).status, status);
        }
        assert.equal((await api('GET', `/api/v1/limits/${foreign.id}`, undefined, { token: viewer })).status, 200);
        assert.equal((await api('GET', `/api/v1/limits/${foreign.id}`, undefined, { token: team })).status, 404);
        const seen = (await api('GET', '/api/v1/limits', undefined, { token: team })).json.data;
        assert.ok(seen.some((row) => row.id === one.id));
        assert.ok(seen.every((row) => row.scope.id === mine.id || row.scope.type === 'organization'));
    });

    test('bad input gets a problem that points at the field, and makes nothing', async () => {
        const team = await newTeam();
        const well = { scope: team.scope, metric: 'requests', window: 'day', amount: 5 };
        const mistakes = [
            [{ amount: 0 }, '/amount'], [{ amount: -5 }, '/amount'], [{ amount: 0.5 }, '/amount'],
            [{ amount: 1e30 }, '/amount'], [{ amount: 'many' }, '/amount'], [{ amount: undefined }, '/amount'],
            [{ metric: 'cost', amount: 5 }, '/amount'], [{ metric: 'cost', amount: '0' }, '/amount'],
            [{ metric: 'hopes' }, '/metric'], [{ window: 'fortnight' }, '/window'], [{ window: null }, '/window'],
            [{ timezone: 'Europe/Nowhere' }, '/timezone'], [{ models: ['a*b'] }, '/models/0'],
            [{ window: 'week', week_start: 'payday' }, '/week_start'], [{ window: 'month', anchor_day: 31 }, '/anchor_day'],
            [{ thresholds: [0] }, '/thresholds/0'], [{ enforcement: 'maybe' }, '/enforcement'],
            [{ when_short: 'clamp' }, '/when_short'], [{ scope: { type: 'team' } }, '/scope/id'],
            [{ scope: { ...team.scope, each: 'model' } }, '/scope/each'], [{ colour: 'red' }, '/colour'],
        ];

        for (const [wrong, pointer] of mistakes) {
            const answer = await api('POST', '/api/v1/limits', { ...well, ...wrong });
            assert.equal(answer.status, 400, JSON.stringify(wrong));
            assert.match(answer.headers['content-type'], /^application\/problem\+json/);
            assert.equal(answer.json.errors[0]?.pointer, pointer, JSON.stringify(wrong));
        }
        assert.equal((await api('GET', `/api/v1/limits?team_id=${team.id}`)).json.data.length, 0);
    });

    test('a limit that can never bind is made with a warning', async () => {
        const team = await newTeam();
        const day = await limit(team.scope, 'total_tokens', 'day', 1000);
        const answer = await limit(team.keyScope, 'total_tokens', 'day', 1001);

        assert.deepEqual(day.warnings, []);
        assert.equal(answer.warnings.length, 1);
        assert.ok(answer.warnings[0].includes(day.id));
        assert.deepEqual((await api('PATCH', `/api/v1/limits/${answer.id}`, { amount: 1000 })).json.warnings, []);
        assert.equal((await limit(team.scope, 'total_tokens', 'month', 31_001)).warnings.length, 1);
    });
});

describe('limits on the command line', () => {
    test('set makes one, and then changes it', async () => {
        const team = await newTeam();
        const set = (...more) => listed('limit', 'set', '--team', team.name, '--metric', 'total_tokens',
            '--window', 'month', '--models', 'gpt-4o,gpt-5*', ...more);
        const first = set('--amount', '1000000');
        const second = set('--amount', '2000000', '--soft', '--clamp', '--strict', '--thresholds', '75,100');

        assert.equal(second.id, first.id);
        assert.equal(second.amount, 2_000_000);
        assert.equal(second.enforcement, 'soft');
        assert.equal(second.when_short, 'clamp');
        assert.equal(second.strict, true);
        assert.deepEqual(second.thresholds, [75, 100]);
        assert.deepEqual(second.models, ['gpt-4o', 'gpt-5*']);
        assert.equal(set('--amount', '5', '--each-key').scope.each, 'key');
        assert.equal(listed('limit', 'list', '--team', team.name).length, 2);
    });

    test('list, get, update, override, events and delete say what the API says', async () => {
        const team = await newTeam();
        const { id } = listed('limit', 'set', '--key', team.keyId, '--metric', 'cost', '--window', 'week',
            '--week-start', 'sunday', '--timezone', 'America/New_York', '--amount', '3.5');

        assert.deepEqual(listed('limit', 'get', id), await show({ id }));
        assert.equal(listed('limit', 'update', id, '--amount', '4', '--refuse').amount, '4');
        assert.equal((await show({ id })).when_short, 'refuse');
        assert.equal(listed('limit', 'override', id, '--amount', '40').override.amount, '40');
        assert.equal(listed('limit', 'override', id, '--amount', '').override, null);
        assert.deepEqual(listed('limit', 'events', id), []);
        const [head, row] = rows(gate.cli('limit', 'list', '--key', team.keyId, '--output', 'csv').stdout);
        assert.deepEqual(head.slice(0, 4), ['id', 'scope', 'scope_id', 'each']);
        assert.deepEqual(row.slice(0, 3), [id, 'key', team.keyId]);
        assert.match(gate.must('limit', 'list', '--key', team.keyId), /^id +scope .*\nlim_/);
        assert.match(gate.must('limit', 'get', id), /^amount +4$/m);
        assert.equal(gate.must('limit', 'delete', id), '');
        assert.equal(gate.cli('limit', 'get', id).status, 1);
    });

    test('a warning goes to stderr, an answer to stdout', async () => {
        const team = await newTeam();
        const set = (scope, amount) => gate.cli('limit', 'set', ...scope, '--metric', 'requests', '--window', 'day',
            '--amount', amount, '--output', 'json');

        assert.equal(set(['--team', team.name], '10').stderr, '');
        const { status, stdout, stderr } = set(['--key', team.keyId], '11');
        assert.equal(status, 0);
        assert.match(stderr, /^warning: .*lim_/);
        assert.equal(JSON.parse(stdout).amount, 11);
    });

    test('mistakes end with 2 before anything is asked, and with 1 when the server says no', async () => {
        const team = await newTeam();
        const mistakes = [
            [2, /--metric is needed/, ['set', '--team', team.name, '--amount', '1']],
            [2, /one of --organization, --team and --key/, ['set', '--metric', 'cost', '--amount', '1']],
            [2, /one of --organization, --team and --key/, ['set', '--metric', 'cost', '--amount', '1', '--team', team.name, '--key', team.keyId]],
            [2, /exclude each other/, ['set', '--metric', 'cost', '--window', 'day', '--amount', '1', '--team', team.name, '--hard', '--soft']],
            [2, /--thresholds/, ['set', '--metric', 'cost', '--window', 'day', '--amount', '1', '--team', team.name, '--thresholds', 'half']],
            [2, /ID is needed/, ['get']],
            [2, /--amount is needed/, ['override', 'lim_000000000000']],
            [1, /amount/, ['set', '--metric', 'requests', '--window', 'day', '--amount', '1.5', '--team', team.name]],
            [1, /amount/, ['set', '--metric', 'cost', '--window', 'day', '--amount', '-1', '--team', team.name]],
            [1, /amount/, ['set', '--metric', 'cost', '--window', 'day', '--amount', '', '--team', team.name]],
            [1, /window/, ['set', '--metric', 'cost', '--window', 'year', '--amount', '1', '--team', team.name]],
            [1, /metric/, ['set', '--metric', 'love', '--window', 'day', '--amount', '1', '--team', team.name]],
            [1, /anchor_day/, ['set', '--metric', 'cost', '--window', 'month', '--anchor-day', 'last', '--amount', '1', '--team', team.name]],
            [1, /no team/, ['set', '--metric', 'cost', '--window', 'day', '--amount', '1', '--team', 'nobody']],
            [1, /no such limit/, ['update', 'lim_000000000000', '--amount', '1']],
            [1, /no such limit/, ['delete', 'lim_000000000000']],
        ];

        for (const [status, said, args] of mistakes) {
            const end = gate.cli('limit', ...args);
            assert.equal(end.status, status, `${args.join(' ')}: ${end.stderr}`);
            assert.match(end.stderr, said, args.join(' '));
            assert.equal(end.stdout, '');
        }
        assert.equal(listed('limit', 'list', '--team', team.name).length, 0);
        assert.equal(gate.cli('unreconciled', 'release').status, 2);
        assert.equal(gate.cli('unreconciled', 'release', '--before', 'lately').status, 2);
        assert.equal(gate.cli('explain', '--key', team.keyId).status, 2);
        assert.equal(gate.cli('refusals', '--reason', 'mood').status, 1);
        for (const words of [['limit'], ['limit', 'set'], ['limit', 'override'], ['explain'], ['unreconciled', 'release'], ['refusals']])
            assert.match(gate.must(...words, '--help'), /tollgate/, words.join(' '));
    });
});

describe('limits over calls', () => {
    test('what limits have spent is what the receipts say, also after a restart', async () => {
        const team = await newTeam();
        const second = (await api('POST', '/api/v1/keys', { team_id: team.id, name: 'second' })).json;
        const money = await limit(team.scope, 'cost', 'day', '5');
        const tokens = await limit(team.scope, 'total_tokens', 'month', 1_000_000);
        const each = await limit({ ...team.scope, each: 'key' }, 'requests', 'total', 100);
        const other = await limit(team.scope, 'requests', 'day', 100, { models: ['gpt-4o-mini*'] });
        const answers = [await chat(team), await chat(team), await chat(team, { model: 'gpt-4o-mini' }),
            await chat(team, {}, { key: second.secret })];

        for (const answer of answers)
            assert.equal(answer.status, 200, String(answer.body));
        const receipts = await Promise.all(answers.map((answer) => gate.receipt(answer.headers['x-request-id'])));
        const cost = receipts.reduce((sum, receipt) => sum + nano(receipt.cost), 0n);
        const check = async () => {
            const seen = await show(money);

            assert.equal(nano(seen.spent), cost);
            assert.equal(nano(seen.remaining), 5_000_000_000n - cost);
            assert.equal(seen.held, '0');
            assert.equal((await show(tokens)).spent, receipts.reduce((sum, receipt) => sum + receipt.total_tokens, 0));
            assert.equal((await show(other)).spent, 1);
            const keys = new Map((await show(each)).keys.map((row) => [row.key_id, row]));
            assert.deepEqual([keys.get(team.keyId).spent, keys.get(second.id).spent], [3, 1]);
            assert.deepEqual([keys.get(team.keyId).remaining, keys.get(second.id).remaining], [97, 99]);
        };
        await check();
        await gate.stop();
        await gate.boot();
        await check();
    });

    test('the third of two calls is refused, explained, listed, and let through by an override', async () => {
        const team = await newTeam();
        const two = await limit(team.scope, 'requests', 'day', 2);
        const ask = () => chat(team);

        assert.equal((await ask()).status, 200);
        assert.ok(listed('explain', '--key', team.keyId, '--model', 'gpt-4o').admitted);
        assert.equal((await ask()).status, 200);
        const refused = await ask();
        assert.equal(refused.status, 429);
        assert.equal(refused.headers['x-tollgate-limit-id'], two.id);
        const why = listed('explain', '--key', team.keyId, '--model', 'gpt-4o');
        assert.equal(why.admitted, false);
        assert.equal(why.reason, 'spent');
        assert.equal(why.limit_id, two.id);
        assert.equal(why.provider.name, 'openai');
        assert.equal(why.limits.find((row) => row.limit_id === two.id).says, 'spent');
        assert.ok(why.prices.some((row) => row.class === 'output' && /^0\.0000\d+$/.test(row.unit_price)));
        assert.match(gate.must('explain', '--key', team.keyId, '--model', 'gpt-4o'), /^admitted +false$/m);
        const [row] = await until('the refusal to be written', () =>
            (async () => (await api('GET', `/api/v1/refusals?key=${team.keyId}`)).json.data)()
                .then((data) => data.length > 0 && data));
        assert.equal(row.id, refused.headers['x-request-id']);
        assert.deepEqual([row.reason, row.limit_id, row.amount, row.spent, row.estimate], ['spent', two.id, 2, 2, 1]);
        assert.equal(listed('refusals', '--team', team.name, '--reason', 'spent').length, 1);
        const [head, line] = rows(gate.must('refusals', '--team', team.name, '--output', 'csv'));
        assert.equal(line[head.indexOf('limit_id')], two.id);
        gate.must('limit', 'override', two.id, '--amount', '3');
        assert.equal((await show(two)).remaining, 1);
        assert.equal((await ask()).status, 200);
        assert.equal((await ask()).status, 429);
        assert.equal((await show(two)).spent, 3);
    });

    test('thresholds are told once, each', async () => {
        const team = await newTeam();
        const four = await limit(team.scope, 'requests', 'day', 4, { thresholds: [25, 50, 100] });

        for (let i = 0; i < 3; i++)
            assert.equal((await chat(team)).status, 200);
        const events = await until('two events', async () => {
            const { data } = (await api('GET', `/api/v1/limits/${four.id}/events`)).json;
            return data.length >= 2 && data;
        });
        assert.deepEqual(events.map((event) => [event.threshold, event.spent, event.amount]), [[50, 2, 4], [25, 1, 4]]);
        assert.equal(listed('limit', 'events', four.id).length, 2);
    });

    test('a key sees its own limits on the client listener', async () => {
        const team = await newTeam();
        const own = (key) => call(`${gate.url}/api/v1/key`, { method: 'GET', headers: { authorization: `Bearer ${key}` } });
        const money = await limit({ ...team.scope, each: 'key' }, 'cost', 'month', '7.5');
        const foreign = await limit((await newTeam()).scope, 'cost', 'month', '1');

        await limit(team.scope, 'parallel', undefined, 9, { models: ['gpt-*'] });
        const answered = await chat(team);
        const { cost } = await gate.receipt(answered.headers['x-request-id']);
        const answer = await own(team.key);
        const { data } = JSON.parse(answer.body);
        assert.equal(answer.status, 200);
        assert.equal(data.label, team.keyId);
        assert.equal(data.limit, 7.5);
        assert.equal(data.limit_reset, 'monthly');
        assert.equal(data.usage_monthly, Number(cost));
        assert.equal(data.usage_daily, null);
        const mine = data.limits.filter((row) => row.scope === 'team');
        assert.deepEqual(mine.map((row) => row.metric), ['cost', 'parallel']);
        assert.equal(mine[0].id, money.id);
        assert.equal(nano(mine[0].spent), nano(cost));
        assert.equal(nano(mine[0].remaining), 7_500_000_000n - nano(cost));
        assert.match(mine[0].resets_at, /-01T00:00:00\.000Z$/);
        assert.deepEqual(mine[1].models, ['gpt-*']);
        assert.ok(!answer.body.includes(foreign.id));
        assert.equal((await own(`tgk_${'A'.repeat(48)}`)).status, 401);
        gate.must('key', 'revoke', team.keyId);
        assert.equal((await own(team.key)).status, 401);
    });

    test('many ask for their limits at once, some leave, and nothing is left behind', async () => {
        const team = await newTeam();
        const request = `GET /api/v1/key HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${team.key}\r\n\r\n`;
        const all = await Promise.all(Array.from({ length: 48 }, () => Raw.open(gate.port)));

        for (const raw of all)
            raw.send(request);
        for (const raw of all.slice(32))
            raw.leave({ reset: true });
        for (const raw of all.slice(0, 32)) {
            const [answer] = await raw.answered(1);
            assert.ok([200, 503].includes(answer.status), answer.body);
            raw.leave();
        }
        assert.equal((await chat(team)).status, 200);
    });

    test('what a killed process left open is released in bulk', async () => {
        const team = await newTeam();
        const money = await limit(team.scope, 'cost', 'day', '5');
        const body = '{"model":"gpt-4o","stream":true,"max_tokens":50,"messages":[{"role":"user","content":"hello"}]}';
        const streams = await Promise.all([1, 2, 3].map(() => Raw.open(gate.port)));

        for (const raw of streams)
            raw.send('POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n' +
                `Authorization: Bearer ${team.key}\r\nx-sim: stall=body\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
        for (const raw of streams)
            await until('the first event', () => raw.text.includes('data: '));
        assert.notEqual((await show(money)).held, '0');
        await gate.daemon.stop('SIGKILL');
        await gate.boot();
        const before = await show(money);
        assert.equal(before.held, '0');
        assert.notEqual(before.unreconciled, '0');
        assert.equal(before.unreconciled, before.spent);
        assert.deepEqual(listed('unreconciled', 'release', '--before', '1d', '--team', team.name), { released: 0, has_more: false });
        assert.deepEqual(listed('unreconciled', 'release', '--before', '0m', '--team', team.name), { released: 3, has_more: false });
        const after = await show(money);
        assert.deepEqual([after.spent, after.unreconciled, after.remaining], ['0', '0', '5']);
        assert.deepEqual(listed('unreconciled', 'release', '--before', '0m', '--team', team.name), { released: 0, has_more: false });
    });
});
