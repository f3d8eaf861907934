// Goal: the program starts on what it has, keeps others off its data, ends cleanly when told, and says
// what it was not given. Method: the built binary as a person runs it, its exit statuses, its two outputs
// and what the next start finds.

import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Raw, call, sseData } from './support/http.mjs';
import { nano } from './support/prices.mjs';
import { Daemon, SLOWNESS, freePorts, freshFolder, run } from './support/process.mjs';
import { Sim } from './support/sim.mjs';
import { BINARY, Tollgate } from './support/tollgate.mjs';
import { until, within } from './support/wait.mjs';

const START_MS = 1000;

let sim;

before(async () => { sim = await Sim.start(); });
after(() => sim?.stop());

const startGate = (more = {}) =>
    Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } }, ...more });

/** A stream that is under way: resolves once its first event has come. */
async function openStream(gate, script) {
    const body = '{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hello"}]}';
    const raw = (await Raw.open(gate.port)).send('POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n' +
        `Authorization: Bearer ${gate.key}\r\nx-sim: ${script}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);

    await until('the first event', () => raw.text.includes('data: '));
    return raw;
}

describe('run', () => {
    test('started again it finds its data and serves in under a second', async () => {
        const gate = await startGate();
        const first = await gate.chat();
        assert.equal(first.status, 200);
        await gate.stop();
        const start = performance.now();
        await gate.boot();
        const took = performance.now() - start;
        assert.ok(took < START_MS * SLOWNESS, `${took} ms`);
        assert.equal((await gate.chat()).status, 200);
        const rows = await gate.calls();
        assert.equal(rows.length, 2);
        assert.equal(rows[1].id, first.headers['x-request-id']);
        await gate.stop();
    });

    test('a second server on the same data is refused with a message that says so, and harms nothing', async () => {
        const gate = await startGate();
        const [port, adminPort] = await freePorts(2);
        const second = new Daemon(BINARY, ['serve', '--data-dir', gate.dataDir, '--listen', `127.0.0.1:${port}`,
            '--admin-listen', `127.0.0.1:${adminPort}`]);
        const { code } = await within(10_000, 'the second server', second.exited);

        assert.equal(code, 1);
        assert.match(second.log, /another Tollgate/);
        assert.ok(second.log.includes(gate.dataDir));
        assert.equal((await gate.chat()).status, 200);
        assert.equal(gate.must('team', 'create', 'through-the-socket').length >= 0, true);
        await gate.stop();
    });

    test('a server on a port that is taken is refused', async () => {
        const gate = await startGate();
        const [free] = await freePorts(1);

        for (const ports of [[gate.port, free], [free, gate.adminPort]]) {
            const second = new Daemon(BINARY, ['serve', '--data-dir', join(freshFolder(), 'data'),
                '--listen', `127.0.0.1:${ports[0]}`, '--admin-listen', `127.0.0.1:${ports[1]}`]);
            const { code } = await within(10_000, 'the second server', second.exited);

            assert.equal(code, 1, second.log);
            assert.match(second.log, /in use/);
        }
        assert.equal((await gate.chat()).status, 200);
        await gate.stop();
    });

    test('the data folder is for its owner alone', async () => {
        const gate = await startGate();

        assert.equal(statSync(gate.dataDir).mode & 0o077, 0);
        for (const name of ['tollgate.db', 'master.key', 'admin.sock'])
            assert.equal(statSync(join(gate.dataDir, name)).mode & 0o077, 0, name);
        await gate.stop();
    });

    test('the command line reaches the running server by its data folder alone', async () => {
        const gate = await startGate();
        const listed = (what) => JSON.parse(gate.must(what, 'list', '--output', 'json'));

        gate.must('team', 'create', 'second');
        const key = gate.must('key', 'create', '--team', 'second');
        assert.match(key, /^tgk_[0-9A-Za-z]{48}$/);
        assert.equal((await gate.chat({ key })).status, 200);
        const teams = listed('team');
        assert.deepEqual((teams.data ?? teams).map((team) => team.name).sort(), ['second', 'team']);
        const keys = listed('key');
        gate.must('key', 'revoke', (keys.data ?? keys).find((one) => one.prefix === key.slice(0, 14)).id);
        assert.equal((await gate.chat({ key })).status, 401);
        await gate.stop();
    });

    test('without a server the command line works on the data folder itself', async () => {
        const gate = await startGate();

        await gate.stop();
        gate.must('team', 'create', 'made-offline');
        gate.must('provider', 'add', 'second', '--kind', 'openai', '--base-url', sim.baseUrl, '--secret-file', gate.secretFile);
        const key = gate.must('key', 'create', '--team', 'made-offline');
        gate.must('verify');
        assert.match(gate.must('team', 'list'), /made-offline/);
        assert.equal(gate.cli('team', 'create', 'made-offline').status, 1);
        await gate.boot();
        assert.equal((await gate.chat({ key, path: '/second/v1/chat/completions' })).status, 200);
        await gate.stop();
        gate.must('verify');
    });

    test('without an admin token a first start prints a one-time link, on stdout alone', async () => {
        const [port, adminPort] = await freePorts(2);
        const daemon = new Daemon(BINARY, ['serve', '--data-dir', join(freshFolder(), 'data'),
            '--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${adminPort}`]);
        const [link] = await daemon.waitFor(new RegExp(`http://127\\.0\\.0\\.1:${adminPort}/\\S+`));

        assert.ok(!daemon.log.includes(link.split(/[#?=]/).at(-1)), 'the link is not in the log');
        assert.equal((await daemon.stop()).code, 0);
    });
});

describe('ending', () => {
    test('SIGTERM lets a stream finish, takes no new call and leaves no hold open', async () => {
        const gate = await startGate();
        const raw = await openStream(gate, 'gap_ms=60;events=15;out=30');
        const idle = await Raw.open(gate.port);

        gate.daemon.signal('SIGTERM');
        await until('/readyz to say no', async () => !(await gate.isReady()));
        await until('an idle connection to be closed', () => idle.closed);
        await until('the listener to be gone', () => gate.chat({ tag: 'late' }).then(() => false, () => true));
        const [answer] = await raw.ended();
        assert.ok(answer.isWhole);
        assert.match(answer.body, /data: \[DONE\]\n\n$/);
        assert.equal((await within(10_000, 'the end', gate.daemon.exited)).code, 0);
        assert.deepEqual(sim.tagged('late'), []);
        await gate.boot();
        assert.deepEqual(await gate.openHolds(), []);
        const row = await gate.receipt(answer.headers['x-request-id']);
        assert.equal(row.outcome, 'ok');
        assert.equal(row.output_tokens, 30);
        await gate.stop();
    });

    test('/readyz is 503 while it drains', async () => {
        const gate = await startGate();
        const raw = await openStream(gate, 'gap_ms=100;events=10;out=30');

        gate.daemon.signal('SIGTERM');
        const answer = await until('503', () => call(`${gate.adminUrl}/readyz`, { method: 'GET' })
            .then((one) => one.status !== 200 && one, () => null));
        assert.equal(answer.status, 503);
        await raw.ended();
        assert.equal((await within(10_000, 'the end', gate.daemon.exited)).code, 0);
    });

    test('a second SIGTERM cuts and settles what is open', async () => {
        const gate = await startGate();
        const streams = await Promise.all([1, 2, 3].map(() => openStream(gate, 'stall=body;out=40')));

        gate.daemon.signal('SIGTERM');
        await until('/readyz to say no', async () => !(await gate.isReady()));
        gate.daemon.signal('SIGTERM');
        assert.equal((await within(5000 * SLOWNESS, 'the end', gate.daemon.exited)).code, 0);
        const ids = [];
        for (const raw of streams) {
            const [answer] = await raw.ended();
            assert.ok(!answer.isWhole, 'the client can tell');
            ids.push(answer.headers['x-request-id']);
        }
        await gate.boot();
        assert.deepEqual(await gate.openHolds(), []);
        for (const id of ids) {
            const row = await gate.receipt(id);
            assert.notEqual(row.outcome, 'unreconciled');
            assert.ok(row.output_tokens > 0 && nano(row.cost) > 0n, JSON.stringify(row));
        }
        await gate.stop();
    });

    test('--drain-seconds bounds the wait', async () => {
        const gate = await startGate({ args: ['--drain-seconds', '1'] });
        const raw = await openStream(gate, 'stall=body;out=40');
        const start = performance.now();

        gate.daemon.signal('SIGTERM');
        assert.equal((await within(6000 * SLOWNESS, 'the end', gate.daemon.exited)).code, 0);
        const took = performance.now() - start;
        assert.ok(took >= 900, `${took} ms`);
        await raw.ended();
        await gate.boot();
        assert.deepEqual(await gate.openHolds(), []);
        await gate.stop();
    });

    test('after kill -9 open holds become unreconciled charges, and the books balance', async () => {
        const gate = await startGate();
        await openStream(gate, 'stall=body;out=40');
        await openStream(gate, 'stall=body;out=40');

        await gate.daemon.stop('SIGKILL');
        await gate.boot();
        assert.deepEqual(await gate.openHolds(), []);
        const rows = await gate.calls();
        assert.equal(rows.length, 2);
        assert.ok(rows.every((row) => row.outcome === 'unreconciled' && nano(row.cost) > 0n), JSON.stringify(rows));
        await gate.stop();
    });
});

describe('command line', () => {
    const tollgate = (...args) => run(BINARY, args);

    test('--help and --version answer on stdout with status 0', () => {
        for (const args of [['--help'], ['serve', '--help'], ['team', '--help'], ['key', 'create', '--help'], ['provider', '--help']]) {
            const { status, stdout } = tollgate(...args);
            assert.equal(status, 0, args.join(' '));
            assert.match(stdout, /tollgate/, args.join(' '));
        }
        const { status, stdout } = tollgate('--version');
        assert.equal(status, 0);
        assert.match(stdout, /tollgate \d+\.\d+\.\d+/);
    });

    test('what is wrong in the command itself ends with status 2 and a word on stderr', () => {
        const folder = freshFolder();

        for (const args of [[], ['nonsense'], ['serve', '--nonsense'], ['serve', '--workers', 'many'], ['serve', '--workers', '0'],
            ['serve', '--drain-seconds', '-1'], ['serve', '--listen'], ['team'], ['team', 'nonsense'],
            ['team', 'create'], ['key', 'create', '--nonsense'], ['team', 'create', 'a', 'b']]) {
            const { status, stderr } = tollgate(...args, ...(args[0] === 'serve' || args.length < 2 ? [] : ['--data-dir', folder]));
            assert.equal(status, 2, `${args.join(' ')}: ${stderr}`);
            assert.ok(stderr.length > 0, args.join(' '));
        }
    });

    test('what cannot be done ends with status 1 and a word on stderr', async () => {
        const gate = await startGate();

        for (const args of [['team', 'create', gate.name], ['key', 'create', '--team', 'nobody'],
            ['provider', 'add', 'p', '--kind', 'no-such-kind', '--secret-file', gate.secretFile],
            ['provider', 'add', 'p', '--kind', 'openai', '--secret-file', '/nonexistent'],
            ['key', 'revoke', 'key_000000000000'], ['calls', 'get', 'call_00000000000']]) {
            const { status, stderr } = gate.cli(...args);
            assert.equal(status, 1, `${args.join(' ')}: ${stderr}`);
            assert.ok(stderr.length > 0, args.join(' '));
        }
        await gate.stop();
    });

    test('serve with an address that is none says so', () => {
        const { status, stderr } = tollgate('serve', '--data-dir', join(freshFolder(), 'data'), '--listen', 'nowhere');

        assert.ok(status === 1 || status === 2);
        assert.match(stderr, /nowhere/);
    });
});

describe('sandbox', () => {
    test('--sandbox meters a first call with no provider account', async () => {
        const gate = await Tollgate.start({ args: ['--sandbox'] });

        for (const model of ['echo', 'echo-slow'])
            for (const stream of [false, true]) {
                const answer = await gate.chat({ body: { model, stream } });
                const row = await gate.receipt(answer.headers['x-request-id']);
                const usage = stream ? null : JSON.parse(answer.body).usage;

                assert.equal(answer.status, 200);
                if (stream)
                    assert.equal(sseData(answer.body).at(-1), '[DONE]');
                else
                    assert.equal(row.total_tokens, usage.total_tokens);
                assert.equal(nano(row.cost), BigInt(row.input_tokens) * 1000n + BigInt(row.output_tokens) * 2000n);
                assert.equal(row.source, 'provider');
            }
        await gate.stop();
    });
});
