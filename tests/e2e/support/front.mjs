// Proxies in front of Tollgate, in the foreground, with what they write below build/.

import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Daemon, ROOT, freePorts, freshFolder } from './process.mjs';
import { until } from './wait.mjs';

function accepts(port) {
    return new Promise((done) => {
        const socket = connect({ port, host: '127.0.0.1' });
        socket.once('connect', () => { socket.destroy(); done(true); });
        socket.once('error', () => done(false));
    });
}

/** Write `text` with its $NAMES filled in, and run `command` on it until `port` answers. */
export async function startFront(text, names, command) {
    const [port] = await freePorts(1);
    const folder = freshFolder();
    const file = join(folder, 'front.conf');
    const all = { FOLDER: folder, FRONT: port, ...names };

    writeFileSync(file, text.replace(/\$([A-Z]+)\b/g, (whole, name) => all[name] ?? whole));
    const [program, ...args] = command(file, folder);
    const daemon = new Daemon(program, args, { log: join(folder, 'log'), env: { PATH: '/usr/sbin:/usr/bin:/bin' } });
    await until(`${program} to listen`, async () => {
        if (!daemon.isAlive)
            throw new Error(`${program} ended: ${daemon.log}`);
        return accepts(port);
    });
    return { port, daemon, folder, stop: () => daemon.stop() };
}

export function nginxCommand(file, folder) {
    return ['nginx', '-c', file, '-p', folder, '-e', 'stderr'];
}

export function startNginx(port) {
    return startFront(readFileSync(join(ROOT, 'tests/e2e/nginx.conf'), 'utf8'), { PORT: port }, nginxCommand);
}

export function startHaproxy(port) {
    return startFront(readFileSync(join(ROOT, 'tests/e2e/haproxy.cfg'), 'utf8'), { PORT: port },
        (file) => ['haproxy', '-db', '-f', file]);
}
