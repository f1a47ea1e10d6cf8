// Images: from a hand to pixels, to the screen, and to files.

const [CHANNELS, HEIGHT, WIDTH] = MODEL.image;
const SLIDE = 1920, LARGEST = 960; // pixels of a saved picture's width, at least, and of one of its images, at most
const ENLARGED = Math.max(1, Math.round(112 / WIDTH));

let entries = []; // the class of each image asked for
let shown = []; // what each was last drawn from: its `noise`, and `how`
let cost = 1; // milliseconds for an image

// The temperature leaves alone which component of a mixture is drawn.
const tempered = (noise) => noise.map((value, i) => (MODEL.choices.includes(i) ? value : value * state.temperature));

function pixels(k, noise, index) {
  const z = latent(k, tempered(noise));
  return state.sampled ? drawn(k, z, normals(mixed(handOf(index).seed, index + 7), MODEL.pixelNoise)) : mean(k, z);
}

// What each pixel of an enlarged line is made of: four pixels by their weights (Keys 1981, cubic convolution).
function made(size) {
  const from = new Int32Array(4 * size * ENLARGED), by = new Float32Array(from.length);
  for (let i = 0; i < size * ENLARGED; i++) {
    const at = (i + 0.5) / ENLARGED - 0.5, first = Math.floor(at), t = at - first;
    by.set([((2 - t) * t - 1) * t, (3 * t - 5) * t * t + 2, ((4 - 3 * t) * t + 1) * t, (t - 1) * t * t].map((weight) => weight / 2), 4 * i);
    for (let j = 0; j < 4; j++) from[4 * i + j] = Math.min(size - 1, Math.max(0, first - 1 + j));
  }
  return { length: size * ENLARGED, from, by };
}
const ACROSS = made(WIDTH), DOWN = made(HEIGHT);

function enlarged(plane) {
  const width = ACROSS.length, wide = new Float32Array(HEIGHT * width), out = new Float32Array(DOWN.length * width);
  for (let y = 0; y < HEIGHT; y++) {
    for (let k = 0; k < 4 * width; k++) wide[y * width + (k >> 2)] += ACROSS.by[k] * plane[y * WIDTH + ACROSS.from[k]];
  }
  for (let k = 0; k < 4 * DOWN.length; k++) {
    const start = (k >> 2) * width, from = DOWN.from[k] * width, by = DOWN.by[k];
    for (let x = 0; x < width; x++) out[start + x] += by * wide[from + x];
  }
  return out;
}

// One channel is ink, which is see-through where there is none; three are colours. What was sampled stays in pixels.
function paint(canvas, image) {
  if (MODEL.kind !== "image") return drawing(canvas, image);
  const size = WIDTH * HEIGHT;
  let planes = Array.from({ length: CHANNELS }, (_, c) => image.subarray(c * size, (c + 1) * size));
  if (!state.sampled) planes = planes.map(enlarged);
  canvas.width = state.sampled ? WIDTH : ACROSS.length;
  canvas.height = state.sampled ? HEIGHT : DOWN.length;
  const data = new ImageData(canvas.width, canvas.height), bytes = data.data; // which takes only what is from 0 to 255
  for (let i = 0, at = 0; i < planes[0].length; i++, at += 4) {
    if (CHANNELS === 1) bytes[at + 3] = 255 * planes[0][i];
    else for (let c = 0; c < 4; c++) bytes[at + c] = c < 3 ? 255 * planes[c][i] : 255;
  }
  canvas.getContext("2d").putImageData(data, 0, 0);
  canvas.classList.toggle("sharp", state.sampled);
}

function show(canvas, k, noise, index) {
  const started = performance.now();
  paint(canvas, pixels(k, noise, index));
  cost += 0.1 * (performance.now() - started - cost);
}

function newCanvas(label) {
  const canvas = document.createElement("canvas");
  canvas.className = CHANNELS === 1 ? "ink" : "";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return canvas;
}

const nameOf = (k) => (UNCONDITIONAL ? "an image" : MODEL.names[k]);

// -- files -----------------------------------------------------------------------------------------

function offer(name, contents) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(contents);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const fileName = (suffix) => `${state.text.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 40) || "images"}.${suffix}`;
const columns = () => Math.min(entries.length, 20);

// Wide enough for a slide.
function png() {
  const canvas = document.createElement("canvas"), across = columns(), enlargement = Math.ceil(SLIDE / (across * ACROSS.length));
  const [width, height] = [ACROSS.length, DOWN.length].map((size) => Math.min(LARGEST, size * enlargement));
  canvas.width = across * width;
  canvas.height = Math.ceil(entries.length / across) * height;
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = !state.sampled;
  context.imageSmoothingQuality = "high";
  [...$("line").children].forEach((button, i) => {
    context.drawImage(button.firstChild, (i % across) * width, Math.floor(i / across) * height, width, height);
  });
  canvas.toBlob((contents) => offer(fileName("png"), contents));
}

// A rectangle for each run of equal pixels.
function svg() {
  const across = columns(), size = WIDTH * HEIGHT, parts = [];
  entries.forEach((k, index) => {
    const image = pixels(k, noiseOf(handOf(index)), index), colour = (i) => (CHANNELS === 1 ? image[i].toFixed(2) : [0, 1, 2].map((c) => Math.round(255 * image[c * size + i])).join(","));
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0, end = 0; x < WIDTH; x = end) {
        const now = colour(y * WIDTH + x);
        for (end = x + 1; end < WIDTH && colour(y * WIDTH + end) === now; ) end++;
        if (now === "0.00") continue;
        const fill = CHANNELS === 1 ? `fill-opacity="${now}"` : `fill="rgb(${now})"`;
        parts.push(`<rect x="${(index % across) * WIDTH + x}" y="${Math.floor(index / across) * HEIGHT + y}" width="${end - x}" height="1" ${fill}/>`);
      }
    }
  });
  const box = `0 0 ${across * WIDTH} ${Math.ceil(entries.length / across) * HEIGHT}`;
  const name = state.text.replace(/[&<>]|[^ -\uFFFD]/g, "");
  offer(fileName("svg"), new Blob([`<svg xmlns="http://www.w3.org/2000/svg" viewBox="${box}" shape-rendering="crispEdges"><title>${name}</title>${parts.join("")}</svg>\n`], { type: "image/svg+xml" }));
}
