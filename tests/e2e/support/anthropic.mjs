// Anthropic's official client, from build/e2e where `npm ci` has put it.

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ROOT } from './process.mjs';

const sdk = createRequire(join(ROOT, 'build/e2e/package.json'))('@anthropic-ai/sdk');

// It says of each call of an older model that it is one.
console.warn = (text, ...more) => /is deprecated and will reach end-of-life/.test(text) || console.error(text, ...more);

/** A client that asks once: what the client library would paper over by asking again must be seen. */
export function anthropic(baseURL, apiKey, options = {}) {
    return new sdk.Anthropic({ baseURL, apiKey, maxRetries: 0, timeout: 60_000, ...options });
}

export const { APIError, AuthenticationError, NotFoundError, BadRequestError, OverloadedError } = sdk;
