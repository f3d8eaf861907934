// node's own `spec` report, with a table of what each file took in front of its summary.

import { basename } from 'node:path';
import { spec } from 'node:test/reporters';
import { Transform } from 'node:stream';

const Spec = typeof spec === 'function' ? spec : spec.default;

export default class Report extends Transform {
    constructor() {
        super({ writableObjectMode: true });
        this.inner = new Spec();
        this.inner.on('data', (text) => this.push(text));
        this.took = new Map();
    }

    _transform({ type, data }, encoding, done) {
        if (/^test:(pass|fail)$/.test(type) && data.nesting === 0 && data.file !== undefined) {
            const name = basename(data.file).replace('.test.mjs', '');
            this.took.set(name, (this.took.get(name) ?? 0) + data.details.duration_ms);
        }
        if (type === 'test:diagnostic' && data.nesting === 0 && /^tests \d+$/.test(data.message)) {
            this.push('\nend to end, seconds by suite\n');
            for (const [name, ms] of this.took)
                this.push(`  ${name.padEnd(12)} ${(ms / 1000).toFixed(1).padStart(6)}\n`);
            this.push('\n');
        }
        this.inner.write({ type, data }, encoding, () => done());
    }

    _flush(done) {
        this.inner.once('end', () => done());
        this.inner.end();
    }
}
