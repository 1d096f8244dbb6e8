"use strict";
// Unpack what the first screen needs, draw it, then the rest.
(async () => {
  const texts = {};
  const part = (id) => (texts[id] ??= document.getElementById(id).textContent);
  try {
    E.front = E.data = await Data.front(part);
    E.foot();
    E.ready = new Promise((resolve) => setTimeout(resolve, 0)).then(() => E.data.rest());
    await E.draw();
    E.painted_at = performance.now();
    await E.ready;
    E.head();
    document.documentElement.dataset.ready = "yes";
  } catch (error) {
    document.getElementById("main").textContent =
      `This page could not be unpacked: ${error.message}. It needs a browser of 2023 or later.`;
    throw error;
  }
  window.addEventListener("hashchange", E.draw);
  window.addEventListener("keydown", E.keys);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", E.draw);
  document.getElementById("skip").addEventListener("click", () => document.getElementById("main").focus());
})();
