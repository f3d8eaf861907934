// CPU time a call of Tollgate and of nginx with the same bytes, in turns, in one run; the median ratio of
// three pairs. Usage: node bench.mjs OUT [scenario ...]   (OUT: build/release)
import { spawn, execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { dirname, join, resolve } from 'node:path';

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? 'build/release');
const dir = resolve(out, '..', 'bench');
const pairs = Number(process.env.PAIRS ?? 3);

// goal: what the first column of the numbers to reach asks for.
const scenarios = {
  'plain 1 KB, 64 connections': { load: ['--connections', 64, '--requests', 60000, '--body-bytes', 1000], goal: 2.0 },
  'plain 1 KB, 256 connections': { load: ['--connections', 256, '--requests', 60000, '--body-bytes', 1000], goal: 2.0 },
  'plain 200 KB, 16 connections': { load: ['--connections', 16, '--requests', 8000, '--body-bytes', 200000], goal: 2.0 },
  'stream of 50, burst, 64 at once': { sim: ['--fast-burst'], load: ['--stream', '--connections', 64, '--requests', 40000, '--body-bytes', 1000], goal: 1.2 },
  'stream of 50, paced 20 ms, 1000 at once': { sim: ['--fast-gap-ms', 20], load: ['--stream', '--connections', 1000, '--requests', 4000, '--body-bytes', 1000], goal: 1.4 },
};
const wanted = process.argv.slice(3);

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function reachable(port, child) {
  for (const end = Date.now() + 10000; Date.now() < end;) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode}`);
    const socket = connect(port, '127.0.0.1');
    const ok = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)])
      .catch(() => false);
    socket.destroy();
    if (ok) return;
    await new Promise((r) => setTimeout(r, 20));
  }
  throw new Error(`nothing listens on ${port}`);
}

// The measured process has a core of its own, what loads it the other.
function start(core, command, args, options = {}) {
  const child = spawn('taskset', ['-c', String(core), command, ...args.map(String)], { stdio: ['ignore', 'ignore', 'inherit'], ...options });
  return child;
}

const environment = { PATH: process.env.PATH, TOLLGATE_DATA_DIR: join(dir, 'data') };

function tollgate(...args) {
  return execFileSync(join(out, 'tollgate'), args.map(String), { env: environment, encoding: 'utf8' }).trim();
}

// Nanoseconds that all threads of a process and of its children have run.
function cpu(pid) {
  let sum = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    sum += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
    for (const child of readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean))
      sum += cpu(child);
  }
  return sum;
}

function rss(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}

async function load(port, keys, args) {
  const child = spawn('taskset', ['-c', '0', join(out, 'load'), '--url', `http://127.0.0.1:${port}/v1/chat/completions`,
    '--key', '@' + keys, '--model', 'gpt-4o', '--json', ...args.map(String)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (piece) => { text += piece; });
  await once(child, 'close');
  const result = JSON.parse(text);
  if (result.errors > 0) throw new Error(`load: ${result.errors} errors, first: ${result.first_error}`);
  return result;
}

async function measure(side, keys, args) {
  const before = cpu(side.child.pid);
  const result = await load(side.port, keys, args);
  return { us: (cpu(side.child.pid) - before) / 1000 / result.requests, result, rss: rss(side.child.pid) };
}

const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

async function stop(child) {
  if (child.exitCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  await closed;
}

async function startTollgate(simPort) {
  const port = await freePort();
  rmSync(join(dir, 'data'), { recursive: true, force: true });
  const child = start(1, join(out, 'tollgate'), ['serve', '--workers', 1, '--drain-seconds', 1, '--listen', `127.0.0.1:${port}`,
    '--admin-listen', `127.0.0.1:${await freePort()}`], { env: environment });
  await reachable(port, child);
  tollgate('team', 'create', 'bench');
  writeFileSync(join(dir, 'secret'), 'sk-bench-secret-000000');
  tollgate('provider', 'add', 'openai', '--kind', 'openai', '--base-url', `http://127.0.0.1:${simPort}/v1`, '--secret-file', join(dir, 'secret'));
  const keys = [];
  for (let i = 0; i < 100; i++) keys.push(tollgate('key', 'create', '--team', 'bench', '--name', `bench-${i}`));
  writeFileSync(join(dir, 'keys'), keys.join('\n') + '\n');
  return { child, port };
}

async function startNginx(simPort) {
  const port = await freePort();
  const text = readFileSync(join(here, 'nginx.conf'), 'utf8')
    .replaceAll('@DIR@', dir).replaceAll('@SIM@', simPort).replaceAll('@PORT@', port);
  writeFileSync(join(dir, 'nginx.conf'), text);
  const child = start(1, 'nginx', ['-c', join(dir, 'nginx.conf'), '-e', join(dir, 'nginx.err')]);
  await reachable(port, child);
  return { child, port };
}

async function run(name, scenario) {
  const simPort = await freePort();
  const sim = start(0, join(out, 'sim'), ['--listen', `127.0.0.1:${simPort}`, '--fast', ...(scenario.sim ?? [])]);
  await reachable(simPort, sim);
  const ours = await startTollgate(simPort);
  const theirs = await startNginx(simPort);
  const keys = join(dir, 'keys');
  const rounds = [];
  try {
    const warm = ['--requests', 2000, '--connections', 64, ...(scenario.load.includes('--stream') ? ['--stream'] : [])];
    await load(ours.port, keys, warm);
    await load(theirs.port, keys, warm);
    for (let i = 0; i < pairs; i++) {
      const a = await measure(ours, keys, scenario.load);
      const b = await measure(theirs, keys, scenario.load);
      rounds.push({ ours: a.us, theirs: b.us, ratio: a.us / b.us, rss: a.rss, p50: a.result.latency_p50_us ?? a.result.latency?.p50 });
    }
  } finally {
    await stop(ours.child);
    await stop(theirs.child);
    await stop(sim);
  }
  const ratio = median(rounds.map((r) => r.ratio));
  const row = {
    scenario: name,
    'tollgate us': median(rounds.map((r) => r.ours)).toFixed(1),
    'nginx us': median(rounds.map((r) => r.theirs)).toFixed(1),
    ratio: ratio.toFixed(2),
    goal: `<= ${scenario.goal}`,
    reached: ratio <= scenario.goal ? 'yes' : 'NO',
    'MiB resident': median(rounds.map((r) => r.rss)).toFixed(0),
  };
  console.log(Object.entries(row).map(([k, v]) => `${k}: ${v}`).join('   '));
  return row;
}

mkdirSync(dir, { recursive: true });
const rows = [];
for (const [name, scenario] of Object.entries(scenarios)) {
  if (wanted.length === 0 || wanted.some((w) => name.includes(w))) rows.push(await run(name, scenario));
}
console.table(rows);
process.exitCode = rows.every((row) => row.reached === 'yes') ? 0 : 1;
