"use strict";

// Text goes in by textContent alone: the page's policy allows no HTML made by scripts.

const byId = (id) => document.getElementById(id);
const admin = location.origin;
const clientUrl = `${location.protocol}//${location.hostname}:4000/v1`;

function show(id, isShown) {
  byId(id).hidden = !isShown;
}

function showCalls(token) {
  byId("api-call").textContent =
    `curl ${admin}/api/v1/teams -H 'Authorization: Bearer ${token}'`;
  byId("client-call").textContent =
    `curl ${clientUrl}/chat/completions -H "Authorization: Bearer $KEY" \\\n` +
    `  -H 'Content-Type: application/json' \\\n` +
    `  -d '{"model":"echo","messages":[{"role":"user","content":"Hello there"}]}'`;
}

// The one-time token stands in the fragment, which browsers keep to themselves; it is taken out of
// the address at once, so that it is not left in the history.
function takeSetupToken() {
  const match = /^#setup=([A-Za-z0-9_]+)$/.exec(location.hash);

  if (match === null) return null;
  history.replaceState(null, "", location.pathname);
  return match[1];
}

async function claim(setupToken) {
  const answer = await fetch("/api/v1/setup", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: setupToken }),
  });
  const body = await answer.json();

  if (!answer.ok) throw new Error(body.detail);
  return body.secret;
}

async function onClaim(setupToken) {
  const button = byId("claim");

  button.disabled = true;
  try {
    byId("token-text").textContent = await claim(setupToken);
    show("setup", false);
    show("token", true);
    byId("token-title").scrollIntoView();
  } catch (error) {
    byId("setup-problem").textContent = `That did not work: ${error.message}`;
    show("setup-problem", true);
    button.disabled = false;
  }
}

async function onCopy(event) {
  const from = event.currentTarget.dataset.copy;

  try {
    await navigator.clipboard.writeText(byId(from).textContent);
    byId("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(byId(from));
    byId("copied").textContent = "Selected: copy it with the keyboard.";
  }
}

async function showHealth() {
  try {
    const health = await (await fetch("/healthz")).json();
    const ready = await (await fetch("/readyz")).json();

    byId("health").textContent =
      `Version ${health.version}, ${ready.ready ? "ready" : `not ready: ${ready.reason}`}.`;
  } catch {
    byId("health").textContent = "The server does not answer.";
  }
}

function start() {
  const setupToken = takeSetupToken();

  showCalls("tga_...");
  if (setupToken !== null) {
    show("setup", true);
    byId("claim").addEventListener("click", () => onClaim(setupToken));
  }
  for (const button of document.querySelectorAll("[data-copy]"))
    button.addEventListener("click", onCopy);
  showHealth();
}

start();
