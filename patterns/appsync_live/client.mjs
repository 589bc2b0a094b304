// Runs page/live.js in Node, for many customers: reads commands, writes what each client knows.
import dns from "node:dns";
import { createInterface } from "node:readline";
import tls from "node:tls";
import { Feed, Live } from "./page/live.js";

const { local, settings } = JSON.parse(process.argv[2]);
const clients = new Map();
const asked = [];
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

Object.assign(Live, settings);
if (local) { // of an emulator: every name is this machine's, and in no certificate
  const found = { address: "127.0.0.1", family: 4 };
  dns.lookup = (_name, { all }, done) => done(null, ...(all ? [[found]] : ["127.0.0.1", 4]));
  tls.checkServerIdentity = () => undefined;
  globalThis.WebSocket = class extends WebSocket {
    constructor(url, protocols) {
      super(url.replace("wss:", `${local}:`), protocols);
    }
  };
}

/** Ask Python for a token or for what has changed. */
function ask(name, what, since) {
  return new Promise((resolve, reject) => {
    asked.push({ resolve, reject });
    say({ name, ask: asked.length - 1, what, since });
  });
}

/** Tell what is new since the last time. */
function tell(name, { version, shown: { length: shown }, late: { length: late } }) {
  return (feed, state) => {
    const orders = [...feed.orders.values()].filter((order) => order.version > version);
    say({ name, state, orders, version: feed.version,
          shown: feed.shown.slice(shown), late: feed.late.slice(late) });
    [version, shown, late] = [feed.version, feed.shown.length, feed.late.length];
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, name, config, answer, failed, ask: id } = JSON.parse(line);
  if (command === "watch") {
    const old = clients.get(name); // one that comes back knows what it knew
    const feed = old?.feed ?? new Feed();
    const asks = [() => ask(name, "token"), (version) => ask(name, "since", version)];
    const live = new Live(config ?? old.config, ...asks, old?.onChange ?? tell(name, feed));
    clients.set(name, Object.assign(live, { feed }));
    live.start();
  } else if (command === "answer") {
    if (failed) asked[id].reject(new Error(failed));
    else asked[id].resolve(answer);
  } else if (command === "drop") {
    clients.get(name).socket.close();
  } else {
    clients.get(name).stop();
  }
}
process.exit();
