// Goal: whatever system call the process dies in, and whichever fails, no promise of the ledger breaks.
// Method: a fixed script at the ledger's interface (support/ledger_script.c), run once under strace to
// count the calls of the ledger's thread that touch the database's files; then once for each call n of
// each kind: killed as it enters it, failed with EIO, failed with ENOSPC. The same for a start that has a
// killed process to recover from. After each run the file is started on again, and a model in this file,
// fed with what the script was promised, says what must be there: each acknowledged charge, none twice, no
// open hold, rollups that are the charges' sums, limits whose spent is that too and within their amounts;
// and what the script was told while it ran: each admission fits all limits, each refusal does not.
//
// EVERY=7 plays each seventh point, from a random one (SEED); BOUND_S takes no more points after so many
// seconds.
// SERVER=20 does the like to the whole server under load, that many times, at random calls.

import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { Audit, Load, randomFrom } from './support/killing.mjs';
import { OUT, cleanEnvironment, freshFolder, run } from './support/process.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { parallel, until, within } from './support/wait.mjs';

const EVERY = Number(process.env.EVERY ?? 1);
const BOUND_S = Number(process.env.BOUND_S ?? 3600);
const SERVER = Number(process.env.SERVER ?? 0);
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const SCRIPT = join(OUT, 'ledger_script');
const WIDTH = 2;
const RUN_MS = 30_000;
const ROOM_BYTES = 1 << 28;
const WRECK_OPEN_MIN = 2;
/** Of a kind there must be so many calls, or the script has lost its purpose. */
const CALLS_MIN = { pwrite64: 300, fdatasync: 50, ftruncate: 1, pread64: 20, fcntl: 100 };
// A close is not looked at. Locks of local files do not fail so, and SQLite would keep a lock whose release
// has failed: 10 s of tries for each later batch, none of which commits.
const FAULTS = {
    KILL: { spec: 'signal=KILL', of: () => true },
    EIO: { spec: 'error=EIO', of: (name) => name !== 'close' && name !== 'fcntl' },
    ENOSPC: { spec: 'error=ENOSPC', of: (name) => /^(pwrite64|fdatasync|fsync|ftruncate|fallocate|openat)$/.test(name) },
};

// --- running the script -----------------------------------------------------------------------------

/** In memory where there is room: a kill takes nothing that the kernel has. */
function pickFolder() {
    const shared = '/dev/shm';

    if (!existsSync(shared) || statfsSync(shared).bavail * statfsSync(shared).bsize < ROOM_BYTES)
        return freshFolder();
    const folder = join(shared, `tollgate-kill-points-${process.pid}`);
    mkdirSync(folder, { recursive: true });
    process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
    return folder;
}

const place = pickFolder();
const FILES = ['tollgate.db', 'tollgate.db-wal'];

/** A folder of one's own with copies of the files that another has. */
function copyOf(from, name) {
    const folder = join(place, name);

    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder);
    for (const file of FILES.filter((one) => existsSync(join(from, one))))
        copyFileSync(join(from, file), join(folder, file));
    return folder;
}

/** A program; `lines` of its stdout, `end` with its status or signal. */
function start(command, args) {
    const child = spawn(command, args, { env: cleanEnvironment(), stdio: ['pipe', 'pipe', 'pipe'] });
    const one = { child, pid: child.pid, text: '', log: '' };

    child.stdin.on('error', () => {}); // it may have ended
    child.stdout.setEncoding('utf8').on('data', (piece) => { one.text += piece; });
    child.stderr.setEncoding('utf8').on('data', (piece) => { one.log += piece; });
    one.end = within(RUN_MS, `${command} ${args.join(' ')}`, new Promise((done) => {
        child.once('close', (code, signal) => done({ code, signal }));
    })).catch((error) => {
        child.kill('SIGKILL');
        return { code: null, signal: null, error };
    });
    return one;
}

const linesOf = (one) => one.text.split('\n').filter(Boolean).map((line) => line.split(' '));

function traceArgs(folder, log, calls, more = []) {
    const paths = ['', '-wal', '-shm', '-journal'].map((end) => join(folder, `tollgate.db${end}`));

    return ['-o', log, ...[folder, ...paths].flatMap((path) => ['-P', path]), '-e', `trace=${calls}`, ...more];
}

function ledgerThread(pid) {
    return readdirSync(`/proc/${pid}/task`)
        .find((tid) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8') === 'ledger\n');
}

/** The script with strace on the ledger's thread from its first job on. */
async function playRun(folder, log, calls, more) {
    const script = start(SCRIPT, ['run', folder]);

    await until('the script to be ready', () => /^ready$/m.test(script.text) || script.child.exitCode !== null);
    const thread = await until('the ledger to have its thread', () => ledgerThread(script.pid)); // it names itself
    const strace = start('strace', ['-p', thread, ...traceArgs(folder, log, calls, more)]);
    await until(() => `strace: ${strace.log}`, () => strace.log.includes('attached') || strace.child.exitCode !== null);
    script.child.stdin.end('.');
    const end = await script.end;
    await strace.end;
    return { end, lines: linesOf(script), log: script.log };
}

/** A start and a stop, with strace from the first instruction on. */
async function playRecover(folder, log, calls, more) {
    const strace = start('strace', ['-f', ...traceArgs(folder, log, calls, more), SCRIPT, 'recover', folder]);

    strace.child.stdin.end();
    return { end: await strace.end, lines: [], log: strace.log };
}

/** How often each call is made in a run that nothing disturbs; of a start, by its first thread. What is wrong
 * in that run goes to `problems`. */
async function countCalls(scene, problems) {
    const folder = copyOf(scene.from, `${scene.name}-count`);
    const log = join(place, `${scene.name}-count.log`);
    const { end, lines } = await scene.play(folder, log, 'all', []);
    const model = scene.model();
    const counts = {};

    model.read(lines);
    if (end.code !== 0)
        problems.push(`${scene.name} ends with ${JSON.stringify(end)} where nothing disturbs it`);
    for (const [what, least] of Object.entries(scene.least ?? {}))
        if (!(model.counts[what] >= least))
            problems.push(`of what is ${what} there are ${model.counts[what]}, not ${least}`);
    problems.push(...await audit(folder, model));
    const calls = [...readFileSync(log, 'utf8').matchAll(/^(?:(\d+) +)?(\w+)\(/gm)];
    for (const [, thread, name] of calls)
        if (thread === calls[0][1])
            counts[name] = (counts[name] ?? 0) + 1;
    return counts;
}

// --- the model --------------------------------------------------------------------------------------

const HELD = 'held';
const MAYBE = 'maybe'; // asked for, and the process died before the answer
const GONE = 'gone';

/** What was promised, line by line; `problems` are promises that should not have been given. */
class Model {
    constructor() {
        this.limits = new Map();
        this.attempts = new Map();
        this.adjustments = new Map();
        this.problems = [];
        this.counts = { held: 0, refused: 0, failed: 0, settled: 0, repeated: 0, lost: 0 };
    }

    claim(holds, what) {
        if (!holds)
            this.problems.push(what);
    }

    static size({ metric }, { input, output }) {
        return metric === 'requests' || metric === 'parallel' ? 1 : input + output;
    }

    /** What the open and the settled attempts come to in a limit. */
    taken(limit) {
        let taken = 0;

        for (const one of this.attempts.values()) {
            if (one.key < limit.first || one.key > limit.last)
                continue;
            if (one.state === HELD)
                taken += Model.size(limit, one);
            else if (one.state === 'settled')
                taken += limit.metric === 'parallel' ? 0 : Model.used(limit, one.used);
        }
        for (const [number, { tokens, cost, state }] of this.adjustments) {
            const { key } = this.attempts.get(number);
            if (state === 'done' && key >= limit.first && key <= limit.last)
                taken -= limit.metric === 'tokens' ? tokens : limit.metric === 'cost' ? cost : 0;
        }
        return taken;
    }

    /** A call of which nothing was sent counts as none. */
    static used({ metric }, { input, output }) {
        return metric === 'requests' ? Math.min(1, input + output) : input + output;
    }

    /** The limits of an attempt that it fits into, with the least or the most amount that they may have. */
    fits(one, pick) {
        return [...this.limits.values()].filter(({ first, last }) => one.key >= first && one.key <= last)
            .every((limit) => this.taken(limit) + Model.size(limit, one) <= pick(...limit.amounts));
    }

    read(lines) {
        for (const [verb, ...rest] of lines)
            this[`on_${verb}`]?.(...rest.map((word) => (/^-?\d+$/.test(word) ? Number(word) : word)));
    }

    on_limit(id, metric, keys, amount) {
        const [first, last] = keys.split('-').map(Number);
        this.limits.set(id, { id, metric, first, last, amounts: [amount] });
    }

    on_hold(number, key, input, output) {
        this.attempts.set(number, { key, input, output, state: MAYBE, used: null });
    }

    on_held(number) {
        const one = this.attempts.get(number);
        this.counts.held++;
        this.claim(this.fits(one, Math.max), `attempt ${number} was admitted and does not fit`);
        one.state = HELD;
    }

    on_refused(number) {
        const one = this.attempts.get(number);
        this.counts.refused++;
        this.claim(!this.fits(one, Math.min), `attempt ${number} was refused and fits`);
        one.state = GONE;
    }

    on_failed(number) {
        this.counts.failed++;
        this.attempts.get(number).state = GONE;
    }

    on_settle(number, input, output) {
        this.attempts.get(number).used ??= { input, output };
    }

    on_settled(number) {
        const one = this.attempts.get(number);
        this.counts.settled++;
        this.claim(one.state === HELD, `attempt ${number} is settled twice`);
        one.state = 'settled';
    }

    on_repeated(number) {
        this.counts.repeated++;
        this.claim(this.attempts.get(number).state === 'settled', `attempt ${number} was settled before`);
    }

    on_lost() {
        this.counts.lost++;
    }

    on_amount(id, amount) {
        this.limits.get(id).amounts.push(amount);
    }

    on_changed(id) {
        this.limits.get(id).amounts.shift();
    }

    on_reconcile(number, tokens, cost) {
        this.adjustments.set(number, { tokens, cost, state: MAYBE });
    }

    on_reconciled(number) {
        this.adjustments.get(number).state = 'done';
    }

    on_unreconciled(number) {
        this.adjustments.get(number).state = GONE;
    }

    /** The template's holds were recovered by the start that follows it. */
    restart() {
        for (const one of this.attempts.values())
            if (one.state === HELD)
                Object.assign(one, { state: 'settled', used: { input: one.input, output: one.output }, isRecovered: true });
    }

    /** What may stand under an attempt's number: [tokens, cost, outcome] each; null: nothing. */
    possible(one) {
        const of = ({ input, output }, outcome) => `${input + output} ${input + output} ${outcome}`;
        const whole = of(one, 3);

        switch (one.state) {
        case 'settled': return one.isRecovered ? [whole] : [of(one.used, 0)];
        case HELD: return one.used === null ? [whole] : [whole, of(one.used, 0)];
        case MAYBE: return [whole, null];
        default: return [null];
        }
    }
}

/** The answers of `check`, one for each time it has looked. */
function readFacts(lines) {
    const looks = [];

    for (const [verb, ...rest] of lines) {
        const numbers = rest.map(Number);
        if (verb === 'begin')
            looks.push({ charges: [], counts: [], verdict: null, isWhole: false });
        else if (verb === 'charge')
            looks.at(-1).charges.push(numbers);
        else if (verb === 'count')
            looks.at(-1).counts.push(numbers);
        else if (verb === 'verdict')
            looks.at(-1).verdict = numbers;
        else if (verb === 'end')
            looks.at(-1).isWhole = true;
    }
    return looks;
}

function compareCharges(model, { charges }, claim) {
    const found = new Map();

    for (const [number, adjusts, , tokens, cost, outcome] of charges) {
        const name = adjusts === 0 ? `attempt ${number}` : `adjustment ${adjusts}`;
        claim(!found.has(name), `${name} is charged twice`);
        found.set(name, `${tokens} ${cost} ${outcome}`);
    }
    for (const [number, one] of model.attempts) {
        const stands = found.get(`attempt ${number}`) ?? null;
        claim(model.possible(one).includes(stands), `attempt ${number} is ${JSON.stringify(one)} and has ${stands}`);
        found.delete(`attempt ${number}`);
    }
    for (const [number, { tokens, cost, state }] of model.adjustments) {
        const stands = found.get(`adjustment ${number}`) ?? null;
        const whole = `${0 - tokens} ${0 - cost} 3`;
        const may = { done: [whole], [MAYBE]: [whole, null], [GONE]: [null] }[state];
        claim(may.includes(stands), `the adjustment of ${number} is ${state} and has ${stands}`);
        found.delete(`adjustment ${number}`);
    }
    claim(found.size === 0, `charges of nothing: ${[...found.keys()]}`);
}

function compareCounts(model, { charges, counts, verdict }, claim) {
    claim(verdict?.every((number) => number === 0), `verify: ${verdict}`);
    for (const [id, spent, held, amount] of counts) {
        const limit = model.limits.get(id);
        const owed = charges.filter(([, , key]) => key >= limit.first && key <= limit.last)
            .reduce((sum, [, adjusts, , tokens, cost]) => sum + { tokens, cost, parallel: 0,
                requests: adjusts === 0 && tokens > 0 ? 1 : 0 }[limit.metric], 0);

        claim(spent === owed, `limit ${id} has spent ${spent}, its charges come to ${owed}`);
        claim(held === 0, `limit ${id} holds ${held} and nothing is open`);
        claim(spent <= amount, `limit ${id} has spent ${spent} of ${amount}`);
        claim(limit.amounts.includes(amount), `limit ${id} is ${amount}, it was to be ${limit.amounts}`);
    }
    claim(counts.length === model.limits.size, `${counts.length} limits are there`);
}

/** Start on what is left, and hold it against what was promised. */
async function audit(folder, model) {
    const check = start(SCRIPT, ['check', folder]);
    const problems = [...model.problems];
    const claim = (holds, what) => holds || problems.push(what);

    check.child.stdin.end();
    const end = await check.end;
    const lines = linesOf(check);
    const looks = readFacts(lines);
    claim(end.code === 0 && looks.length === 3 && looks.every((look) => look.isWhole),
        `the check ends with ${JSON.stringify(end)}: ${check.log.slice(-300)}`);
    if (problems.length > 0 && looks.length < 3)
        return problems;
    compareCharges(model, looks[0], claim);
    compareCounts(model, looks[0], claim);
    claim(JSON.stringify(looks[1]) === JSON.stringify(looks[0]), 'settling again has changed something');
    claim(lines.some(([verb, number]) => verb === 'settled' && number === '500'), 'no call was admitted and settled afterwards');
    claim(looks[2].charges.length === looks[0].charges.length + 1, 'a call afterwards has no charge of its own');
    return problems;
}

// --- the points -------------------------------------------------------------------------------------

/** One point of a scene: [fault, call, number]. Resolves to what was wrong. */
async function play(scene, [fault, name, number], told) {
    const id = `${scene.name}-${fault}-${name}-${number}`;
    const folder = copyOf(scene.from, id);
    const log = join(place, `${id}.log`);
    const { end, lines, log: said } = await scene.play(folder, log, name,
        ['-e', `inject=${name}:${FAULTS[fault].spec}:when=${number}`]);
    const model = scene.model();
    const problems = [];

    model.read(lines);
    if (fault === 'KILL' ? end.signal !== 'SIGKILL' : !readFileSync(log, 'utf8').includes('(INJECTED)'))
        told.missed++;
    // It may give up at the start, or end after a failed sync; it may not crash, hang or contradict itself.
    if (fault !== 'KILL' && ![0, 3, 70].includes(end.code))
        problems.push(`ended with ${JSON.stringify(end)}: ${said.slice(-300)}`);
    if (fault !== 'KILL' && scene.name === 'run' && end.code === 0 && model.counts.held + model.counts.refused < 20)
        problems.push(`goes on without admitting: ${JSON.stringify(model.counts)}`);
    if (fault !== 'KILL' && model.counts.lost > 0)
        problems.push('a settlement was given up after one failure');
    problems.push(...await audit(folder, model));
    told.points[fault]++;
    told.ended[end.signal ?? end.code] = (told.ended[end.signal ?? end.code] ?? 0) + 1;
    rmSync(folder, { recursive: true, force: true });
    rmSync(log, { force: true });
    return problems.map((problem) => `${id}: ${problem}`);
}

async function makeTemplate() {
    const folder = join(place, 'template');

    mkdirSync(folder, { recursive: true });
    const made = start(SCRIPT, ['template', folder]);
    if ((await made.end).code !== 0)
        throw new Error(`no template: ${made.log}`);
    return { folder, lines: linesOf(made) };
}

/** The files of a script killed with holds open, and what it was promised. */
async function makeWreck(template) {
    const folder = copyOf(template.folder, 'wreck');
    const { lines } = await playRun(folder, join(place, 'wreck.log'), 'pwrite64', ['-e', 'inject=pwrite64:signal=KILL:when=250']);

    return { folder, lines };
}

function modelOf(template, more = []) {
    const model = new Model();

    model.read(template.lines);
    model.restart();
    model.read(more);
    return model;
}

async function sweep() {
    const template = await makeTemplate();
    const wreck = await makeWreck(template);
    const open = [...modelOf(template, wreck.lines).attempts.values()].filter((one) => one.state === HELD).length;
    const scenes = [
        { name: 'run', from: template.folder, play: playRun, model: () => modelOf(template),
            least: { held: 20, refused: 5, settled: 18, repeated: 3 } },
        { name: 'recover', from: wreck.folder, play: playRecover, model: () => modelOf(template, wreck.lines) },
    ];
    const told = { points: { KILL: 0, EIO: 0, ENOSPC: 0 }, ended: {}, missed: 0, declared: 0, problems: [] };
    const points = [];

    if (open < WRECK_OPEN_MIN)
        told.problems.push(`${open} holds are open where a start is to recover some`);

    for (const scene of scenes) {
        const counts = await countCalls(scene, told.problems);
        if (scene.name === 'run')
            for (const [name, least] of Object.entries(CALLS_MIN))
                if (!(counts[name] >= least))
                    told.problems.push(`the script makes ${counts[name]} calls of ${name}, not ${least}`);
        for (const fault of Object.keys(FAULTS))
            for (const name of Object.keys(counts).filter(FAULTS[fault].of))
                for (let number = 1; number <= counts[name]; number++)
                    points.push([scene, [fault, name, number]]);
        console.log(`kill points: ${scene.name}: ${Object.entries(counts).map(([name, count]) => `${count} ${name}`).join(', ')}`);
    }
    const taken = points.filter((_, i) => (i + SEED) % EVERY === 0);
    const until_ms = performance.now() + BOUND_S * 1000;
    told.declared = taken.length;
    // Where time is short, all parts of the script are reached all the same.
    const random = randomFrom(SEED);
    const order = EVERY === 1 ? taken : taken.map((one) => [random(), one]).sort((a, b) => a[0] - b[0]).map(([, one]) => one);
    await parallel(WIDTH, order.length, async (i) => {
        if (performance.now() < until_ms)
            told.problems.push(...await play(...order[i], told));
    });
    return told;
}

// --- the whole server -------------------------------------------------------------------------------

/** Calls of the server's to die in, and within how many of them: a start makes a few, the load the rest. */
const SERVER_CALLS = [['pwrite64', 3000], ['fdatasync', 250]];
const STRIKE_MS = 20_000;
/** Answers that must have been compared for each kill, on average. */
const SERVER_CHECKED_MIN = 5;

/** Serve under strace, with load, until the call is reached. */
async function dieIn(gate, load, name, number) {
    const log = join(gate.folder, 'strace.log');
    const under = ['strace', '-f', ...traceArgs(gate.dataDir, log, name,
        ['-e', `inject=${name}:signal=KILL:when=${number}`])];

    await gate.boot({ under }).catch((error) => {
        if (gate.daemon.end?.signal !== 'SIGKILL')
            throw error;
    });
    load.start();
    return within(STRIKE_MS, `call ${number} of ${name}`, gate.daemon.exited).catch((error) => {
        run('pkill', ['-KILL', '-P', String(gate.daemon.pid)]); // the server: strace itself would let it live
        return { error: String(error) };
    });
}

async function killServer(count) {
    const random = randomFrom(SEED);
    const sim = await Sim.start();
    const gate = await Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
    const load = new Load(gate);
    const book = new Audit();

    await gate.stop();
    for (let kills = 0; kills < count; kills++) {
        const [name, most] = SERVER_CALLS[kills % SERVER_CALLS.length];
        const end = await dieIn(gate, load, name, 1 + Math.floor(random() * most));

        book.claim(end.signal === 'SIGKILL', `the server ended with ${JSON.stringify(end)}`);
        const complete = await load.stop();
        await gate.boot();
        await book.round(gate, sim, complete, /* isFinal= */ true);
        await gate.stop();
    }
    book.atRest(gate);
    await sim.stop();
    book.report('kill points of the server', `kills=${count} seed=${SEED} `);
    return book.violations.length === 0 && book.checked >= count * SERVER_CHECKED_MIN;
}

const begin = performance.now();
const told = await sweep();
const played = told.points.KILL + told.points.EIO + told.points.ENOSPC;
const isSound = told.problems.length === 0 && played > 0 && told.missed <= played / 100;

for (const problem of told.problems.slice(0, 20))
    console.log(`  ${problem}`);
console.log(`kill points: run=${played} of ${told.declared} (KILL ${told.points.KILL}, EIO ${told.points.EIO}, ` +
    `ENOSPC ${told.points.ENOSPC}) not reached=${told.missed} violations=${told.problems.length} ` +
    `ends=${JSON.stringify(told.ended)} every=${EVERY} seed=${SEED} seconds=${((performance.now() - begin) / 1000).toFixed(1)}`);
const isServerSound = SERVER === 0 || await killServer(SERVER);
process.exit(isSound && isServerSound ? 0 : 1);
