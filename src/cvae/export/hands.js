// What is asked for, the hands that write it, and the address that both stand in.
//
// A hand is a vector of normal numbers, which the prior makes a z of under each condition. It is
// described by a seed, or by two and the way gone between them, and by where in the plane it was moved.

const UNCONDITIONAL = MODEL.names.length === 0;
const letters = MODEL.names.every((name) => [...name].length === 1);
const MOST = 2000, LONGEST = 10000;
const REACH = 3; // of the plane, to either side
const $ = (id) => document.getElementById(id);

let directions; // of each class, the two along which its images change most
const state = { text: "", seed: MODEL.seed, each: true, temperature: 1, sampled: false, chosen: 0, other: 1, own: {} };

const mixed = (seed, place) => (Math.imul(seed + 1, 2654435761) + Math.imul(place, 40503)) >>> 0;
const keyOf = (index) => (state.each ? index : "all");
const handOf = (index) => state.own[keyOf(index)] ?? { seed: state.each ? mixed(state.seed, index) : state.seed };
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

function axes(k) {
  const n = MODEL.hand;
  return [0, 1].map((i) => directions.subarray((2 * k + i) * n, (2 * k + i + 1) * n));
}

// Along the arc: what lies straight between two hands is smaller than both.
function between(from, to, t) {
  const cosine = dot(from, to) / Math.sqrt(dot(from, from) * dot(to, to) || 1);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (Math.sin(angle) < 1e-3) return map((a, b) => a + t * (b - a), from, to);
  const p = Math.sin((1 - t) * angle) / Math.sin(angle), q = Math.sin(t * angle) / Math.sin(angle);
  return map((a, b) => p * a + q * b, from, to);
}

function inPlane(noise, k, a, b) {
  const [u, v] = axes(k), du = a - dot(noise, u), dv = b - dot(noise, v);
  return noise.map((value, i) => value + du * u[i] + dv * v[i]);
}

function noiseOf(hand) {
  let noise = normals(hand.seed, MODEL.hand);
  if (hand.start) noise = inPlane(noise, ...hand.start);
  if (hand.to !== undefined) noise = between(noise, normals(hand.to, MODEL.hand), hand.t);
  return hand.plane ? inPlane(noise, ...hand.plane) : noise;
}

// The hand that a way leads from: the one as it is, or the one that is under way already.
const startOf = ({ seed, start, to, plane }) => ({ seed, start: to === undefined ? plane : start });

function onTheWay(hand, t) {
  return { ...startOf(hand), to: hand.to ?? mixed(state.other, 99), t };
}

// -- what is asked for -----------------------------------------------------------------------------

const known = (word) => {
  const exact = MODEL.names.indexOf(word), lower = word.toLowerCase();
  return exact >= 0 ? exact : MODEL.names.findIndex((name) => name.toLowerCase() === lower);
};

const readLetters = (words) => [...words].map((letter) => [letter, known(letter)]).filter(([letter, k]) => k >= 0 || !/[\s,.]/.test(letter));

// A name may hold commas itself: the longest that is known is taken.
function readNames(parts) {
  const found = [];
  for (let i = 0, end; i < parts.length; i = end) {
    for (end = parts.length; end > i + 1 && known(parts.slice(i, end).join(",").trim()) < 0; ) end--;
    const word = parts.slice(i, end).join(",").trim();
    if (word !== "") found.push([word, known(word)]);
  }
  return found;
}

function read(text) {
  const words = text.trim();
  if (UNCONDITIONAL) {
    if (words === "") return [[], "Say how many images you would like, such as 8."];
    if (!/^\d+$/.test(words)) return [[], `“${words}” is no number of images; try 8.`];
    return [Array(Math.min(Number(words), MOST)).fill(0), Number(words) > MOST ? `That is a lot; here are ${MOST}.` : ""];
  }
  const found = letters ? readLetters(words) : readNames(words.split(","));
  const strange = [...new Set(found.filter(([, k]) => k < 0).map(([word]) => `“${word}”`))];
  const classes = found.map(([, k]) => k).filter((k) => k >= 0);
  const all = MODEL.names.length > 12 ? `${MODEL.names.slice(0, 10).join(", ")} and ${MODEL.names.length - 10} more` : MODEL.names.join(", ");
  if (strange.length) return [classes.slice(0, MOST), `This model has never seen ${strange.slice(0, 5).join(", ")}${strange.length > 5 ? " …" : ""}; it knows ${all}.`];
  if (!classes.length) return [[], `Nothing to ${MODEL.noun === "hand" ? "write" : "draw"} yet: it knows ${all}.`];
  return [classes.slice(0, MOST), classes.length > MOST ? `That is a lot; here are the first ${MOST}.` : ""];
}

// -- the address -----------------------------------------------------------------------------------

const inside = (value) => Math.round(100 * Math.min(REACH, Math.max(-REACH, value))) / 100;

function toWords({ seed, start, to, t, plane }) {
  const at = (place) => (place ? `@${place.join(",")}` : "");
  return [seed, at(start), to === undefined ? "" : `~${to}~${t}`, at(plane)].join("");
}

function fromWords(words) {
  const number = "(-?\\d{1,9}(?:\\.\\d{1,9})?)", place = `(?:@(\\d{1,9}),${number},${number})?`;
  const way = new RegExp(`^(\\d{1,10})${place}~(\\d{1,10})~${number}${place}$`).exec(words);
  const still = new RegExp(`^(\\d{1,10})${place}$`).exec(words);
  const at = (k, a, b) => (k < Math.max(1, MODEL.names.length) ? [Number(k), inside(a), inside(b)] : undefined);
  if (still) return { seed: still[1] >>> 0, plane: at(...still.slice(2)) };
  if (!way) return undefined;
  const t = Math.min(1, Math.max(0, way[6]));
  return { seed: way[1] >>> 0, start: at(...way.slice(2, 5)), to: way[5] >>> 0, t, plane: at(...way.slice(7)) };
}

function save() {
  const address = new URLSearchParams({ text: state.text, seed: state.seed });
  if (!state.each) address.set("hand", "one");
  if (state.temperature !== 1) address.set("temperature", state.temperature);
  if (state.sampled) address.set("pixels", "sampled");
  const own = Object.entries(state.own).map(([key, hand]) => `${key}:${toWords(hand)}`);
  if (own.length) address.set("own", own.join(";"));
  try {
    history.replaceState(null, "", `#${address}`);
  } catch {
    // Some browsers refuse what comes too often; the next change tells it again.
  }
}

function load() {
  const address = new URLSearchParams(location.hash.slice(1)), number = (name, otherwise) => {
    const value = Number(address.get(name) ?? NaN);
    return Number.isFinite(value) && value >= 0 ? value : otherwise;
  };
  state.text = address.get("text")?.slice(0, LONGEST) ?? (UNCONDITIONAL ? "8" : letters ? [2, 0, 1, 8].map((k) => MODEL.names[k % MODEL.names.length]).join("") : MODEL.names.slice(0, 4).join(", "));
  state.seed = state.other = Math.floor(number("seed", MODEL.seed)) >>> 0;
  state.each = address.get("hand") !== "one";
  state.temperature = Math.min(1.5, number("temperature", 1));
  state.sampled = address.get("pixels") === "sampled";
  state.own = {};
  for (const part of (address.get("own") ?? "").split(";")) {
    const [key, words] = part.split(":"), hand = fromWords(words ?? "");
    if (hand && /^(\d+|all)$/.test(key)) state.own[key] = hand;
  }
  $("text").value = state.text;
  $("one").checked = !state.each;
  $("temperature").value = state.temperature;
  $("temperature-value").textContent = state.temperature.toFixed(2);
  $(state.sampled ? "sampled" : "mean").checked = true;
}
