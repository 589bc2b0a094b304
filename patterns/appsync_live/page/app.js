// The page: signs in at the user pool, and shows what Live knows. Text is only ever textContent.
import { Live } from "./live.js";

const WORDS = {
  connecting: "Connecting …",
  live: "Live",
  offline: "Offline. Connecting again …",
  rejected: "Not allowed",
};
const byId = (id) => document.getElementById(id);
const config = await (await fetch("config.json")).json();

async function signIn(email, password) {
  const answer = await fetch(config.signInUrl, {
    method: "POST",
    headers: {
      "Content-Type": "application/x-amz-json-1.1",
      "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth",
    },
    body: JSON.stringify({
      AuthFlow: "USER_PASSWORD_AUTH",
      ClientId: config.clientId,
      AuthParameters: { USERNAME: email, PASSWORD: password },
    }),
  });
  if (!answer.ok) throw new Error("sign-in");
  return (await answer.json()).AuthenticationResult.IdToken;
}

function show(feed, state) {
  byId("state").textContent = WORDS[state];
  byId("state").dataset.live = state === "live";
  const orders = [...feed.orders.values()].sort((one, other) => other.version - one.version);
  byId("orders").replaceChildren(...orders.map((order) => row(order, feed)));
  byId("counts").textContent =
    `${feed.version} changes: ${feed.shown.length} live, ${feed.late.length} fetched`;
}

function row(seen, feed) {
  const line = document.createElement("tr");
  line.className = seen.version === feed.version ? "new" : "";
  const parts = seen.order.lines.map((one) => `${one.quantity} × ${one.name}`).join(", ");
  const changed = new Date(seen.changed_at).toLocaleTimeString();
  const total = `${seen.order.total} ${seen.order.currency}`;
  for (const text of [seen.order_id, seen.status, parts, total, changed]) {
    const cell = document.createElement("td");
    cell.textContent = text;
    line.append(cell);
  }
  return line;
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const credentials = [form.get("email"), form.get("password")];
  let token;
  try {
    token = await signIn(...credentials);
  } catch {
    byId("state").textContent = "Email or password is wrong";
    return;
  }
  byId("sign-in").hidden = true;
  event.target.reset();
  const { sub } = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  const fetchSince = async (since) => {
    const headers = { Authorization: token };
    const answer = await fetch(`${config.ordersUrl}?since=${since}`, { headers });
    if (!answer.ok) throw new Error(`${answer.status}`);
    return answer.json();
  };
  const live = new Live({ ...config, channel: `/orders/${sub}` }, () => token, fetchSince, show);
  await live.start();
});
