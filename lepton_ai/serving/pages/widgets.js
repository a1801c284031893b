// Widgets: one control for each widget name of a field; unknown names get a JSON box.
// Each gives { element, value(), set(json), clear(), wide } and calls changed() on every change.

import { el, t } from "./core.js";

export class MissingValue extends Error {}

const drawing = () => {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15.5 9.5h.01");
  for (const [name, value] of [["fill", "none"], ["stroke", "currentColor"], ["stroke-width", "1.5"],
    ["stroke-linecap", "round"], ["stroke-linejoin", "round"]]) path.setAttribute(name, value);
  svg.append(path);
  return svg;
};

function base64Of(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",", 2)[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

export function pictureUrl(base64) {
  const head = { "/9j/": "jpeg", "R0lG": "gif", "UklG": "webp", "Qk": "bmp" };
  const kind = Object.keys(head).find((start) => base64.startsWith(start));
  return `data:image/${kind ? head[kind] : "png"};base64,${base64}`;
}

function picture(field, changed, complain) {
  let held = null;
  const input = el("input", { type: "file", accept: "image/*", "aria-label": field.name });
  const inside = el("div");
  const zone = el("div", { class: "drop" }, inside, input);
  const show = () => {
    if (held === null) {
      inside.replaceChildren(drawing(), el("b", {}, t("drop_title")), t("drop_note"));
      return;
    }
    const image = el("img", { src: pictureUrl(held), alt: field.name });
    image.onload = () => image.classList.toggle("small", image.naturalWidth < 120);
    inside.replaceChildren(image);
    input.title = t("replace");
  };
  const take = async (file) => {
    if (!file) return;
    if (!file.type.startsWith("image/")) { complain(t("not_picture")); return; }
    held = await base64Of(file);
    show();
    changed(true);
  };
  input.addEventListener("change", () => { take(input.files[0]); input.value = ""; });
  for (const name of ["dragenter", "dragover"]) {
    zone.addEventListener(name, (event) => { event.preventDefault(); zone.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) {
    zone.addEventListener(name, () => zone.classList.remove("over"));
  }
  zone.addEventListener("drop", (event) => { event.preventDefault(); take(event.dataTransfer.files[0]); });
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((one) => one.type.startsWith("image/"));
    if (file) { event.preventDefault(); take(file); }
  });
  show();
  return {
    element: zone, wide: true, instant: true,
    value: () => held,
    set: (json) => { held = json; show(); },
    clear: () => { held = null; show(); },
    retell: show,
  };
}

function file(field, changed) {
  let held = null;
  const input = el("input", { type: "file", "aria-label": field.name });
  input.addEventListener("change", async () => { held = await base64Of(input.files[0]); changed(true); });
  return {
    element: labelled(field, input), wide: true,
    value: () => held, set: (json) => { held = json; }, clear: () => { held = null; input.value = ""; },
  };
}

function labelled(field, control) {
  const id = `field-${field.name}`;
  control.id = id;
  const unit = field.unit ? ` (${field.unit})` : "";
  return el("div", { class: "field" }, el("label", { htmlFor: id }, field.name + unit), control);
}

function area(field, changed, { hint, read, write, kind }) {
  const box = el("textarea", { class: kind, rows: 5, spellcheck: false });
  const tell = () => { box.placeholder = t(hint); };
  box.addEventListener("input", () => changed(false));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) box.form.requestSubmit();
  });
  tell();
  return {
    element: labelled(field, box), wide: true, retell: tell,
    value: () => read(box.value), set: (json) => { box.value = write(json); }, clear: () => { box.value = ""; },
  };
}

const text = (field, changed) => area(field, changed, {
  hint: "text_hint", read: (typed) => (typed.trim() ? typed : null), write: (json) => json ?? "",
});

const words = (field, changed) => area(field, changed, {
  hint: "words_hint",
  read: (typed) => { const found = typed.split(/\s+/).filter(Boolean); return found.length ? found : null; },
  write: (json) => (json ?? []).join(" "),
});

const json = (field, changed) => area(field, changed, {
  hint: "json_hint", kind: "json",
  read: (typed) => {
    if (!typed.trim()) return null;
    try { return JSON.parse(typed); } catch { throw new MissingValue(t("bad_json", { name: field.name })); }
  },
  write: (value) => JSON.stringify(value),
});

function figure(field, changed) {
  const box = el("input", { type: "number", step: "any", inputMode: "decimal" });
  const tell = () => { box.placeholder = t("not_known"); };
  box.addEventListener("input", () => changed(false));
  tell();
  return {
    element: labelled(field, box), optional: true, retell: tell,
    value: () => (box.value === "" ? null : Number(box.value)),
    set: (value) => { box.value = value ?? ""; }, clear: () => { box.value = ""; },
  };
}

function choice(field, changed) {
  const classes = field.classes ?? field.schema.enum;
  if (!classes) return line(field, changed);
  const nothing = el("option", { value: "" }, t("not_known"));
  const box = el("select", {}, nothing, classes.map((name) => el("option", { value: name }, name)));
  box.addEventListener("change", () => changed(false));
  return {
    element: labelled(field, box), optional: true, retell: () => { nothing.textContent = t("not_known"); },
    value: () => (box.value === "" ? null : box.value),
    set: (value) => { box.value = value ?? ""; }, clear: () => { box.value = ""; },
  };
}

function line(field, changed) {
  const box = el("input", { type: "text" });
  box.addEventListener("input", () => changed(false));
  return {
    element: labelled(field, box), optional: true,
    value: () => (box.value === "" ? null : box.value),
    set: (value) => { box.value = value ?? ""; }, clear: () => { box.value = ""; },
  };
}

const WIDGETS = { image: picture, text, words, number: figure, choice };

export function widget(field, changed, complain) {
  const made = WIDGETS[field.widget] ?? (field.media ? file : json);
  return made(field, changed, complain);
}

// A small look at one example, for the buttons that offer examples.
export function preview(fields, example, place) {
  const shown = fields.find((field) => field.widget === "image");
  if (shown) {
    return el("button", { type: "button", class: "picture", title: t("example", { number: place + 1 }) },
      el("img", { src: pictureUrl(example[shown.name]), alt: t("example", { number: place + 1 }) }));
  }
  const first = fields.length === 1 ? example[fields[0].name] : null;
  const short = Array.isArray(first) && typeof first[0] === "string" ? first.join(" ") : first;
  const label = typeof short === "string" ? short.slice(0, 120) : t("example", { number: place + 1 });
  return el("button", { type: "button", title: label }, el("span", {}, label));
}
