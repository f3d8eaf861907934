// User instructions a call: callgrind's count of the whole process over two loads of different length,
// the difference divided by the calls between them. Six limits apply to every call: tokens and money of a
// month and requests of a minute, of the organization and of the team. Usage: node instructions.mjs OUT
// LIMITS=0 leaves them out.
import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join, resolve } from 'node:path';

const out = resolve(process.argv[2] ?? 'build/release');
const dir = resolve(out, '..', 'bench');
const env = { PATH: process.env.PATH, TOLLGATE_DATA_DIR: join(dir, 'counted') };
const CALLS = [1000, 3000];

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function reachable(port) {
  for (const end = Date.now() + 60000; Date.now() < end;) {
    const socket = connect(port, '127.0.0.1');
    const is = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
    socket.destroy();
    if (is) return;
    await new Promise((r) => setTimeout(r, 50));
  }
  throw new Error(`nothing listens on ${port}`);
}

async function count(calls, args, simPort, keys) {
  const file = join(dir, 'callgrind.out');
  const port = await freePort();
  const server = spawn('valgrind', ['--tool=callgrind', `--callgrind-out-file=${file}`, join(out, 'tollgate'), 'serve',
    '--workers', '1', '--listen', `127.0.0.1:${port}`, '--admin-listen', `127.0.0.1:${await freePort()}`],
  { env, stdio: 'ignore' });
  await reachable(port);
  const result = JSON.parse(execFileSync(join(out, 'load'), ['--url', `http://127.0.0.1:${port}/v1/chat/completions`, '--key', '@' + keys,
    '--model', 'gpt-4o', '--connections', '32', '--requests', String(calls), '--body-bytes', '1000', ...args], { encoding: 'utf8' }));
  if (result.errors > 0) throw new Error(result.first_error);
  const closed = once(server, 'close');
  server.kill('SIGTERM');
  await closed;
  return Number(/^(?:summary|totals): (\d+)/m.exec(readFileSync(file, 'utf8'))[1]);
}

mkdirSync(dir, { recursive: true });
rmSync(env.TOLLGATE_DATA_DIR, { recursive: true, force: true });
const tollgate = (...args) => execFileSync(join(out, 'tollgate'), args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
for (const [name, simArgs, args] of [['plain 1 KB', [], []], ['stream of 50, burst', ['--fast-burst'], ['--stream']]]) {
  const simPort = await freePort();
  const sim = spawn(join(out, 'sim'), ['--listen', `127.0.0.1:${simPort}`, '--fast', ...simArgs], { stdio: 'ignore' });
  await reachable(simPort);
  rmSync(env.TOLLGATE_DATA_DIR, { recursive: true, force: true });
  writeFileSync(join(dir, 'secret'), 'sk-bench-secret-000000');
  tollgate('team', 'create', 'bench');
  tollgate('provider', 'add', 'openai', '--kind', 'openai', '--base-url', `http://127.0.0.1:${simPort}/v1`, '--secret-file', join(dir, 'secret'));
  for (const scope of process.env.LIMITS === '0' ? [] : [['--organization'], ['--team', 'bench']])
    for (const [metric, window, amount] of [['total_tokens', 'month', '100000000000'], ['cost', 'month', '1000000'], ['requests', 'minute', '100000000']])
      tollgate('limit', 'set', ...scope, '--metric', metric, '--window', window, '--amount', amount);
  const keys = join(dir, 'keys');
  writeFileSync(keys, Array.from({ length: 10 }, (_, i) => tollgate('key', 'create', '--team', 'bench', '--name', `b${i}`)).join('\n') + '\n');
  const [few, many] = [await count(CALLS[0], args, simPort, keys), await count(CALLS[1], args, simPort, keys)];
  console.log(`${name}: ${Math.round((many - few) / (CALLS[1] - CALLS[0]))} instructions a call`);
  sim.kill();
}
