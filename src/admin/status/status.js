// Keeps the page as it would be if it were loaded again: fetches it every two seconds while somebody looks, and puts what has
// changed in the place of what was there. What is open, chosen or selected stays so.
const PERIOD = 2000;
const live = document.getElementById('live');

function say(word) {
  if (live.textContent !== word) live.textContent = word;
}

function isSelectedIn(part) {
  const selection = getSelection();
  return !selection.isCollapsed && selection.containsNode(part, true);
}

function morph(there, fresh) {
  if (there.isEqualNode(fresh)) return;
  const isAlike = there.nodeType === Node.ELEMENT_NODE && there.nodeName === fresh.nodeName && there.id === fresh.id;
  if (!isAlike || there.childNodes.length !== fresh.childNodes.length) {
    there.replaceWith(fresh);
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (name !== 'open' && there.getAttribute(name) !== value) there.setAttribute(name, value);
  }
  const parts = [...fresh.childNodes];
  [...there.childNodes].forEach((part, index) => morph(part, parts[index]));
}

function adopt(fresh) {
  const focused = document.activeElement?.id;
  const open = new Map([...document.querySelectorAll('details')].map((details) => [details.id, details.open]));
  for (const part of fresh.querySelectorAll('[data-live]')) {
    const there = document.getElementById(part.id);
    if (there && !isSelectedIn(there)) morph(there, document.adoptNode(part));
  }
  for (const details of document.querySelectorAll('details')) {
    if (open.has(details.id)) details.open = open.get(details.id);
  }
  if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus({ preventScroll: true });
  document.title = fresh.title;
}

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.pathname, {
      headers: { accept: 'text/html' }, redirect: 'error', signal: AbortSignal.timeout(5 * PERIOD),
    });
    if (!answer.ok) throw new Error(String(answer.status));
    adopt(new DOMParser().parseFromString(await answer.text(), 'text/html'));
    say('live');
  } catch {
    say('no answer any more: this is what was last known');
  }
}

async function watch() {
  for (;;) {
    await refresh();
    await new Promise((next) => setTimeout(next, PERIOD));
  }
}

document.addEventListener('visibilitychange', refresh);
watch();
