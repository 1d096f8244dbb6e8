"use strict";
// Numbers: any number of the paper by its key, the line that it comes from, and every step back to the raw inputs.
(() => {
  const LISTED = 60;
  const FILES = 4;
  const ROWS = [".jsonl", ".csv", ".json"];

  const search = (q) => {
    const words = q.toLowerCase().split(/\s+/).filter(Boolean);
    return E.data.numbers.key.flatMap((key, i) => (words.every((word) => key.toLowerCase().includes(word)) ? [i] : []));
  };

  // The row of a table that a number names as its source: [table's name, row], or none.
  const row = (i) => {
    const [place, line] = E.data.numbers.source[i].split(":");
    const name = place
      .split("/")
      .pop()
      .replace(/\.csv$/, "");
    const table = name === "metrics" ? E.data.rows : E.data.tables[name];
    if (!table || !line) return null;
    return Object.fromEntries(
      Object.entries(table).map(([column, values]) => [column, values[Number(line) - 2] ?? null]),
    );
  };

  // What a row is about, as sets of names that files carry: it hangs on files named after these, and on no others.
  const about = (found) => {
    if (!found || !("metric" in found)) return [];
    const choices = [];
    const { subjects, datasets, judges, roles } = E.data;
    if ("model" in found) {
      const whose = subjects.filter(
        (one) =>
          one.model === found.model && one.arm === (found.arm ?? "") && ["all", one.seed].includes(found.seed ?? ""),
      );
      choices.push([whose.map((one) => one.name), subjects.map((one) => one.name)]);
    }
    if (found.dataset) choices.push([[found.dataset], datasets.map((one) => one.id)]);
    const said = ["judge", "first", "second"].flatMap((column) => (found[column] ?? "").split("+")).filter(Boolean);
    if (said.length)
      choices.push([[...said, ...("truth" in found && roles.truth ? [roles.truth] : [])], judges.map((one) => one.id)]);
    if (found.layer !== null && found.layer !== undefined && !("p_holm" in found)) {
      const name = (layer) => `layer-${String(layer).padStart(2, "0")}`;
      choices.push([[name(found.layer)], [...new Set(subjects.flatMap((one) => one.layers.map(name)))]]);
    }
    return choices;
  };
  const narrowed = (paths, choices) =>
    choices.reduce((kept, [wanted, known]) => {
      const names = (path) =>
        path
          .split("/")
          .map((part) => part.replace(/\.(jsonl|csv)$/, ""))
          .filter((part) => known.includes(part));
      const named = kept.map((path) => [path, names(path)]);
      if (!named.some(([, found]) => found.some((name) => wanted.includes(name)))) return kept;
      return named
        .filter(([, found]) => !found.length || found.some((name) => wanted.includes(name)))
        .map(([path]) => path);
    }, paths);

  // The steps back from a number: [rule, outputs, inputs], in the order of the last job first.
  const chain = (i) => {
    const { jobs, files } = E.data.provenance;
    if (!jobs.length) return [];
    const path = (number) => files[number][0];
    const made = new Map(jobs.flatMap((job) => job.outputs.map((output) => [path(output), job])));
    const key = E.data.numbers.key[i];
    const places = E.data.numbers.source[i].split(", ").map((source) => source.split(":")[0]);
    const first = jobs[0].inputs
      .map(path)
      .filter((input) => places.some((place) => input === place || input.startsWith(`${place}/`)));
    const own = E.data.subjects.map((one) => one.name).filter((name) => `.${key}.`.includes(`.${name}.`));
    const choices = about(row(i));
    const aimed = choices.length || !own.length ? choices : [[own, E.data.subjects.map((one) => one.name)]];
    const used = new Map(),
      read = new Map();
    const waiting = [[jobs[0], jobs[0].outputs.map(path), first]];
    while (waiting.length) {
      const [job, outputs, given] = waiting.pop();
      const before = used.get(job) ?? new Set();
      if (before.size && outputs.every((output) => before.has(output))) continue;
      used.set(job, new Set([...before, ...outputs]));
      const rows = outputs.every((output) => ROWS.some((end) => output.endsWith(end)));
      const inputs = narrowed(given ?? job.inputs.map(path), rows ? aimed : []);
      read.set(job, new Set([...(read.get(job) ?? []), ...inputs]));
      for (const input of inputs) if (made.has(input)) waiting.push([made.get(input), [input], null]);
    }
    return jobs
      .filter((job) => used.has(job))
      .map((job) => ({ ...job, outputs: [...used.get(job)].sort(), inputs: [...read.get(job)].sort() }));
  };
  E.chain = (key) => chain(E.data.numbers.key.indexOf(key));

  const steps = (i) => {
    const found = chain(i);
    if (!found.length)
      return E.h("p", { className: "quiet" }, "There was no record of the run when this page was made.");
    const sums = new Map(E.data.provenance.files);
    const rules = new Map();
    for (const job of found) rules.set(job.step, [...(rules.get(job.step) ?? []), job]);
    const listed = (paths) =>
      E.h(
        "ul",
        { className: "mono" },
        paths
          .slice(0, FILES)
          .map((path) => E.h("li", {}, `${(sums.get(path) ?? "").slice(0, 12) || "gone".padEnd(12)}  ${path}`)),
        paths.length > FILES
          ? E.h(
              "li",
              {},
              E.h(
                "details",
                {},
                E.h("summary", {}, `and ${paths.length - FILES} more files`),
                E.h(
                  "ul",
                  {},
                  paths.slice(FILES).map((path) => E.h("li", {}, `${(sums.get(path) ?? "").slice(0, 12)}  ${path}`)),
                ),
              ),
            )
          : "",
      );
    return E.h(
      "ol",
      { className: "chain" },
      [...rules].map(([rule, jobs]) =>
        E.h(
          "li",
          {},
          E.h("strong", {}, rule),
          E.h(
            "span",
            { className: "quiet" },
            jobs.length > 1 ? ` ${jobs.length} jobs` : ` spec ${jobs[0].spec.slice(0, 12)}`,
          ),
          listed([...new Set(jobs.flatMap((job) => job.outputs))]),
        ),
      ),
    );
  };

  const cell = (found) => {
    if (!found || found.layer === null || found.layer === undefined || !found.model) return null;
    const one = E.data.subjects.find(
      ({ model, arm, seed }) =>
        model === found.model && arm === (found.arm ?? "") && ["all", seed].includes(found.seed ?? ""),
    );
    return (
      one &&
      E.h(
        "a",
        { className: "button", href: E.link("cell", { s: one.name, l: found.layer, d: found.dataset }) },
        "Its responses",
      )
    );
  };

  const told = (i) => {
    const one = Object.fromEntries(Object.entries(E.data.numbers).map(([name, column]) => [name, column[i]]));
    const found = row(i);
    return E.h(
      "article",
      { className: "card number-card", "aria-label": one.key },
      E.h("h3", { className: "mono" }, one.key),
      E.h("p", { className: "big" }, one.text),
      E.h(
        "p",
        { className: "quiet" },
        one.value === null || typeof one.value === "string" ? "" : `value ${one.value}`,
        one.low === null ? "" : `, ${one.low} to ${one.high}`,
        one.n === null ? "" : `, n = ${one.n}`,
      ),
      E.h(
        "p",
        {},
        E.h("span", { className: "quiet" }, "from "),
        E.h("code", {}, one.source.replace(/:(\d+)/, ", line $1")),
        " ",
        cell(found),
      ),
      found
        ? E.h(
            "dl",
            { className: "fields" },
            Object.entries(found)
              .filter(([, value]) => value !== null && value !== "")
              .map(([name, value]) => [E.h("dt", {}, name), E.h("dd", {}, String(value))]),
          )
        : "",
      E.h("h4", {}, "Every step back"),
      steps(i),
    );
  };

  E.screens.numbers = {
    draw(params) {
      const q = params.q ?? "";
      const found = search(q);
      const shown = E.data.numbers.key.indexOf(params.key);
      const list = E.h("ul", { className: "keys-found" });
      const fill = (places) =>
        list.replaceChildren(
          ...places.slice(0, LISTED).map((i) =>
            E.h(
              "li",
              {},
              E.h(
                "a",
                {
                  href: E.link("numbers", { q: box.value, key: E.data.numbers.key[i] }),
                  className: "mono",
                  "aria-current": i === shown ? "true" : null,
                },
                E.data.numbers.key[i],
              ),
              E.h("span", {}, E.data.numbers.text[i].slice(0, 60)),
            ),
          ),
          E.h(
            "li",
            { className: "quiet" },
            places.length > LISTED
              ? `and ${places.length - LISTED} more: add a word`
              : `${E.count(places.length, "number")} of ${E.data.numbers.key.length}`,
          ),
        );
      const box = E.h("input", {
        type: "search",
        value: q,
        "data-key": "search",
        placeholder: "asr broad-default deep layer-03",
        "aria-label": "Search keys",
        oninput: () => fill(search(box.value)),
        onchange: () => E.set({ q: box.value }),
      });
      fill(found);
      const rows = () =>
        search(box.value).map((i) =>
          Object.fromEntries(Object.entries(E.data.numbers).map(([name, column]) => [name, column[i]])),
        );
      return [
        E.h(
          "div",
          { className: "controls" },
          E.h("label", { className: "field wide" }, E.h("span", {}, "Words of a key"), box),
          E.saver("numbers", rows),
        ),
        E.h(
          "div",
          { className: "two" },
          E.h("section", {}, list),
          shown < 0 ? E.h("p", { className: "quiet" }, "Choose a number to see where it comes from.") : told(shown),
        ),
      ];
    },
  };
})();
