// A client of its own process: stream_times.mjs BASE-URL KEY SCRIPT streams one completion with the
// official client and prints when each chunk came, and the call's id.

import { openai } from './openai.mjs';

const [baseURL, key, script] = process.argv.slice(2);
const start = performance.now();
const { data, response } = await openai(baseURL, key).chat.completions.create(
    { model: 'gpt-4o', stream: true, messages: [{ role: 'user', content: 'hello' }] },
    { headers: { 'x-sim': script } }).withResponse();
const times = [];

for await (const _ of data)
    times.push(performance.now() - start);
console.log(JSON.stringify({ times, call: response.headers.get('x-request-id') }));
