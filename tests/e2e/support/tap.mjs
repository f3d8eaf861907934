// A wire tap between Tollgate and the simulator: it passes bytes both ways and notes what Tollgate sent
// on each connection, and when Tollgate closed it.

import { connect, createServer } from 'node:net';

export class Tap {
    static async start(port) {
        const tap = new Tap();

        tap.connections = [];
        tap.server = createServer((near) => {
            const far = connect({ port, host: '127.0.0.1' });
            const seen = { sent: '', closedAt: null };
            const close = () => {
                seen.closedAt ??= performance.now();
                near.destroy();
                far.destroy();
            };

            tap.connections.push(seen);
            near.setNoDelay(true).on('data', (piece) => { seen.sent += piece.toString('latin1'); far.write(piece); });
            far.setNoDelay(true).on('data', (piece) => near.write(piece));
            for (const socket of [near, far])
                socket.on('end', close).on('error', close).on('close', close);
        });
        await new Promise((done) => tap.server.listen(0, '127.0.0.1', done));
        tap.server.unref();
        tap.baseUrl = `http://127.0.0.1:${tap.server.address().port}/v1`;
        return tap;
    }

    /** The connection on which a call with this tag was sent, once it was. */
    carrying(tag) {
        return this.connections.find((one) => one.sent.includes(`x-sim-tag: ${tag}\r\n`));
    }

    stop() {
        this.server.close();
    }
}
