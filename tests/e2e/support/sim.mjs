// The provider simulator, and the bill that it keeps of its own.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { call } from './http.mjs';
import { Daemon, OUT, freshFolder } from './process.mjs';
import { until } from './wait.mjs';

export class Sim {
    static async start({ onLeave = 'stop', tls = null, models = null } = {}) {
        const sim = new Sim();
        const args = ['--listen', '127.0.0.1:0', '--on-leave', onLeave];

        sim.billFile = join(freshFolder(), 'bill');
        args.push('--bill', sim.billFile);
        if (models !== null)
            args.push('--models', models.join(','));
        if (tls !== null)
            args.push('--tls', tls.cert, tls.key, '--tls-listen', '127.0.0.1:0');
        sim.daemon = new Daemon(join(OUT, 'sim'), args);
        const [, host, tlsHost] = await sim.daemon.waitFor(/^sim listening (\S+)(?: tls (\S+))?\n/);
        sim.url = `http://${host}`;
        sim.port = Number(host.split(':')[1]);
        sim.baseUrl = `${sim.url}/v1`;
        if (tlsHost !== undefined)
            sim.tlsPort = Number(tlsHost.split(':')[1]);
        return sim;
    }

    /** Lines of the bill; counts above 2^53 never occur in it. */
    bill() {
        return readFileSync(this.billFile, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
    }

    line(id) {
        return this.bill().find((line) => line.id === id);
    }

    tagged(tag) {
        return this.bill().filter((line) => line.tag === tag);
    }

    /** The bill has its lines when an answer's last byte is out; for calls that never got that far. */
    billed(tag, count = 1, ms = 10_000) {
        return until(`${count} bill lines of ${tag}`, () => {
            const lines = this.tagged(tag);
            return lines.length >= count && lines;
        }, { within: ms });
    }

    /** The same request without Tollgate in between. */
    direct(options) {
        return call(`${this.baseUrl}/chat/completions`, {
            ...options, headers: { authorization: 'Bearer direct', ...options.headers } });
    }

    stop() {
        return this.daemon.stop();
    }
}
