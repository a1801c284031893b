// Outputs: how a prediction is shown, by the widget name of its field; unknown names as JSON.

import { el, number, percent, t } from "./core.js";
import { pictureUrl } from "./widgets.js";

const TOP = 5;
// Okabe and Ito's colours, which most colour-blind people can tell apart.
const COLOURS = ["#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#999999"];

function bars(scores) {
  const sorted = Object.entries(scores).sort((a, b) => b[1] - a[1]);
  const rows = sorted.slice(0, TOP).map(([name, share]) => {
    const filled = el("b");
    filled.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
    return el("div", {}, el("dt", {}, name), el("dd", { class: "bar" }, el("i", {}, filled)),
      el("dd", {}, percent(share)));
  });
  const rest = sorted.slice(TOP);
  const share = percent(rest.reduce((sum, [, one]) => sum + one, 0));
  return [el("dl", { class: "bars" }, rows),
    rest.length ? el("p", { class: "rest" }, t("rest", { count: rest.length, share })) : null];
}

function isScores(scores) {
  return scores && typeof scores === "object" && !Array.isArray(scores)
    && Object.values(scores).every((one) => typeof one === "number");
}

function decision(field, row) {
  const scores = row[`${field.name}.scores`];
  return [el("p", { class: "decision" }, String(row[field.name] ?? "–")), isScores(scores) ? bars(scores) : null];
}

function figure(field, row) {
  const unit = field.unit ? el("small", {}, field.unit) : null;
  return [el("p", { class: "decision" }, number(row[field.name]), unit)];
}

function tags(field, row, inputs) {
  const given = Object.values(inputs).find((value) => Array.isArray(value) && value.length === row[field.name].length);
  const classes = field.classes ?? [...new Set(row[field.name])];
  const spans = row[field.name].map((tag, place) => {
    const span = el("span", { class: tag === "O" ? "plain" : "" }, el("b", {}, given ? given[place] : String(place + 1)),
      el("small", {}, tag));
    span.style.setProperty("--hue", String(Math.round((classes.indexOf(tag) * 137.5 + 174) % 360)));
    return span;
  });
  return [el("div", { class: "words" }, spans)];
}

function loaded(source) {
  return new Promise((resolve, reject) => {
    const image = el("img", { alt: "" });
    image.onload = () => resolve(image);
    image.onerror = reject;
    image.src = source;
  });
}

async function paint(field, base64, canvas, legend, stage) {
  const image = await loaded(pictureUrl(base64));
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  stage.classList.toggle("small", image.naturalWidth < 120);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height);
  const counts = new Map();
  for (let place = 0; place < pixels.data.length; place += 4) {
    const kind = pixels.data[place];
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const colour = COLOURS[(kind + COLOURS.length - 1) % COLOURS.length];
    pixels.data[place] = parseInt(colour.slice(1, 3), 16);
    pixels.data[place + 1] = parseInt(colour.slice(3, 5), 16);
    pixels.data[place + 2] = parseInt(colour.slice(5, 7), 16);
    pixels.data[place + 3] = kind === 0 ? 0 : 255;
  }
  context.putImageData(pixels, 0, 0);
  const all = canvas.width * canvas.height;
  legend.replaceChildren(...[...counts].sort((a, b) => a[0] - b[0]).map(([kind, found]) => {
    const swatch = el("i");
    if (kind) swatch.style.background = COLOURS[(kind + COLOURS.length - 1) % COLOURS.length];
    return el("li", {}, swatch, `${(field.classes ?? [])[kind] ?? kind} ${percent(found / all)}`);
  }));
}

function mask(field, row, inputs, fields) {
  const source = fields.find((one) => one.widget === "image");
  const canvas = el("canvas", { role: "img", "aria-label": field.name });
  const legend = el("ul", { class: "legend" });
  const below = source ? el("img", { src: pictureUrl(inputs[source.name]), alt: source.name }) : null;
  const stage = el("div", { class: "stage" }, below, canvas);
  const slider = el("input", { type: "range", min: 0, max: 100, value: 60, "aria-label": t("overlay") });
  const fade = () => { canvas.style.opacity = String(slider.value / 100); };
  slider.addEventListener("input", fade);
  fade();
  paint(field, row[field.name], canvas, legend, stage);
  return [stage, legend, el("label", { class: "slider" }, t("overlay"), slider)];
}

function raw(field, row) {
  return [el("pre", {}, JSON.stringify(row[field.name], null, 1).slice(0, 5000))];
}

const SHOWN = { choice: decision, number: figure, tags, mask, text: decision };

// Further single numbers that belong to an output, such as its spread.
function beside(field, row) {
  const found = Object.entries(row).filter(([name, value]) =>
    name.startsWith(`${field.name}.`) && typeof value === "number");
  const told = found.map(([name, value]) => `${name.slice(field.name.length + 1)} ${number(value, 3)}`);
  return told.length ? el("p", { class: "aside" }, told.join(" · ")) : null;
}

export function shown(outputs, row, inputs, fields) {
  return outputs.map((field) => el("div", { class: "output" },
    outputs.length > 1 ? el("h3", {}, field.name) : null,
    (SHOWN[field.widget] ?? raw)(field, row, inputs, fields), beside(field, row)));
}
