// The list of models.

import { $, el, listModels, sideName, start, t } from "./core.js";

async function render() {
  const models = await listModels(null);
  $("missing").hidden = location.pathname === "/";
  const ready = models.every((model) => model.ready);
  $("state").hidden = false;
  $("state").className = `pill ${ready ? "good" : "warn"}`;
  $("state").textContent = t(ready ? "ready" : "not_ready");
  $("shelf").replaceChildren(...models.map((model) => el("a", { class: "card", href: model.page },
    el("b", {}, model.name),
    el("p", {}, `${sideName(Object.values(model.inputs))} → ${sideName(Object.values(model.outputs))}`),
    el("span", { class: `pill ${model.ready ? (model.checked ? "good" : "") : "warn"}` },
      !model.ready ? t("not_ready") : model.checked ? t("checked", { count: model.checked }) : t("ready")))));
  document.documentElement.dataset.loaded = "true";
}

await start(render);
