// An authority of the test's own, and a certificate for 127.0.0.1 by it: not for localhost.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freshFolder, run } from './process.mjs';

function openssl(...args) {
    const { status, stderr } = run('openssl', args);

    if (status !== 0)
        throw new Error(`openssl ${args[0]}: ${stderr}`);
}

export function makeCertificates() {
    const folder = freshFolder();
    const [caKey, ca, key, request, cert, names] =
        ['ca.key', 'ca.pem', 'key.pem', 'request', 'cert.pem', 'names'].map((name) => join(folder, name));

    writeFileSync(names, 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n');
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', caKey, '-out', ca,
        '-days', '2', '-subj', '/CN=end-to-end test authority');
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', request,
        '-subj', '/CN=end-to-end test server');
    openssl('x509', '-req', '-in', request, '-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-out', cert, '-days', '2',
        '-extfile', names);
    return { ca, key, cert };
}
