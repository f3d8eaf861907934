// Goal: whatever a client has seen complete is charged, once, whenever the process dies. Method: clients
// with 32 streams at a time in this process and a simulator in another, neither of which ever dies; the
// server is killed with SIGKILL at random moments, started again, and compared with what the clients saw
// complete and with the simulator's bill.
//
// COUNT kills (300), SEED of their moments. With CONTROL=1 the build under test charges after the last
// byte, and the run succeeds only if that is caught.

import { Audit, Load, randomFrom, sleep } from './support/killing.mjs';
import { Sim } from './support/sim.mjs';
import { Tollgate } from './support/tollgate.mjs';
import { until } from './support/wait.mjs';

const COUNT = Number(process.env.COUNT ?? 300);
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);
const IS_CONTROL = process.env.CONTROL === '1';
const LIFE_MIN_MS = 20;
const LIFE_MAX_MS = 200;
/** A test that compares next to nothing proves nothing. */
const CHECKED_MIN = COUNT * 20;

async function main() {
    const random = randomFrom(SEED);
    const sim = await Sim.start();
    const gate = await Tollgate.start({ providers: { openai: { kind: 'openai', baseUrl: sim.baseUrl } } });
    const load = new Load(gate);
    const audit = new Audit();
    let kills = 0;

    while (kills < COUNT && !(IS_CONTROL && audit.violations.length > 0)) {
        load.start();
        await until('a first answer', () => load.seen.some((one) => one.isComplete));
        await sleep(LIFE_MIN_MS + random() * (LIFE_MAX_MS - LIFE_MIN_MS)); // the moment is what is random
        await gate.daemon.stop('SIGKILL');
        kills++;
        const complete = await load.stop();
        await gate.boot();
        await audit.round(gate, sim, complete, kills === COUNT);
    }
    await gate.stop();
    audit.atRest(gate);
    await sim.stop();
    return { audit, kills };
}

const start = performance.now();
const { audit, kills } = await main();

audit.report('crash', `kills=${kills} seed=${SEED} seconds=${((performance.now() - start) / 1000).toFixed(1)} `);
if (IS_CONTROL) {
    const isCaught = audit.violations.length > 0;
    console.log(isCaught ? 'crash: the build that charges after the last byte was caught'
        : 'crash: the build that charges after the last byte was NOT caught');
    process.exit(isCaught ? 0 : 1);
}
if (audit.checked < CHECKED_MIN)
    console.log(`crash: too few answers were compared, at least ${CHECKED_MIN} are needed`);
process.exit(audit.violations.length === 0 && audit.checked >= CHECKED_MIN ? 0 : 1);
