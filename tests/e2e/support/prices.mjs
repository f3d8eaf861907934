// What a call must cost, by ref_cost.py, from the counts of the simulator's bill and the rows of
// migrations/prices.csv. No code of the product takes part.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT, cleanEnvironment } from './process.mjs';

const PRICES = join(ROOT, 'migrations/prices.csv');

/** Half to even, from pico- to nano-USD. */
export function nanoOfPico(pico) {
    const whole = pico / 1000n;
    const rest = pico % 1000n;

    return rest > 500n || (rest === 500n && whole % 2n === 1n) ? whole + 1n : whole;
}

/** ref_cost.py, kept running: it reads the price book once. */
class Oracle {
    constructor() {
        this.child = spawn('python3', ['-u', join(ROOT, 'tests/support/ref_cost.py'), PRICES, '--fill'],
            { env: cleanEnvironment(), stdio: ['pipe', 'pipe', 'inherit'] });
        this.answers = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
        this.last = Promise.resolve();
        this.rest();
    }

    /** Let the test process end while nothing is asked. */
    rest() {
        this.child.unref();
        this.child.stdin.unref();
        this.child.stdout.unref();
    }

    ask(lines) {
        this.last = this.last.then(async () => {
            const found = [];

            this.child.stdout.ref();
            this.child.stdin.write(lines.map((line) => `${line}\n`).join(''));
            while (found.length < lines.length) {
                const { value, done } = await this.answers.next();
                if (done)
                    throw new Error('ref_cost.py has ended');
                found.push(value);
            }
            this.rest();
            return found;
        });
        return this.last;
    }
}

let oracle;

/** A usage object in Anthropic's shape, from classes that do not overlap. */
function anthropicUsage(classes, parts = []) {
    const count = (name) => classes[name] ?? 0;

    return {
        input_tokens: count('input'), output_tokens: count('output'), cache_read_input_tokens: count('cache_read'),
        cache_creation_input_tokens: count('cache_write') + count('cache_write_1h'),
        cache_creation: { ephemeral_1h_input_tokens: count('cache_write_1h') },
        server_tool_use: { web_search_requests: count('web_search') },
        iterations: parts.map(({ model, classes: own }) => ({ type: 'message', ...(model && { model }),
            ...anthropicUsage({ ...own, web_search: 0 }) })),
    };
}

/** What ref_cost.py is asked about a line: its dialect there, and the usage in it. */
function question(line) {
    if (line.dialect === 'anthropic-messages')
        return { dialect: 'anthropic', usage: anthropicUsage(line.classes, line.parts) };
    if (line.dialect.startsWith('gemini-'))
        return { dialect: 'gemini', usage: line.usage };
    return { dialect: 'openai-chat', usage: line.usage };
}

/** Costs in nano-USD of lines of the bill. at: RFC 3339, of the admission. */
export async function costs(lines, { provider = 'openai', at = new Date().toISOString() } = {}) {
    oracle ??= new Oracle();
    const answers = await oracle.ask(lines.map((line) => JSON.stringify({
        id: line.id, provider, model: line.served_model, at, ...question(line),
        tier: line.tier === 'default' ? 'standard' : line.tier,
    })));

    return answers.map((answer) => nanoOfPico(BigInt(/"pico_usd": (\d+)/.exec(answer)[1])));
}

/** Nano-USD of the API's decimal text. */
export function nano(text) {
    const match = /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(text);

    if (match === null)
        throw new Error(`not an amount: ${JSON.stringify(text)}`);
    const value = BigInt(match[2]) * 1_000_000_000n + BigInt((match[3] ?? '').padEnd(9, '0'));
    return match[1] === '-' ? -value : value;
}

/** Models of a provider with a standard price per token, tiered ones too. */
export function pricedModels(provider) {
    const models = new Map();

    for (const row of readFileSync(PRICES, 'utf8').split('\n').slice(1)) {
        const [owner, model, component, , , tier, context, variant, , , until] = row.split(',');
        if (owner !== provider || tier !== 'standard' || variant !== '' || until !== '')
            continue;
        const known = models.get(model) ?? { components: new Set(), contexts: new Set() };
        known.components.add(component);
        known.contexts.add(Number(context));
        models.set(model, known);
    }
    return models;
}
