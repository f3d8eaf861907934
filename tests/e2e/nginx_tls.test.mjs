// Goal: the nginx block of README.md works as printed: https in front, streams unbuffered. Method: the
// block is cut out of the README, its ports, names and certificate paths are filled in, nginx runs it,
// and the official client, in a process that trusts the test's authority, notes when each event came.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { nginxCommand, startFront } from './support/front.mjs';
import { ROOT, SLOWNESS, run } from './support/process.mjs';
import { Sim } from './support/sim.mjs';
import { makeCertificates } from './support/tls.mjs';
import { Tollgate } from './support/tollgate.mjs';

const GAP_MS = 60;
const EVENTS = 20;

let sim;
let gate;
let front;
let certificates;

function blockOfReadme() {
    const block = /```nginx\n([^]*?)```/.exec(readFileSync(join(ROOT, 'README.md'), 'utf8'));

    assert.ok(block !== null, 'README.md has a block marked nginx');
    return block[1];
}

/** The block as it stands, but for what differs from one machine to the next. */
function fillIn(block) {
    return block
        .replace(/^\s*listen\s+\[::\].*;\n/gm, '')
        .replace(/^(\s*listen)\s+80\b.*;/gm, '$1 127.0.0.1:$PLAIN;')
        .replace(/^(\s*listen)\s+443\b/gm, '$1 127.0.0.1:$FRONT')
        .replace(/^(\s*server_name)\s.*;/gm, '$1 _;')
        .replace(/^(\s*ssl_certificate)\s.*;/gm, '$1 $CERT;')
        .replace(/^(\s*ssl_certificate_key)\s.*;/gm, '$1 $KEY;')
        .replace(/127\.0\.0\.1:4000/g, '127.0.0.1:$PORT')
        .replace(/127\.0\.0\.1:4001/g, '127.0.0.1:$ADMIN');
}

const AROUND = (block) => `daemon off;
master_process off;
pid $FOLDER/nginx.pid;
error_log stderr warn;
events {}
http {
    access_log off;
    client_body_temp_path $FOLDER/body;
    proxy_temp_path $FOLDER/proxy;
    fastcgi_temp_path $FOLDER/fastcgi;
    uwsgi_temp_path $FOLDER/uwsgi;
    scgi_temp_path $FOLDER/scgi;
${block}
}
`;

before(async () => {
    certificates = makeCertificates();
    sim = await Sim.start();
    gate = await Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
    front = await startFront(AROUND(fillIn(blockOfReadme())), { PORT: gate.port, ADMIN: gate.adminPort, PLAIN: 0,
        CERT: certificates.cert, KEY: certificates.key }, nginxCommand);
});

after(async () => {
    await front?.stop();
    await gate?.stop();
    await sim?.stop();
});

/** Times in ms at which a client behind https saw each event, counted from its request. */
function client(script) {
    const { status, stdout, stderr } = run(process.execPath, [join(ROOT, 'tests/e2e/support/stream_times.mjs'),
        `https://127.0.0.1:${front.port}/v1`, gate.key, script], { env: { NODE_EXTRA_CA_CERTS: certificates.ca } });

    assert.equal(status, 0, stderr);
    return JSON.parse(stdout);
}

describe('nginx and TLS', () => {
    test('the README\'s nginx block lets each event of a stream through as it comes', async () => {
        const { times, call } = client(`gap_ms=${GAP_MS};events=${EVENTS};out=${EVENTS}`);
        const whole = times.at(-1);
        const gaps = times.slice(1).map((time, i) => time - times[i]).filter((gap) => gap > GAP_MS / 2);

        assert.equal(times.length, EVENTS + 2);
        assert.ok(whole >= GAP_MS * EVENTS * 0.9, `${whole} ms`);
        assert.ok(times[0] < whole / 3 * SLOWNESS, `the first event came after ${times[0]} of ${whole} ms`);
        assert.ok(gaps.length >= EVENTS * 0.7, `${gaps.length} of ${EVENTS} events came on their own`);
        assert.equal((await gate.receipt(call)).output_tokens, EVENTS);
    });
});
