// The built binary: one instance with a data folder of its own, set up through its command line and
// read through its REST API.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { call } from './http.mjs';
import { Daemon, OUT, SLOWNESS, freePorts, freshFolder, run } from './process.mjs';
import { until } from './wait.mjs';

export const ADMIN_TOKEN = 'admin-token-of-the-end-to-end-suite';
const PROVIDER_SECRET = 'sk-the-secret-of-the-provider-account';
const PAGE = 200;

const LIMITS = {
    bodyMaxBytes: '--body-max-bytes', headMs: '--head-ms', bodyMs: '--body-ms', firstByteMs: '--first-byte-ms',
    idleMs: '--idle-ms',
};

export const BINARY = process.env.TOLLGATE ?? join(OUT, 'tollgate');

export class Tollgate {
    /** providers: { name: { kind, baseUrl } }; limits: by the names of LIMITS; env and args go to `serve`. */
    static async start({ providers = {}, limits = {}, env = {}, args = [], dataDir = undefined } = {}) {
        const gate = new Tollgate();
        const [port, adminPort] = await freePorts(2);

        gate.folder = freshFolder();
        gate.dataDir = dataDir ?? join(gate.folder, 'data');
        gate.tokenFile = join(gate.folder, 'admin-token');
        gate.secretFile = join(gate.folder, 'provider-secret');
        writeFileSync(gate.tokenFile, `${ADMIN_TOKEN}\n`, { mode: 0o600 });
        writeFileSync(gate.secretFile, `${PROVIDER_SECRET}\n`, { mode: 0o600 });
        for (const [name, value] of Object.entries(limits))
            args = [...args, LIMITS[name], String(value)];
        Object.assign(gate, { port, adminPort, url: `http://127.0.0.1:${port}`, env, args,
            baseUrl: `http://127.0.0.1:${port}/v1`, adminUrl: `http://127.0.0.1:${adminPort}`, name: 'team' });
        await gate.boot();
        gate.must('team', 'create', gate.name);
        gate.key = gate.newKey();
        for (const [name, { kind, baseUrl }] of Object.entries(providers))
            gate.addProvider(name, kind, baseUrl);
        return gate;
    }

    /** Start the process on the data it has. under: a program that runs it, with its arguments. */
    async boot({ ms = 10_000 * SLOWNESS, under = [] } = {}) {
        const [command, ...args] = [...under, BINARY, 'serve', '--data-dir', this.dataDir,
            '--listen', `127.0.0.1:${this.port}`, '--admin-listen', `127.0.0.1:${this.adminPort}`, '--workers', '2',
            ...this.args];

        this.daemon = new Daemon(command, args,
            { env: { TOLLGATE_ADMIN_TOKEN_FILE: this.tokenFile, ...this.env }, log: join(this.folder, 'log') });
        await until(() => `tollgate to serve\n${this.daemon.log}`, async () => {
            if (!this.daemon.isAlive)
                throw new Error(`tollgate ended: ${JSON.stringify(this.daemon.end)}\n${this.daemon.log}`);
            return this.isReady();
        }, { within: ms });
    }

    async isReady() {
        return call(`${this.adminUrl}/readyz`, { method: 'GET' })
            .then((answer) => answer.status === 200, () => false);
    }

    /** The command line, as the user who owns the data folder. */
    cli(...args) {
        return run(BINARY, [...args, '--data-dir', this.dataDir]);
    }

    must(...args) {
        const { status, stdout, stderr } = this.cli(...args);

        if (status !== 0)
            throw new Error(`tollgate ${args.join(' ')}: exit ${status}\n${stderr}`);
        return stdout.trim();
    }

    newKey(name = `key-${process.hrtime.bigint()}`) {
        return this.must('key', 'create', '--team', this.name, '--name', name);
    }

    addProvider(name, kind, baseUrl) {
        this.must('provider', 'add', name, '--kind', kind, '--base-url', baseUrl, '--secret-file', this.secretFile);
    }

    async get(path) {
        const answer = await call(this.adminUrl + path,
            { method: 'GET', headers: { authorization: `Bearer ${ADMIN_TOKEN}` } });

        if (answer.status !== 200)
            throw new Error(`GET ${path}: ${answer.status} ${answer.body}`);
        return JSON.parse(answer.body);
    }

    /** All calls in the ledger, newest first. */
    async calls() {
        const all = [];

        for (let after = ''; ;) {
            const page = await this.get(`/api/v1/calls?limit=${PAGE}${after}`);
            all.push(...page.data);
            if (!page.has_more)
                return all;
            after = `&after=${encodeURIComponent(page.next_cursor)}`;
        }
    }

    /** The ledger's row of one call, which must be there by now. */
    receipt(id) {
        return this.get(`/api/v1/calls/${id}`);
    }

    async openHolds() {
        return (await this.get('/api/v1/holds')).data;
    }

    /** Wait until no call is open: then each has its charge. */
    quiet(ms = 10_000) {
        return until('the last hold to end', async () => (await this.openHolds()).length === 0, { within: ms });
    }

    /** Send a chat completion by hand. `body` is added to a small request; `rawBody` stands as it is, null
     * sends none. */
    chat({ key = this.key, body = {}, rawBody = undefined, headers = {}, sim = undefined, tag = undefined,
        path = '/v1/chat/completions', query = '', ...rest } = {}) {
        return call(this.url + path + query, {
            headers: { authorization: `Bearer ${key}`, ...(sim && { 'x-sim': sim }), ...(tag && { 'x-sim-tag': tag }),
                ...headers },
            body: rawBody === null ? undefined
                : rawBody ?? { model: 'gpt-4o', messages: [{ role: 'user', content: 'hello' }], ...body }, ...rest });
    }

    /** Lines of the log about one call. */
    logged(id) {
        return this.daemon.log.split('\n').filter((line) => line.includes(id));
    }

    /** Clients that the server still has: connections of its port, established or waiting for it to close. */
    clients() {
        const port = `:${this.port.toString(16).toUpperCase().padStart(4, '0')}`;

        return readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/))
            .filter(([, local, , state]) => local?.endsWith(port) && (state === '01' || state === '08')).length;
    }

    /** A clean end: no hold is open, the status is 0, and the file that is left balances. */
    async stop() {
        if (!this.daemon.isAlive)
            throw new Error(`tollgate had ended: ${JSON.stringify(this.daemon.end)}\n${this.daemon.log}`);
        await this.quiet();
        const end = await this.daemon.stop();
        if (end.code !== 0)
            throw new Error(`tollgate ended with ${JSON.stringify(end)}\n${this.daemon.log.slice(-8000)}`);
        this.must('verify');
    }
}
