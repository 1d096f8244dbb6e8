"use strict";
// What an explorer's page holds, unpacked: that of this page, or of another that a reader opens to compare.

E.bytes = async (text) => {
  const raw = atob(text);
  const packed = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) packed[i] = raw.charCodeAt(i);
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
};
E.json = async (text) => JSON.parse(new TextDecoder().decode(await E.bytes(text)));
E.column = (packed) => (Array.isArray(packed) ? packed : packed.codes.map((code) => packed.values[code]));
E.columns = (packed) => Object.fromEntries(Object.entries(packed).map(([name, one]) => [name, E.column(one)]));

const ARRAYS = {
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
};
const NONE = 255;

class Data {
  // `part` gives the text of one of the page's blocks: front, details, arrays, pictures.
  static async front(part) {
    const data = new Data();
    data.part = part;
    Object.assign(data, await E.json(part("front")));
    data.rows = E.columns(data.rows);
    data.at = new Map(data.subjects.map((subject, number) => [subject.name, number]));
    data.cases = data.rows.layer.flatMap((layer, i) => (layer === null || data.rows.group[i] === "Default" ? [] : [i]));
    data.values = new Map(data.cases.map((i) => [data.key(i), i]));
    return data;
  }

  key(i) {
    const { metric, judge, model, arm, seed, dataset, layer } = this.rows;
    return [metric[i], judge[i], model[i], arm[i], seed[i], dataset[i], layer[i]].join("|");
  }

  // One row of metrics.csv, or undefined.
  value(metric, judge, { model, arm, seed }, dataset, layer) {
    return this.values.get([metric, judge, model, arm, seed, dataset, layer].join("|"));
  }

  async rest() {
    const [details, buffer] = await Promise.all([E.json(this.part("details")), E.bytes(this.part("arrays"))]);
    const { prompts, texts, pictures, tables, numbers, provenance, arrays } = details;
    Object.assign(this, { texts, pictures, provenance, prompts: E.columns(prompts), numbers: E.columns(numbers) });
    this.tables = Object.fromEntries(Object.entries(tables).map(([name, one]) => [name, E.columns(one)]));
    this.arrays = Object.fromEntries(
      Object.entries(arrays).map(([name, [type, at, length]]) => [name, new ARRAYS[type](buffer, at, length)]),
    );
    this.count = this.prompts.id.length;
    this.place = new Map(this.prompts.id.map((id, number) => [id, number]));
    this.starts = [];
    let start = 0;
    for (const subject of this.subjects) {
      this.starts.push(start);
      start += subject.layers.length * this.count;
    }
    this.clusters = new Map();
    this.prompts.cluster.forEach((cluster, p) => {
      const key = `${this.prompts.dataset[p]}|${cluster}`;
      if (!this.clusters.has(key)) this.clusters.set(key, []);
      this.clusters.get(key).push(p);
    });
    this.disputes = new Int16Array(this.arrays.kind.length).fill(-1);
    return this;
  }

  // Prompts, by number.
  prompt(p) {
    return Object.fromEntries(Object.entries(this.prompts).map(([field, column]) => [field, column[p]]));
  }
  asked(dataset, kind = null) {
    const { dataset: of, kind: kinds } = this.prompts;
    const found = [];
    for (let p = 0; p < this.count; p++) if (of[p] === dataset && (!kind || kinds[p] === kind)) found.push(p);
    return found;
  }
  mates(p) {
    return this.clusters.get(`${this.prompts.dataset[p]}|${this.prompts.cluster[p]}`);
  }
  // A hazard and its benign twin, or a prompt alone.
  pair(p) {
    if (!this.dataset(this.prompts.dataset[p])?.twins) return [p];
    const mates = this.mates(p);
    const of = (kind) => mates.find((mate) => this.prompts.kind[mate] === kind);
    return [of("harmful"), of("benign")].filter((mate) => mate !== undefined);
  }
  dataset(id) {
    return this.datasets.find((one) => one.id === id);
  }
  judge(id) {
    return this.judges.find((one) => one.id === id);
  }
  judgeName(ids) {
    return ids
      .split("+")
      .map((id) => this.judge(id)?.display ?? id)
      .join(", then ");
  }
  kinds(dataset) {
    return [...new Set(this.asked(dataset).map((p) => this.prompts.kind[p]))];
  }
  attributes(dataset) {
    const found = {};
    for (const p of this.asked(dataset)) {
      for (const [name, value] of Object.entries(this.prompts.attributes[p])) (found[name] ??= new Set()).add(value);
    }
    return Object.fromEntries(Object.entries(found).map(([name, values]) => [name, [...values].sort()]));
  }

  // Responses: the state of a prompt in a cell, as a number, or -1.
  state(subject, layer, p) {
    const row = this.subjects[subject].layers.indexOf(layer);
    return row < 0 ? -1 : this.arrays.cells[this.starts[subject] + row * this.count + p] - 1;
  }
  margin(subject, layer, p) {
    const row = this.subjects[subject].layers.indexOf(layer);
    const found = this.arrays[`margin ${subject}`]?.[row * this.count + p];
    return found === undefined || Number.isNaN(found) ? null : found;
  }
  mark(state) {
    return state < 0 || this.arrays.mark[state] === NONE ? null : this.arrays.mark[state];
  }
  text(state) {
    return this.texts[this.arrays.text[state]];
  }
  label(state, judge) {
    const code = this.arrays[`label ${judge.id}`][state];
    return code === NONE ? null : judge.labels[code];
  }
  verdicts(state) {
    const outcome = this.marks[this.mark(state)]?.id;
    return this.judges.flatMap((judge) => {
      const label = this.label(state, judge);
      if (label === null) return [];
      const score = this.arrays[`score ${judge.id}`]?.[state];
      const against = outcome !== undefined && Data.against(judge, label, outcome);
      return [
        {
          judge,
          label,
          against,
          cut: Boolean(this.arrays[`cut ${judge.id}`]?.[state]),
          score: score === undefined || Number.isNaN(score) ? null : score,
        },
      ];
    });
  }
  // Whether a judge's label contradicts an outcome: it claims another, or it could have claimed this one and did not.
  static against(judge, label, outcome) {
    const claim = judge.claims[label];
    return claim ? claim !== outcome : Object.values(judge.claims).includes(outcome);
  }
  // How many judges contradict the outcome of a state.
  dispute(state) {
    if (this.disputes[state] < 0) {
      const vision = this.kind_names[this.arrays.kind[state]] === "vqa";
      this.disputes[state] = vision ? 0 : this.verdicts(state).filter((one) => one.against).length;
    }
    return this.disputes[state];
  }
  tokens(state) {
    return this.arrays.tokens[state];
  }
  finish(state) {
    return ["stop", "length"][this.arrays.finish[state]];
  }

  // The image of a prompt as a canvas of its own size; of a twin, its hazard's with the differing part laid over it.
  picture(number) {
    this.drawn ??= new Map();
    if (!this.drawn.has(number)) this.drawn.set(number, this.draw(number));
    return this.drawn.get(number);
  }
  async draw(number) {
    const { of, x = 0, y = 0, type, at, length } = this.pictures[number];
    const image = new Image();
    image.src = `data:${type};base64,${this.part("pictures").substr(at, length)}`;
    await image.decode();
    const base = of === undefined ? null : await this.picture(of);
    const canvas = E.h("canvas", { width: (base ?? image).width, height: (base ?? image).height });
    const pen = canvas.getContext("2d");
    if (base) pen.drawImage(base, 0, 0);
    pen.drawImage(image, x, y);
    canvas.differs = base ? { x, y, width: image.width, height: image.height } : null;
    return canvas;
  }
}
