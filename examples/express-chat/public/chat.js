const at = (id) => document.getElementById(id);
const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/chat`;
const firstPause = 200;
const longestPause = 5000;

let socket;
let pause = firstPause;
let server = null;

at("name").value = localStorage.getItem("name") ?? `guest ${Math.floor(Math.random() * 1000)}`;
connect();

document.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = at("text").value.trim();
  if (text === "" || socket.readyState !== WebSocket.OPEN) return;
  localStorage.setItem("name", at("name").value);
  socket.send(JSON.stringify({ name: at("name").value, text }));
  at("text").value = "";
});

/** A connection that ends is made again: at once after a change of release, more slowly when nobody answers. */
function connect() {
  socket = new WebSocket(address);
  socket.addEventListener("message", ({ data }) => receive(JSON.parse(data)));
  socket.addEventListener("close", ({ code }) => {
    at("state").textContent = code === 1001 ? "a new release takes over" : "connecting";
    setTimeout(connect, pause);
    pause = Math.min(longestPause, pause * 2);
  });
}

function receive(message) {
  if (message.type === "welcome") return welcome(message);
  if (message.type === "presence") return showPresence(message.people);
  const line = document.createElement("li");
  const name = document.createElement("b");
  name.textContent = message.name;
  line.append(name, message.text);
  add(line);
}

function welcome(next) {
  pause = firstPause;
  if (server !== null && server.release !== next.release) note(`release ${next.release} has taken over`);
  server = next;
}

function showPresence(people) {
  at("state").textContent =
    `${people === 1 ? "only you" : `${people} people`}, release ${server.release}, instance ${server.instance}`;
}

function note(text) {
  const line = document.createElement("li");
  line.className = "note";
  line.textContent = text;
  add(line);
}

function add(line) {
  at("messages").append(line);
  line.scrollIntoView();
}
