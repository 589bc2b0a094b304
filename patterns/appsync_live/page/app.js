// The page: signs in at the user pool, and shows what Live knows. Text is only ever textContent.
import { Live } from "./live.js";

const WORDS = {
  connecting: "Connecting …",
  live: "Live",
  offline: "Offline. Connecting again …",
  rejected: "Not allowed. Sign in again.",
};
// What the user pool says of a user; anything else, such as too many requests, passes.
const REFUSED = /NotAuthorized|UserNotFound|PasswordReset|UserNotConfirmed/;
const MOST = 200; // orders in the table, the newest
const byId = (id) => document.getElementById(id);
const config = await (await fetch("config.json")).json();
let session, live, drawn;

async function ask(flow, said) {
  const answer = await fetch(config.signInUrl, {
    method: "POST",
    headers: {
      "Content-Type": "application/x-amz-json-1.1",
      "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
    },
    body: JSON.stringify({ AuthFlow: flow, ClientId: config.clientId, AuthParameters: said }),
  });
  const { __type: error, AuthenticationResult: result } = await answer.json();
  if (!answer.ok) throw new Error(error);
  // By this machine's clock from now on, which need not be AWS's.
  session = { ...session, ...result, until: Date.now() + (result.ExpiresIn - 60) * 1000 };
}

async function token() {
  try {
    if (Date.now() > session.until) {
      await ask("REFRESH_TOKEN_AUTH", { REFRESH_TOKEN: session.RefreshToken });
    }
  } catch (error) {
    if (REFUSED.test(error.message)) signOut(WORDS.rejected);
    throw error;
  }
  return session.IdToken;
}

function signOut(why) {
  live?.stop();
  cancelAnimationFrame(drawn); // which would say again what was before
  byId("sign-in").hidden = false;
  byId("state").textContent = why;
  byId("state").dataset.live = false;
}

/** Draw once a frame, however many changes there were. */
function show(feed, state) {
  cancelAnimationFrame(drawn);
  drawn = requestAnimationFrame(() => draw(feed, state));
}

function draw(feed, state) {
  if (state === "rejected") return signOut(WORDS.rejected);
  byId("state").textContent = WORDS[state];
  byId("state").dataset.live = state === "live";
  const orders = [...feed.orders.values()].sort((one, other) => other.version - one.version);
  byId("orders").replaceChildren(...orders.slice(0, MOST).map((order) => row(order, feed)));
  const hidden = orders.length > MOST ? `; the newest ${MOST} of ${orders.length} orders` : "";
  byId("counts").textContent =
    `${feed.version} changes: ${feed.shown.length} live, ${feed.late.length} fetched${hidden}`;
}

function row(seen, feed) {
  const line = document.createElement("tr");
  line.className = seen.version === feed.version ? "new" : "";
  const parts = seen.order.lines.map((one) => `${one.quantity} × ${one.name}`).join(", ");
  const changed = new Date(seen.changed_at).toLocaleTimeString();
  const total = `${seen.order.total} ${seen.order.currency}`;
  for (const text of [seen.order_id, seen.status, parts, total, changed]) {
    line.insertCell().textContent = text;
  }
  return line;
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  live?.stop();
  try {
    const said = { USERNAME: form.get("email"), PASSWORD: form.get("password") };
    await ask("USER_PASSWORD_AUTH", said);
  } catch (error) {
    const wrong = REFUSED.test(error.message);
    byId("state").textContent = wrong ? "Email or password is wrong" : "Sign-in is unavailable";
    return;
  }
  byId("sign-in").hidden = true;
  event.target.reset();
  const claims = session.IdToken.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  const fetchSince = async (since) => {
    const headers = { Authorization: await token() };
    const answer = await fetch(`${config.ordersUrl}?since=${since}`, { headers });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
  };
  const channel = `/orders/${JSON.parse(atob(claims)).sub}`;
  live = new Live({ ...config, channel }, token, fetchSince, show);
  await live.start();
});
