// Sliders over one next-token distribution. The logits are cached here: a slider never asks the
// kernel. The kernel is asked for new logits when the prompt changes or a token has been drawn.

const BARS = 20;
const RUN_LENGTH = 20;
const SLIDERS = [
  { name: "temperature", label: "Temperature", min: 0.05, max: 3, step: 0.05, digits: 2 },
  { name: "top_k", label: "Top-k (0: all)", min: 0, max: 100, step: 1, digits: 0 },
  { name: "top_p", label: "Top-p", min: 0.01, max: 1, step: 0.01, digits: 2 },
  { name: "min_p", label: "Min-p", min: 0, max: 0.5, step: 0.01, digits: 2 },
];

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** Token ids from the most to the least probable, with their logits. Once for each new token. */
export function rank(logits) {
  const order = Uint32Array.from(logits, (_, token) => token);
  order.sort((a, b) => logits[b] - logits[a] || a - b);
  return { order, sorted: Float64Array.from(order, (token) => logits[token]) };
}

/** Temperature, top-k, top-p, min-p, in this order. Sorted input keeps the kept tokens in front:
 *  what each filter decides is only how many. */
export function filter(sorted, { temperature, top_k, top_p, min_p }) {
  const heated = sorted.map((logit) => Math.exp((logit - sorted[0]) / temperature));
  const total = heated.reduce((sum, weight) => sum + weight, 0);
  let kept = heated.length;
  if (top_k > 0 && top_k < kept) {
    kept = top_k;
    while (kept < sorted.length && sorted[kept] === sorted[top_k - 1]) kept += 1;
  }
  let mass = 0;
  for (let i = 0; i < kept; i += 1) mass += heated[i];
  if (top_p < 1) {
    const goal = top_p * mass;
    let reached = 0;
    let size = 0;
    while (size < kept && reached < goal) reached += heated[size++];
    kept = Math.max(1, size);
  }
  while (kept > 1 && heated[kept - 1] < min_p * heated[0]) kept -= 1;
  mass = 0;
  for (let i = 0; i < kept; i += 1) mass += heated[i];
  let entropy = 0;
  for (let i = 0; i < kept; i += 1) {
    const p = heated[i] / mass;
    if (p > 0) entropy -= p * Math.log2(p);
  }
  return { heated, total, kept, mass, entropy: Math.abs(entropy) };
}

/** A small seeded generator (mulberry32), so that a seed repeats a run in every browser. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const percent = (share) => `${(100 * share).toFixed(share < 0.001 && share > 0 ? 3 : 1)}%`;

function render({ model, el }) {
  el.classList.add("course-widget", "course-explorer");
  const prompt = element("textarea", { rows: 2, "aria-label": "Prompt to continue" });
  const problem = element("p", { role: "alert", class: "course-problem" });
  const sliders = element("div", { class: "course-sliders" });
  const inputs = {};
  for (const { name, label, min, max, step } of SLIDERS) {
    const output = element("output");
    const input = element("input", { type: "range", min, max, step, "aria-label": label });
    input.oninput = () => {
      model.set(name, Number(input.value));
      draw();
    };
    input.onchange = () => model.save_changes();
    inputs[name] = { input, output };
    sliders.append(element("label", {}, element("span", {}, label), input, output));
  }
  const step = element("button", { type: "button" }, "Draw a token");
  const run = element("button", { type: "button" }, `Run ${RUN_LENGTH}`);
  const restart = element("button", { type: "button" }, "Start again");
  const seed = element("input", { type: "number", min: 0, step: 1, "aria-label": "Seed" });
  const controls = element("div", { class: "course-controls" }, step, run, restart, "Seed", seed);
  const summary = element("p", { class: "course-summary" });
  const table = element("table", { class: "course-histogram", "aria-label": "Next tokens" });
  const rows = Array.from({ length: BARS }, () => {
    const row = { token: element("th", { scope: "row" }), bar: element("span"), text: element("td") };
    row.node = element("tr", {}, row.token, element("td", { class: "course-track" }, row.bar), row.text);
    return row;
  });
  table.append(...rows.map((row) => row.node));
  const drawn = element("p", { "aria-live": "polite" });
  const history = element("p", { class: "course-history", "aria-label": "Text so far" });
  el.append(prompt, problem, sliders, controls, summary, table, drawn, history);

  let ranked = { order: [], sorted: new Float64Array(0), view: null };
  let random = randomFrom(model.get("seed"));
  let toRun = 0;
  let starts = 0;
  let last = null;

  function settings() {
    return Object.fromEntries(SLIDERS.map(({ name }) => [name, model.get(name)]));
  }

  function draw() {
    for (const { name, digits } of SLIDERS) {
      inputs[name].input.value = model.get(name);
      inputs[name].output.textContent = model.get(name).toFixed(digits);
    }
    problem.textContent = model.get("problem");
    step.disabled = run.disabled = model.get("ended") || Boolean(model.get("problem"));
    if (!ranked.sorted.length) return;
    const { heated, total, kept, mass, entropy } = filter(ranked.sorted, settings());
    summary.textContent =
      `Kept ${kept.toLocaleString("en")} of ${heated.length.toLocaleString("en")} tokens: ` +
      `${percent(mass / total)} of the mass, ${percent(1 - mass / total)} dropped. ` +
      `Entropy ${entropy.toFixed(2)} bits.`;
    const pieces = model.get("pieces");
    rows.forEach((row, i) => {
      row.node.hidden = i >= pieces.length;
      if (row.node.hidden) return;
      const stays = i < kept;
      const share = heated[i] / (stays ? mass : total);
      row.token.textContent = pieces[i];
      row.bar.style.width = percent(share);
      row.node.className = stays ? "course-kept" : "course-dropped";
      row.text.textContent = stays ? percent(share) : `dropped (${percent(share)})`;
    });
  }

  function drawToken() {
    const { heated, kept, mass } = filter(ranked.sorted, settings());
    let left = random() * mass;
    let place = 0;
    while (place < kept - 1 && left >= heated[place]) left -= heated[place++];
    last = { place, probability: heated[place] / mass };
    const count = model.get("history").length;
    model.set("chosen", { id: ranked.order[place], probability: last.probability, count });
    model.save_changes();
  }

  function begin() {
    toRun = 0;
    last = null;
    random = randomFrom(model.get("seed"));
    drawn.textContent = "";
  }

  function showText() {
    const tokens = model.get("history");
    history.replaceChildren(
      element("span", {}, model.get("prompt")),
      ...tokens.map(({ piece, probability }) =>
        element("mark", { title: `drawn with probability ${percent(probability)}` }, piece),
      ),
    );
    if (tokens.length && last) {
      const { piece, probability } = tokens[tokens.length - 1];
      drawn.textContent =
        `Drawn: "${piece}", number ${(last.place + 1).toLocaleString("en")} in the order, ` +
        `with probability ${percent(probability)}.`;
    }
  }

  function receiveLogits() {
    const view = model.get("logits");
    if (view !== ranked.view) {
      const bytes = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
      ranked = { ...rank(new Float32Array(bytes)), view };
    }
    draw();
    showText();
  }

  function receiveHistory() {
    receiveLogits();
    if (toRun > 0 && !model.get("ended")) {
      toRun -= 1;
      drawToken();
    }
  }

  step.onclick = drawToken;
  run.onclick = () => {
    toRun = RUN_LENGTH - 1;
    drawToken();
  };
  restart.onclick = () => {
    begin();
    starts += 1;
    model.set("chosen", { starts });
    model.save_changes();
  };
  seed.value = model.get("seed");
  seed.onchange = () => {
    model.set("seed", Math.max(0, Math.floor(Number(seed.value) || 0)));
    restart.onclick();
  };
  prompt.value = model.get("prompt");
  prompt.onchange = () => {
    begin();
    model.set("prompt", prompt.value);
    model.save_changes();
  };

  model.on("change:logits", receiveLogits);
  model.on("change:history", receiveHistory);
  model.on("change:problem change:ended", draw);
  receiveHistory();
}

export default { render };
