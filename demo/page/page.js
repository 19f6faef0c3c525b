// Asks the server for drawings (demo/server.py), shows them, and marks what shall be drawn anew.
"use strict";

const byId = (id) => document.getElementById(id);
const EXAMPLES = ["a red circle on a white background", "a blue star on a yellow background", "一个绿色的方形", "白色背景上的一个红色的圆形"];
const OFTEN = 150; // milliseconds between questions how far a drawing is
let models = [];
let picture = null; // the chosen one: an address, and an image
let last = null; // where the brush was
let mask = null; // a canvas of its size, white where it shall be drawn anew

const chosen = () => models.find((model) => model.name === byId("model").value);
const tell = (text) => { byId("said").textContent = text; };
const complain = (text) => { byId("wrong").textContent = text; };

async function ask(path, body) {
  const request = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  let answer;
  try {
    answer = await fetch(path, request);
  } catch {
    throw new Error("the server does not answer; is it still running?");
  }
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

function showValue(input) {
  const output = document.querySelector(`label[for="${input.id}"] output`);
  if (output) output.textContent = input.value;
}

function showModel() {
  const model = chosen();
  for (const field of document.querySelectorAll("[data-setting]")) {
    const value = model.settings[field.dataset.setting];
    field.hidden = value === undefined;
    const input = field.querySelector("input");
    input.value = value ?? input.value;
    showValue(input);
  }
  const decoders = Object.entries(model.decoders);
  byId("decoder").replaceChildren(...decoders.map(([name, title]) => new Option(title, name)));
  byId("decoders").hidden = decoders.length === 0;
  showWindow();
  const languages = new Intl.DisplayNames("en", { type: "language" });
  const named = model.languages.map((language) => languages.of(language));
  const reads = named.length ? `captions in ${named.join(" and ")}` : "captions in all languages of the data";
  const right = model.exact === null ? "" : `; ${Math.round(100 * model.exact)} % of its validation prompts were drawn exactly right`;
  byId("about").textContent = `Trained on ${reads}${right}.`;
  showEditor();
}

function showWindow() {
  const decoders = Object.keys(chosen().decoders); // the first draws one token a pass
  document.querySelector("[data-setting=window]").hidden = decoders.length === 0 || byId("decoder").value === decoders[0];
}

function showEditor() {
  const model = chosen();
  byId("editor").hidden = !(picture && model.fills);
  byId("resample").hidden = !model.edits;
  if (!byId("editor").hidden) paint();
}

function paint() {
  const canvas = byId("canvas"), context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(picture.image, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 0.55;
  const marks = document.createElement("canvas");
  marks.width = mask.width;
  marks.height = mask.height;
  const own = marks.getContext("2d");
  own.drawImage(mask, 0, 0);
  own.globalCompositeOperation = "source-in";
  own.fillStyle = "#b35900";
  own.fillRect(0, 0, marks.width, marks.height);
  context.drawImage(marks, 0, 0, canvas.width, canvas.height);
  context.globalAlpha = 1;
}

async function choose(button, address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  picture = { address, image };
  mask = document.createElement("canvas");
  mask.width = image.naturalWidth;
  mask.height = image.naturalHeight;
  for (const other of document.querySelectorAll("#pictures button")) other.setAttribute("aria-pressed", other === button);
  showEditor();
}

function mark(event) {
  const shown = byId("canvas").getBoundingClientRect(), scale = mask.width / shown.width;
  const place = [(event.clientX - shown.left) * scale, (event.clientY - shown.top) * scale];
  const context = mask.getContext("2d");
  context.strokeStyle = "#fff";
  context.lineCap = "round";
  context.lineWidth = byId("brush").value * (mask.width / 64);
  context.beginPath();
  context.moveTo(...(event.type === "pointerdown" ? place : last));
  context.lineTo(...place);
  context.stroke();
  last = place;
  paint();
}

function markPart(part) {
  const context = mask.getContext("2d"), width = mask.width, height = mask.height;
  context.clearRect(0, 0, width, height);
  context.fillStyle = "#fff";
  if (part === "middle") context.fillRect(width / 4, height / 4, width / 2, height / 2);
  if (part === "right") context.fillRect(width / 2, 0, width / 2, height);
  paint();
}

function maskFile() {
  const file = document.createElement("canvas");
  file.width = mask.width;
  file.height = mask.height;
  const context = file.getContext("2d");
  context.fillStyle = "#000";
  context.fillRect(0, 0, file.width, file.height);
  context.drawImage(mask, 0, 0);
  return file.toDataURL("image/png");
}

function request(fills = false) {
  const model = chosen(), settings = {};
  for (const name of Object.keys(model.settings)) settings[name] = Number(byId(name).value);
  if (byId("decoder").value) settings.decoder = byId("decoder").value;
  if (fills) delete settings.decoder; // gaps are filled one token a pass
  return {
    model: model.name, prompt: byId("prompt").value, settings,
    candidates: Number(byId("candidates").value), seed: Number(byId("seed").value),
  };
}

function show(answer) {
  const place = byId("pictures");
  place.replaceChildren();
  for (const [rank, one] of answer.pictures.entries()) {
    const button = document.createElement("button"), image = new Image(), text = document.createElement("span");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    image.src = one.png;
    image.alt = `picture ${rank + 1} of “${answer.prompt}”`;
    text.textContent = `CLIP ${one.score.toFixed(1)} · ${one.passes} passes`;
    button.append(image, text);
    button.addEventListener("click", () => choose(button, one.png));
    place.append(button);
  }
  tell(`${answer.pictures.length} pictures in ${answer.milliseconds} ms, best first by CLIP; choose one to edit it.`);
}

async function draw(wanted) {
  const buttons = document.querySelectorAll("#draw, #fill, #resample");
  for (const button of buttons) button.disabled = true;
  complain("");
  tell("asking");
  const progress = byId("progress");
  try {
    const { number } = await ask("drawings", wanted);
    for (;;) {
      const job = await ask(`drawings/${number}`);
      if (job.state === "failed") throw new Error(job.error);
      if (job.state === "done") {
        show(job);
        break;
      }
      tell(job.state === "waiting" ? `waiting: ${job.before} before this one` : "drawing");
      progress.hidden = job.state !== "drawing";
      if (job.share > 0) progress.value = job.share;
      else progress.removeAttribute("value");
      await new Promise((resume) => setTimeout(resume, OFTEN));
    }
  } catch (error) {
    tell("");
    complain(error.message);
  } finally {
    progress.hidden = true;
    for (const button of buttons) button.disabled = false;
  }
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  draw(request());
});
byId("fill").addEventListener("click", () => draw({ ...request(true), picture: picture.address, mask: maskFile() }));
byId("resample").addEventListener("click", () => draw({ ...request(true), picture: picture.address }));
byId("model").addEventListener("change", showModel);
byId("decoder").addEventListener("change", showWindow);
for (const input of document.querySelectorAll("input[type=range]")) {
  input.addEventListener("input", () => showValue(input));
  showValue(input);
}
for (const button of document.querySelectorAll("[data-mark]")) button.addEventListener("click", () => markPart(button.dataset.mark));
byId("canvas").addEventListener("pointerdown", (event) => {
  byId("canvas").setPointerCapture(event.pointerId);
  mark(event);
});
byId("canvas").addEventListener("pointermove", (event) => event.buttons && mark(event));
for (const text of EXAMPLES) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = text;
  button.addEventListener("click", () => { byId("prompt").value = text; });
  byId("examples").append(button);
}
ask("models").then((said) => {
  models = said.models;
  for (const model of models) byId("model").append(new Option(model.title, model.name));
  showModel();
}).catch((error) => complain(error.message));
