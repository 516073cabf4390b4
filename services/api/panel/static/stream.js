// One event stream for all tabs of a browser: over HTTP/1 it has six connections per server, and each stream takes
// one for good. A visible tab holds it (a lock decides which) and tells the others what it hears.

const EVENTS = `${document.documentElement.dataset.base}/api/admin/events`;
const SILENCE_MS = 3_800; // the server says something every second and a half
const LOOK_MS = 400;

const channel = new BroadcastChannel("kronik");
let source = null;
let release = null;
let waiting = null;
let heard = performance.now();
let tell = () => {};

function hear(kind, data) {
  heard = performance.now();
  tell(kind, data);
}

function pass(kind, data) {
  hear(kind, data);
  channel.postMessage([kind, data]);
}

channel.addEventListener("message", ({ data: [kind, data] }) => hear(kind, data));

function listen() {
  source?.close();
  source = new EventSource(EVENTS);
  source.addEventListener("run", ({ data }) => pass("run", JSON.parse(data)));
  source.addEventListener("state", ({ data }) => pass("state", JSON.parse(data)));
}

/** Hidden tabs let go of the stream, so that a visible one has it. */
function contend() {
  if (document.hidden) {
    waiting?.abort();
    release?.();
    source?.close();
    source = waiting = release = null;
    return;
  }
  if (waiting) return;
  heard = performance.now();
  waiting = new AbortController();
  const held = () => new Promise((done) => ((release = done), listen()));
  if (navigator.locks) navigator.locks.request("kronik-stream", { signal: waiting.signal }, held).catch(() => {});
  else held(); // not a secure context: every tab listens for itself
}

/** Calls `told(kind, data)`: `run` and `state` as the server says them, `silence` while it says nothing. */
export function follow(told) {
  tell = told;
  contend();
  document.addEventListener("visibilitychange", contend);
  addEventListener("online", contend);
  setInterval(() => {
    if (document.hidden) return;
    if (source?.readyState === EventSource.CLOSED) listen();
    if (performance.now() - heard > SILENCE_MS || !navigator.onLine) tell("silence", null);
  }, LOOK_MS);
}
