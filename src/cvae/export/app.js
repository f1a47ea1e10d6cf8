// The page: what it shows, and what is done with it.

const HANDS = 10, FRAMES = 9, CELLS = 7;
const SETTLED = 300; // milliseconds after the last change
const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

let w; // the arrays of the model's functions
let turn = 0; // of the drawing that is under way; an older one gives up

// -- drawing ---------------------------------------------------------------------------------------

const nextFrame = () => new Promise(requestAnimationFrame);

// Draw as many as a frame has time for, and go on in the next one.
async function inFrames(jobs, mine) {
  let started = performance.now();
  for (const job of jobs) {
    if (mine !== turn) return false;
    job();
    if (performance.now() - started > 12) {
      await nextFrame();
      started = performance.now();
    }
  }
  return mine === turn;
}

function layOut() {
  const line = $("line");
  while (line.children.length > entries.length) line.lastChild.remove();
  entries.forEach((k, index) => {
    let button = line.children[index];
    if (!button) {
      button = line.appendChild(document.createElement("button"));
      button.type = "button";
      button.append(newCanvas(""));
      button.addEventListener("click", () => choose(index));
    }
    button.setAttribute("aria-pressed", index === state.chosen);
    button.title = `Look closely at this ${UNCONDITIONAL ? "image" : nameOf(k)}`;
    button.firstChild.setAttribute("aria-label", `${nameOf(k)}, number ${index + 1} of ${entries.length}, drawn by the model`);
  });
  $("closely").hidden = entries.length === 0;
}

const howNow = (index) => `${entries[index]} ${state.temperature} ${state.sampled}`;

function drawEntry(index, noise) {
  shown[index] = { noise, how: howNow(index) };
  show($("line").children[index].firstChild, entries[index], noise, index);
  window.cvae.firstImage ??= performance.now();
}

function isShown(index, noise) {
  const was = shown[index];
  return was?.how === howNow(index) && was.noise.every((value, i) => value === noise[i]);
}

function working() {
  document.body.dataset.state = "drawing";
  for (const id of ["png", "svg"]) $(id).disabled = true;
}

// Draw what is not shown yet; where there is time, each image on its way from its old hand to its new one.
async function draw() {
  const mine = ++turn;
  working();
  layOut();
  const goal = entries.map((_, index) => noiseOf(handOf(index)));
  const before = shown.slice(0, entries.length).map((was) => was?.noise);
  const moves = before.length === entries.length && before.every(Boolean) && entries.some((_, index) => !isShown(index, goal[index]));
  if (moves && !calm && !state.sampled && cost * entries.length < 14) {
    for (let start = performance.now(), t = 0; t < 1 && mine === turn; await nextFrame()) {
      t = Math.min(1, (performance.now() - start) / 350);
      entries.forEach((_, index) => drawEntry(index, between(before[index], goal[index], t * t * (3 - 2 * t))));
    }
  }
  shown.length = entries.length;
  const jobs = entries.map((_, index) => () => isShown(index, goal[index]) || drawEntry(index, goal[index]));
  if (await inFrames(jobs, mine)) await look(mine);
}

// Draw, and once nothing has changed for a while put it into the address, and draw what a drag has left.
let settling;
function changed(drawing = draw) {
  clearTimeout(settling);
  settling = setTimeout(() => {
    settling = undefined;
    save();
    draw();
  }, SETTLED);
  return drawing();
}

// The chosen image, the plane through its hand, other hands, and the way to another one.
let looked = ""; // what the plane and the strips were last drawn of
async function look(mine, planeAsWell = true) {
  if (entries.length === 0) return finish(mine);
  state.chosen = Math.min(state.chosen, entries.length - 1);
  const index = state.chosen, k = entries[index], hand = handOf(index), noise = noiseOf(hand);
  show($("preview"), k, noise, index);
  if (MODEL.kind === "bars") list(pixels(k, noise, index));
  $("preview").setAttribute("aria-label", `${nameOf(k)}, enlarged`);
  $("which").textContent = UNCONDITIONAL ? `Image ${index + 1}, closely` : `“${nameOf(k)}”, closely`;
  if (MODEL.hand === 0) return finish(mine);
  const [a, b] = axes(k).map((axis) => dot(noise, axis));
  place(a, b);
  $("way").value = hand.to === undefined ? 0 : hand.t;
  const jobs = [], now = [index, howNow(index), state.seed, state.other, toWords(hand)].join(" ");
  if (planeAsWell && looked !== now) {
    looked = "";
    const plane = $("plane").getContext("2d"), cell = newCanvas("");
    const [across, down] = [WIDTH, HEIGHT].map((size) => (size * ENLARGED) / 2), gap = 4;
    $("plane").width = CELLS * (across + gap);
    $("plane").height = CELLS * (down + gap);
    for (let i = 0; i < CELLS * CELLS; i++) {
      const column = i % CELLS, line = Math.floor(i / CELLS), step = (2 * REACH) / CELLS;
      jobs.push(() => {
        show(cell, k, inPlane(noise, k, (column + 0.5) * step - REACH, REACH - (line + 0.5) * step), index);
        plane.imageSmoothingEnabled = !state.sampled;
        plane.drawImage(cell, column * (across + gap) + gap / 2, line * (down + gap) + gap / 2, across, down);
      });
    }
    [...$("others").children].forEach((button, i) => {
      button.firstChild.setAttribute("aria-label", `${nameOf(k)}, another ${MODEL.noun}, ${i + 1}`);
      jobs.unshift(() => show(button.firstChild, k, noiseOf({ seed: otherSeed(i) }), index));
    });
    [...$("frames").children].forEach((button, i) => {
      button.firstChild.setAttribute("aria-label", `${nameOf(k)}, ${Math.round((100 * i) / (FRAMES - 1))} % of the way`);
      jobs.push(() => show(button.firstChild, k, noiseOf(onTheWay(hand, i / (FRAMES - 1))), index));
    });
    jobs.push(() => (looked = now));
  }
  if (await inFrames(jobs, mine)) finish(mine);
}

function finish(mine) {
  if (mine !== turn || settling !== undefined) return;
  for (const id of ["png", "svg"]) $(id).disabled = entries.length === 0;
  $("speed").textContent = `${cost.toFixed(1)} ms for an image, in this browser`;
  document.body.dataset.state = "ready";
}

const otherSeed = (i) => mixed(state.seed, 1000 + i);

function place(a, b) {
  const handle = $("handle"), at = (value) => `${(50 * (1 + Math.min(1, Math.max(-1, value / REACH)))).toFixed(2)}%`;
  handle.style.left = at(a);
  handle.style.top = at(-b);
  $("field").setAttribute("aria-valuenow", a.toFixed(2));
  $("field").setAttribute("aria-valuetext", `${a.toFixed(1)} across, ${b.toFixed(1)} up`);
}

// -- what is done ----------------------------------------------------------------------------------

function write() {
  let message;
  [entries, message] = read(state.text);
  $("message").textContent = message;
  $("text").setAttribute("aria-invalid", message !== "" && state.text.trim() !== "");
  return changed();
}

function choose(index) {
  state.chosen = index;
  changed();
}

function adopt(hand) {
  state.own[keyOf(state.chosen)] = hand;
  changed();
}

// A drag draws what it can at once, and leaves the pictures of the plane, which it does not change.
function dragged(hand) {
  state.own[keyOf(state.chosen)] = hand;
  changed(() => {
    const noise = noiseOf(handOf(state.chosen)), mine = ++turn;
    working();
    const all = !state.each && cost * entries.length < 14;
    entries.forEach((_, index) => (all || index === state.chosen) && drawEntry(index, noise));
    return look(mine, false);
  });
}

function move(a, b) {
  const hand = handOf(state.chosen);
  dragged({ ...hand, plane: [entries[state.chosen], inside(a), inside(b)] });
}

function newHand() {
  state.seed = crypto.getRandomValues(new Uint32Array(1))[0] % 1e6;
  state.other = state.seed;
  state.own = {};
  changed();
}

// -- the page --------------------------------------------------------------------------------------

function buttons(parent, count, click) {
  for (let i = 0; i < count; i++) {
    const button = $(parent).appendChild(document.createElement("button"));
    button.type = "button";
    button.append(newCanvas(""));
    button.addEventListener("click", () => click(i));
  }
}

function listen() {
  const on = (id, event, act) => $(id).addEventListener(event, act);
  on("text", "input", () => ((state.text = $("text").value.slice(0, LONGEST)), (state.chosen = 0), write()));
  on("new", "click", newHand);
  on("one", "change", () => ((state.each = !$("one").checked), changed()));
  on("temperature", "input", () => {
    state.temperature = Number($("temperature").value);
    $("temperature-value").textContent = state.temperature.toFixed(2);
    changed();
  });
  for (const id of ["mean", "sampled"]) on(id, "change", () => ((state.sampled = $("sampled").checked), changed()));
  on("png", "click", png);
  on("svg", "click", svg);
  on("further", "click", () => {
    state.other = mixed(state.other, 5);
    adopt({ ...startOf(handOf(state.chosen)), to: mixed(state.other, 99), t: 0 });
  });
  on("way", "input", () => dragged(onTheWay(handOf(state.chosen), Number($("way").value))));
  buttons("others", HANDS, (i) => adopt({ seed: otherSeed(i) }));
  buttons("frames", FRAMES, (i) => adopt(onTheWay(handOf(state.chosen), i / (FRAMES - 1))));
  if (!UNCONDITIONAL && !letters) {
    for (const name of MODEL.names) {
      const chip = $("names").appendChild(document.createElement("button"));
      chip.type = "button";
      chip.textContent = name;
      chip.addEventListener("click", () => {
        state.text = $("text").value = [...read(state.text)[0].map((k) => MODEL.names[k]), name].join(", ");
        write();
      });
    }
  }
  const field = $("field");
  const drag = (event) => {
    const box = field.getBoundingClientRect();
    move(REACH * (2 * (event.clientX - box.left) / box.width - 1), REACH * (1 - 2 * (event.clientY - box.top) / box.height));
  };
  field.addEventListener("pointerdown", (event) => (field.setPointerCapture(event.pointerId), drag(event)));
  field.addEventListener("pointermove", (event) => field.hasPointerCapture(event.pointerId) && drag(event));
  field.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.5 : 0.1;
    const [right, up] = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key] ?? [];
    if (right === undefined) return;
    event.preventDefault();
    const noise = noiseOf(handOf(state.chosen)), [a, b] = axes(entries[state.chosen]).map((axis) => dot(noise, axis));
    move(a + right, b + up);
  });
  addEventListener("pagehide", save);
  addEventListener("hashchange", () => (load(), write()));
}

async function start() {
  const arrays = await unpacked(MODEL.arrays, MODEL.bytes);
  directions = arrays.pop();
  w = arrays;
  document.documentElement.style.setProperty("--shape", WIDTH / HEIGHT);
  document.body.classList.toggle("deterministic", MODEL.hand === 0);
  load();
  listen();
  await write();
}

// For a console: cvae.latent(k, noise), cvae.mean(k, z), cvae.drawn(k, z, noise), k a class's number.
window.cvae = { latent, mean, drawn, state };
window.cvae.ready = start().catch((error) => {
  $("message").textContent = `This browser cannot run the page (${error.message}); a newer one can.`;
  throw error;
});
