// The official client, from build/e2e where `npm ci` has put it.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ROOT } from './process.mjs';

const { OpenAI } = createRequire(join(ROOT, 'build/e2e/package.json'))('openai');

/** A client that asks once: what the client library would paper over by asking again must be seen. */
export function openai(baseURL, apiKey, options = {}) {
    return new OpenAI({ baseURL, apiKey, maxRetries: 0, timeout: 60_000, ...options });
}

export const APIError = OpenAI.APIError;

/** Read a stream to its end; what it threw, if it did, is in `error`. */
export async function drink(stream) {
    const chunks = [];

    try {
        for await (const chunk of stream)
            chunks.push(chunk);
    } catch (error) {
        return { chunks, error };
    }
    return { chunks, error: null };
}
