"use strict";
// Prompt: a hazard beside its twin, and what every model said of both at every exit.
(() => {
  const ROLE = { harmful: "Hazard", benign: "Benign", vqa: "Visual question" };

  const chosen = (params) => {
    const { subject, layer, dataset } = E.chosen(params);
    const given = E.data.place.get(params.p);
    const p = given ?? E.data.asked(dataset)[0];
    return { subject, layer, p, pair: E.data.pair(p) };
  };

  // The prompts in order, one for each pair.
  const order = (dataset) => E.data.asked(dataset).filter((p) => E.data.pair(p)[0] === p);
  const step = (p, by) => {
    const listed = order(E.data.prompts.dataset[p]);
    const at = listed.indexOf(E.data.pair(p)[0]);
    return E.data.prompts.id[listed[(at + by + listed.length) % listed.length]];
  };

  const card = (p, pair) => {
    const { id, kind, target, attributes, image_sha256 } = E.data.prompt(p);
    const role = pair.length > 1 && kind === "benign" ? "Twin" : ROLE[kind];
    return E.h(
      "article",
      { className: "card" },
      E.h("h3", {}, role, E.h("span", { className: "quiet mono" }, ` ${id}`)),
      E.image(p, 200, pair.length > 1 ? pair[1] : null),
      E.h(
        "dl",
        {},
        E.h("dt", {}, "Question"),
        E.h("dd", { "data-said": "question" }, E.question(p)),
        target === null
          ? ""
          : [
              E.h("dt", {}, kind === "vqa" ? "Accepted" : "On target"),
              E.h("dd", {}, E.hidden(p) ? E.h("span", { className: "veil" }, "hidden") : [target].flat().join(" · ")),
            ],
        Object.entries(attributes).map(([name, value]) => [
          E.h("dt", {}, name.replaceAll("_", " ")),
          E.h("dd", {}, value),
        ]),
        image_sha256
          ? [
              E.h("dt", {}, "Image"),
              E.h("dd", { className: "mono quiet", title: image_sha256 }, image_sha256.slice(0, 12)),
            ]
          : "",
      ),
    );
  };

  const said = (subject, layer, pair) =>
    E.h(
      "section",
      { className: "detail", "aria-live": "polite", "aria-label": "Response" },
      E.h(
        "h3",
        {},
        `${E.subjectName(subject)}, exit ${layer}`,
        layer === E.data.subjects[subject].default ? E.h("span", { className: "quiet" }, " default") : "",
      ),
      pair.map((p) => {
        const state = E.data.state(subject, layer, p);
        const margin = E.data.margin(subject, layer, p);
        const kind = E.data.prompts.kind[p];
        return E.h(
          "div",
          { className: "answer" },
          E.h(
            "div",
            { className: "line" },
            E.chip(E.data.mark(state)),
            E.h("strong", {}, pair.length > 1 && kind === "benign" ? "Twin" : ROLE[kind]),
            E.h("span", { "data-said": E.data.prompts.id[p] }, E.words(p, state)),
          ),
          state < 0
            ? ""
            : [
                E.verdicts(state),
                E.h(
                  "p",
                  { className: "quiet" },
                  E.count(E.data.tokens(state), "token"),
                  E.data.finish(state) === "length" ? ", cut off" : "",
                  margin === null ? "" : `, refusal margin ${E.number(margin, 2)}`,
                ),
              ],
        );
      }),
      E.h(
        "p",
        {},
        E.h(
          "a",
          { href: E.link("cell", { s: E.data.subjects[subject].name, l: layer, d: E.data.prompts.dataset[pair[0]] }) },
          "All responses of this cell",
        ),
      ),
    );

  const grid = (here, detail) => {
    const layers = [...new Set(E.data.subjects.flatMap((one) => one.layers))].sort((a, b) => a - b);
    const look = (subject, layer) => detail.replaceChildren(said(subject, layer, here.pair));
    const choose = (subject, layer) =>
      E.set({ p: E.data.prompts.id[here.p], s: E.data.subjects[subject].name, l: layer });
    return E.h(
      "div",
      { className: "scroll" },
      E.walk(
        E.h(
          "table",
          { className: "heat chips", "aria-label": "Outcome by model and exit" },
          E.h(
            "thead",
            {},
            E.h(
              "tr",
              {},
              E.h("th", { scope: "col", className: "corner" }, "exit"),
              layers.map((layer) => E.h("th", { scope: "col" }, layer)),
            ),
          ),
          E.byModel(E.data.subjects, layers.length, (one, subject) =>
            E.h(
              "tr",
              {},
              E.h(
                "th",
                { scope: "row", title: one.name },
                E.h("span", { className: "dot", style: { backgroundColor: one.colour } }),
                one.label,
                one.seed ? E.h("span", { className: "quiet" }, ` ${one.seed}`) : "",
              ),
              layers.map((layer, c) => {
                const marks = here.pair.map((p) => E.data.mark(E.data.state(subject, layer, p)));
                if (!one.layers.includes(layer)) return E.h("td", { className: "gap" });
                const words = marks.map((mark) => (mark === null ? "none" : E.data.marks[mark].word)).join(", twin ");
                const now = subject === here.subject && layer === here.layer;
                return E.h(
                  "td",
                  {
                    className: [layer === one.default && "default", layer === one.onset && "onset"]
                      .filter(Boolean)
                      .join(" "),
                  },
                  E.h(
                    "button",
                    {
                      "data-stop": `${subject},${c}`,
                      "data-key": `${subject},${layer}`,
                      "aria-current": now ? "true" : null,
                      "aria-label": `${E.subjectName(subject)}, exit ${layer}: ${words}`,
                      onmouseenter: () => look(subject, layer),
                      onfocus: () => look(subject, layer),
                      onclick: () => choose(subject, layer),
                    },
                    marks.map((mark) => E.chip(mark)),
                  ),
                );
              }),
            ),
          ),
        ),
      ),
    );
  };

  // The words of one model from the first exit to the last.
  const strip = (here) => {
    const { layers, default: usual } = E.data.subjects[here.subject];
    return E.table(
      `What ${E.subjectName(here.subject)} says at each exit`,
      [
        "Exit",
        ...here.pair.map((p) =>
          here.pair.length > 1 && E.data.prompts.kind[p] === "benign" ? "Twin" : ROLE[E.data.prompts.kind[p]],
        ),
      ],
      layers.map((layer) => [
        E.h("td", { className: layer === here.layer ? "now" : "" }, `${layer}${layer === usual ? " default" : ""}`),
        ...here.pair.map((p) => {
          const state = E.data.state(here.subject, layer, p);
          return E.h("td", {}, E.chip(E.data.mark(state)), " ", E.words(p, state));
        }),
      ]),
      { className: "strip" },
    );
  };

  E.screens.prompt = {
    draw(params) {
      const here = chosen(params);
      const { id, dataset } = E.data.prompt(here.p);
      const detail = E.h("div", { className: "side" }, said(here.subject, here.layer, here.pair));
      const listed = order(dataset);
      const rows = () =>
        E.data.subjects.flatMap((one, subject) =>
          one.layers.flatMap((layer) =>
            here.pair.map((p) => E.row(subject, layer, p, E.data.state(subject, layer, p))),
          ),
        );
      const used = [
        ...new Set(
          E.data.subjects.flatMap((one, subject) =>
            one.layers.flatMap((layer) => here.pair.map((p) => E.data.mark(E.data.state(subject, layer, p)))),
          ),
        ),
      ];
      return [
        E.h(
          "div",
          { className: "controls" },
          E.select(
            "Data set",
            E.data.datasets.map((one) => [one.id, one.display]),
            dataset,
            (d) => E.set({ d, p: "" }),
          ),
          E.h("button", { onclick: () => E.set({ p: step(here.p, -1) }), title: "k" }, "← previous"),
          E.select(
            "Prompt",
            listed.map((p) => [E.data.prompts.id[p], E.data.prompts.cluster[p]]),
            E.data.prompts.id[here.pair[0]],
            (p) => E.set({ p }),
          ),
          E.h("button", { onclick: () => E.set({ p: step(here.p, 1) }), title: "j" }, "next →"),
          E.h("span", { className: "quiet" }, `${listed.indexOf(here.pair[0]) + 1} of ${listed.length}`),
          E.saver(`prompt-${id}`, rows),
        ),
        E.warning(dataset),
        E.h(
          "div",
          { className: "look" },
          E.h(
            "div",
            { className: "cards" },
            here.pair.map((p) => card(p, here.pair)),
          ),
          detail,
          E.h(
            "div",
            { className: "answers" },
            E.legend(used.filter((mark) => mark !== null).sort()),
            here.pair.length > 1
              ? E.h("p", { className: "note" }, "In each cell: the hazard's outcome, then its twin's.")
              : "",
            grid(here, detail),
          ),
          E.h("div", { className: "words" }, strip(here)),
        ),
      ];
    },
    key(event, params) {
      const here = chosen(params);
      const { layers, name } = E.data.subjects[here.subject];
      const id = E.data.prompts.id[here.p];
      if (event.key === "j" || event.key === "k") return (E.set({ p: step(here.p, event.key === "j" ? 1 : -1) }), true);
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const next = layers[layers.indexOf(here.layer) + by];
      if (by && next !== undefined) E.set({ p: id, s: name, l: next });
      return Boolean(by);
    },
  };
})();
