// Everything that a single-page application has to know of Usher.
"use strict";

const element = (id) => document.getElementById(id);

function show(text, signedIn) {
  element("state").textContent = text;
  element("sign-in").hidden = signedIn;
  element("sign-out").hidden = !signedIn;
}

// A navigation, not a fetch: signing in needs the whole window.
let login = "/.usher/sign-in?rd=%2F";
element("sign-in").addEventListener("click", () => location.assign(login));

element("sign-out").addEventListener("click", async () => {
  await fetch("/.usher/sign-out", { method: "POST" });
  show("You are signed out.", false);
});

async function ask() {
  const answer = await fetch("/api/time");
  if (answer.status === 401) {
    login = (await answer.json()).login_url ?? login;
    return show("Nobody is signed in.", false);
  }
  const { time, user } = await answer.json();
  show(`${user}, it is ${time}.`, true);
  setTimeout(ask, 2000);
}

// For the first paint: who is not signed in need not ask the API to learn that.
fetch("/.usher/session")
  .then((answer) => answer.json())
  .then((session) => (session.signed_in ? ask() : show("Nobody is signed in.", false)));
