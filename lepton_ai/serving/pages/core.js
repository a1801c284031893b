// Core: texts in the reader's language, elements without innerHTML, calls to the service.

let catalogue = {};
export const page = { language: "en" };

export function t(key, values = {}) {
  const text = (catalogue[page.language] ?? {})[key] ?? (catalogue.en ?? {})[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

export function known(key) {
  return key in (catalogue.en ?? {});
}

// An element from a tag, its properties and its children; strings become text, never markup.
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

export function $(id) {
  return document.getElementById(id);
}

export class ServiceError extends Error {}

export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers: { accept: "application/json", ...options.headers } });
  } catch {
    throw new ServiceError(t("unreachable"));
  }
  let document = null;
  try { document = await answer.json(); } catch { /* told below */ }
  if (!answer.ok || document === null) {
    const told = document?.error;
    throw new ServiceError(told?.message ?? told ?? `${answer.status} ${answer.statusText}`);
  }
  return document;
}

function fill() {
  document.documentElement.lang = page.language === "zh" ? "zh-CN" : "en";
  for (const place of document.querySelectorAll("[data-t]")) place.textContent = t(place.dataset.t);
  for (const place of document.querySelectorAll("[data-t-label]")) {
    place.setAttribute("aria-label", t(place.dataset.tLabel));
  }
}

// Load the texts, fill the page, and fill it again whenever the reader changes the language.
export async function start(render) {
  catalogue = await (await fetch("/static/strings.json")).json();
  const kept = localStorage.getItem("lepton.language");
  const given = new URLSearchParams(location.search).get("lang");
  const first = given ?? kept ?? document.documentElement.lang;
  page.language = first in catalogue ? first : "en";
  const buttons = Object.keys(catalogue).map((language) => el("button", {
    type: "button", lang: language, onclick: () => choose(language),
  }, catalogue[language].language));
  $("languages").append(...buttons);
  const choose = (language) => {
    page.language = language;
    localStorage.setItem("lepton.language", language);
    show();
  };
  const show = () => {
    fill();
    Object.keys(catalogue).forEach((language, place) => {
      buttons[place].setAttribute("aria-pressed", String(language === page.language));
    });
    render();
  };
  show();
}

export async function listModels(current) {
  const { models } = await ask("/models");
  $("models").replaceChildren(...models.map((model) => el(
    "a", { href: model.page, "aria-current": model.name === current ? "page" : null }, model.name,
    el("span", { class: model.ready ? "dot" : "dot wait", title: t(model.ready ? "ready" : "not_ready") }),
  )));
  return models;
}

// What a field is called in words, by its widget: "a picture", "one of 10".
export function widgetName(widget) {
  return known(`widget_${widget}`) ? t(`widget_${widget}`) : widget;
}

export function sideName(widgets) {
  return widgets.length > 3 ? t("widget_columns", { count: widgets.length })
    : [...new Set(widgets)].map(widgetName).join(", ");
}

export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  return new Intl.NumberFormat(page.language, { maximumSignificantDigits: digits }).format(value);
}

export function count(value) {
  return new Intl.NumberFormat(page.language).format(value);
}

export function percent(value) {
  return `${(100 * value).toFixed(1)} %`;
}
