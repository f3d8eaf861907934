// What a call must cost, by ref_cost.py, from the counts of the simulator's bill and the rows of
// migrations/prices.csv. No code of the product takes part.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run } from './process.mjs';

const PRICES = join(ROOT, 'migrations/prices.csv');

/** Half to even, from pico- to nano-USD. */
export function nanoOfPico(pico) {
    const whole = pico / 1000n;
    const rest = pico % 1000n;

    return rest > 500n || (rest === 500n && whole % 2n === 1n) ? whole + 1n : whole;
}

/** Costs in nano-USD of lines of the bill. at: RFC 3339, of the admission. */
export function costs(lines, { provider = 'openai', at = new Date().toISOString() } = {}) {
    const vectors = lines.map((line) => JSON.stringify({
        id: line.id, dialect: 'openai-chat', provider, model: line.served_model, at,
        tier: line.tier === 'default' ? 'standard' : line.tier, usage: line.usage,
    }));
    const { status, stdout, stderr } = run('python3', [join(ROOT, 'tests/support/ref_cost.py'), PRICES, '--fill'],
        { input: `${vectors.join('\n')}\n` });

    if (status !== 0)
        throw new Error(`ref_cost.py: ${stderr}`);
    return stdout.trimEnd().split('\n').map((line) => nanoOfPico(BigInt(/"pico_usd": (\d+)/.exec(line)[1])));
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
