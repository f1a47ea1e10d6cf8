"use strict";
// The report: what it draws is read from its tables. Rows, lines and cells that stand for the same runs have the same
// numbers in `data-rows`, and are brought out together.

const PAPER = 700; // CSS pixels of a printed page's width
const every = (selector, place) => [...place.querySelectorAll(selector)];
const tint = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const rowsOf = (element) => element.dataset.rows.split(" ");

function part(section) {
  const table = section.querySelector("table.runs"), rows = every("tbody tr", table);
  const rowOf = new Map(rows.map((row) => [row.dataset.rows, row]));
  const marked = every("[data-rows]", section), charts = [];
  const isShown = (element) => rowsOf(element).some((number) => !rowOf.get(number).hidden);

  function light(numbers) {
    for (const element of marked) element.classList.toggle("lit", rowsOf(element).some((number) => numbers.includes(number)));
    for (const chart of charts) chart.light(numbers);
  }

  for (const event of ["pointerover", "focusin"]) {
    section.addEventListener(event, ({ target }) => {
      if (target.closest(".chart")) return; // which says itself what is pointed at
      const found = target.closest("[data-rows]");
      light(found ? rowsOf(found) : []);
    });
  }
  section.addEventListener("pointerleave", () => light([]));

  sortable(table, rows);
  filters(section, rows, () => {
    for (const element of marked) if (element.matches("figure, .numbers tr")) element.hidden = !isShown(element);
    for (const chart of charts) chart.filter();
  });
  const context = { light, isShown, rowOf, colour: (row) => getComputedStyle(rowOf.get(row).querySelector("i")).backgroundColor };
  for (const place of every(".curves", section)) charts.push(curves(place, every(".numbers tbody tr", section), context));
  for (const place of every(".coordinates", section)) charts.push(coordinates(place, rows, table, context));
}

// -- the table -------------------------------------------------------------------------------------

const compare = (a, b) => {
  const [x, y] = [a, b].map(Number);
  if (a.trim() !== "" && b.trim() !== "" && !(Number.isNaN(x) && Number.isNaN(y))) return Number.isNaN(x) ? 1 : Number.isNaN(y) ? -1 : x - y;
  return a.localeCompare(b);
};

function sortable(table, rows) {
  const heads = every("thead th", table);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const sorted = rows.toSorted((a, b) => compare(value(a), value(b)));
      table.tBodies[0].append(...(down ? sorted.reverse() : sorted));
    });
  });
}

const settingsOf = (row) => every("td.setting", row);
const inOrder = (values) => [...new Set(values)].sort(compare);

function filters(section, rows, changed) {
  const place = section.querySelector(".filters"), chosen = new Map();
  if (rows.length < 2) return;
  settingsOf(rows[0]).forEach(({ dataset: { name } }, index) => {
    const label = document.createElement("label"), select = document.createElement("select"), words = new Map();
    for (const row of rows) words.set(settingsOf(row)[index].dataset.value, settingsOf(row)[index].textContent);
    select.append(new Option("all", ""), ...inOrder(words.keys()).map((value) => new Option(words.get(value), `=${value}`)));
    select.addEventListener("change", () => {
      chosen.set(index, select.value);
      for (const row of rows) row.hidden = [...chosen].some(([at, value]) => value && value !== `=${settingsOf(row)[at].dataset.value}`);
      changed();
    });
    label.append(`${name} `, select);
    place.append(label);
  });
}

// -- the charts ------------------------------------------------------------------------------------

// A chart of a line for each element, all of the same x; `readout(line, index)` says what is pointed at.
function chart(place, elements, data, options, { light, isShown, colour }, readout) {
  const said = place.parentElement.querySelector(":scope > .readout") ?? place.closest(".wide").nextElementSibling;
  const words = said.textContent;
  let pointed = null;
  const say = (u) => (said.textContent = pointed === null ? words : readout(elements[pointed - 1], u.cursor.idx));
  const [line, soft] = [() => tint("--line"), () => tint("--soft")];
  const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  const width = () => Math.max(options.least ?? 0, document.documentElement.classList.contains("paper") ? PAPER : place.clientWidth);
  const plot = new uPlot({
    width: width(), height: 320, legend: { show: false }, focus: { alpha: 1 },
    cursor: { focus: { prox: 30 }, drag: { x: true, y: true, uni: 30, setScale: options.zooms }, points: { show: options.zooms }, x: options.zooms, y: options.zooms },
    ...options,
    axes: options.axes.map((own) => ({ ...axis, ...own })),
    series: [{}, ...elements.map((element) => ({ stroke: () => colour(element.dataset.rows), width: 1.5, spanGaps: true, points: { show: options.points } }))],
    hooks: {
      ...options.hooks,
      setCursor: [say],
      setSeries: [(u, index) => {
        if (index === pointed || u.cursor.left < 0 && index !== null) return;
        pointed = index;
        light(index === null ? [] : rowsOf(elements[index - 1]));
        say(u);
      }],
    },
  }, data, place);
  const resized = () => plot.setSize({ width: width(), height: 320 });
  new ResizeObserver(resized).observe(place);
  for (const [event, paper] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      document.documentElement.classList.toggle("paper", paper);
      resized();
      plot.redraw();
    });
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plot.redraw());
  return {
    plot,
    light(numbers) {
      elements.forEach((element, i) => {
        const lit = numbers.includes(element.dataset.rows);
        Object.assign(plot.series[i + 1], { alpha: lit || !numbers.length ? 1 : 0.15, width: lit ? 3 : 1.5 });
      });
      plot.redraw(false);
    },
    filter: () => elements.forEach((element, i) => plot.setSeries(i + 1, { show: isShown(element) })),
  };
}

function curves(place, lines, context) {
  const points = lines.map((line) => new Map(line.cells[1].textContent.trim().split(/\s+/).map((pair) => pair.split(":").map(Number))));
  const steps = [...new Set(points.flatMap((curve) => [...curve.keys()]))].sort((a, b) => a - b);
  const data = [steps, ...points.map((curve) => steps.map((step) => (Number.isFinite(curve.get(step)) ? curve.get(step) : null)))];
  const { low, high } = place.dataset;
  const found = chart(place, lines, data, {
    zooms: true,
    points: steps.length === 1,
    scales: { x: { time: false }, y: { range: low === undefined ? undefined : () => [Number(low), Number(high)] } },
    axes: [{ label: "training steps" }, { label: place.dataset.of, size: 60 }],
  }, context, (line, index) => {
    const value = data[lines.indexOf(line) + 1][index];
    return `${Number(line.dataset.rows) + 1}: ${line.cells[0].textContent}${value == null ? "" : `, ${value} at step ${steps[index]}`}`;
  });
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `Learning curves of ${lines.length} runs; their numbers follow`);
  return found;
}

// Parallel coordinates: x is the number of the axis, y from 0 to 1 the place on it. The last axis is what the rows are ranked by.
function coordinates(place, all, table, context) {
  const rows = all.filter((row) => !row.querySelector("i.nothing"));
  const names = [...settingsOf(rows[0]), rows[0].querySelector("td.by")].map((cell) => cell.dataset.name), last = names.length - 1;
  const shares = rows.map((row) => Number(row.querySelector("i").style.getPropertyValue("--share")));
  const marks = []; // of each axis: places and words
  const heights = names.slice(0, -1).map((_, index) => {
    const values = rows.map((row) => settingsOf(row)[index].dataset.value), order = inOrder(values), words = new Map(rows.map((row) => [settingsOf(row)[index].dataset.value, settingsOf(row)[index].textContent]));
    const height = (value) => (order.length === 1 ? 0.5 : order.indexOf(value) / (order.length - 1));
    const step = Math.ceil(order.length / 10);
    marks.push(order.filter((_, i) => i % step === 0).map((value) => [height(value), words.get(value)]));
    return values.map(height);
  });
  const { best, worst } = place.dataset;
  marks.push(best === worst ? [[1, best]] : [[1, best], [0, worst]]);
  const data = [names.map((_, i) => i), ...rows.map((_, r) => [...heights.map((height) => height[r]), shares[r]])];
  const found = chart(place, rows, data, {
    zooms: false,
    least: 90 * names.length,
    points: false,
    scales: { x: { time: false, range: [-0.25, last + 0.45] }, y: { range: [-0.05, 1.05] } },
    axes: [{ splits: () => data[0], values: () => names, stroke: () => tint("--ink"), grid: { stroke: () => tint("--soft"), width: 1 } }, { show: false }],
    hooks: {
      draw: [({ ctx, ...u }) => {
        const dpr = devicePixelRatio;
        ctx.save();
        ctx.font = `${12 * dpr}px system-ui, sans-serif`;
        [ctx.textAlign, ctx.textBaseline] = ["left", "middle"];
        marks.forEach((axis, i) => axis.forEach(([height, word]) => {
          const x = found.plot.valToPos(i, "x", true) + 6 * dpr, y = found.plot.valToPos(height, "y", true);
          ctx.fillStyle = tint("--paper");
          ctx.globalAlpha = 0.75;
          ctx.fillRect(x - 2 * dpr, y - 8 * dpr, ctx.measureText(word).width + 4 * dpr, 16 * dpr);
          ctx.globalAlpha = 1;
          ctx.fillStyle = tint("--ink");
          ctx.fillText(word, x, y);
        }));
        ctx.restore();
      }],
    },
  }, context, (row) => `${Number(row.dataset.rows) + 1}: ${row.querySelector("code").textContent}, ${names[last]} ${row.querySelector("td.by").textContent}`);
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", `Parallel coordinates: ${names.join(", ")}; the table holds the numbers`);
  return found;
}

every("section.kind", document).forEach(part);
