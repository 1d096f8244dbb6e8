"use strict";
// Predictions: the number that decides each, seed by seed, beside its threshold.
(() => {
  const SIGNS = { holds: "✓", fails: "✗", "not able": "⊘", "not testable": "–" };
  const rows = () => {
    const table = E.data.tables.predictions;
    return table
      ? table.prediction.map((_, i) =>
          Object.fromEntries(Object.entries(table).map(([name, column]) => [name, column[i]])),
        )
      : [];
  };
  const subject = (row) =>
    E.data.subjects.findIndex((one) => one.model === row.model && one.arm === row.arm && one.seed === row.seed);

  // Which side of the threshold holds: as the table says, or as its own outcomes show; null where they do not.
  const side = (group) => {
    if (group[0].direction) return /least|above|>|≥/.test(group[0].direction) ? "≥" : "≤";
    const fits = (holds) =>
      group.every(
        (row) =>
          row.value === null || !["holds", "fails"].includes(row.outcome) || holds(row) === (row.outcome === "holds"),
      );
    const decided = group.some((row) => ["holds", "fails"].includes(row.outcome) && row.value !== row.threshold);
    if (!decided) return null;
    if (fits((row) => row.value <= row.threshold)) return "≤";
    return fits((row) => row.value >= row.threshold) ? "≥" : null;
  };

  const plot = (group, toward) => {
    const known = group.filter((row) => row.value !== null);
    if (!known.length) return E.h("p", { className: "quiet" }, "no value");
    const { threshold } = known[0];
    const all = known.flatMap((row) => [row.value, row.low ?? row.value, row.high ?? row.value, threshold]);
    const whole = Math.max(...all.map(Math.abs)) > 1.5;
    const low = Math.min(0, ...all),
      high = Math.max(whole ? 1 : Math.min(1, Math.max(...all) * 1.15 || 1), ...all);
    const at = (value) => `${(100 * (value - low)) / (high - low || 1)}%`;
    const say = (value) => (whole ? E.number(value, 0) : E.number(100 * value));
    const good =
      toward === "≤"
        ? { left: 0, width: at(threshold) }
        : toward === "≥"
          ? { left: at(threshold), right: 0 }
          : { width: 0 };
    return E.h(
      "div",
      {
        className: "strip-plot",
        role: "img",
        "aria-label": `threshold ${say(threshold)}; ${known.map((row) => `seed ${row.seed}: ${say(row.value)}`).join(", ")}`,
      },
      E.h("span", { className: "good", style: good }),
      E.h(
        "span",
        { className: "bound", style: { left: at(threshold) } },
        E.h("span", {}, `${toward ?? ""} ${say(threshold)}`),
      ),
      known.map((row, i) => [
        row.low === null || row.low === undefined
          ? ""
          : E.h("span", {
              className: "reach",
              style: { left: at(row.low), width: `calc(${at(row.high)} - ${at(row.low)})`, top: `${30 + 18 * i}px` },
            }),
        E.h(
          "span",
          {
            className: "point",
            style: { left: at(row.value), top: `${26 + 18 * i}px` },
            title: `seed ${row.seed}: ${say(row.value)}`,
          },
          E.h(
            "span",
            { className: (row.value - low) / (high - low || 1) > 0.6 ? "leftward" : "" },
            `${row.seed}: ${say(row.value)}`,
          ),
        ),
      ]),
      E.h("span", { className: "room", style: { height: `${34 + 18 * known.length}px` } }),
    );
  };

  E.screens.predictions = {
    there: () => !E.data.tables || rows().length > 0,
    draw() {
      const groups = new Map();
      for (const row of rows()) {
        const key = [row.prediction, row.model, row.arm].join("|");
        groups.set(key, [...(groups.get(key) ?? []), row]);
      }
      if (!groups.size) return E.h("p", {}, "No predictions were registered for these models.");
      const sorted = [...groups.values()].sort((x, y) => x[0].prediction.localeCompare(y[0].prediction));
      return [
        E.h("div", { className: "controls" }, E.saver("predictions", rows)),
        E.h(
          "p",
          { className: "note" },
          "Each point is the number that decides in one seed, in percent or points. Shaded: the side of the threshold on which the prediction holds, as far as its outcomes tell. Some predictions ask for more than this number; the details say so. ",
          Object.entries(SIGNS)
            .map(([word, sign]) => `${sign} ${word}`)
            .join(", "),
          ".",
        ),
        sorted.map((group) => {
          const { prediction, model, arm, statement, quantity } = group[0];
          return E.h(
            "section",
            { className: "prediction" },
            E.h(
              "h3",
              {},
              `${prediction} `,
              E.h("span", { className: "quiet" }, E.data.models[model], arm ? `, ${arm}` : ""),
            ),
            E.h("p", {}, statement),
            E.h(
              "div",
              { className: "two" },
              E.h("div", {}, E.h("p", { className: "quiet" }, quantity), plot(group, side(group))),
              E.h(
                "ul",
                { className: "seeds" },
                group.map((row) => {
                  const number = subject(row);
                  const { name, default: usual, layers = [] } = E.data.subjects[number] ?? {};
                  return E.h(
                    "li",
                    {},
                    E.h(
                      "strong",
                      { className: `outcome-${row.outcome.replace(" ", "-")}` },
                      `${SIGNS[row.outcome] ?? ""} ${row.outcome}`,
                    ),
                    ` seed ${row.seed}. `,
                    E.h("span", { className: "quiet" }, row.detail ?? ""),
                    layers.length
                      ? E.h(
                          "span",
                          { className: "exits" },
                          " exits ",
                          layers.map((layer) => [
                            E.h(
                              "a",
                              {
                                href: E.link("cell", { s: name, l: layer }),
                                className: layer === usual ? "usual" : "",
                              },
                              layer,
                            ),
                            " ",
                          ]),
                        )
                      : "",
                  );
                }),
              ),
            ),
          );
        }),
      ];
    },
  };
})();
