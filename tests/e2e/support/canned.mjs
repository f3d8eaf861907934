// A provider that answers what a test hands it: for bodies that the simulator has no words for.

import { createServer } from 'node:http';

export class Canned {
    static async start() {
        const canned = new Canned();

        canned.requests = 0;
        canned.server = createServer((request, response) => {
            request.resume().once('end', () => {
                if (request.method === 'GET') { // Tollgate asks for the list of models by itself
                    response.writeHead(404).end();
                    return;
                }
                const { status = 200, headers = {}, body = '' } = canned.next;
                canned.requests++;
                response.writeHead(status, headers).end(body);
            });
        });
        await new Promise((done) => canned.server.listen(0, '127.0.0.1', done));
        canned.server.unref();
        canned.baseUrl = `http://127.0.0.1:${canned.server.address().port}/v1`;
        return canned;
    }

    /** What every request from now on is answered with. */
    answer(next) {
        this.next = next;
    }

    stop() {
        this.server.closeAllConnections();
        return new Promise((done) => this.server.close(done));
    }
}
