"use strict";
// Flips: which responses change between two cells. Against the default exit, the tests are those of paired.csv; between
// any others they are made here, and not corrected for how many a reader looks at.
(() => {
  const chosen = (params) => {
    const base = E.chosen({ ...params, s: params.a, l: params.al });
    const a = { subject: base.subject, layer: params.al === undefined ? early(base.subject) : base.layer };
    const b = E.chosen({ s: params.b ?? E.data.subjects[base.subject].name, l: params.bl, d: base.dataset });
    const kinds = E.data.kinds(base.dataset);
    const twins = E.data.dataset(base.dataset).twins;
    const options = [...kinds, ...(twins ? ["twins"] : [])];
    return {
      a,
      b: { subject: b.subject, layer: b.layer },
      dataset: base.dataset,
      options,
      kind: options.includes(params.k) ? params.k : kinds[0],
    };
  };
  const early = (subject) => {
    const { layers, onset } = E.data.subjects[subject];
    return layers.filter((layer) => layer > 0 && (onset === null || layer < onset))[0] ?? layers[0];
  };

  // Pairs of what is compared: [prompt, prompt, state, state]; of hazards with twins the two of a pair.
  const pairs = ({ a, b, dataset, kind }) =>
    E.data.asked(dataset, kind === "twins" ? "harmful" : kind).flatMap((p) => {
      const other = kind === "twins" ? E.data.pair(p)[1] : p;
      if (other === undefined) return [];
      const states = [E.data.state(a.subject, a.layer, p), E.data.state(b.subject, b.layer, other)];
      return states.some((state) => E.data.mark(state) === null) ? [] : [[p, other, ...states]];
    });

  const tests = (found, mark) => {
    const clusters = new Map();
    let [b, c] = [0, 0];
    for (const [p, , one, other] of found) {
      const by = (E.data.mark(one) === mark) - (E.data.mark(other) === mark);
      if (by > 0) b++;
      if (by < 0) c++;
      clusters.set(E.data.prompts.cluster[p], (clusters.get(E.data.prompts.cluster[p]) ?? 0) + by);
    }
    return { b, c, n: found.length, difference: (b - c) / found.length, p: Stats.mcnemar([...clusters.values()]) };
  };

  // The row of paired.csv, where the second side is the default exit of the first on the same prompts.
  const row = ({ a, b, dataset, kind }, metric) => {
    const { model, arm, seed, default: usual } = E.data.subjects[a.subject];
    const table = E.data.tables.paired;
    if (!table || !metric || a.subject !== b.subject || b.layer !== usual || !["harmful", "vqa"].includes(kind))
      return null;
    const wanted = { model, arm, seed, dataset, layer: a.layer, metric };
    const i = table.n.findIndex((_, at) => Object.keys(wanted).every((name) => table[name][at] === wanted[name]));
    return i < 0
      ? null
      : { ...Object.fromEntries(Object.entries(table).map(([name, column]) => [name, column[i]])), line: i + 2 };
  };

  // A line for each outcome on either side, then for what else paired.csv compares, such as the refusal margin.
  const results = (here, found, marks) => {
    const own = new Set(E.data.marks.map((mark) => mark.metric));
    const others = [...new Set(E.data.tables.paired?.metric ?? [])].filter((metric) => !own.has(metric));
    const lines = [
      ...marks.map((mark) => ({
        id: E.data.marks[mark].id,
        head: [E.chip(mark), ` ${E.data.marks[mark].word}`],
        unit: "points",
        told: row(here, E.data.marks[mark].metric),
        mark,
      })),
      ...others
        .map((metric) => ({
          id: metric,
          head: E.data.metrics[metric].label,
          unit: E.data.metrics[metric].unit,
          told: row(here, metric),
        }))
        .filter((line) => line.told),
    ];
    const any = lines.some((line) => line.told);
    const cell = (text, name) => E.h("td", { className: "num", "data-value": name }, text);
    const signed = (value, unit) => (unit === "points" ? E.signed(100 * value) : E.signed(value, 2));
    return E.table(
      any
        ? "First less second: differences, intervals and tests of paired.csv"
        : "First less second: exact McNemar tests made here, not corrected for how many are looked at",
      ["Outcome", "Difference", "95 % interval", "First only", "Second only", "n", "p", "p (Holm)", "Test"],
      lines.map(({ id, head, unit, told, mark }) => {
        const { b, c, n, difference, p } = told ?? tests(found, mark);
        return [
          E.h("td", { "data-outcome": id }, head),
          `${signed(difference, unit)}${unit === "points" ? " points" : ""}`,
          E.h("td", { className: "num" }, told ? `${signed(told.low, unit)} to ${signed(told.high, unit)}` : "–"),
          cell(b, "b"),
          cell(c, "c"),
          cell(n, "n"),
          cell(E.p(p), "p"),
          cell(told ? E.p(told.p_holm) : "–", "p_holm"),
          E.h("td", { className: "quiet" }, told ? `paired.csv:${told.line}` : "not corrected"),
        ];
      }),
    );
  };

  const matrix = (found, marks, params, here) => {
    const counts = (x, y) =>
      found.filter(([, , one, other]) => E.data.mark(one) === x && E.data.mark(other) === y).length;
    const most = Math.max(1, ...marks.flatMap((x) => marks.filter((y) => y !== x).map((y) => counts(x, y))));
    return E.h(
      "div",
      { className: "scroll" },
      E.h("p", { className: "caption" }, "Rows: first. Columns: second. Choose a number to see its prompts."),
      E.walk(
        E.h(
          "table",
          { className: "heat matrix", "aria-label": "Transitions" },
          E.h(
            "thead",
            {},
            E.h(
              "tr",
              {},
              E.h("td"),
              marks.map((mark) => E.h("th", { scope: "col" }, E.chip(mark), ` ${E.data.marks[mark].word}`)),
            ),
          ),
          E.h(
            "tbody",
            {},
            marks.map((x, r) =>
              E.h(
                "tr",
                {},
                E.h("th", { scope: "row" }, E.chip(x), ` ${E.data.marks[x].word}`),
                marks.map((y, c) => {
                  const n = counts(x, y);
                  const now = params.from === E.data.marks[x].id && params.to === E.data.marks[y].id;
                  const about = `${E.data.marks[x].word} to ${E.data.marks[y].word}: ${n}`;
                  return E.h(
                    "td",
                    {},
                    E.h(
                      "a",
                      {
                        "data-stop": `${r},${c}`,
                        "aria-label": about,
                        title: about,
                        "aria-current": now ? "true" : null,
                        "data-from": E.data.marks[x].id,
                        "data-to": E.data.marks[y].id,
                        href: E.link("flips", {
                          ...params,
                          ...sides(here),
                          from: E.data.marks[x].id,
                          to: E.data.marks[y].id,
                        }),
                        className: x === y ? "same" : "",
                        style: x === y || !n ? {} : E.painted(E.mix("#0072b2", E.ground(), 0.1 + 0.8 * (n / most))),
                      },
                      n,
                    ),
                  );
                }),
              ),
            ),
          ),
        ),
      ),
    );
  };
  const sides = ({ a, b, dataset, kind }) => ({
    d: dataset,
    k: kind,
    a: E.data.subjects[a.subject].name,
    al: a.layer,
    b: E.data.subjects[b.subject].name,
    bl: b.layer,
  });

  // Of each value of an attribute, how many responses flip.
  const breakdown = (found, name) => {
    const groups = new Map();
    for (const [p, , one, other] of found) {
      const value = E.data.prompts.attributes[p][name] ?? "–";
      const group = groups.get(value) ?? { n: 0, flips: 0 };
      groups.set(value, { n: group.n + 1, flips: group.flips + (E.data.mark(one) !== E.data.mark(other)) });
    }
    const rows = [...groups].sort(
      (x, y) => y[1].flips / y[1].n - x[1].flips / x[1].n || String(x[0]).localeCompare(String(y[0])),
    );
    return E.table(
      `Flips by ${name.replaceAll("_", " ")}`,
      [name.replaceAll("_", " "), "Flips", "of", "Share", ""],
      rows.map(([value, { n, flips }]) => [
        value,
        String(flips),
        String(n),
        `${E.number((100 * flips) / n)} %`,
        E.h("td", { className: "meter" }, E.h("span", { style: { width: `${(100 * flips) / n}%` } })),
      ]),
    );
  };

  const presets = (here) => {
    const { subject, layer } = here.a;
    const { name, model, arm, seed, default: usual } = E.data.subjects[subject];
    const others = E.data.subjects.filter((one) => one.model === model && one.name !== name);
    const seeds = others.find((one) => one.arm === arm);
    const arms = others.find((one) => one.seed === seed && one.arm !== arm);
    const on = { d: here.dataset };
    return [
      ["an early exit against the default", { ...on, a: name, al: early(subject), b: name, bl: usual }],
      E.data.dataset(here.dataset).twins && [
        "hazard against twin",
        { ...on, a: name, al: layer, b: name, bl: layer, k: "twins" },
      ],
      seeds && ["seed against seed", { ...on, a: name, al: layer, b: seeds.name, bl: layer }],
      arms && ["arm against arm", { ...on, a: name, al: layer, b: arms.name, bl: layer }],
    ].filter(Boolean);
  };

  E.screens.flips = {
    draw(params) {
      const here = chosen(params);
      const found = pairs(here);
      const marks = [...new Set(found.flatMap(([, , one, other]) => [E.data.mark(one), E.data.mark(other)]))].sort();
      const picked = found.filter(([, , one, other]) =>
        params.from && params.to
          ? E.data.marks[E.data.mark(one)].id === params.from && E.data.marks[E.data.mark(other)].id === params.to
          : E.data.mark(one) !== E.data.mark(other),
      );
      const attributes = Object.entries(E.data.attributes(here.dataset))
        .filter(([, values]) => values.length > 1 && values.length < 60)
        .map(([name]) => name);
      const attribute = attributes.includes(params.by) ? params.by : attributes[0];
      const changed = found.filter(([, , one, other]) => E.data.mark(one) !== E.data.mark(other)).length;
      const names = ["a", "b"].map((side) => `${E.subjectName(here[side].subject)}, exit ${here[side].layer}`);
      const words = {
        harmful: "harmful requests",
        benign: "harmless twins",
        vqa: "visual questions",
        twins: "hazards against their twins",
      };
      const rows = () =>
        picked.map(([p, other, one, two]) => ({
          first: E.data.subjects[here.a.subject].name,
          first_layer: here.a.layer,
          first_prompt: E.data.prompts.id[p],
          first_outcome: E.data.marks[E.data.mark(one)].id,
          first_text: E.heard(p, one),
          second: E.data.subjects[here.b.subject].name,
          second_layer: here.b.layer,
          second_prompt: E.data.prompts.id[other],
          second_outcome: E.data.marks[E.data.mark(two)].id,
          second_text: E.heard(other, two),
        }));
      return [
        E.h(
          "div",
          { className: "presets", role: "group", "aria-label": "Comparisons" },
          presets(here).map(([name, to]) => E.h("a", { className: "button", href: E.link("flips", to) }, name)),
        ),
        E.h(
          "div",
          { className: "controls" },
          E.pickDataset(here.dataset),
          E.select(
            "Of",
            here.options.map((kind) => [kind, words[kind]]),
            here.kind,
            (k) => E.set({ ...sides(here), k, from: "", to: "" }),
          ),
        ),
        E.h(
          "div",
          { className: "controls" },
          ["a", "b"].map((side, i) =>
            E.h(
              "fieldset",
              {},
              E.h("legend", {}, i ? "Second" : "First"),
              E.select("Model", E.subjectOptions(), E.data.subjects[here[side].subject].name, (name) =>
                E.set({ ...sides(here), [side]: name, from: "", to: "" }),
              ),
              E.select(
                "Exit",
                E.data.subjects[here[side].subject].layers.map((layer) => [
                  layer,
                  `${layer}${layer === E.data.subjects[here[side].subject].default ? " (default)" : ""}`,
                ]),
                here[side].layer,
                (layer) => E.set({ ...sides(here), [`${side}l`]: layer, from: "", to: "" }),
              ),
            ),
          ),
        ),
        E.warning(here.dataset),
        E.h(
          "p",
          { className: "lead" },
          E.h("strong", {}, `${changed} of ${found.length}`),
          ` ${words[here.kind]} have another outcome: ${names[0]} → ${names[1]}.`,
        ),
        found.length
          ? E.h(
              "div",
              { className: "two narrow-first" },
              matrix(found, marks, params, here),
              results(here, found, marks),
            )
          : "",
        attribute && found.length
          ? E.h(
              "section",
              {},
              E.select(
                "Break down by",
                attributes.map((name) => [name, name.replaceAll("_", " ")]),
                attribute,
                (by) => E.set({ by }),
              ),
              breakdown(found, attribute),
            )
          : "",
        E.h(
          "section",
          {},
          E.h(
            "h3",
            {},
            params.from && params.to
              ? `${params.from} → ${params.to}: ${E.count(picked.length, "prompt")}`
              : E.count(picked.length, "flip"),
            " ",
            E.saver("flips", rows),
          ),
          E.responses(
            picked.map(([p, other, one, two]) => [
              p,
              one,
              E.h("span", { className: "line" }, "→", E.chip(E.data.mark(two)), E.words(other, two)),
            ]),
            (p) =>
              E.link("prompt", { p: E.data.prompts.id[p], s: E.data.subjects[here.a.subject].name, l: here.a.layer }),
          ),
        ),
      ];
    },
  };
})();
