/* What the pages do where script runs: sort, filter, tips, theme, copy, charts. Every table can be read without it.

Classic script, not a module: browsers refuse modules from file://. Text of models and users goes in by textContent only. */
(() => {
"use strict";
const root = document.documentElement;
const vegaSource = new URL("vega.js", document.currentScript.src).href;
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function made(name, attributes = {}, text = "") {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

/* One live region for all that changes without a change of focus. */
const region = made("p", { id: "said", role: "status", class: "visually-hidden" });
function say(text) { region.textContent = text; }

/* Sort: the buttons in the head of table.sortable. Rows stay within their tbody, a dash stays last. */
const EMPTY = /^[\s\u2013]*$/;
function keyOf(row, column) {
  const cell = row.cells[column];
  const text = cell ? cell.textContent.trim() : "";
  if (cell?.dataset.value !== undefined) return Number(cell.dataset.value);
  const number = Number.parseFloat(text.replace("\u2212", "-").replaceAll(",", "").replace(/^[<*\s]+/, ""));
  return EMPTY.test(text) ? null : Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
}

function sort(table, header) {
  const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  const column = header.cellIndex;
  for (const body of table.tBodies) {
    const keyed = [...body.rows].map((row) => ({ row, key: keyOf(row, column) }));
    keyed.sort((a, b) => (a.key === null || b.key === null ? (a.key === null) - (b.key === null) : sign * compare(a.key, b.key)));
    body.append(...keyed.map(({ row }) => row));
  }
  for (const other of header.parentElement.cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  say(`sorted by ${header.textContent.trim()}, ${header.getAttribute("aria-sort")}`);
}

function makeSortable(table) {
  for (const header of table.tHead.rows[table.tHead.rows.length - 1].cells) {
    if (EMPTY.test(header.textContent)) continue;
    const button = made("button", { type: "button", class: "sort" });
    button.append(...header.childNodes);
    button.addEventListener("click", () => sort(table, header));
    header.append(button);
  }
}

/* Filter: rows that hold every word of the search stay. */
function makeFilter(input) {
  const rows = [...document.getElementById(input.dataset.filter).tBodies].flatMap((body) => [...body.rows]);
  const output = input.closest(".filter").querySelector("output");
  const apply = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word));
    output.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  input.addEventListener("input", apply);
  if (input.value) apply();  // what the browser restored
}

/* Tips: the text of data-tip beside what is pointed at or focused; Escape hides it. */
const tip = made("div", { id: "tip", role: "tooltip", hidden: "" });
let tipped = null;
function showTip({ target }) {
  hideTip();
  tipped = target.closest?.("[data-tip]") ?? null;
  if (!tipped) return;
  tip.textContent = tipped.dataset.tip;
  tip.hidden = false;
  target.setAttribute("aria-describedby", "tip");
  placeTip();
}

function placeTip() {
  if (!tipped) return;
  const at = tipped.getBoundingClientRect();
  const below = at.bottom + tip.offsetHeight < innerHeight;
  tip.style.left = `${Math.max(0, Math.min(at.left, root.clientWidth - tip.offsetWidth))}px`;
  tip.style.top = `${below ? at.bottom : Math.max(0, at.top - tip.offsetHeight)}px`;
}

function hideTip() {
  tip.hidden = true;
  tipped = null;
  for (const element of all("[aria-describedby=tip]")) element.removeAttribute("aria-describedby");
}

function makeTips() {
  for (const event of ["pointerover", "focusin"]) document.addEventListener(event, showTip);
  document.addEventListener("focusout", hideTip);
  document.addEventListener("scroll", placeTip, { capture: true, passive: true });
  document.addEventListener("keydown", ({ key }) => { if (key === "Escape") hideTip(); });
}

/* Theme: the system's, light or dark, kept where the browser keeps anything. */
const THEMES = ["system", "light", "dark"];
function readTheme() {
  try {
    return THEMES.find((theme) => theme === localStorage.getItem("theme")) ?? "system";
  } catch { return "system"; }
}

function setTheme(theme) {
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  for (const button of all("button.theme")) button.textContent = `theme: ${theme}`;
  try { localStorage.setItem("theme", theme); } catch { /* nothing is kept then */ }
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(root.dataset.theme ?? "system") + 1) % THEMES.length];
  setTheme(theme);
  say(`theme: ${theme}`);
}

/* Copy: the clipboard where the page may write to it, else the old way, which also works from file://. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = made("textarea", { class: "visually-hidden" }, text);
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

async function copy(button) {
  const usual = button.textContent;
  const done = (await copied(button.dataset.copy)) ? "copied" : "not copied: select the text";
  button.focus();
  button.textContent = done;
  say(done);
  setTimeout(() => { button.textContent = usual; }, 2000);
}

/* Charts: drawn when they come near the view. Their colours are CSS variables, so themes and print need no redraw. */
const FACET = 300;
const AXIS = 60;
const GAP = 20;
const LEGEND = 280;
let loading;
function vega() {
  loading ??= new Promise((resolve, reject) => {
    const script = made("script", { src: vegaSource });
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error("vega.js is not there")));
    document.head.append(script);
  });
  return loading;
}

function config(width) {
  const text = { labelColor: "var(--ink)", titleColor: "var(--ink)", labelFontSize: 12, titleFontSize: 12, titleFontWeight: 500 };
  return {
    background: null,
    font: "system-ui, sans-serif",
    axis: { ...text, gridColor: "var(--line)", domainColor: "var(--soft)", tickColor: "var(--soft)", labelOverlap: true },
    legend: {
      ...text, orient: "bottom", layout: { bottom: { direction: "vertical", anchor: "start" } }, symbolSize: 90,
      columns: Math.max(1, Math.floor(width / LEGEND)), labelLimit: LEGEND - 40,
    },
    header: { ...text, labelLimit: FACET - 40 },
    text: { color: "var(--ink)" },
    view: { stroke: null },
  };
}

function sized(spec, width) {
  if (!spec.facet) return { ...spec, width: "container" };
  const columns = Math.max(1, Math.min(3, Math.floor(width / FACET)));
  return { ...spec, columns, spec: { ...spec.spec, width: Math.floor((width - AXIS) / columns) - GAP } };
}

async function draw(figure) {
  const plot = figure.querySelector(".plot");
  const spec = JSON.parse(document.getElementById(`${plot.dataset.chart}-spec`).textContent);
  try {
    await vega();
    const options = { renderer: "svg", actions: false, ast: true, defaultStyle: false, tooltip: { disableDefaultStyle: true } };
    await vegaEmbed(plot, sized(spec, plot.clientWidth), { ...options, config: config(plot.clientWidth) });
    plot.setAttribute("role", "img");  // one image, which Vega names by its description: the table says the rest
    plot.firstElementChild.setAttribute("aria-hidden", "true");
  } catch (error) {
    plot.hidden = true;
    figure.querySelector("details").open = true;
    figure.querySelector("figcaption").append(made("p", { class: "failed" }, `No chart: ${error.message}. Its figures are below.`));
  }
}

function makeCharts(figures) {
  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      near.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "400px" });
  for (const figure of figures) {
    figure.querySelector(".plot").hidden = false;
    figure.querySelector("details").open = false;
    near.observe(figure);
  }
  addEventListener("beforeprint", () => { for (const details of all("details")) details.open = true; });
}

root.classList.add("js");
setTheme(readTheme());
document.body.append(region, tip);
for (const element of all(".scripted")) element.hidden = false;
all("table.sortable").forEach(makeSortable);
all("input[data-filter]").forEach(makeFilter);
for (const button of all("button.theme")) button.addEventListener("click", nextTheme);
for (const button of all("button.copy")) button.addEventListener("click", () => copy(button));
makeTips();
makeCharts(all("figure.chart"));
})();
