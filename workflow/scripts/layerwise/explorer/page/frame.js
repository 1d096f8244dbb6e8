"use strict";
// The frame around the screens: what the address says, navigation, keys, colours, the footer.

const TITLES = {
  map: "Map",
  prompt: "Prompt",
  cell: "Cell",
  flips: "Flips",
  judges: "Judges",
  predictions: "Predictions",
  numbers: "Numbers",
  compare: "Compare",
};
const KEYS = [
  ["1 … 8", "the screens, from left to right"],
  ["← →", "the exit; in a table, the neighbouring cell"],
  ["↑ ↓", "in a table, the row above or below"],
  ["j, k", "the next and the previous prompt"],
  ["t", "light, dark, or as the system has it"],
  ["?", "this list"],
];

// The address: #screen?key=value&…
E.read = () => {
  const [screen, rest = ""] = location.hash.slice(1).split("?");
  return { screen: TITLES[screen] ? screen : "map", params: Object.fromEntries(new URLSearchParams(rest)) };
};
E.link = (screen, params = {}) => {
  const filled = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const rest = new URLSearchParams(filled.map(([key, value]) => [key, String(value)])).toString();
  return `#${screen}${rest ? `?${rest}` : ""}`;
};
E.go = (screen, params) => {
  const link = E.link(screen, params);
  if (location.hash === link) E.draw();
  else location.hash = link;
};
// Change some keys of the address and stay on the screen.
E.set = (params) => {
  const now = E.read();
  E.go(now.screen, { ...now.params, ...params });
};

E.dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};
E.ground = () => (E.dark() ? "#171a1f" : "#ffffff");
E.theme = () => {
  const order = ["", "light", "dark"];
  const next = order[(order.indexOf(document.documentElement.dataset.theme ?? "") + 1) % 3];
  if (next) document.documentElement.dataset.theme = next;
  else delete document.documentElement.dataset.theme;
  E.say(`Colours: ${next || "as the system has them"}`);
  E.draw();
};

E.head = () => {
  const { screen } = E.read();
  const { title, experiment } = E.front.about;
  document.getElementById("head").replaceChildren(
    E.h("div", { className: "name" }, E.h("h1", {}, title), E.h("span", { className: "quiet" }, experiment)),
    E.h(
      "nav",
      { "aria-label": "Screens" },
      Object.entries(TITLES)
        .filter(([id]) => E.screens[id].there?.() ?? true)
        .map(([id, name]) => E.h("a", { href: E.link(id), "aria-current": id === screen ? "page" : null }, name)),
    ),
    E.h(
      "div",
      { className: "tools" },
      E.h(
        "button",
        {
          className: "small",
          title: "Light, dark, or as the system has it (t)",
          "aria-label": "Colours",
          onclick: E.theme,
        },
        "◐",
      ),
      E.h("button", { className: "small", title: "Keys (?)", "aria-label": "Keys", onclick: E.help }, "?"),
    ),
  );
};

E.help = () => {
  const box = E.h(
    "dialog",
    { "aria-label": "Keys" },
    E.h("h2", {}, "Keys"),
    E.h(
      "dl",
      { className: "keys" },
      KEYS.map(([key, what]) => [E.h("dt", {}, key), E.h("dd", {}, what)]),
    ),
    E.h("button", { onclick: () => box.close() }, "Close"),
  );
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
};

E.foot = () => {
  const { version, commit, files, pins, left_out } = E.front.about;
  document.getElementById("foot").replaceChildren(
    E.h(
      "p",
      {},
      `unfair-alignment ${version}${commit ? `, commit ${commit}` : ""}. Everything shown is inside this file; it loads nothing.`,
    ),
    left_out.length
      ? E.h(
          "p",
          {},
          `Left out to keep the page small: ${left_out.join("; ")}. Every outcome, verdict and score is here.`,
        )
      : "",
    E.h(
      "details",
      {},
      E.h("summary", {}, "Made from (sha256)"),
      E.h(
        "ul",
        { className: "mono" },
        files.map(([path, sum]) => E.h("li", {}, `${sum}  ${path}`)),
      ),
    ),
    E.h("details", {}, E.h("summary", {}, "Versions"), E.h("p", { className: "mono" }, pins.join("  "))),
  );
};

// Draw the screen that the address names, and keep the focus where it was.
E.draw = async () => {
  const { screen, params } = E.read();
  const main = document.getElementById("main");
  const turn = (E.turn = (E.turn ?? 0) + 1);
  const focus = document.activeElement?.dataset?.key;
  if (screen !== "map") await E.ready;
  if (turn !== E.turn) return;
  E.head();
  document.title = `${TITLES[screen]} · ${E.front.about.title}`;
  const began = performance.now();
  const parts = E.screens[screen].draw(params);
  if (E.drawnScreen !== screen) window.scrollTo(0, 0);
  main.className = screen;
  main.replaceChildren(E.h("h2", { className: "away" }, TITLES[screen]), ...[parts].flat(4).filter(Boolean));
  E.drawnScreen = screen;
  E.took = performance.now() - began;
  if (focus) main.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
};

E.keys = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) return;
  const screens = Object.keys(TITLES).filter((id) => E.screens[id].there?.() ?? true);
  if (/^[1-8]$/.test(event.key) && screens[event.key - 1]) E.go(screens[event.key - 1], {});
  else if (event.key === "?") E.help();
  else if (event.key === "t") E.theme();
  else if (!E.screens[E.read().screen].key?.(event, E.read().params)) return;
  event.preventDefault();
};
