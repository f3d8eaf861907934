// What the tests that kill the server have in common: clients that never die, and the comparison of what
// they saw with the ledger and the provider's bill.

import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { run } from './process.mjs';

const STREAMS = 32;
const PLAIN_BODY = '{"model":"gpt-4o","max_tokens":64,"messages":[{"role":"user","content":"hello"}]}';
const STREAM_BODY = PLAIN_BODY.replace('{', '{"stream":true,');
const SCRIPTS = ['events=3;out=9', 'events=6;gap_ms=2;out=20', 'events=2;out=5;usage=last', 'events=10;gap_ms=5;out=64'];

/** mulberry32: a kill's moment can be had again by its seed. */
export function randomFrom(seed) {
    let state = seed >>> 0;

    return () => {
        state = (state + 0x6d2b79f5) >>> 0;
        let mixed = Math.imul(state ^ (state >>> 15), state | 1);
        mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
        return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
    };
}

/** Only for moments that are random on purpose. */
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** One call. Resolves to what its client saw: the call's id, the provider's, the status (null: no answer)
 * with the reason of a refusal, and whether it was complete. */
export function callOnce({ gate, key = gate.key, tag = null }, agent, number) {
    const isStream = number % 4 !== 0;
    const body = isStream ? STREAM_BODY : PLAIN_BODY;

    return new Promise((done) => {
        const seen = { call: null, response: null, status: null, reason: null, isComplete: false, text: '' };
        const sent = request(`${gate.baseUrl}/chat/completions`, { method: 'POST', agent, headers: {
            authorization: `Bearer ${key}`, 'content-length': body.length,
            'x-sim': SCRIPTS[number % SCRIPTS.length], ...(tag && { 'x-sim-tag': tag }) } }, (answer) => {
            seen.call = answer.headers['x-request-id'];
            seen.status = answer.statusCode;
            seen.reason = answer.headers['x-tollgate-reason'] ?? null;
            answer.setEncoding('latin1');
            answer.on('data', (piece) => {
                seen.text += piece;
                // The terminal event of a stream is enough: its reader acts on it.
                if (isStream && /"finish_reason":"(stop|length)"/.test(seen.text))
                    seen.isComplete = answer.statusCode === 200;
            });
            answer.on('error', () => {});
            answer.on('close', () => {
                if (!isStream && answer.complete)
                    seen.isComplete = answer.statusCode === 200;
                seen.response = /"id":"(chatcmpl-sim-\d+)"/.exec(seen.text)?.[1] ?? null;
                seen.text = '';
                done(seen);
            });
        });
        sent.on('error', () => done(seen));
        sent.end(body);
    });
}

/** 32 clients that call as fast as they are answered while `isOn`. */
export class Load {
    constructor(gate, key = gate.key) {
        this.gate = gate;
        this.key = key;
        this.number = 0;
    }

    /** tag: of these calls in the provider's bill. */
    start(tag = null) {
        const agent = new Agent({ keepAlive: true });
        const to = { gate: this.gate, key: this.key, tag };

        this.isOn = true;
        this.seen = [];
        this.clients = Array.from({ length: STREAMS }, async () => {
            while (this.isOn)
                this.seen.push(await callOnce(to, agent, this.number++));
        });
    }

    /** What was seen complete since the start, once every open connection has ended. */
    async stop() {
        this.isOn = false;
        await Promise.all(this.clients);
        return this.seen.filter((one) => one.isComplete);
    }
}

/** Rows of the ledger since the call `last`, newest first. */
async function rowsSince(gate, last) {
    const rows = [];

    for (let after = ''; ;) {
        const page = await gate.get(`/api/v1/calls?limit=200${after}`);
        for (const row of page.data) {
            if (row.id === last)
                return rows;
            rows.push(row);
        }
        if (!page.has_more)
            return rows;
        after = `&after=${encodeURIComponent(page.next_cursor)}`;
    }
}

// Of a ledger at rest: how often each answer of the provider was charged.
const ANSWERS = `
import json, sqlite3, sys
db = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
print(json.dumps(db.execute("SELECT response_id, count(*) FROM charge_detail WHERE response_id IS NOT NULL GROUP BY 1").fetchall()))
`;

export class Audit {
    constructor() {
        this.responses = [];
        this.checked = 0;
        this.violations = [];
        this.ledgerTokens = 0n;
        this.rows = 0;
        this.unreconciled = 0;
        this.last = null;
        this.calls = new Set();
    }

    claim(holds, what) {
        if (!holds)
            this.violations.push(what);
    }

    add(rows) {
        for (const row of rows) {
            this.claim(!this.calls.has(row.id), `${row.id} is charged twice`);
            this.calls.add(row.id);
            this.ledgerTokens += BigInt(row.total_tokens);
            this.unreconciled += row.outcome === 'unreconciled' ? 1 : 0;
        }
        this.rows += rows.length;
        this.last = rows[0]?.id ?? this.last;
    }

    /** After a kill and a start. Resolves to the attempts that the ledger has got since the last round. */
    async round(gate, sim, complete, isFinal) {
        const rows = (await rowsSince(gate, this.last)).filter((row) => row.kind === 'attempt');
        const byId = new Map(rows.map((row) => [row.id, row]));
        const holds = await gate.openHolds();

        this.add(rows);
        this.claim(holds.length === 0, `${holds.length} holds are open after recovery`);
        for (const { call, response } of complete) {
            const row = byId.get(call);
            this.checked++;
            this.responses.push(response);
            this.claim(row !== undefined, `${call} ${response} was complete and has no charge`);
            this.claim(row === undefined || row.outcome === 'ok', `${call} ${response} was complete before its charge: ${row?.outcome}`);
        }
        if (isFinal || this.rows % 7 === 0)
            this.claim(gate.cli('verify').status === 0, 'tollgate verify found differences');
        const billed = sim.bill().reduce((sum, line) => sum + BigInt(line.usage.total_tokens), 0n);
        this.claim(billed <= this.ledgerTokens, `the provider billed ${billed} tokens, the ledger has ${this.ledgerTokens}`);
        return rows;
    }

    /** The server has ended: look at the file itself. */
    atRest(gate) {
        const { status, stdout, stderr } = run('python3', ['-c', ANSWERS, join(gate.dataDir, 'tollgate.db')]);
        const counts = new Map(status === 0 ? JSON.parse(stdout) : []);

        this.claim(status === 0, `the ledger cannot be read: ${stderr}`);
        for (const [response, count] of counts)
            this.claim(count === 1, `${response} is charged ${count} times`);
        for (const response of this.responses)
            this.claim(counts.has(response), `${response} was complete and is in no charge`);
    }

    report(name, more) {
        for (const violation of this.violations.slice(0, 20))
            console.log(`  ${violation}`);
        console.log(`${name}: ${more}checked=${this.checked} violations=${this.violations.length} ` +
            `charges=${this.rows} unreconciled=${this.unreconciled}`);
    }
}
