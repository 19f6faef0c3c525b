// Interactive figures: draws the numbers that stand in the page. Every control is a select or a range input, so that
// all of it works from the keyboard. No library.
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const drawn = ["svg", "g", "rect", "line", "circle", "text", "title", "polyline", "path"].includes(tag);
  const element = drawn ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function shown(number) {
  if (number === 0) return "0";
  const digits = Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(Math.abs(number)))));
  return number.toFixed(Number.isInteger(number) ? 0 : digits).replace("-", "−");
}

function said(measured) {
  if (!measured) return "not measured";
  const interval = "low" in measured ? ` [${shown(measured.low)}, ${shown(measured.high)}]` : "";
  return shown(measured.value) + interval;
}

let counted = 0;

function select(label, options, changed) {
  const id = `control-${++counted}`;
  const box = make("select", { id });
  options.forEach((option, index) => box.append(make("option", { value: index }, option)));
  box.addEventListener("change", () => changed(Number(box.value)));
  return make("span", { class: "control" }, make("label", { for: id }, label), box);
}

function range(label, values, start, changed) {
  const id = `control-${++counted}`;
  const output = make("output", { for: id }, shown(values[start]));
  const input = make("input", { id, type: "range", min: 0, max: values.length - 1, step: 1, value: start });
  input.setAttribute("aria-valuetext", shown(values[start]));
  input.addEventListener("input", () => {
    output.textContent = shown(values[input.value]);
    input.setAttribute("aria-valuetext", shown(values[input.value]));
    changed(Number(input.value));
  });
  const element = make("span", { class: "control" }, make("label", { for: id }, label), input, output);
  element.set = (index) => {
    input.value = index;
    input.dispatchEvent(new Event("input"));
  };
  return element;
}

function ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6; at += step) found.push(Number(at.toPrecision(6)));
  return found;
}

const tick = (at) => String(at).replace("-", "−");
const axisValue = (row, axis) => row.numbers[axis.key].value;
const betterText = (axis) => (axis.better === "neither" ? "" : ` (${axis.better} is better)`);

// A frame with axes; returns the drawing and the two scales.
function frame(horizontal, vertical, xs, ys, width = 640, height = 360) {
  const [left, right, top, bottom] = [64, 16, 34, 52];
  const spread = (values) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const pad = (high - low || Math.abs(high) || 1) * 0.08;
    return [low - pad, high + pad];
  };
  const [x0, x1] = spread(xs);
  const [y0, y1] = spread(ys);
  const x = (value) => left + ((value - x0) / (x1 - x0)) * (width - left - right);
  const y = (value) => height - bottom - ((value - y0) / (y1 - y0)) * (height - top - bottom);
  const drawing = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${vertical} over ${horizontal}` });
  for (const at of ticks(x0, x1)) {
    drawing.append(make("line", { class: "grid", x1: x(at), x2: x(at), y1: top, y2: height - bottom }));
    drawing.append(make("text", { x: x(at), y: height - bottom + 18, "text-anchor": "middle" }, tick(at)));
  }
  for (const at of ticks(y0, y1)) {
    drawing.append(make("line", { class: "grid", x1: left, x2: width - right, y1: y(at), y2: y(at) }));
    drawing.append(make("text", { x: left - 8, y: y(at) + 4, "text-anchor": "end" }, tick(at)));
  }
  drawing.append(make("text", { x: (left + width - right) / 2, y: height - 10, "text-anchor": "middle" }, horizontal));
  drawing.append(make("text", { x: 4, y: 18 }, vertical));
  return { drawing, x, y };
}

function bar(drawing, measured, x, y, way) {
  if (!("low" in measured)) return;
  const ends = way === "y" ? { x1: x, x2: x, y1: y(measured.low), y2: y(measured.high) } : { x1: x(measured.low), x2: x(measured.high), y1: y, y2: y };
  drawing.append(make("line", { class: "interval", ...ends }));
}

function unique(rows, axis) {
  return [...new Set(rows.map((row) => axisValue(row, axis)))].sort((a, b) => a - b);
}

// Cells coloured by one measure; two sliders choose a cell.
function grid(view, chart) {
  const rows = Object.values(chart.choices)[0];
  const [xs, ys] = [unique(rows, chart.x), unique(rows, chart.y)];
  const state = { measure: 0, x: xs.length - 2, y: Math.min(1, ys.length - 1) };
  const picture = make("div", { class: "drawing" });
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const cellAt = (i, j) => rows.find((row) => axisValue(row, chart.x) === xs[i] && axisValue(row, chart.y) === ys[j]);
  const sliders = {};

  function draw() {
    const axis = chart.values[state.measure];
    const found = rows.map((row) => row.numbers[axis.key]).filter(Boolean).map((one) => one.value);
    const [low, high] = [Math.min(...found), Math.max(...found)];
    const [left, top, wide, tall] = [64, 8, 540 / xs.length, 40];
    const height = top + ys.length * tall + 56;
    const drawing = make("svg", { viewBox: `0 0 640 ${height}`, role: "img", "aria-label": `${axis.label} by ${chart.x.label} and ${chart.y.label}` });
    ys.forEach((yValue, j) => {
      const up = top + (ys.length - 1 - j) * tall;
      drawing.append(make("text", { x: left - 8, y: up + tall / 2 + 4, "text-anchor": "end" }, shown(yValue)));
      xs.forEach((xValue, i) => {
        const row = cellAt(i, j);
        const measured = row && row.numbers[axis.key];
        if (!measured) return;
        // From near white to dark blue, dark where better, so that the words below say what the colour says.
        const share = high > low ? (measured.value - low) / (high - low) : 0.5;
        const dark = axis.better === "lower" ? 1 - share : share;
        const light = 96 - 62 * dark;
        const group = make("g", { class: i === state.x && j === state.y ? "cell chosen" : "cell" });
        group.append(make("rect", { x: left + i * wide + 2, y: up + 2, width: wide - 4, height: tall - 4, fill: `hsl(207 60% ${light}%)` }));
        group.append(make("text", { x: left + (i + 0.5) * wide, y: up + tall / 2 + 4, "text-anchor": "middle", style: `fill: ${light < 45 ? "#fff" : "#000"}` }, shown(measured.value)));
        group.addEventListener("click", () => {
          sliders.x.set(i);
          sliders.y.set(j);
        });
        drawing.append(group);
      });
    });
    xs.forEach((value, i) => drawing.append(make("text", { x: left + (i + 0.5) * wide, y: height - 32, "text-anchor": "middle" }, shown(value))));
    drawing.append(make("text", { x: left + 270, y: height - 8, "text-anchor": "middle" }, chart.x.label));
    drawing.append(make("text", { x: 14, y: height / 2 - 20, "text-anchor": "middle", transform: `rotate(-90 14 ${height / 2 - 20})` }, chart.y.label));
    picture.replaceChildren(drawing);
    const row = cellAt(state.x, state.y);
    const numbers = chart.values.map((one) => `${one.label}: ${row ? said(row.numbers[one.key]) : "not measured"}`).join("; ");
    readout.textContent = `${chart.x.label} ${shown(xs[state.x])}, ${chart.y.label} ${shown(ys[state.y])}: ${numbers}.` + (axis.better === "neither" ? "" : " Darker is better.");
  }

  const change = (name) => (value) => {
    state[name] = value;
    draw();
  };
  sliders.x = range(chart.x.label, xs, state.x, change("x"));
  sliders.y = range(chart.y.label, ys, state.y, change("y"));
  const measures = select("Colour shows", chart.values.map((one) => one.label + betterText(one)), change("measure"));
  view.append(make("div", { class: "controls" }, measures, sliders.x, sliders.y), picture, readout);
  draw();
}

// One measure over x, with intervals; a slider chooses x and, with it, pictures.
function sweep(view, chart) {
  const choices = Object.keys(chart.choices);
  const state = { choice: 0, measure: 0, x: 0 };
  const rows = () => [...chart.choices[choices[state.choice]]].sort((a, b) => axisValue(a, chart.x) - axisValue(b, chart.x));
  const picture = make("div", { class: "drawing" });
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const strip = make("ul", { class: "gallery" });

  function draw() {
    const [axis, all] = [chart.values[state.measure], rows()];
    const measured = all.filter((row) => row.numbers[axis.key]);
    const ends = measured.flatMap((row) => Object.values(row.numbers[axis.key]));
    const { drawing, x, y } = frame(chart.x.label, axis.label, all.map((row) => axisValue(row, chart.x)), ends);
    const at = (row) => [x(axisValue(row, chart.x)), y(row.numbers[axis.key].value)];
    drawing.append(make("polyline", { class: "line", points: measured.map((row) => at(row).join(",")).join(" ") }));
    for (const row of measured) {
      bar(drawing, row.numbers[axis.key], at(row)[0], y, "y");
      const chosen = row === all[state.x];
      drawing.append(make("circle", { class: chosen ? "chosen" : "", cx: at(row)[0], cy: at(row)[1], r: chosen ? 8 : 5 }));
    }
    picture.replaceChildren(drawing);
    const numbers = chart.values.map((one) => `${one.label}: ${said(all[state.x].numbers[one.key])}`).join("; ");
    const value = axisValue(all[state.x], chart.x);
    readout.textContent = `${chart.x.label} ${shown(value)}: ${numbers}.`;
    const pictures = (chart.pictures || {})[String(value)] || [];
    strip.replaceChildren(...pictures.map(([address, prompt, right]) => {
      const picture = make("span", { class: "picture" }, make("img", { src: address, alt: prompt }));
      if (right !== null) picture.append(make("span", { class: right ? "right" : "wrong", title: `${right ? "right" : "wrong"}, says the scene reader` }, right ? "✓" : "✗"));
      return make("li", {}, picture, make("span", { class: "prompt" }, prompt));
    }));
  }

  const change = (name) => (value) => {
    state[name] = value;
    draw();
  };
  const controls = make("div", { class: "controls" });
  if (choices.length > 1) controls.append(select("Group", choices, change("choice")));
  controls.append(select("Shown", chart.values.map((one) => one.label + betterText(one)), change("measure")));
  controls.append(range(chart.x.label, rows().map((row) => axisValue(row, chart.x)), 0, change("x")));
  view.append(controls, picture, readout, strip);
  draw();
}

// Two measures against each other; a select chooses a row.
function points(view, chart) {
  const choices = Object.keys(chart.choices);
  const state = { choice: 0, x: 0, y: 1, row: 0 };
  const picture = make("div", { class: "drawing" });
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const rowBox = make("span");
  const labels = chart.values.map((one) => one.label + betterText(one));

  function draw() {
    const rows = chart.choices[choices[state.choice]];
    const [h, v] = [chart.values[state.x], chart.values[state.y]];
    const both = rows.filter((row) => row.numbers[h.key] && row.numbers[v.key]);
    if (both.length) {
      const ends = (axis) => both.flatMap((row) => Object.values(row.numbers[axis.key]));
      const { drawing, x, y } = frame(h.label, v.label, ends(h), ends(v));
      for (const row of both) {
        const [cx, cy] = [x(row.numbers[h.key].value), y(row.numbers[v.key].value)];
        const chosen = row === rows[state.row];
        bar(drawing, row.numbers[v.key], cx, y, "y");
        bar(drawing, row.numbers[h.key], x, cy, "x");
        drawing.append(make("circle", { class: chosen ? "chosen" : "", cx, cy, r: chosen ? 8 : 5 }, make("title", {}, row.name)));
        if (chosen) {
          const left = cx > 400;
          drawing.append(make("text", { class: "named", x: cx + (left ? -12 : 12), y: cy - 10, "text-anchor": left ? "end" : "start" }, row.name));
        }
      }
      picture.replaceChildren(drawing);
    } else picture.replaceChildren(make("p", {}, "These two were not measured together here."));
    const row = rows[state.row];
    readout.textContent = `${row.name}: ` + chart.values.map((one) => `${one.label}: ${said(row.numbers[one.key])}`).join("; ") + ".";
  }

  function rowsChanged() {
    state.row = 0;
    rowBox.replaceChildren(select("Highlight", chart.choices[choices[state.choice]].map((row) => row.name), change("row")));
    draw();
  }
  const change = (name) => (value) => {
    state[name] = value;
    if (name === "choice") rowsChanged();
    else draw();
  };
  const controls = make("div", { class: "controls" });
  if (choices.length > 1) controls.append(select("Group", choices, change("choice")));
  const vertical = select("Up", labels, change("y"));
  vertical.querySelector("select").value = 1;
  controls.append(select("Across", labels, change("x")), vertical, rowBox);
  view.append(controls, picture, readout);
  rowsChanged();
}

// The list of claims: shows those with one verdict.
function filter() {
  const box = document.getElementById("verdicts");
  if (!box) return;
  const badges = [...document.querySelectorAll("table.claims .verdict")];
  for (const word of new Set(badges.map((badge) => badge.textContent))) box.append(make("option", {}, word));
  box.addEventListener("change", () => {
    for (const badge of badges) badge.closest("tr").hidden = box.value !== "" && badge.textContent !== box.value;
  });
}

document.addEventListener("DOMContentLoaded", () => {
  const kinds = { grid, sweep, points };
  for (const element of document.querySelectorAll(".chart")) {
    const chart = JSON.parse(element.querySelector("script").textContent);
    kinds[chart.kind](element.querySelector(".view"), chart);
  }
  filter();
});
