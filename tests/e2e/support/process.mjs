// Child processes, their folders and their ports. Whatever a test starts is ended when the test file
// ends, also when it fails.

import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { within } from './wait.mjs';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const OUT = resolve(ROOT, process.env.OUT ?? 'build/release');
/** Instrumented builds are slower: deadlines that are no claim of the test are stretched by this. */
export const SLOWNESS = /asan|tsan|cov/.test(basename(OUT)) ? 5 : 1;

const STOP_MS = 20_000;
const running = new Set();
let folders = 0;

/** A fresh folder below build/, named after the test file that asks. */
export function freshFolder() {
    const name = basename(process.argv[1] ?? 'node').replace(/\W.*/, '');
    const path = join(ROOT, 'build/e2e/run', `${name}-${process.pid}-${++folders}`);

    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true });
    return path;
}

/** Only what a program needs to run: no keys, base URLs or proxies of the person who runs the tests. */
export function cleanEnvironment(more = {}) {
    const env = { PATH: process.env.PATH, LANG: 'C.UTF-8' };

    for (const name of ['ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS', 'LSAN_OPTIONS', 'LD_LIBRARY_PATH'])
        if (process.env[name] !== undefined)
            env[name] = process.env[name];
    return { ...env, ...more };
}

/** Ports that were free a moment ago, all different. */
export async function freePorts(count) {
    const servers = await Promise.all(Array.from({ length: count }, () => new Promise((done, failed) => {
        const server = createServer();
        server.once('error', failed);
        server.listen(0, '127.0.0.1', () => done(server));
    })));
    const ports = servers.map((server) => server.address().port);

    await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
    return ports;
}

/** A program that runs in the foreground until it is stopped; its output is kept. */
export class Daemon {
    constructor(command, args, { env = {}, log = null, cwd = ROOT } = {}) {
        this.name = basename(command);
        this.out = '';
        this.log = '';
        this.child = spawn(command, args, { env: cleanEnvironment(env), cwd, stdio: ['ignore', 'pipe', 'pipe'] });
        this.pid = this.child.pid;
        this.watchers = new Set();
        const keep = (which) => (piece) => {
            this[which] += piece;
            if (log !== null)
                appendFileSync(log, piece);
            for (const look of this.watchers)
                look();
        };
        this.child.stdout.setEncoding('utf8').on('data', keep('out'));
        this.child.stderr.setEncoding('utf8').on('data', keep('log'));
        this.exited = new Promise((done) => {
            this.child.once('error', (error) => { this.log += `${error}\n`; done({ code: -1, signal: null }); });
            this.child.once('close', (code, signal) => done({ code, signal }));
        }).then((end) => {
            this.end = end;
            running.delete(this);
            for (const look of this.watchers)
                look();
            return end;
        });
        running.add(this);
        // What a failed test has left running must not keep the test process from ending, which ends it.
        for (const handle of [this.child, this.child.stdout, this.child.stderr])
            handle.unref();
    }

    get isAlive() {
        return this.end === undefined;
    }

    /** Resolves to the match once the output (`out` or `log`) has it; fails when the program ends first. */
    waitFor(pattern, { where = 'out', ms = 10_000 * SLOWNESS } = {}) {
        let look;
        const found = new Promise((done, failed) => {
            look = () => {
                const match = pattern.exec(this[where]);
                if (match)
                    done(match);
                else if (!this.isAlive)
                    failed(new Error(`${this.name} ended without ${pattern}:\n${this.out}\n${this.log}`));
            };
            this.watchers.add(look);
            look();
        });
        return within(ms, `${this.name}: ${pattern}`, found).finally(() => this.watchers.delete(look));
    }

    signal(name) {
        if (this.isAlive)
            this.child.kill(name);
    }

    /** Ask it to end, and see that it does. */
    async stop(signal = 'SIGTERM', ms = STOP_MS * SLOWNESS) {
        this.signal(signal);
        return within(ms, `${this.name} after ${signal}`, this.exited);
    }
}

process.on('exit', () => {
    for (const daemon of running)
        daemon.child.kill('SIGKILL');
});

/** Run a program to its end. */
export function run(command, args, { env = {}, input = undefined, cwd = ROOT } = {}) {
    const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
        env: cleanEnvironment(env), input, cwd, encoding: 'utf8', maxBuffer: 1 << 28,
    });

    if (error !== undefined)
        throw error;
    return { status, signal, stdout, stderr };
}
