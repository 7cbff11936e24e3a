"use strict";

// The hub's side of this conversation, in order: a UUID that is ours from then on, the history, then every message of
// the room, our own included. Messages are HTML that the hub made from its template; what people wrote is escaped in it.

const LIST_LIMIT = 500; // messages kept on the page
const RETRY_FIRST_MS = 500;
const RETRY_LIMIT_MS = 15000;
const OWN_UIDS_LIMIT = 50; // each connection brings one
const OWN_UIDS_KEY = "chat-room-own-uids";

const log = document.getElementById("log");
const status = document.getElementById("status");
const problem = document.getElementById("problem");
const message = document.getElementById("message");

let socket = null;
let uid = null;
let retries = 0;

// Kept for this tab, so that one's own messages are still one's own after a reload.
let ownUids = (sessionStorage.getItem(OWN_UIDS_KEY) ?? "").split(" ");

function say(state, words) {
  status.dataset.state = state;
  status.textContent = words;
}

function connect() {
  say("connecting", "Connecting");
  socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/chat`);
  socket.onmessage = ({ data }) => {
    if (uid === null) welcome(data);
    else receive(data);
  };
  socket.onclose = () => {
    uid = null;
    const delay = Math.min(RETRY_LIMIT_MS, RETRY_FIRST_MS * 2 ** retries++) * (0.5 + Math.random());
    say("waiting", "Connection lost, reconnecting");
    setTimeout(connect, delay);
  };
}

function welcome(text) {
  uid = text;
  ownUids = [...ownUids, uid].slice(-OWN_UIDS_LIMIT);
  sessionStorage.setItem(OWN_UIDS_KEY, ownUids.join(" "));
  retries = 0;
  document.body.dataset.uid = uid;
  // The history follows, and holds what the list showed before a reconnection.
  log.replaceChildren();
  say("live", "Connected");
}

function receive(text) {
  const error = errorIn(text);
  if (error) {
    problem.textContent = error.message || error.code;
    return;
  }
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 48;
  log.insertAdjacentHTML("beforeend", text);
  const added = log.lastElementChild;
  if (added && ownUids.includes(added.dataset.uid)) added.classList.add("own");
  while (log.childElementCount > LIST_LIMIT) log.firstElementChild.remove();
  if (atEnd || added?.classList.contains("own")) log.scrollTop = log.scrollHeight;
}

/** The error in `text`, if it is one: rendered messages begin with a tag and are no JSON. */
function errorIn(text) {
  if (!text.startsWith("{")) return null;
  try {
    return JSON.parse(text).error ?? null;
  } catch {
    return null;
  }
}

document.getElementById("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (uid === null) {
    problem.textContent = "Not sent: not connected.";
    return;
  }
  if (message.value.trim() === "") return;
  problem.textContent = "";
  socket.send(JSON.stringify({ uid, message: message.value }));
  message.value = "";
});

connect();
