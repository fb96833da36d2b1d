// Asks the application who is asking, and Usher how long the token is good for, once a second.
"use strict";

const element = (id) => document.getElementById(id);
const isIdentity = (name) => name.startsWith("x-user-") || name === "x-token-issued-at";

let issuedAt = null;
let requests = 0;
let renewals = 0;
let slowest = 0;

async function poll() {
  try {
    const started = performance.now();
    const answer = await fetch("/api/me", { cache: "no-store" });
    const took = performance.now() - started;
    if (answer.status === 401) return ended();
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const { headers } = await answer.json();
    requests += 1;
    element("requests").textContent = requests;
    showIdentity(headers);
    noteRenewal(headers["x-token-issued-at"]);
    slowest = Math.max(slowest, took);
    element("slowest").textContent = `${Math.ceil(slowest)} ms`;
    const session = await fetch("/.usher/session", { cache: "no-store" });
    if (session.ok) showSession(await session.json());
    element("notice").hidden = true;
  } catch (error) {
    notice(`No answer just now (${error.message}). The session is kept; trying again.`);
  }
  setTimeout(poll, 1000);
}

function showIdentity(headers) {
  element("name").textContent = headers["x-user-name"] ?? "Somebody";
  element("roles").textContent = `${headers["x-user-id"]} · ${headers["x-user-roles"]}`;
  const rows = Object.entries(headers).sort(([one], [other]) => isIdentity(other) - isIdentity(one));
  element("headers").replaceChildren(...rows.map(row));
}

function row([name, value]) {
  const line = document.createElement("tr");
  line.classList.toggle("identity", isIdentity(name));
  const header = document.createElement("th");
  header.scope = "row";
  header.textContent = name;
  const cell = document.createElement("td");
  cell.textContent = Array.isArray(value) ? value.join("\n") : value;
  // A small screen shows it as no table, which it is all the same.
  for (const [part, role] of [[line, "row"], [header, "rowheader"], [cell, "cell"]]) part.setAttribute("role", role);
  line.append(header, cell);
  return line;
}

function noteRenewal(current) {
  if (issuedAt !== null && current !== issuedAt) {
    renewals += 1;
    element("renewals").textContent = renewals;
    element("log-empty").hidden = true;
    const entry = document.createElement("li");
    entry.textContent = `${new Date().toLocaleTimeString()}: a new access token, ${current - issuedAt} s after the last`;
    element("log").prepend(entry);
    printTicket();
  }
  issuedAt = current;
}

/** Restarts the animation of the ticket coming out of the slot. */
function printTicket() {
  const ticket = element("ticket");
  ticket.classList.remove("printed");
  void ticket.offsetWidth;
  ticket.classList.add("printed");
}

function showSession({ signed_in: signedIn, access_expires_in: access, session_expires_in: session }) {
  if (!signedIn) return;
  element("seconds").textContent = access ?? "–";
  element("left").value = access ?? 0;
  element("session").textContent = duration(session);
}

function duration(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds >= 2 * 86400) return `${Math.floor(seconds / 86400)} days`;
  if (seconds >= 2 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return seconds >= 120 ? `${Math.floor(seconds / 60)} min` : `${seconds} s`;
}

function notice(text) {
  element("notice").textContent = text;
  element("notice").hidden = false;
}

function ended() {
  notice("The session has ended. ");
  const link = document.createElement("a");
  link.href = "/.usher/sign-in?rd=%2F";
  link.textContent = "Sign in again";
  element("notice").append(link);
}

element("sign-out").addEventListener("click", async () => {
  const answer = await fetch("/.usher/sign-out", { method: "POST" }).catch(() => null);
  if (answer?.ok) location.assign("/.usher/sign-out");
  else notice("Signing out did not work; the session goes on.");
});

poll();
