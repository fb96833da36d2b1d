// Sends the form as the JSON that the application's own sign-in expects.
"use strict";

const form = document.getElementById("sign-in");
const problem = document.getElementById("problem");
const button = form.querySelector("button");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.hidden = true;
  button.disabled = true;
  const message = await signIn(Object.fromEntries(new FormData(form)));
  button.disabled = false;
  if (message === null) {
    location.assign("/");
    return;
  }
  problem.textContent = message;
  problem.hidden = false;
  problem.focus();
});

/** Null when signed in, else what to tell the person. */
async function signIn(credentials) {
  try {
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(credentials),
    });
    if (answer.ok) return null;
    if (answer.status === 401) return "The user name or the password is wrong.";
    return `Signing in did not work (status ${answer.status}).`;
  } catch {
    return "The application cannot be reached.";
  }
}
