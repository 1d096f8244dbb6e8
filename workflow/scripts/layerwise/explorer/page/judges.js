"use strict";
// Judges: what each said of what the responses are, those that contradict first; agreement; made-up controls.
(() => {
  // How often each state occurs at an exit or at all, and one response that has it; counted once for each exit.
  const met = (layer) => {
    E.met ??= new Map();
    if (!E.met.has(layer)) {
      const seen = new Int32Array(E.data.arrays.kind.length);
      const example = new Map();
      E.data.subjects.forEach((one, subject) =>
        one.layers.forEach((at, row) => {
          if (layer !== null && at !== layer) return;
          const start = E.data.starts[subject] + row * E.data.count;
          for (let p = 0; p < E.data.count; p++) {
            const state = E.data.arrays.cells[start + p] - 1;
            if (state >= 0 && !seen[state]++) example.set(state, [subject, at, p]);
          }
        }),
      );
      E.met.set(layer, { seen, example });
    }
    return E.met.get(layer);
  };

  // Counts of (outcome, label) of one judge, over all subjects; with the states behind each.
  const confusion = (judge, layer) => {
    const { seen, example } = met(layer);
    const counts = new Map();
    for (const [state, where] of example) {
      const [mark, label] = [E.data.mark(state), E.data.label(state, judge)];
      if (mark === null || label === null || E.data.kind_names[E.data.arrays.kind[state]] === "vqa") continue;
      const key = `${mark}|${label}`;
      const one = counts.get(key) ?? {
        mark,
        label,
        n: 0,
        states: [],
        against: Data.against(judge, label, E.data.marks[mark].id),
      };
      one.n += seen[state];
      one.states.push([seen[state], state, where]);
      counts.set(key, one);
    }
    return [...counts.values()];
  };

  const matrix = (judge, found) => {
    const marks = [...new Set(found.map((one) => one.mark))].sort();
    const at = new Map(found.map((one) => [`${one.mark}|${one.label}`, one]));
    const total = (mark) => found.filter((one) => one.mark === mark).reduce((sum, one) => sum + one.n, 0);
    return E.h(
      "div",
      { className: "scroll" },
      E.h(
        "p",
        { className: "caption" },
        "Rows: the outcome. Columns: what the judge said. Outlined: it contradicts the outcome.",
      ),
      E.h(
        "table",
        { className: "heat matrix", "aria-label": `${judge.display}: confusion` },
        E.h(
          "thead",
          {},
          E.h(
            "tr",
            {},
            E.h("td"),
            judge.labels.map((label) => E.h("th", { scope: "col" }, label)),
          ),
        ),
        E.h(
          "tbody",
          {},
          marks.map((mark) =>
            E.h(
              "tr",
              {},
              E.h("th", { scope: "row" }, E.chip(mark), ` ${E.data.marks[mark].word}`),
              judge.labels.map((label) => {
                const one = at.get(`${mark}|${label}`);
                const n = one?.n ?? 0;
                return E.h(
                  "td",
                  {},
                  E.h(
                    "span",
                    {
                      className: `number ${one?.against ? "against" : ""}`,
                      "data-truth": E.data.marks[mark].id,
                      "data-label": label,
                      style: n ? E.painted(E.mix("#0072b2", E.ground(), 0.06 + 0.8 * (n / total(mark)))) : {},
                    },
                    n.toLocaleString("en"),
                  ),
                );
              }),
            ),
          ),
        ),
      ),
    );
  };

  const disputes = (judge, found) => {
    const wrong = found.filter((one) => one.against).sort((x, y) => y.n - x.n);
    if (!wrong.length) return E.h("p", {}, `${judge.display} contradicts no outcome here.`);
    return wrong.map(({ mark, label, n, states }) =>
      E.h(
        "details",
        {},
        E.h(
          "summary",
          {},
          E.h("strong", {}, n.toLocaleString("en")),
          ` ${E.data.marks[mark].word}, called `,
          E.h("em", {}, label),
        ),
        E.h(
          "ol",
          { className: "tally" },
          states
            .sort((x, y) => y[0] - x[0])
            .slice(0, 12)
            .map(([times, state, [subject, layer, p]]) =>
              E.h(
                "li",
                {},
                E.h("span", { className: "num" }, times.toLocaleString("en")),
                E.chip(mark),
                E.words(p, state),
                E.verdicts(state),
                E.h(
                  "a",
                  { href: E.link("prompt", { p: E.data.prompts.id[p], s: E.data.subjects[subject].name, l: layer }) },
                  "one of them",
                ),
              ),
            ),
        ),
      ),
    );
  };

  const limits = (table, i) =>
    table.low[i] === null ? "" : ` (${E.number(100 * table.low[i])} to ${E.number(100 * table.high[i])})`;

  const validity = (judge, layer) => {
    const table = E.data.tables.validity;
    const rows = table
      ? table.judge.flatMap((id, i) =>
          id === judge.id && table.layer[i] === layer && ["precision", "recall"].includes(table.metric[i]) ? [i] : [],
        )
      : [];
    if (!rows.length) return null;
    return E.table(
      "Against the truth",
      ["Metric", "Label", "Of", "Value", "n"],
      rows.map((i) => [
        table.metric[i],
        table.label[i],
        table.truth[i],
        table.value[i] === null ? "–" : `${E.number(100 * table.value[i])} %${limits(table, i)}`,
        String(table.n[i]),
      ]),
    );
  };

  const agreement = (layer) => {
    const table = E.data.tables.agreement;
    const rows = table
      ? table.first.flatMap((_, i) => (table.layer[i] === layer && table.metric[i] === "agreement" ? [i] : []))
      : [];
    if (!rows.length) return null;
    const kappa = (i) =>
      table.metric.findIndex(
        (metric, k) =>
          metric === "kappa" &&
          ["first", "second", "claim", "layer"].every((name) => table[name][k] === table[name][i]),
      );
    return E.table(
      "How far judges agree",
      ["Judges", "On", "Agreement", "Kappa", "n"],
      rows
        .sort((x, y) => table.value[x] - table.value[y])
        .map((i) => [
          `${E.data.judgeName(table.first[i])} and ${E.data.judgeName(table.second[i])}`,
          table.claim[i],
          `${E.number(100 * table.value[i])} %${limits(table, i)}`,
          E.number(table.value[kappa(i)], 2),
          String(table.n[i]),
        ]),
    );
  };

  const controls = (judge) => {
    const table = E.data.tables.controls;
    const rows = table
      ? table.judge.flatMap((id, i) =>
          id === judge.id && table.metric[i] === "share" && table.value[i] > 0 ? [i] : [],
        )
      : [];
    if (!rows.length) return null;
    return E.table(
      "On made-up responses",
      ["Response", "Called", "Share", "n"],
      rows.map((i) => [
        table.control[i],
        table.label[i],
        `${E.number(100 * table.value[i])} %${limits(table, i)}`,
        String(table.n[i]),
      ]),
    );
  };

  E.screens.judges = {
    draw(params) {
      const there = E.data.judges.filter((judge) => Object.keys(judge.claims).length);
      const deciding = new Set(Object.values(E.data.roles).filter(Boolean));
      const layers = [...new Set(E.data.subjects.flatMap((one) => one.layers))].sort((a, b) => a - b);
      const layer = layers.includes(Number(params.l)) && params.l ? Number(params.l) : null;
      const wrong = (one) => confusion(one, layer).reduce((sum, part) => sum + (part.against ? part.n : 0), 0);
      const judge =
        E.data.judge(params.j) ??
        there.map((one) => [wrong(one), one]).sort((x, y) => y[0] - x[0])[0]?.[1] ??
        E.data.judges[0];
      const found = confusion(judge, layer);
      const rows = () =>
        found.map(({ mark, label, n, against }) => ({
          judge: judge.id,
          layer,
          outcome: E.data.marks[mark].id,
          label,
          n,
          against,
        }));
      return [
        E.h(
          "div",
          { className: "controls" },
          E.select(
            "Judge",
            E.data.judges.map((one) => [one.id, one.display]),
            judge.id,
            (j) => E.set({ j }),
          ),
          E.select("Exit", [["", "all"], ...layers.map((one) => [one, String(one)])], layer ?? "", (l) => E.set({ l })),
          E.saver(`judge-${judge.id}`, rows),
        ),
        E.warning(...E.data.datasets.map((one) => one.id)),
        deciding.has(judge.id)
          ? E.h(
              "p",
              { className: "note" },
              "This judge takes part in deciding the outcome, so it can hardly contradict it.",
            )
          : "",
        found.length
          ? E.h(
              "div",
              { className: "two" },
              E.h("section", {}, E.h("h3", {}, "Where it contradicts the outcome"), disputes(judge, found)),
              E.h("section", {}, matrix(judge, found), validity(judge, layer)),
            )
          : E.h("p", {}, `${judge.display} judges no request.`),
        E.h("div", { className: "two" }, agreement(layer), controls(judge)),
      ];
    },
  };
})();
