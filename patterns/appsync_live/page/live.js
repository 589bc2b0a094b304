// Sees a customer's orders change, and misses nothing while it is offline. client.py is the same.
// https://docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol.html

// A subscription may miss events right after it is confirmed: look again soon, then now and then.
const RECHECKS = [2_000, 60_000];
const LONGEST_PAUSE = 30_000;

/** What a client knows: the newest state of each order, and up to which change. No network. */
export class Feed {
  orders = new Map();
  version = 0; // all changes up to this one are in orders
  shown = []; // versions that were shown as they happened
  late = []; // versions that only a fetch brought

  /** Take an event; return whether something is missing. Twice or late, it changes nothing. */
  event(event) {
    if (event.version <= this.version) return false;
    if (event.fetch || event.version !== this.version + 1) return true;
    this.orders.set(event.order_id, event);
    this.version = event.version;
    this.shown.push(event.version);
    return false;
  }

  /** Take what has changed since version; return whether there is more to fetch. */
  fetched(answer) {
    for (const order of answer.orders) {
      if (order.version > this.version) this.orders.set(order.order_id, order);
    }
    while (this.version < answer.version) this.late.push(++this.version);
    return answer.more;
  }
}

/**
 * Keeps a Feed up to date. Events that arrive during a fetch wait for it, in their order.
 * config: httpHost, realtimeHost, channel; token(): a token of the client, asked for each time;
 * fetchSince(version): the answer of GET /orders?since=; onChange(feed, state).
 */
export class Live {
  feed = new Feed();
  #work = Promise.resolve();
  #attempt = 0;
  #over = false;

  constructor(config, token, fetchSince, onChange) {
    Object.assign(this, { config, token, fetchSince, onChange });
  }

  async start() {
    if (this.#over) return;
    this.#tell("connecting");
    try {
      await this.#open(await this.token());
    } catch {
      this.#again();
    }
  }

  stop() {
    this.#over = true;
    this.socket?.close();
    clearTimeout(this.recheck);
  }

  async #open(token) {
    const { httpHost: host, realtimeHost, channel } = this.config;
    const said = { host, Authorization: token };
    const protocols = ["aws-appsync-event-ws", `header-${base64url(JSON.stringify(said))}`];
    const socket = new WebSocket(`wss://${realtimeHost}/event/realtime`, protocols);
    const send = (frame) => socket.send(JSON.stringify(frame));
    let patience = 300_000;
    this.socket = socket;
    const heard = () => {
      clearTimeout(this.silence);
      this.silence = setTimeout(() => socket.close(), patience);
    };
    socket.onopen = () => send({ type: "connection_init" });
    socket.onclose = () => {
      clearTimeout(this.silence);
      clearTimeout(this.recheck);
      this.#again();
    };
    socket.onmessage = ({ data }) => {
      heard();
      const frame = JSON.parse(data);
      if (frame.type === "connection_ack") {
        patience = frame.connectionTimeoutMs;
        send({ type: "subscribe", id: "orders", channel, authorization: said });
      } else if (frame.type === "subscribe_success") {
        this.#attempt = 0;
        this.#later(() => this.#catchUp("live"));
        this.#recheckAfter(...RECHECKS);
      } else if (frame.type === "data") {
        this.#later(() => this.#take([frame.event].flat()));
      } else if (frame.type === "broadcast_error") {
        this.#later(() => this.#catchUp("live"));
      } else if (frame.type.endsWith("_error")) {
        this.stop(); // not let in: a retry does not help
        this.#tell("rejected");
      }
    };
  }

  #recheckAfter(pause, ...later) {
    this.recheck = setTimeout(() => {
      this.#later(() => this.#catchUp("live"));
      this.#recheckAfter(...(later.length ? later : [pause]));
    }, pause);
  }

  #later(work) {
    this.#work = this.#work.then(work).catch(() => this.socket.close()); // a fetch failed
  }

  async #take(texts) {
    for (const text of texts) {
      if (this.feed.event(JSON.parse(text))) await this.#catchUp("live");
    }
    this.#tell("live");
  }

  async #catchUp(state) {
    while (this.feed.fetched(await this.fetchSince(this.feed.version)));
    this.#tell(state);
  }

  #again() {
    if (this.#over) return;
    this.#tell("offline");
    this.#attempt += 1;
    const pause = Math.min(LONGEST_PAUSE, 200 * 2 ** this.#attempt) * Math.random();
    setTimeout(() => this.start(), pause);
  }

  #tell(state) {
    this.onChange(this.feed, state);
  }
}

export function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
