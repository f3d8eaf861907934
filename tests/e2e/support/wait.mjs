// Waiting without sleeping on a guess: a condition is looked at until it holds, or its deadline fails
// the test with what was waited for.

const STEP_MS = 5;

/** Look at `condition` until it returns something true; resolves to that. what: text, or a function that
 * tells how things stand when time is up. */
export async function until(what, condition, { within = 10_000 } = {}) {
    const deadline = performance.now() + within;

    for (;;) {
        const seen = await condition();
        if (seen)
            return seen;
        if (performance.now() > deadline)
            throw new Error(`waited ${within} ms in vain for ${typeof what === 'function' ? what() : what}`);
        await new Promise((resolve) => setTimeout(resolve, STEP_MS));
    }
}

/** Fail when `promise` takes longer than `ms`. */
export function within(ms, what, promise) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what} took more than ${ms} ms`)), ms);
    });

    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Run `work(index)` for 0..count-1 with at most `width` at once; resolves to the results in order. */
export async function parallel(width, count, work) {
    const results = new Array(count);
    let next = 0;

    await Promise.all(Array.from({ length: Math.min(width, count) }, async () => {
        while (next < count) {
            const index = next++;
            results[index] = await work(index);
        }
    }));
    return results;
}
