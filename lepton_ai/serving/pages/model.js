// The page of one model: an example in, a prediction out, and why.

import { $, ask, count, el, listModels, number, page, sideName, start, t } from "./core.js";
import { shown } from "./outputs.js";
import { MissingValue, preview, widget } from "./widgets.js";

const name = decodeURIComponent(location.pathname.split("/")[2]);
const address = `/models/${encodeURIComponent(name)}`;
const state = { card: null, controls: [], example: null, answer: null, error: null, busy: false, tab: "curl",
  why: null, whyError: null, whyBusy: false, examples: [], turn: 0 };

function figureCard(label, value, unit, note) {
  return el("dl", { class: "card", style: "margin:0" }, el("dt", {}, label),
    el("dd", {}, value, unit ? el("small", {}, ` ${unit}`) : null), note ? el("p", {}, note) : null);
}

function head() {
  const card = state.card;
  document.title = `${card.name} · Lepton`;
  $("crumb").replaceChildren(el("a", { href: "/" }, t("models")), ` / ${card.name} / ${t("version", { version: card.version })}`);
  $("title").textContent = card.name;
  const pill = $("state");
  pill.hidden = false;
  pill.className = `pill ${card.ready ? (card.checked ? "good" : "") : "warn"}`;
  pill.textContent = !card.ready ? t("not_ready") : card.checked ? t("checked", { count: card.checked }) : t("ready");
  const classes = card.outputs[0].classes;
  const outputs = sideName(card.outputs.map((field) => field.widget));
  const names = card.inputs.slice(0, 4).map((field) => field.name).join(", ") + (card.inputs.length > 4 ? " …" : "");
  const size = card.inputs[0].size?.join(" × ");
  const figures = [
    figureCard(t("reads"), sideName(card.inputs.map((field) => field.widget)), null,
      card.inputs.length > 1 ? names : size ? t("seen_as", { size }) : null),
    figureCard(t("answers"), classes && card.outputs[0].widget === "choice" ? t("one_of", { count: classes.length }) : outputs, null,
      classes ? classes.slice(0, 4).join(", ") + (classes.length > 4 ? " …" : "") : card.outputs[0].unit),
    figureCard(t("answer_time"), card.median_milliseconds === null ? "–" : number(card.median_milliseconds, 3),
      card.median_milliseconds === null ? null : t("ms"),
      card.median_milliseconds === null ? t("not_measured") : t("answer_time_note")),
    card.trained_on ? figureCard(t("trained_on"), count(card.trained_on), t("examples_count"),
      `${count(card.parameters)} ${t("parameters")}`)
      : figureCard(t("size"), count(card.parameters), t("parameters"), t("engine_note", card)),
  ];
  $("figures").replaceChildren(...figures);
}

function code() {
  const tabs = [["curl", "curl"], ["python", "Python"]];
  $("tabs").replaceChildren(...tabs.map(([key, label]) => el("button", {
    type: "button", role: "tab", "aria-selected": String(state.tab === key),
    onclick: () => { state.tab = key; code(); },
  }, label)));
  $("code").textContent = state.card.code[state.tab];
}

function busyLines() {
  return el("div", { class: "busy", "aria-busy": "true" }, el("i"), el("i"), el("i"), el("i"));
}

function output() {
  const place = $("output");
  $("took").textContent = "";
  if (state.error) place.replaceChildren(el("p", { class: "notice bad", role: "alert" }, state.error));
  else if (state.busy) place.replaceChildren(busyLines());
  else if (!state.answer) place.replaceChildren(el("p", { class: "empty" }, t("prediction_empty")));
  else {
    const row = state.answer.predictions[0];
    place.replaceChildren(...shown(state.card.outputs, row, state.example, state.card.inputs));
    $("took").textContent = `${number(state.answer.milliseconds, 3)} ${t("ms")}`;
  }
  // one filled button: the next step
  const fresh = Boolean(state.answer);
  $("explain").disabled = !fresh || state.whyBusy;
  $("explain").classList.toggle("main", fresh && !state.why);
  $("predict").classList.toggle("main", !fresh);
}

function why() {
  const place = $("explanation");
  $("why").hidden = !(state.why || state.whyError || state.whyBusy);
  if ($("why").hidden) return;
  if (state.whyError) place.replaceChildren(el("p", { class: "notice bad", role: "alert" }, state.whyError));
  else if (state.whyBusy) place.replaceChildren(busyLines());
  else place.replaceChildren(frame(state.why.html));
}

// Our own server's HTML, in a frame that runs no scripts.
function frame(html) {
  const made = el("iframe", { class: "why-frame", title: t("why_plain"), sandbox: "allow-same-origin" });
  const style = "<style>:root{color-scheme:light dark}body{margin:0;font:14px/1.5 system-ui,sans-serif;color:#14171f;"
    + "background:transparent;overflow-wrap:anywhere}img,svg{max-width:100%}"
    + "@media(prefers-color-scheme:dark){body{color:#e9ecf1}}</style>";
  made.addEventListener("load", () => {
    const fit = () => { made.style.height = `${made.contentDocument.documentElement.scrollHeight}px`; };
    fit();
    new ResizeObserver(fit).observe(made.contentDocument.body);
  });
  made.srcdoc = `<!doctype html><meta charset="utf-8">${style}${html}`;
  return made;
}

function gather() {
  const values = {};
  for (const { field, control } of state.controls) {
    const value = control.value();
    if (value === null && !control.optional) throw new MissingValue(t("need_input", { name: field.name }));
    values[field.name] = value;
  }
  return values;
}

async function predict() {
  const turn = ++state.turn;
  Object.assign(state, { answer: null, error: null, why: null, whyError: null, whyBusy: false });
  const slow = setTimeout(() => { if (turn === state.turn) { state.busy = true; output(); } }, 100);
  try {
    state.example = gather();
    const answer = await ask(`${address}/predict`, { examples: [state.example] });
    if (turn === state.turn) state.answer = answer;
  } catch (error) {
    if (turn === state.turn) state.error = error.message;
  }
  clearTimeout(slow);
  if (turn !== state.turn) return;
  state.busy = false;
  output();
  why();
  const card = await ask(`${address}/card`).catch(() => null);
  if (card) { state.card = card; head(); }
}

async function explain() {
  const turn = state.turn;
  Object.assign(state, { why: null, whyError: null, whyBusy: true });
  output();
  why();
  try {
    const found = await ask(`${address}/explain?lang=${page.language}`, { examples: [state.example] });
    if (turn === state.turn) state.why = found;
  } catch (error) {
    if (turn === state.turn) state.whyError = error.message;
  }
  if (turn !== state.turn) return;
  state.whyBusy = false;
  output();
  why();
  $("why").scrollIntoView({ block: "nearest", behavior: "smooth" });
}

function changed(complete) {
  for (const button of $("examples").children) button.setAttribute("aria-pressed", "false");
  if (complete && state.controls.length === 1) predict();
  else if (state.answer || state.error) {
    state.turn += 1;
    Object.assign(state, { answer: null, error: null, why: null, whyError: null, whyBusy: false, busy: false });
    output();
    why();
  }
}

function clear() {
  for (const { control } of state.controls) control.clear();
  state.turn += 1;
  Object.assign(state, { answer: null, error: null, why: null, whyError: null, whyBusy: false, busy: false });
  for (const button of $("examples").children) button.setAttribute("aria-pressed", "false");
  output();
  why();
}

function examples() {
  const buttons = state.examples.map((example, place) => {
    const button = preview(state.card.inputs, example, place);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      for (const { field, control } of state.controls) control.set(example[field.name]);
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      predict();
    });
    return button;
  });
  $("examples").replaceChildren(...buttons);
  $("examples-area").hidden = !buttons.length;
}

function build() {
  const complain = (message) => { state.error = message; output(); };
  state.controls = state.card.inputs.map((field) => ({ field, control: widget(field, changed, complain) }));
  $("fields").classList.toggle("many", state.controls.length > 2);
  $("fields").replaceChildren(...state.controls.map(({ control }) => {
    if (control.wide) control.element.classList.add("wide");
    return control.element;
  }));
  const instant = state.controls.length === 1 && state.controls[0].control.instant;
  $("form").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
  $("predict").hidden = Boolean(instant);
  $("explain").addEventListener("click", explain);
  $("clear").addEventListener("click", clear);
  $("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText($("code").textContent);
    $("copy").textContent = t("copied");
    setTimeout(() => { $("copy").textContent = t("copy"); }, 1500);
  });
  if (state.examples.length && !state.controls.some(({ control }) => control.instant) && state.controls.length > 1) {
    for (const { field, control } of state.controls) control.set(state.examples[0][field.name]);
  }
}

function render() {
  if (!state.card) return;
  head();
  for (const { control } of state.controls) control.retell?.();
  examples();
  output();
  why();
  code();
  listModels(name).catch(() => {});
}

await start(render);
try {
  [state.card, { examples: state.examples }] = await Promise.all([ask(`${address}/card`), ask(`${address}/examples`)]);
  build();
  render();
} catch (error) {
  state.error = error.message;
  $("output").replaceChildren(el("p", { class: "notice bad", role: "alert" }, error.message));
}
page.loaded = true;
document.documentElement.dataset.loaded = "true";
