// Shows a customer's orders as they change, and misses nothing while it is offline.
// https://docs.aws.amazon.com/appsync/latest/eventapi/event-api-websocket-protocol.html
// https://docs.aws.amazon.com/appsync/latest/devguide/real-time-websocket-client.html

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

const EVENTS = {
  protocol: "aws-appsync-event-ws",
  path: "/event/realtime",
  subscribe: (channel, authorization) => ({ type: "subscribe", channel, authorization }),
  texts: ({ event }) => [event].flat(), // a list; one as text has been seen, too
};
const GRAPHQL = {
  protocol: "graphql-ws",
  path: "/graphql",
  subscribe: (channel, authorization) => {
    const [, name, owner] = channel.split("/");
    const field = `on${name[0].toUpperCase()}${name.slice(1)}`;
    const query = `subscription ($owner: ID!) { ${field}(owner: $owner) { owner event } }`;
    const data = JSON.stringify({ query, variables: { owner } });
    return { type: "start", payload: { data, extensions: { authorization } } };
  },
  texts: ({ data }) => Object.values(data).map(({ event }) => event),
};

/**
 * Keeps a Feed up to date. Events that arrive during a fetch wait for it, in their order.
 * config: httpHost, realtimeHost, channel, graphql (true for GraphQL); token(): valid now, asked for
 * at each connection; fetchSince(version): answer of GET /orders?since=; onChange(feed, state).
 */
export class Live {
  // A subscription may miss events right after it is confirmed: look again soon, then now and then.
  static rechecks = [2_000, 300_000];
  static longestPause = 30_000;
  static patience = 30_000; // in silence, until AppSync says how long
  // AppSync's errors that another attempt does not change; a limit or a fault passes.
  static final = /^(Unauthorized|Forbidden|AccessDenied|BadRequest|UnsupportedOperation)/;
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
      const token = await this.token();
      if (!this.#over) this.#open(token);
    } catch {
      this.#again();
    }
  }

  stop() {
    this.#over = true;
    this.socket?.close();
    clearTimeout(this.recheck);
  }

  #open(token) {
    const { httpHost: host, realtimeHost, channel, graphql } = this.config;
    const { protocol, path, subscribe, texts } = graphql ? GRAPHQL : EVENTS;
    const said = { host, Authorization: token };
    const protocols = [protocol, `header-${base64url(JSON.stringify(said))}`];
    const socket = new WebSocket(`wss://${realtimeHost}${path}`, protocols);
    const send = (frame) => socket.send(JSON.stringify(frame));
    // The work of a connection waits for its turn; if it fails, as a fetch may, all is done again.
    const later = (work) => {
      this.#work = this.#work.then(work).catch(() => socket.close());
    };
    let patience = Live.patience;
    let silence;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => socket.close(), patience);
    };
    const recheck = (pause, ...rest) => {
      this.recheck = setTimeout(() => {
        later(() => this.#catchUp());
        recheck(...(rest.length ? rest : [pause]));
      }, pause);
    };
    this.socket = socket;
    heard();
    socket.onopen = () => send({ type: "connection_init" });
    socket.onclose = () => {
      clearTimeout(silence);
      clearTimeout(this.recheck);
      this.#again();
    };
    socket.onmessage = ({ data }) => {
      heard();
      const frame = JSON.parse(data);
      Object.assign(frame, frame.payload); // where GraphQL has the rest
      if (frame.type === "connection_ack") {
        patience = frame.connectionTimeoutMs;
        send({ id: "orders", ...subscribe(channel, said) });
      } else if (/^(subscribe_success|start_ack)$/.test(frame.type)) {
        later(async () => {
          await this.#catchUp();
          this.#attempt = 0;
        });
        recheck(...Live.rechecks);
      } else if (frame.type === "data") {
        later(() => this.#take(texts(frame)));
      } else if (frame.type === "broadcast_error") {
        later(() => this.#catchUp());
      } else if (/error$|^complete$/.test(frame.type)) {
        if (!frame.errors?.some((error) => Live.final.test(error.errorType))) return socket.close();
        this.stop();
        this.#tell("rejected");
      }
    };
  }

  async #take(texts) {
    for (const text of texts) {
      if (this.feed.event(JSON.parse(text))) await this.#catchUp();
    }
    this.#tell("live");
  }

  async #catchUp() {
    while (!this.#over && this.feed.fetched(await this.fetchSince(this.feed.version)));
    this.#tell("live");
  }

  #again() {
    if (this.#over) return;
    this.#tell("offline");
    this.#attempt += 1;
    const pause = Math.min(Live.longestPause, 200 * 2 ** this.#attempt);
    setTimeout(() => this.start(), pause * (0.5 + Math.random() / 2)); // not all at once
  }

  #tell(state) {
    if (!this.#over || state === "rejected") this.onChange(this.feed, state);
  }
}

function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
