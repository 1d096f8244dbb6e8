"use strict";
// Elements, numbers as text, and files to save. Text only ever enters the page as text, never as HTML.
const E = { screens: {} };

E.h = (name, about = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(about ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "style") Object.assign(element.style, value);
    else if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.includes("-") && key !== "list") element[key] = value;
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
};

E.say = (text) => {
  document.getElementById("said").textContent = text;
};

E.number = (value, digits = 1) => {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
};
E.signed = (value, digits = 1) => `${Number(value.toFixed(digits)) > 0 ? "+" : ""}${E.number(value, digits)}`;
E.p = (p) => (p === null || p === undefined ? "–" : p < 0.001 ? "< 0.001" : p.toPrecision(2));
E.count = (n, one, many = `${one}s`) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

// A metric's value in its unit: a share in percent, a difference in points, a score × 100, anything else as it is.
E.scale = (unit) => (["share", "points", "score"].includes(unit) ? 100 : 1);
E.inUnit = (value, unit, digits = 1) => {
  if (value === null || value === undefined) return "–";
  const scaled = value * E.scale(unit);
  if (unit === "points") return `${E.signed(scaled, digits)} points`;
  return unit === "share" ? `${E.number(scaled, digits)} %` : E.number(scaled, unit === "score" ? digits : 2);
};

// Colours: mixed here, since the text over a colour must be readable on it.
E.rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
E.mix = (colour, ground, share) =>
  E.rgb(colour).map((part, i) => Math.round(part * share + E.rgb(ground)[i] * (1 - share)));
E.over = (rgb) => {
  const linear = rgb.map((part) => ((part / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] > 0.19 ? "#111418" : "#ffffff";
};
E.painted = (rgb) => ({ backgroundColor: `rgb(${rgb.join(" ")})`, color: E.over(rgb) });

E.select = (label, options, value, change) => {
  const list = E.h("select", { onchange: () => change(list.value), "data-key": label });
  for (const [id, text, group] of options) {
    let place = list;
    if (group) {
      place = [...list.children].find((child) => child.label === group) ?? E.h("optgroup", { label: group });
      if (!place.parentNode) list.append(place);
    }
    place.append(E.h("option", { value: String(id), selected: String(id) === String(value) }, text));
  }
  return E.h("label", { className: "field" }, E.h("span", {}, label), list);
};

E.table = (caption, heads, rows, about = {}) =>
  E.h(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    E.h(
      "table",
      { className: `plain ${about.className ?? ""}` },
      E.h("caption", {}, caption),
      E.h(
        "thead",
        {},
        E.h(
          "tr",
          {},
          heads.map((head) => E.h("th", { scope: "col" }, head)),
        ),
      ),
      E.h(
        "tbody",
        {},
        rows.map((row) =>
          E.h(
            "tr",
            {},
            row.map((cell) =>
              cell instanceof HTMLTableCellElement
                ? cell
                : E.h("td", { className: /^[−+<]?[\s\d.]+( %| points)?$/.test(cell) ? "num" : "" }, cell ?? "–"),
            ),
          ),
        ),
      ),
    ),
  );

// Arrow keys inside a table of links or buttons: one stop for Tab, the rest by arrows.
E.walk = (table) => {
  const stops = () => [...table.querySelectorAll("[data-stop]")];
  const first = table.querySelector("[data-stop][aria-current]") ?? stops()[0];
  for (const stop of stops()) stop.tabIndex = stop === first ? 0 : -1;
  table.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const here = event.target.closest("[data-stop]");
    if (!step || !here || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const [row, column] = here.dataset.stop.split(",").map(Number);
    let next = null;
    for (let far = 1; far < 200 && !next; far++) {
      next = table.querySelector(`[data-stop="${row + far * step[0]},${column + far * step[1]}"]`);
    }
    if (!next) return;
    here.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  return table;
};

E.save = (name, rows) => {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const quoted = (value) => {
    const text =
      value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const kinds = {
    csv: () =>
      [columns, ...rows.map((row) => columns.map((column) => row[column]))]
        .map((line) => line.map(quoted).join(",") + "\n")
        .join(""),
    jsonl: () => rows.map((row) => JSON.stringify(row) + "\n").join(""),
  };
  return (kind) => {
    const address = URL.createObjectURL(new Blob([kinds[kind]()], { type: "text/plain;charset=utf-8" }));
    const link = E.h("a", { href: address, download: `${name}.${kind}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
    E.say(`${E.count(rows.length, "row")} saved as ${name}.${kind}`);
  };
};

// Two buttons that save what is listed; `rows` is a function, so that nothing is made before it is asked for.
E.saver = (name, rows) =>
  E.h(
    "span",
    { className: "saver" },
    ["csv", "jsonl"].map((kind) =>
      E.h("button", { className: "small", onclick: () => E.save(name, rows())(kind) }, `Save ${kind.toUpperCase()}`),
    ),
  );
