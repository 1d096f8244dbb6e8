"use strict";
// Compare: this page with another one, of another run or another experiment. Nothing leaves the browser.
(() => {
  // Prompts are the same if text, kind and image are, whatever they are called.
  const identity = (data, p) =>
    [data.prompts.kind[p], data.prompts.text[p], data.prompts.image_sha256[p] ?? ""].join("\u0000");

  const matched = (one, other) => {
    const there = new Map(other.prompts.id.map((_, p) => [identity(other, p), p]));
    return one.prompts.id.flatMap((_, p) => (there.has(identity(one, p)) ? [[p, there.get(identity(one, p))]] : []));
  };

  E.open = async (text) => {
    const page = new DOMParser().parseFromString(text, "text/html");
    const part = (id) => {
      const found = page.getElementById(id)?.textContent;
      if (!found && id !== "pictures") throw new Error("this file is not an explorer's page");
      return found ?? "";
    };
    const other = await Data.front(part);
    await other.rest();
    E.other = other;
    E.same = matched(E.data, other);
    E.draw();
  };

  const choose = () => {
    const note = E.h("p", { className: "quiet", role: "status" });
    const file = E.h("input", {
      type: "file",
      accept: ".html",
      "aria-label": "Another explorer's page",
      onchange: async () => {
        note.textContent = "Reading …";
        try {
          await E.open(await file.files[0].text());
        } catch (error) {
          note.textContent = `Cannot compare: ${error.message}.`;
        }
      },
    });
    return E.h(
      "div",
      { className: "controls" },
      E.h("label", { className: "field" }, E.h("span", {}, "The page to compare with"), file),
      note,
    );
  };

  // Subjects of both pages with the same name first, then in order.
  const partner = (subject) =>
    E.other.at.get(E.data.subjects[subject].name) ?? Math.min(subject, E.other.subjects.length - 1);

  const differences = (metric, judge) => {
    const { value, model, arm, seed, dataset, layer } = E.data.rows;
    const unit = E.data.metrics[metric].unit;
    const cases = E.data.cases.filter(
      (i) =>
        E.data.rows.metric[i] === metric &&
        E.data.rows.judge[i] === judge &&
        seed[i] !== "all" &&
        E.other.values.has(E.data.key(i)),
    );
    const panels = E.data.datasets
      .map((one) => one.id)
      .filter((id) => cases.some((i) => dataset[i] === id))
      .map((id) => {
        const own = cases.filter((i) => dataset[i] === id);
        const at = new Map(own.map((i) => [[model[i], arm[i], seed[i], layer[i]].join("|"), i]));
        const layers = [...new Set(own.map((i) => layer[i]))].sort((a, b) => a - b);
        const place = (one, exit) => at.get([one.model, one.arm, one.seed, exit].join("|"));
        const lines = E.data.subjects.filter((one) => layers.some((exit) => place(one, exit) !== undefined));
        const cell = (i) => {
          if (i === undefined) return E.h("td", { className: "gap" });
          const by = value[i] - E.other.rows.value[E.other.values.get(E.data.key(i))];
          const colour = by < 0 ? "#D55E00" : "#0072b2";
          const style = by ? E.painted(E.mix(colour, E.ground(), 0.1 + 0.8 * Math.min(1, Math.abs(by)))) : {};
          const text = E.signed(by * E.scale(unit), E.scale(unit) === 100 ? 0 : 1);
          return E.h("td", {}, E.h("span", { className: "number", "data-value": by, style }, text));
        };
        const heads = layers.map((exit) => E.h("th", { scope: "col" }, exit));
        const body = E.byModel(lines, layers.length, (one) => {
          const name = E.h(
            "th",
            { scope: "row", title: one.name },
            one.label,
            E.h("span", { className: "quiet" }, ` ${one.seed}`),
          );
          return E.h(
            "tr",
            {},
            name,
            layers.map((exit) => cell(place(one, exit))),
          );
        });
        const head = E.h("thead", {}, E.h("tr", {}, E.h("th", { scope: "col", className: "corner" }, "exit"), heads));
        const title = E.h("h3", {}, E.data.dataset(id).display);
        return E.h(
          "section",
          { className: "panel" },
          title,
          E.h("div", { className: "scroll" }, E.h("table", { className: "heat" }, head, body)),
        );
      });
    return panels.length
      ? E.h("div", { className: "panels" }, panels)
      : E.h("p", {}, "No metric has the same names on both pages.");
  };

  const flips = (params) => {
    const { subject, layer } = E.chosen(params);
    const names = E.other.subjects.map((one) => one.name);
    const two = names.indexOf(params.o) >= 0 ? names.indexOf(params.o) : partner(subject);
    const layers = E.other.subjects[two].layers;
    const there =
      layers.includes(Number(params.ol)) && params.ol
        ? Number(params.ol)
        : layers.includes(layer)
          ? layer
          : E.other.subjects[two].default;
    const found = E.same
      .map(([p, q]) => [p, q, E.data.state(subject, layer, p), E.other.state(two, there, q)])
      .filter(([, , one, other]) => E.data.mark(one) !== null && E.other.mark(other) !== null);
    const word = (data, state) => data.marks[data.mark(state)].id;
    const changed = found.filter(([, , one, other]) => word(E.data, one) !== word(E.other, other));
    const counts = new Map();
    for (const [, , one, other] of changed) {
      const key = `${word(E.data, one)} → ${word(E.other, other)}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const say = (data, state, p) => (E.unsaid(p, state, data) ? null : data.text(state));
    const rows = () =>
      changed.map(([p, q, one, other]) => ({
        prompt_id: E.data.prompts.id[p],
        other_prompt_id: E.other.prompts.id[q],
        outcome: word(E.data, one),
        other_outcome: word(E.other, other),
        text: say(E.data, one, p),
        other_text: say(E.other, other, p),
      }));
    return [
      E.h(
        "div",
        { className: "controls" },
        E.pickSubject("Here", "s", E.data.subjects[subject].name),
        E.pickLayer("Exit", "l", subject, layer),
        E.select(
          "There",
          names.map((name) => [name, name]),
          names[two],
          (o) => E.set({ o }),
        ),
        E.select(
          "Exit",
          layers.map((one) => [one, String(one)]),
          there,
          (ol) => E.set({ ol }),
        ),
        E.saver("compare", rows),
      ),
      E.warning(...E.data.datasets.map((one) => one.id)),
      E.h(
        "p",
        { className: "lead" },
        E.h("strong", {}, `${changed.length} of ${found.length}`),
        " responses to the same prompts have another outcome there.",
      ),
      counts.size
        ? E.table(
            "Flips",
            ["From here to there", "Prompts"],
            [...counts].sort((x, y) => y[1] - x[1]).map(([key, n]) => [key, String(n)]),
          )
        : "",
      E.responses(
        changed.map(([p, q, one, other]) => {
          const { letter, colour, word: said } = E.other.marks[E.other.mark(other)];
          return [
            p,
            one,
            E.h(
              "span",
              {},
              " → ",
              E.h("span", { className: "chip", title: said, style: E.painted(E.rgb(colour)) }, letter),
              " ",
              say(E.other, other, p) ?? "",
            ),
          ];
        }),
        (p) => E.link("prompt", { p: E.data.prompts.id[p], s: E.data.subjects[subject].name, l: layer }),
      ),
    ];
  };

  E.screens.compare = {
    draw(params) {
      if (!E.other) {
        return [
          choose(),
          E.h(
            "p",
            { className: "note" },
            "Open the explorer of another run or experiment. Prompts are matched by their text and the checksum of their image, metrics by their names. The file is read in this browser and goes nowhere.",
          ),
        ];
      }
      const { about } = E.other;
      const metrics = [...new Set(E.data.cases.map((i) => `${E.data.rows.metric[i]}|${E.data.rows.judge[i]}`))].filter(
        (key) => E.other.cases.some((i) => `${E.other.rows.metric[i]}|${E.other.rows.judge[i]}` === key),
      );
      const chosen = metrics.includes(params.m)
        ? params.m
        : (metrics.find((key) => key.startsWith("refusal_gap")) ?? metrics[0]);
      return [
        choose(),
        E.h(
          "p",
          { className: "lead" },
          E.h("strong", {}, `${E.same.length} of ${E.data.count} prompts`),
          ` are also in ${about.experiment} (version ${about.version}${about.commit ? `, commit ${about.commit}` : ""}).`,
        ),
        chosen
          ? [
              E.h(
                "div",
                { className: "controls" },
                E.select(
                  "Metric, here less there",
                  metrics.map((key) => [
                    key,
                    `${E.data.metrics[key.split("|")[0]].label} (${E.data.judgeName(key.split("|")[1])})`,
                  ]),
                  chosen,
                  (m) => E.set({ m }),
                ),
              ),
              differences(...chosen.split("|")),
            ]
          : E.h("p", {}, "The two pages share no metric."),
        E.same.length ? flips(params) : "",
      ];
    },
  };
})();
