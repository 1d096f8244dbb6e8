"use strict";
// Cell: all responses of a model at an exit on a data set, in summary and one by one.
(() => {
  const SORTS = { prompt: "prompt", dispute: "disagreement of judges", margin: "refusal margin" };

  const items = ({ subject, layer, dataset }, params) => {
    let found = E.data.asked(dataset).map((p) => [p, E.data.state(subject, layer, p)]);
    if (params.k) found = found.filter(([p]) => E.data.prompts.kind[p] === params.k);
    if (params.o) found = found.filter(([, state]) => (E.data.marks[E.data.mark(state)]?.id ?? "none") === params.o);
    if (params.v) {
      const [id, label] = params.v.split("|");
      const judge = E.data.judge(id);
      found = found.filter(([, state]) => state >= 0 && judge && E.data.label(state, judge) === label);
    }
    if (params.a) {
      const [name, value] = params.a.split("|");
      found = found.filter(([p]) => E.data.prompts.attributes[p][name] === value);
    }
    if (params.q) {
      const wanted = params.q.toLowerCase();
      found = found.filter(
        ([p, state]) =>
          E.data.prompts.id[p].toLowerCase().includes(wanted) ||
          (!E.hidden(p) && `${E.data.prompts.text[p]}\n${E.heard(p, state) ?? ""}`.toLowerCase().includes(wanted)),
      );
    }
    const margin = ([p]) => E.data.margin(subject, layer, p) ?? Infinity;
    if (params.by === "dispute")
      found.sort((a, b) => (b[1] < 0 ? -1 : E.data.dispute(b[1])) - (a[1] < 0 ? -1 : E.data.dispute(a[1])));
    if (params.by === "margin") found.sort((a, b) => Math.abs(margin(a)) - Math.abs(margin(b)));
    return found;
  };

  const filters = ({ subject, layer, dataset }, params) => {
    const all = E.data.asked(dataset);
    const states = [...new Set(all.map((p) => E.data.state(subject, layer, p)).filter((state) => state >= 0))];
    const marks = [...new Set(states.map((state) => E.data.mark(state)))].filter((mark) => mark !== null).sort();
    const labels = E.data.judges.flatMap((judge) =>
      [...new Set(states.map((state) => E.data.label(state, judge)))]
        .filter((label) => label !== null)
        .map((label) => [`${judge.id}|${label}`, label, judge.display]),
    );
    const attributes = Object.entries(E.data.attributes(dataset))
      .filter(([, values]) => values.length > 1 && values.length < 60)
      .flatMap(([name, values]) => values.map((value) => [`${name}|${value}`, value, name.replaceAll("_", " ")]));
    const kinds = E.data.kinds(dataset);
    const sorts = Object.entries(SORTS).filter(([id]) => id !== "margin" || E.data.arrays[`margin ${subject}`]);
    return [
      kinds.length > 1
        ? E.select("Kind", [["", "all"], ...kinds.map((kind) => [kind, kind])], params.k ?? "", (k) => E.set({ k }))
        : "",
      E.select(
        "Outcome",
        [["", "all"], ...marks.map((mark) => [E.data.marks[mark].id, E.data.marks[mark].word])],
        params.o ?? "",
        (o) => E.set({ o }),
      ),
      E.select("Verdict", [["", "all"], ...labels], params.v ?? "", (v) => E.set({ v })),
      attributes.length ? E.select("Attribute", [["", "all"], ...attributes], params.a ?? "", (a) => E.set({ a })) : "",
      E.h(
        "label",
        { className: "field" },
        E.h("span", {}, "Text"),
        E.h("input", {
          type: "search",
          value: params.q ?? "",
          "data-key": "text",
          onchange: (event) => E.set({ q: event.target.value }),
        }),
      ),
      E.select("Sort by", sorts, params.by ?? "prompt", (by) => E.set({ by })),
    ];
  };

  // Each distinct response with its count, by what it was decided to be; real harmful words stay hidden.
  const distinct = (found) => {
    const counts = new Map();
    for (const [p, state] of found) {
      if (state < 0) continue;
      const key = `${E.unsaid(p, state) ? "hidden" : E.data.arrays.text[state]}|${E.data.mark(state)}`;
      const one = counts.get(key) ?? { n: 0, p, state };
      counts.set(key, { ...one, n: one.n + 1 });
    }
    return [...counts.values()].sort((a, b) => b.n - a.n);
  };

  E.screens.cell = {
    draw(params) {
      const here = E.chosen(params);
      const { subject, layer, dataset } = here;
      const found = items(here, params);
      const kinds = E.data.kinds(dataset);
      const words = distinct(found);
      const LIMIT = 12;
      const link = (p) => E.link("prompt", { p: E.data.prompts.id[p], s: E.data.subjects[subject].name, l: layer });
      return [
        E.h(
          "div",
          { className: "controls" },
          E.pickSubject("Model", "s", E.data.subjects[subject].name),
          E.pickLayer("Exit", "l", subject, layer),
          E.pickDataset(dataset),
          E.h(
            "a",
            {
              className: "button",
              href: E.link("flips", {
                a: E.data.subjects[subject].name,
                al: layer,
                b: E.data.subjects[subject].name,
                bl: E.data.subjects[subject].default,
                d: dataset,
              }),
            },
            "against the default exit",
          ),
        ),
        E.warning(dataset),
        E.h(
          "div",
          { className: "bars" },
          kinds.map((kind) =>
            E.bar(
              E.tally(E.data.asked(dataset, kind).map((p) => E.data.state(subject, layer, p))),
              {
                harmful: "Harmful requests",
                benign: E.data.dataset(dataset).twins ? "Their harmless twins" : "Benign requests",
                vqa: "Visual questions",
              }[kind],
            ),
          ),
        ),
        E.h(
          "div",
          { className: "controls" },
          filters(here, params),
          E.saver(`cell-${E.data.subjects[subject].name}-exit-${layer}-${dataset}`, () =>
            found.map(([p, state]) => E.row(subject, layer, p, state)),
          ),
        ),
        E.h(
          "div",
          { className: "two third" },
          E.h(
            "section",
            {},
            E.h(
              "h3",
              {},
              E.count(words.length, "distinct response"),
              E.h("span", { className: "quiet" }, ` among ${found.length}`),
            ),
            E.h(
              "ol",
              { className: "tally" },
              words
                .slice(0, LIMIT)
                .map(({ n, p, state }) =>
                  E.h("li", {}, E.h("span", { className: "num" }, n), E.chip(E.data.mark(state)), E.words(p, state)),
                ),
            ),
            words.length > LIMIT
              ? E.h(
                  "p",
                  { className: "quiet" },
                  `and ${words.length - LIMIT} more, each at most ${words[LIMIT].n} times`,
                )
              : "",
          ),
          E.h("section", {}, E.h("h3", {}, E.count(found.length, "response")), E.responses(found, link)),
        ),
      ];
    },
    key(event, params) {
      const { subject, layer } = E.chosen(params);
      const { layers } = E.data.subjects[subject];
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const next = layers[layers.indexOf(layer) + by];
      if (by && next !== undefined) E.set({ l: next });
      return Boolean(by);
    },
  };
})();
