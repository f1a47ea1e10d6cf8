// What is no image: a map of labels in colours, a sequence as a line for each of its numbers, a vector as bars.

const COLOURS = ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb"]; // Tol 2021, "bright"
const LISTED = 20; // numbers of a vector whose values are listed
const FINE = 4; // pixels of the screen for one of the picture

function drawing(canvas, y) {
  const { kind, shape, ranges, image: [, down, across] } = MODEL;
  const context = canvas.getContext("2d"), [width, height] = [FINE * across, FINE * down];
  Object.assign(canvas, { width, height });
  const colour = (i) => COLOURS[i % COLOURS.length], level = (value, [low, high] = ranges[0]) => height * (1 - (value - low) / (high - low || 1));
  if (kind === "map") {
    const [rows, columns] = shape, edge = (i, count, size) => Math.round((i * size) / count);
    y.forEach((category, i) => {
      const [row, column] = [Math.floor(i / columns), i % columns], [left, top] = [edge(column, columns, width), edge(row, rows, height)];
      context.fillStyle = colour(category);
      context.fillRect(left, top, edge(column + 1, columns, width) - left, edge(row + 1, rows, height) - top);
    });
    return;
  }
  const zero = (from, to, range) => {
    context.fillStyle = "#88888888";
    context.fillRect(from, level(0, range) - 1, to - from, 2);
  };
  if (kind === "bars") {
    y.forEach((value, i) => {
      const [left, right] = [((i + 0.1) * width) / y.length, ((i + 0.9) * width) / y.length], [low, high] = ranges[i];
      const [top, foot] = [level(value, ranges[i]), level(Math.min(high, Math.max(low, 0)), ranges[i])];
      context.fillStyle = colour(i);
      context.fillRect(left, Math.min(top, foot), right - left, Math.max(2, Math.abs(top - foot)));
      zero(left, right, ranges[i]);
    });
    return;
  }
  zero(0, width, ranges[0]);
  const [steps, numbers] = shape;
  context.lineWidth = 2 * FINE;
  context.lineJoin = "round";
  for (let i = 0; i < numbers; i++) {
    context.strokeStyle = colour(i);
    context.beginPath();
    for (let t = 0; t < steps; t++) context.lineTo(((t + 0.5) * width) / steps, level(y[t * numbers + i]));
    context.stroke();
  }
}

// The names, values and scales of bars, which are too small for them.
function list(y) {
  const word = (value) => `${Number(value.toPrecision(3))}`.replace("-", "−");
  const rows = MODEL.columns.slice(0, LISTED).map((name, i) => {
    const row = document.createElement("tr"), mark = document.createElement("i");
    const [first, ...others] = [name, word(y[i]), MODEL.ranges[i].map(word).join(" … ")].map((text) => Object.assign(document.createElement("td"), { textContent: text }));
    mark.style.background = COLOURS[i % COLOURS.length];
    first.prepend(mark);
    row.append(first, ...others);
    return row;
  });
  if (MODEL.columns.length > LISTED) rows.push(Object.assign(document.createElement("tr"), { textContent: `and ${MODEL.columns.length - LISTED} more` }));
  $("values").tBodies[0].replaceChildren(...rows);
}
