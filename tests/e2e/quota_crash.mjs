// Goal: limits are not exceeded by dying, whenever that is, and what they have spent is what the ledger
// says. Method: 32 clients ask for about five times what a team's limits in tokens and in money have left;
// the server is killed with SIGKILL at random moments and started again. After each start: no limit has
// spent and held more than its amount, its spent is the sum of the team's charges less what was released,
// the simulator has billed no more than the ledger has, and calls are admitted. What is left unreconciled
// is released in bulk now and then.
//
// COUNT kills (100), SEED of their moments.

import { call } from './support/http.mjs';
import { Audit, Load, callOnce, randomFrom, sleep } from './support/killing.mjs';
import { api, limitTeam, newTeam } from './support/limits.mjs';
import { nano } from './support/prices.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { until } from './support/wait.mjs';

const COUNT = Number(process.env.COUNT ?? 100);
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const LIFE_MIN_MS = 20;
const LIFE_MAX_MS = 200;
const RELEASE_EVERY = 8;
/** Of what is asked for, one part in this many is there. */
const SCARCITY = 5n;
const ASKED_FIRST = 150;
/** What was compared must be enough to prove something. */
const ADMITTED_MIN = COUNT * 10;
const REFUSED_MIN = COUNT * 10;
const UNRECONCILED_MIN = COUNT;

/** A limit of the team that is moved along with what it has spent. */
class Moving {
    constructor(limit, ask, estimate) {
        this.limit = limit;
        this.ask = ask;
        this.estimate = estimate; // what one call holds in it
        this.isCost = typeof estimate === 'string';
        this.size = this.isCost ? nano(estimate) : BigInt(estimate);
        this.released = 0n;
        this.charged = 0n;
    }

    of(row) {
        return this.isCost ? nano(row.cost) : BigInt(row.total_tokens);
    }

    /** Room for `calls` calls above what is spent. */
    async moveTo(calls) {
        const { spent } = await this.limit.show();
        const amount = spent + this.size * calls;
        const text = `${amount / 1_000_000_000n}.${String(amount % 1_000_000_000n).padStart(9, '0')}`;
        const { status, body } = await this.ask('PATCH', `/api/v1/limits/${this.limit.id}`,
            { amount: this.isCost ? text : Number(amount) });

        if (status !== 200)
            throw new Error(`the limit cannot be moved: ${body}`);
    }
}

/** A limit that admits nothing yet, and what a call would hold in it. */
async function makeMoving(gate, team, metric, least) {
    const limit = await limitTeam(gate, team, metric, 'total', least, { when_short: 'refuse' });
    const answer = await call(`${gate.baseUrl}/chat/completions`, {
        headers: { authorization: `Bearer ${team.key}` },
        body: { model: 'gpt-4o', stream: true, max_tokens: 64, messages: [{ role: 'user', content: 'hello' }] } });
    const { tollgate } = JSON.parse(answer.body).error;

    if (answer.status !== 429 || tollgate.limit_id !== limit.id)
        throw new Error(`not refused by the limit: ${answer.status} ${answer.body}`);
    return new Moving(limit, api(gate), tollgate.estimate);
}

/** Look at the limits over and over while the server lives. */
async function watch(load, movings, audit) {
    let looks = 0;

    while (load.isOn) {
        for (const { limit } of movings) {
            const now = await limit.show().catch(() => null);
            if (now === null)
                return looks;
            audit.claim(now.spent + now.held <= now.amount, `under load: ${now.spent} + ${now.held} of ${now.amount} ${now.metric}`);
            looks++;
        }
    }
    return looks;
}

/** After a start: the limits are what the ledger says, and within their amounts. */
async function compare(movings, rows, audit) {
    for (const moving of movings) {
        moving.charged += rows.reduce((sum, row) => sum + moving.of(row), 0n);
        const now = await moving.limit.show();
        const owed = moving.charged - moving.released;

        audit.claim(now.held === 0n, `${now.held} ${now.metric} are held after recovery`);
        audit.claim(now.spent <= now.amount, `${now.spent} of ${now.amount} ${now.metric} are spent`);
        audit.claim(now.spent === owed, `${now.spent} ${now.metric} are spent, the charges come to ${owed}`);
    }
}

async function release(gate, team, movings, open, audit) {
    const { json } = await api(gate)('POST', '/api/v1/unreconciled/release',
        { before: new Date(Date.now() + 1000).toISOString(), team_id: team.id });

    audit.claim(json.released === open.length, `${json.released} of ${open.length} were released`);
    for (const moving of movings)
        moving.released += open.reduce((sum, row) => sum + moving.of(row), 0n);
    await compare(movings, [], audit);
    for (const { limit } of movings) {
        const { unreconciled, metric } = await limit.show();
        audit.claim(unreconciled === 0n, `${unreconciled} ${metric} are unreconciled after their release`);
    }
}

/** What this life's calls were billed, and charged. */
function compareBill(sim, tag, rows, audit) {
    const billed = sim.tagged(tag).reduce((sum, line) => sum + BigInt(line.usage.total_tokens), 0n);
    const charged = rows.reduce((sum, row) => sum + BigInt(row.total_tokens), 0n);

    audit.claim(billed <= charged, `${tag}: billed ${billed} tokens, charged ${charged}`);
    for (const row of rows)
        audit.claim(!row.flags.includes('overrun'), `${row.id} is an overrun`);
}

async function main() {
    const random = randomFrom(SEED);
    const sim = await Sim.start();
    const gate = await Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
    const team = await newTeam(gate);
    const tokens = await makeMoving(gate, team, 'total_tokens', 1);
    await tokens.moveTo(1_000_000n);
    const money = await makeMoving(gate, team, 'cost', '0.000000001');
    const load = new Load(gate, team.key);
    const audit = new Audit();
    const told = { kills: 0, admitted: 0, refused: 0, held: 0, looks: 0, asked: 0n, room: 0n, releases: 0 };
    let asked = BigInt(ASKED_FIRST);
    let open = [];

    while (told.kills < COUNT) {
        // One of the two is short, the other has room.
        const [short, wide] = told.kills % 2 === 0 ? [tokens, money] : [money, tokens];
        const room = asked / SCARCITY > 8n ? asked / SCARCITY : 8n;
        const tag = `life ${told.kills}`;

        await short.moveTo(room);
        await wide.moveTo(room * 4n);
        load.start(tag);
        const watching = watch(load, [tokens, money], audit);
        await until('a call to be admitted', () => load.seen.some((one) => one.isComplete));
        await sleep(LIFE_MIN_MS + random() * (LIFE_MAX_MS - LIFE_MIN_MS)); // the moment is what is random
        await gate.daemon.stop('SIGKILL');
        told.kills++;
        const complete = await load.stop();
        told.looks += await watching;
        await gate.boot();
        const rows = await audit.round(gate, sim, complete, told.kills === COUNT);
        await compare([tokens, money], rows, audit);
        compareBill(sim, tag, rows, audit);
        const refused = load.seen.filter((one) => one.status === 429);
        asked = BigInt(rows.length + refused.length);
        told.asked += asked;
        told.room += room;
        told.admitted += rows.length;
        told.refused += refused.length;
        told.held += refused.filter((one) => one.reason === 'held').length;
        open.push(...rows.filter((row) => row.outcome === 'unreconciled'));
        if (told.kills % RELEASE_EVERY === 0) {
            await release(gate, team, [tokens, money], open, audit);
            open = [];
            told.releases++;
        }
    }
    await money.moveTo(100n);
    await tokens.moveTo(100n);
    audit.claim((await callOnce({ gate, key: team.key }, undefined, 0)).isComplete, 'nothing is admitted at the end');
    await gate.stop();
    audit.atRest(gate);
    await sim.stop();
    return { audit, told };
}

const start = performance.now();
const { audit, told } = await main();
const seconds = ((performance.now() - start) / 1000).toFixed(1);
const isEnough = told.admitted >= ADMITTED_MIN && told.refused >= REFUSED_MIN && audit.unreconciled >= UNRECONCILED_MIN;

audit.report('quota crash', `kills=${told.kills} admitted=${told.admitted} refused=${told.refused} (held ${told.held}) ` +
    `looks=${told.looks} releases=${told.releases} asked/room=${(Number(told.asked) / Number(told.room)).toFixed(1)} ` +
    `seed=${SEED} seconds=${seconds} `);
if (!isEnough)
    console.log(`quota crash: too little was compared: at least ${ADMITTED_MIN} admitted, ${REFUSED_MIN} refused and ` +
        `${UNRECONCILED_MIN} unreconciled are needed`);
process.exit(audit.violations.length === 0 && isEnough ? 0 : 1);
