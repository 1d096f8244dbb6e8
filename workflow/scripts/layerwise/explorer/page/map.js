"use strict";
// Map: one metric by arm (and seed) and exit, a panel for each data set. Every value is a row of metrics.csv.
(() => {
  const HARM = new Set(["asr", "asr_guard", "toxicity", "harmful_on_benign", "answered"]);
  const REFUSAL = new Set(["refusal", "over_refusal"]);
  const hue = (metric) => (HARM.has(metric) ? "#882255" : REFUSAL.has(metric) ? "#007f6e" : "#0072b2");
  const FIRST = ["refusal_gap", "asr", "answered", "refusal"];

  // [id, name] of each metric that has values at single exits; with its judge where several judges measure it.
  const choices = () => {
    const { metric, judge } = E.data.rows;
    const judges = {};
    for (const i of E.data.cases) (judges[metric[i]] ??= new Set()).add(judge[i]);
    return Object.keys(E.data.metrics).flatMap((id) =>
      [...(judges[id] ?? [])].sort().map((by) => ({
        id,
        by,
        key: `${id}|${by}`,
        name: E.data.metrics[id].label + (judges[id].size > 1 ? ` (${E.data.judgeName(by)})` : ""),
      })),
    );
  };

  // The rows of a panel: a mean over seeds, then its seeds if asked for.
  const lines = (seeds) => {
    const series = new Map();
    for (const one of E.data.subjects) {
      const key = `${one.model}|${one.arm}`;
      if (!series.has(key)) series.set(key, []);
      series.get(key).push(one);
    }
    return [...series.values()].flatMap((group) => {
      if (group.length === 1)
        return [{ ...group[0], who: group[0], mean: true, note: group[0].seed && `seed ${group[0].seed}` }];
      const mean = {
        ...group[0],
        seed: "all",
        who: group[0],
        mean: true,
        note: `mean of ${E.count(group.length, "seed")}`,
        onset: common(group),
      };
      return [
        mean,
        ...(seeds ? group.map((one) => ({ ...one, who: one, mean: false, note: `seed ${one.seed}` })) : []),
      ];
    });
  };
  const common = (group) => (new Set(group.map((one) => one.onset)).size === 1 ? group[0].onset : null);

  const paint = (value, metric, unit, most) => {
    const share = E.scale(unit) === 100 ? value : value / most;
    const colour = value < 0 ? "#D55E00" : hue(metric);
    return E.painted(E.mix(colour, E.ground(), 0.04 + 0.9 * Math.min(1, Math.abs(share))));
  };

  const panel = (dataset, chosen, seeds, most) => {
    const unit = E.data.metrics[chosen.id].unit;
    const there = lines(seeds).filter((line) =>
      line.layers.some((layer) => E.data.value(chosen.id, chosen.by, line, dataset.id, layer) !== undefined),
    );
    if (!there.length) return null;
    const layers = [...new Set(there.flatMap((line) => line.layers))].sort((a, b) => a - b);
    const counts = new Set();
    const body = E.byModel(there, layers.length, (line, r) =>
      E.h(
        "tr",
        { className: line.mean ? "mean" : "seed" },
        E.h(
          "th",
          { scope: "row", title: `${line.label} ${line.note}` },
          E.h("span", { className: "dot", style: { backgroundColor: line.colour } }),
          line.mean ? line.label : "",
          line.seed && line.seed !== "all"
            ? E.h("span", { className: "quiet" }, ` ${line.mean ? "" : "seed "}${line.seed}`)
            : "",
        ),
        layers.map((layer, c) => {
          const i = E.data.value(chosen.id, chosen.by, line, dataset.id, layer);
          if (i === undefined)
            return E.h("td", { className: "gap", title: "no responses" }, line.layers.includes(layer) ? "–" : "");
          const { value, low, high, n } = E.data.rows;
          if (line.seed !== "all") counts.add(n[i]);
          const limits =
            low[i] === null
              ? ""
              : `, ${line.seed === "all" ? "seeds" : "95 %"} ${E.number(low[i] * E.scale(unit))} to ${E.number(high[i] * E.scale(unit))}`;
          const about = `${line.label} ${line.note || ""}, exit ${layer}${layer === line.default ? " (default)" : ""}${layer === line.onset ? " (onset)" : ""}: ${E.inUnit(value[i], unit)}${limits}, n = ${n[i]}`;
          return E.h(
            "td",
            {
              className: [layer === line.default && "default", layer === line.onset && "onset"]
                .filter(Boolean)
                .join(" "),
            },
            E.h(
              "a",
              {
                href: E.link("cell", { s: line.who.name, l: layer, d: dataset.id }),
                title: about,
                "aria-label": about,
                "data-stop": `${r},${c}`,
                "data-row": i,
                "data-value": value[i],
                style: paint(value[i], chosen.id, unit, most),
              },
              E.number(value[i] * E.scale(unit), E.scale(unit) === 100 ? 0 : 1),
            ),
          );
        }),
      ),
    );
    return E.h(
      "section",
      { className: "panel" },
      E.h(
        "h3",
        {},
        dataset.display,
        E.h("span", { className: "quiet" }, ` n ${counts.size > 1 ? "≤" : "="} ${Math.max(...counts)}`),
      ),
      E.h(
        "div",
        { className: "scroll" },
        E.walk(
          E.h(
            "table",
            { className: "heat", "aria-label": `${chosen.name} on ${dataset.display}` },
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
            body,
          ),
        ),
      ),
    );
  };

  E.screens.map = {
    draw(params) {
      const all = choices();
      const chosen =
        all.find((one) => one.key === params.m) ??
        all.find((one) => one.id === FIRST.find((id) => all.some((other) => other.id === id))) ??
        all[0];
      if (!chosen) return E.h("p", {}, "There are no metrics yet.");
      const seeds = params.seeds === "1";
      const many = E.data.subjects.some((one) => one.layers.length > 12);
      const several = E.data.subjects.length > lines(false).length;
      const of = E.data.cases.filter((i) => E.data.rows.metric[i] === chosen.id);
      const most = Math.max(...of.map((i) => Math.abs(E.data.rows.value[i])), 1e-9);
      const rows = () =>
        of
          .filter((i) => E.data.rows.judge[i] === chosen.by)
          .map((i) => Object.fromEntries(Object.entries(E.data.rows).map(([name, column]) => [name, column[i]])));
      const unit =
        { share: "percent", points: "points", score: "× 100" }[E.data.metrics[chosen.id].unit] ??
        E.data.metrics[chosen.id].unit;
      return [
        E.h(
          "div",
          { className: "controls" },
          E.select(
            "Metric",
            all.map((one) => [one.key, one.name]),
            chosen.key,
            (m) => E.set({ m }),
          ),
          several
            ? E.h(
                "label",
                { className: "tick" },
                E.h("input", {
                  type: "checkbox",
                  checked: seeds,
                  "data-key": "seeds",
                  onchange: () => E.set({ seeds: seeds ? "" : "1" }),
                }),
                " each seed",
              )
            : "",
          E.saver(`map-${chosen.id}`, rows),
        ),
        E.h(
          "p",
          { className: "note" },
          `${chosen.name}, ${unit}, by exit layer of the vision encoder${several ? "; arms with several seeds: their mean" : ""}. `,
          E.h("span", { className: "sample default" }),
          " default exit. ",
          E.data.subjects.some((one) => one.onset !== null)
            ? [E.h("span", { className: "sample onset" }), " Onset: the first exit whose probe reads the deep cue. "]
            : "",
          "Choose a value to see its responses.",
        ),
        E.h(
          "div",
          { className: many ? "panels wide" : "panels" },
          E.data.datasets.map((dataset) => panel(dataset, chosen, seeds, most)),
        ),
      ];
    },
  };
})();
