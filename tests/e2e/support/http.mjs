// HTTP by hand where a test is about bytes: requests are written as given, answers taken as they come.

import { connect } from 'node:net';
import { request } from 'node:http';
import { until } from './wait.mjs';

/** One request on a connection of its own; the path goes out as it is. `events` has [ms since the start, bytes] for each piece read. */
export function call(url, { method = 'POST', headers = {}, body = undefined, signal = undefined } = {}) {
    const text = body === undefined || typeof body === 'string' || Buffer.isBuffer(body)
        ? body : JSON.stringify(body);
    const [, host, port, path] = /^http:\/\/([\w.]+):(\d+)(\/.*)$/.exec(url);
    const start = performance.now();

    return new Promise((done, failed) => {
        const sent = request({
            host, port, path, method, agent: false, signal,
            headers: text === undefined ? headers : { 'content-type': 'application/json', ...headers,
                'content-length': Buffer.byteLength(text) },
        }, (answer) => {
            const events = [];
            const finish = (error) => done({
                status: answer.statusCode, headers: answer.headers, rawHeaders: answer.rawHeaders,
                trailers: answer.trailers, events, body: Buffer.concat(events.map((event) => event[1])),
                error: error ?? (answer.complete ? null : new Error('cut short')),
            });
            answer.on('data', (piece) => events.push([performance.now() - start, piece]));
            answer.once('end', () => finish(null));
            answer.once('error', finish);
        });
        sent.once('error', failed);
        sent.end(text);
    });
}

/** A plain socket. What comes is in `received`; `closed` once the other side has ended it. */
export class Raw {
    static async open(port, host = '127.0.0.1') {
        const raw = new Raw();

        raw.received = Buffer.alloc(0);
        raw.closed = false;
        raw.socket = connect({ port, host, allowHalfOpen: true, noDelay: true });
        raw.socket.on('data', (piece) => { raw.received = Buffer.concat([raw.received, piece]); });
        raw.socket.on('error', () => { raw.closed = true; });
        raw.socket.on('end', () => { raw.closed = true; });
        raw.socket.on('close', () => { raw.closed = true; });
        await until('a connection', () => !raw.socket.connecting);
        return raw;
    }

    send(bytes) {
        this.socket.write(Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes, 'latin1'));
        return this;
    }

    /** Close our half. */
    half() {
        this.socket.end();
        return this;
    }

    /** Leave; `reset`: without a goodbye. */
    leave({ reset = false } = {}) {
        if (reset)
            this.socket.resetAndDestroy();
        else
            this.socket.destroy();
    }

    get text() {
        return this.received.toString('latin1');
    }

    get answers() {
        return readAnswers(this.text);
    }

    /** Until `count` whole answers are there. */
    async answered(count = 1, ms = 10_000) {
        await until(() => `answer ${count}, so far ${JSON.stringify(this.text.slice(0, 300))}`,
            () => this.answers.filter((answer) => answer.isWhole).length >= count, { within: ms });
        return this.answers;
    }

    async ended(ms = 10_000) {
        await until(() => `the end of a connection, so far ${JSON.stringify(this.text.slice(0, 300))}`,
            () => this.closed, { within: ms });
        this.socket.destroy();
        return this.answers;
    }
}

function readChunks(text, at) {
    let body = '';

    for (;;) {
        const line = text.indexOf('\r\n', at);
        if (line < 0)
            return { body, at: text.length, isWhole: false };
        const size = parseInt(text.slice(at, line), 16);
        if (!Number.isSafeInteger(size))
            throw new Error(`no chunk size: ${JSON.stringify(text.slice(at, line))}`);
        if (size === 0) {
            const end = text.startsWith('\r\n', line + 2) ? line + 2 : text.indexOf('\r\n\r\n', line + 2) + 2;
            return end < 2 || text.length < end + 2 ? { body, at: text.length, isWhole: false }
                : { body, at: end + 2, isWhole: true };
        }
        body += text.slice(line + 2, line + 2 + size);
        at = line + 2 + size + 2;
        if (at > text.length)
            return { body, at: text.length, isWhole: false };
    }
}

/** Split what a server sent into answers; the last may be partial. `isHead`: the answers have no bodies. */
export function readAnswers(text, { isHead = false } = {}) {
    const answers = [];
    let at = 0;

    while (at < text.length) {
        const end = text.indexOf('\r\n\r\n', at);
        if (end < 0) {
            answers.push({ status: 0, headers: {}, body: text.slice(at), isWhole: false });
            return answers;
        }
        const [first, ...lines] = text.slice(at, end).split('\r\n');
        const headers = {};
        for (const line of lines) {
            const colon = line.indexOf(':');
            headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
        }
        const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(first)?.[1] ?? 0);
        const answer = { status, headers, body: '', isWhole: true };
        at = end + 4;
        if (status >= 200 && !isHead && headers['transfer-encoding'] === 'chunked') {
            const chunks = readChunks(text, at);
            Object.assign(answer, { body: chunks.body, isWhole: chunks.isWhole });
            at = chunks.at;
        } else if (status >= 200 && !isHead && headers['content-length'] !== undefined) {
            const length = Number(headers['content-length']);
            answer.body = text.slice(at, at + length);
            answer.isWhole = answer.body.length === length;
            at += length;
        } else if (status >= 200 && !isHead) {
            answer.body = text.slice(at);
            at = text.length;
        }
        answers.push(answer);
    }
    return answers;
}

/** The `data` of each event of an SSE body, by the rules a browser follows. */
export function sseData(body) {
    const events = [];
    let data = [];

    for (const line of body.toString('utf8').replace(/^\ufeff/, '').split(/\r\n|\n|\r/)) {
        if (line === '' && data.length > 0) {
            events.push(data.join('\n'));
            data = [];
        } else if (line.startsWith('data:')) {
            data.push(line.slice(5).replace(/^ /, ''));
        }
    }
    return events;
}
