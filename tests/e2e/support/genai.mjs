// Google's official client, from build/e2e where `npm ci` has put it.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ROOT } from './process.mjs';

const sdk = createRequire(join(ROOT, 'build/e2e/package.json'))('@google/genai');

/** A client for the Gemini API at another address; it asks once unless told otherwise. */
export function genai(baseUrl, apiKey, options = {}) {
    return new sdk.GoogleGenAI({ apiKey, httpOptions: { baseUrl, timeout: 60_000 }, ...options });
}

export const { ApiError } = sdk;
