"use strict";
// Pieces that several screens share. Those that show words or images keep real harmful text out of the page until a
// reader asks for it; the choice is forgotten when the tab is closed.

const ASKED = "explorer-show-harmful";
E.shown = () => {
  try {
    return E.showing || sessionStorage.getItem(ASKED) === "yes";
  } catch {
    return Boolean(E.showing);
  }
};
E.show = (yes) => {
  E.showing = yes;
  try {
    yes ? sessionStorage.setItem(ASKED, "yes") : sessionStorage.removeItem(ASKED);
  } catch {
    /* no storage here */
  }
  E.draw();
};
const real = (p) => !E.shown() && !E.data.dataset(E.data.prompts.dataset[p]).invented;
E.hidden = (p) => real(p) && E.data.prompts.kind[p] === "harmful";
// A response is hidden with its request, and wherever it was found to be harmful.
E.unsaid = (p, state, data = E.data) => E.hidden(p) || (real(p) && data.marks[data.mark(state)]?.id === "harmful");
E.hides = (datasets) => datasets.some((id) => !E.data.dataset(id)?.invented && E.data.asked(id, "harmful").length);

// The warning, or the way back; nothing where nothing is hidden.
E.warning = (...datasets) => {
  if (!E.hides(datasets)) return null;
  if (E.shown()) {
    return E.h(
      "p",
      { className: "note" },
      "Real harmful text is shown. ",
      E.h("button", { className: "small", onclick: () => E.show(false) }, "Hide it again"),
    );
  }
  return E.h(
    "div",
    { className: "warning", role: "note" },
    E.h("strong", {}, "Hidden: real harmful requests and what models answered. "),
    "Some are dangerous or distressing. Outcomes, verdicts and scores are shown without them. ",
    E.h("button", { className: "small", "data-show": "", onclick: () => E.show(true) }, "Show them in this tab"),
  );
};

E.words = (p, state) => {
  if (state < 0) return E.h("span", { className: "quiet" }, "no response");
  if (E.unsaid(p, state)) return E.h("span", { className: "veil" }, "hidden");
  const text = E.data.text(state);
  if (text === null) return E.h("span", { className: "quiet" }, "words left out of this page");
  return text === "" ? E.h("span", { className: "quiet" }, "(empty)") : E.h("q", { className: "said" }, text);
};
E.question = (p) =>
  E.hidden(p) ? E.h("span", { className: "veil" }, "hidden") : E.h("q", { className: "said" }, E.data.prompts.text[p]);
E.heard = (p, state) => (state < 0 || E.unsaid(p, state) ? null : E.data.text(state));

E.chip = (mark, about = "") => {
  if (mark === null) return E.h("span", { className: "chip none", title: "not decided" }, "·");
  const { word, letter, colour } = E.data.marks[mark];
  return E.h(
    "span",
    { className: "chip", style: E.painted(E.rgb(colour)), title: `${about}${word}` },
    E.h("span", { "aria-hidden": "true" }, letter),
    E.h("span", { className: "away" }, word),
  );
};
E.legend = (marks = E.data.marks.map((_, number) => number)) =>
  E.h(
    "ul",
    { className: "legend", "aria-label": "Outcomes" },
    marks.map((mark) => E.h("li", {}, E.chip(mark), ` ${E.data.marks[mark].word}`)),
  );

// An image, enlarged without blur; of a twin, the part in which it differs from its hazard is outlined.
E.image = (p, size, outlined = null) => {
  const { picture, image } = E.data.prompt(p);
  const box = E.h("div", { className: "image", style: { width: `${size}px`, minHeight: `${Math.min(size, 40)}px` } });
  if (image === null) return (box.append(E.h("span", { className: "quiet" }, "no image")), box);
  if (E.hidden(p)) return (box.append(E.h("span", { className: "veil" }, "hidden")), box);
  if (picture === null) {
    if (size > 60) box.append(E.h("span", { className: "quiet path" }, `Image not in this page: ${image}`));
    return box;
  }
  const whole = E.data.picture(E.data.prompts.picture[outlined ?? p] ?? picture);
  Promise.all([E.data.picture(picture), whole]).then(([canvas, other]) => {
    const copy = E.h("canvas", {
      width: canvas.width,
      height: canvas.height,
      role: "img",
      "aria-label": `Image of ${E.data.prompts.id[p]}`,
    });
    copy.getContext("2d").drawImage(canvas, 0, 0);
    copy.className = canvas.width < size ? "sharp" : "";
    box.append(copy);
    const part = other.differs;
    if (outlined !== null && part) {
      const share = (value, of) => `${(100 * value) / of}%`;
      box.append(
        E.h("span", {
          className: "outline",
          title: "where hazard and twin differ",
          style: {
            left: share(part.x, canvas.width),
            top: share(part.y, canvas.height),
            width: share(part.width, canvas.width),
            height: share(part.height, canvas.height),
          },
        }),
      );
    }
  });
  return box;
};

// Choices that many screens have. Each changes one part of the address.
E.subjectOptions = () => {
  const several = new Set(E.data.subjects.map((one) => one.model)).size > 1;
  return E.data.subjects.map(({ name, model, arm, seed }, number) => [
    name,
    [arm || E.data.models[model], seed && `seed ${seed}`].filter(Boolean).join(", "),
    several && arm ? E.data.models[model] : "",
  ]);
};
E.subjectName = (number) => {
  const { label, model, arm, seed } = E.data.subjects[number];
  const other = arm && model !== E.data.subjects[0].model ? ` (${E.data.models[model]})` : "";
  return `${label}${seed ? `, seed ${seed}` : ""}${other}`;
};
// The body of a table of subjects: a heading before the arms of each model, where there are several models.
E.byModel = (rows, columns, draw) => {
  const several = new Set(E.data.subjects.map((one) => one.model)).size > 1;
  let last = null;
  return E.h(
    "tbody",
    {},
    rows.map((row, number) => {
      const head = several && row.arm && row.model !== last;
      last = row.model;
      return [
        head
          ? E.h(
              "tr",
              { className: "group" },
              E.h("th", { scope: "rowgroup", colSpan: columns + 1 }, E.data.models[row.model]),
            )
          : "",
        draw(row, number),
      ];
    }),
  );
};
E.pickSubject = (label, key, value) => E.select(label, E.subjectOptions(), value, (chosen) => E.set({ [key]: chosen }));
E.pickLayer = (label, key, subject, value) => {
  const { layers, default: usual, onset } = E.data.subjects[subject];
  const about = (layer) => (layer === usual ? " (default)" : layer === onset ? " (onset)" : "");
  return E.select(
    label,
    layers.map((layer) => [layer, `${layer}${about(layer)}`]),
    value,
    (chosen) => E.set({ [key]: chosen }),
  );
};
E.pickDataset = (value, key = "d", ids = E.data.datasets.map((one) => one.id)) =>
  E.select(
    "Data set",
    ids.map((id) => [id, E.data.dataset(id).display]),
    value,
    (chosen) => E.set({ [key]: chosen }),
  );

// What the address names, or the first that there is.
E.chosen = (params) => {
  const first = E.data.subjects.findIndex((one) => one.aligned);
  const subject = E.data.at.get(params.s) ?? Math.max(first, 0);
  const { layers, default: usual } = E.data.subjects[subject];
  const layer = layers.includes(Number(params.l)) && params.l !== undefined ? Number(params.l) : usual;
  const dataset =
    E.data.dataset(params.d)?.id ?? (E.data.datasets.find((one) => one.cue === "deep") ?? E.data.datasets[0]).id;
  return { subject, layer, dataset };
};

// Verdicts of one state, those that contradict the outcome first.
E.verdicts = (state) =>
  E.h(
    "ul",
    { className: "verdicts" },
    E.data
      .verdicts(state)
      .sort((a, b) => b.against - a.against)
      .map(({ judge, label, score, cut, against }) =>
        E.h(
          "li",
          { className: against ? "against" : "" },
          E.h("span", { className: "quiet" }, `${judge.display}: `),
          label,
          score === null ? "" : E.h("span", { className: "quiet" }, ` ${E.number(score, 3)}`),
          cut
            ? E.h(
                "span",
                { className: "quiet", title: "longer than the judge reads at once: its parts were judged" },
                " in parts",
              )
            : "",
          against ? E.h("span", { className: "flag", title: "contradicts the outcome" }, " ≠") : "",
        ),
      ),
  );

// A list of responses: thumbnail, question, words, verdicts. `items` are [prompt, state, note]; more on demand.
E.responses = (items, link) => {
  const list = E.h("ol", { className: "responses" });
  const STEP = 40;
  let done = 0;
  const more = E.h("button", { onclick: () => fill() });
  const fill = () => {
    for (const [p, state, note] of items.slice(done, done + STEP)) {
      list.append(
        E.h(
          "li",
          {},
          E.image(p, 40),
          E.h(
            "div",
            {},
            E.h("div", { className: "line" }, E.chip(E.data.mark(state)), E.words(p, state), note ?? ""),
            E.h("div", { className: "quiet line" }, E.h("a", { href: link(p) }, E.data.prompts.id[p]), E.question(p)),
          ),
          state < 0 ? "" : E.verdicts(state),
        ),
      );
    }
    done = Math.min(done + STEP, items.length);
    more.hidden = done >= items.length;
    more.textContent = `Show more (${items.length - done} left)`;
  };
  fill();
  return E.h("div", {}, list, more);
};

// One response as a row of a file; hidden words stay out of it.
E.row = (subject, layer, p, state) => {
  const { name } = E.data.subjects[subject];
  const { id, dataset, kind, cluster } = E.data.prompt(p);
  const row = {
    subject: name,
    layer,
    prompt_id: id,
    dataset,
    kind,
    cluster,
    outcome: E.data.marks[E.data.mark(state)]?.id ?? null,
    text: E.heard(p, state),
  };
  for (const { judge, label, score, cut } of state < 0 ? [] : E.data.verdicts(state)) {
    row[judge.id] = label;
    if (score !== null) row[`${judge.id}_score`] = score;
    if (cut) row[`${judge.id}_cut`] = true;
  }
  const margin = E.data.margin(subject, layer, p);
  return margin === null ? row : { ...row, margin };
};

// Shares of outcomes as one bar, with the counts written beside it.
E.bar = (counts, label) => {
  const total = counts.reduce((sum, n) => sum + n, 0);
  const parts = counts.map((n, mark) => [n, mark]).filter(([n]) => n);
  return E.h(
    "figure",
    { className: "bar" },
    E.h("figcaption", {}, label, E.h("span", { className: "quiet" }, ` n = ${total}`)),
    E.h(
      "div",
      {
        className: "stack",
        role: "img",
        "aria-label": parts.map(([n, mark]) => `${E.data.marks[mark].word} ${n}`).join(", "),
      },
      parts.map(([n, mark]) =>
        E.h(
          "span",
          {
            title: `${E.data.marks[mark].word}: ${n} of ${total}`,
            style: { ...E.painted(E.rgb(E.data.marks[mark].colour)), flexGrow: n },
          },
          n / total > 0.06 ? E.data.marks[mark].letter : "",
        ),
      ),
    ),
    E.h(
      "div",
      { className: "counts" },
      parts.map(([n, mark]) =>
        E.h("span", {}, E.chip(mark), ` ${E.data.marks[mark].word} ${n} (${E.number((100 * n) / total)} %)`),
      ),
    ),
  );
};
E.tally = (states) => {
  const counts = E.data.marks.map(() => 0);
  for (const state of states) if (E.data.mark(state) !== null) counts[E.data.mark(state)]++;
  return counts;
};
