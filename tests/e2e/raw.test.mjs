// Goal: what two servers in a row might read differently is refused, the connection ended, and no
// second request served that the client did not frame; what is valid is served in order. Method: raw
// bytes on sockets, straight to Tollgate and through nginx and haproxy; a canary call hidden in each
// request would leave its tag in the simulator's bill.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { BODIES, HEADS, VALID, bodyRequest, canary } from './support/corpus.mjs';
import { startHaproxy, startNginx } from './support/front.mjs';
import { Raw, readAnswers } from './support/http.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { parallel, until } from './support/wait.mjs';

const BODY = '{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}';

let sim;
let gate;

before(async () => {
    sim = await Sim.start();
    gate = await Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
});

after(async () => {
    await gate?.stop();
    await sim?.stop();
});

const head = (more, version = '1.1') => `POST /v1/chat/completions HTTP/${version}\r\nHost: a\r\n` +
    `Authorization: Bearer ${gate.key}\r\n${more}\r\n\r\n`;
const whole = (more = '', version = '1.1', body = BODY) =>
    head(`${more}${more && '\r\n'}Content-Length: ${body.length}`, version) + body;

function assertEnvelope(answer, name) {
    const { error } = JSON.parse(answer.body);

    assert.deepEqual(Object.keys(error).sort(), ['code', 'message', 'param', 'type'], name);
    assert.match(answer.headers['x-request-id'], /^call_/, name);
}

async function assertRefused(name, bytes, status, tag) {
    const raw = (await Raw.open(gate.port)).send(bytes);
    const answers = await raw.ended().catch((error) => assert.fail(`${name}: ${error.message}`));

    assert.equal(answers.length, 1, `${name}: ${raw.text}`);
    assert.ok([status].flat().includes(answers[0].status), `${name}: ${answers[0].status} instead of ${status}`);
    assert.ok(answers[0].isWhole, name);
    assertEnvelope(answers[0], name);
    assert.deepEqual(sim.tagged(tag), [], `${name}: the canary was served`);
}

describe('raw', () => {
    test('a head that can be misread is refused, and the connection with what follows', async () => {
        for (const [name, bytes, status] of HEADS)
            await assertRefused(name, bytes + canary(gate.key, `head ${name}`), status, `head ${name}`);
    });

    test('a body that can be misread is refused, and no request inside or behind it is served', async () => {
        for (const row of BODIES) {
            const tag = `body ${row[0]}`;
            await assertRefused(row[0], bodyRequest(row, gate.key, tag), row[3], tag);
            await assertRefused(row[0], bodyRequest(row, gate.key, tag) + canary(gate.key, tag), row[3], tag);
        }
    });

    test('a body on GET, HEAD and DELETE is refused', async () => {
        for (const method of ['GET', 'HEAD', 'DELETE'])
            for (const framing of ['Content-Length: 5', 'Transfer-Encoding: chunked']) {
                const raw = (await Raw.open(gate.port))
                    .send(`${method} / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n5\r\nhello\r\n0\r\n\r\n`);
                await raw.ended();
                assert.equal(readAnswers(raw.text, { isHead: true })[0].status, 400, `${method} ${framing}`);
            }
    });

    test('what is unusual and valid is served', async () => {
        for (const [name, bytes] of VALID) {
            const raw = (await Raw.open(gate.port)).send(bytes);
            assert.equal((await raw.answered())[0].status, 200, name);
            raw.leave();
        }
    });

    test('an escape in a path is refused unless it stands in a model', async () => {
        for (const path of ['/v1/chat%2fcompletions', '/%76%31/chat/completions', '/v1/%2e%2e/v1/chat/completions'])
            assert.equal((await gate.chat({ path })).status, 400, path);
        for (const path of ['/v1/../v1/chat/completions', '/v1/chat/completions/', '//v1/chat/completions',
            '/v1/./chat/completions', '/V1/chat/completions', '/v1/chat/completions;x', '/v1/v1/chat/completions'])
            assert.equal((await gate.chat({ path })).status, 404, path);
    });

    test('pipelined requests are served in order, each after the answer before it', async () => {
        const raw = (await Raw.open(gate.port)).send(
            whole('x-sim: first_ms=150;out=1\r\nx-sim-tag: pipe-1') + whole('x-sim: out=2\r\nx-sim-tag: pipe-2') +
            `GET / HTTP/1.1\r\nHost: a\r\n\r\n` + whole('x-sim: out=3\r\nx-sim-tag: pipe-3'));
        const answers = await raw.answered(4);

        assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200, 200]);
        assert.deepEqual([0, 1, 3].map((i) => JSON.parse(answers[i].body).usage.completion_tokens), [1, 2, 3]);
        const [first, second, third] = ['pipe-1', 'pipe-2', 'pipe-3'].map((tag) => sim.tagged(tag)[0]);
        assert.ok(first.seq < second.seq && second.seq < third.seq);
        assert.ok(first.at_ms <= second.at_ms);
        raw.leave();
    });

    test('behind a refused request on the connection nothing is served', async () => {
        const raw = (await Raw.open(gate.port)).send(whole('x-sim: out=1') + HEADS[0][1] + canary(gate.key, 'behind'));
        const answers = await raw.ended();

        assert.deepEqual(answers.map((answer) => answer.status), [200, 400]);
        assert.deepEqual(sim.tagged('behind'), []);
    });

    test('a connection is kept, or closed, as the request says', async () => {
        const raw = await Raw.open(gate.port);
        for (let i = 1; i <= 5; i++)
            await raw.send(whole()).answered(i);
        const last = (await raw.send(whole('Connection: close')).ended()).at(-1);
        assert.equal(last.headers.connection, 'close');
        const old = await (await Raw.open(gate.port)).send(whole('', '1.0')).ended();
        assert.equal(old[0].status, 200);
        const kept = await Raw.open(gate.port);
        await kept.send(whole('Connection: keep-alive', '1.0')).answered(1);
        await kept.send(whole('Connection: keep-alive', '1.0')).answered(2);
        kept.leave();
    });

    test('to HTTP/1.0 a stream is not chunked and ends with the connection', async () => {
        const body = BODY.replace('{', '{"stream":true,');
        const [answer] = await (await Raw.open(gate.port)).send(whole('x-sim: out=5', '1.0', body)).ended();

        assert.equal(answer.status, 200);
        assert.equal(answer.headers['transfer-encoding'], undefined);
        assert.match(answer.body, /data: \[DONE\]\n\n$/);
    });

    test('Expect: 100-continue is answered before the body, and a refusal instead of it', async () => {
        const raw = await Raw.open(gate.port);
        raw.send(head(`Expect: 100-continue\r\nContent-Length: ${BODY.length}`));
        assert.equal((await raw.answered())[0].status, 100);
        assert.equal((await raw.send(BODY).answered(2))[1].status, 200);
        raw.leave();
        const [large] = await (await Raw.open(gate.port))
            .send(head('Expect: 100-continue\r\nContent-Length: 999999999')).ended();
        assert.equal(large.status, 413);
        const [stranger] = await (await Raw.open(gate.port)).send(head('Expect: 100-continue\r\nContent-Length: 5')
            .replace(gate.key, 'tgk_stranger')).ended();
        assert.equal(stranger.status, 401);
    });

    test('a chunked upload is the same wherever it is cut', async () => {
        const chunks = `5;ext="v"\r\n${BODY.slice(0, 5)}\r\n${(BODY.length - 5).toString(16).toUpperCase()}\r\n` +
            `${BODY.slice(5)}\r\n0\r\nX-Trailer: t\r\n\r\n`;
        const bytes = head('Transfer-Encoding: chunked\r\nx-sim: hop=1') + chunks;

        for (const step of [1, 2, 7, 64, bytes.length]) {
            const raw = await Raw.open(gate.port);
            for (let at = 0; at < bytes.length; at += step) {
                raw.send(bytes.slice(at, at + step));
                await new Promise(setImmediate);
            }
            const [answer] = await raw.answered();
            const { echo } = JSON.parse(answer.body);
            assert.equal(echo.body, BODY, `step ${step}`);
            assert.equal(echo.headers['content-length'], String(BODY.length));
            assert.equal(echo.headers['transfer-encoding'], undefined);
            assert.equal(echo.headers['x-trailer'], undefined);
            raw.leave();
        }
    });

    test('HEAD is answered as GET, without the body', async () => {
        const raw = (await Raw.open(gate.port)).send('HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
        await raw.ended();
        const [answer, ...more] = readAnswers(raw.text, { isHead: true });

        assert.equal(answer.status, 200);
        assert.deepEqual(more, []);
    });

    test('a half-closed client counts as gone', async () => {
        const body = BODY.replace('{', '{"stream":true,');
        const raw = (await Raw.open(gate.port))
            .send(whole('x-sim: out=50;stall=body\r\nx-sim-tag: half', '1.1', body));

        await until('the first half of the stream', () => raw.text.split('data: ').length > 20);
        raw.half();
        await raw.ended(1000);
        const [line] = await sim.billed('half', 1, 1000);
        assert.ok(['client_gone', 'cut'].includes(line.state), line.state);
        await gate.quiet();
        const id = raw.answers[0].headers['x-request-id'];
        assert.equal((await gate.receipt(id)).outcome, 'client_gone');
    });

    test('a WebSocket is refused with 426', async () => {
        const raw = (await Raw.open(gate.port)).send('GET /v1/chat/completions HTTP/1.1\r\nHost: a\r\n' +
            `Authorization: Bearer ${gate.key}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
        assert.equal((await raw.answered())[0].status, 426);
        raw.leave();
    });
});

for (const [name, start] of [['nginx', startNginx], ['haproxy', startHaproxy]]) {
    describe(`raw behind ${name}`, () => {
        let front;

        before(async () => { front = await start(gate.port); });
        after(() => front?.stop());

        /** A well-framed call through the front gets its own answer: nobody left half a request behind. */
        async function assertInStep(probe) {
            const raw = (await Raw.open(front.port)).send(whole(`x-sim: hop=1\r\nx-probe: ${probe}`));
            const [answer] = await raw.answered();

            raw.leave();
            assert.equal(answer.status, 200, probe);
            assert.equal(JSON.parse(answer.body).echo.headers['x-probe'], probe);
        }

        test('no request is served that the client did not frame', async () => {
            const rows = BODIES.filter((row) => row[4] !== name);

            await parallel(8, rows.length, async (i) => {
                const tag = `${name} ${rows[i][0]}`;
                const raw = (await Raw.open(front.port)).send(bodyRequest(rows[i], gate.key, tag));
                const answers = await raw.ended();

                assert.ok(answers.every(({ status }) => status < 200 || status > 299), `${tag}: ${raw.text}`);
                assert.deepEqual(sim.tagged(tag), [], `${tag}: the canary was served`);
                await assertInStep(tag);
            });
        });

        test('an odd head leaves the connections behind it in step', async () => {
            const rows = [...HEADS, ...VALID];

            await parallel(8, rows.length, async (i) => {
                const raw = (await Raw.open(front.port)).send(rows[i][1]);
                await raw.ended();
                await assertInStep(`${name} ${rows[i][0]}`);
            });
        });

        test('valid requests are served, pipelined ones in order', async () => {
            const raw = (await Raw.open(front.port)).send(whole('x-sim: first_ms=50;out=1') + whole('x-sim: out=2'));
            const answers = await raw.answered(2);

            raw.leave();
            assert.deepEqual(answers.map((answer) => JSON.parse(answer.body).usage.completion_tokens), [1, 2]);
        });
    });
}
