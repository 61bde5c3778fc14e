// Left: a button for every head, drawn small. Right: the chosen head large, and the tokens with
// the chosen token's weights in numbers. Arrow keys walk over heads and over tokens.

const STEPS = 65535;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// Light to dark, so that it reads without colour.
function shade(weight) {
  const w = Math.sqrt(weight);
  return [247 - 239 * w, 251 - 203 * w, 255 - 148 * w, 255];
}

function paint(canvas, weights) {
  const count = Math.round(Math.sqrt(weights.length));
  canvas.width = canvas.height = count;
  const context = canvas.getContext("2d");
  const image = context.createImageData(count, count);
  weights.forEach((value, index) => image.data.set(shade(value / STEPS), index * 4));
  context.putImageData(image, 0, 0);
}

function render({ model, el }) {
  let token = 0;
  let all = new Uint16Array();
  el.classList.add("course-widget");

  const input = element("input", { type: "text", "aria-label": "Text to read" });
  const form = element("form", {}, input, element("button", { type: "submit" }, "Read this text"));
  const problem = element("p", { role: "alert", class: "course-problem" });
  const grid = element("div", { class: "course-heads", role: "group", "aria-label": "Heads: arrow keys choose" });
  const title = element("h4", {});
  const large = element("canvas", { class: "course-large", "aria-hidden": "true" });
  const strip = element("div", { class: "course-tokens", role: "group", "aria-label": "Tokens: arrow keys choose" });
  const sentence = element("p", { "aria-live": "polite", class: "course-detail" });
  const panel = element("div", { class: "course-panel" }, title, large, strip, sentence);
  el.append(form, problem, element("div", { class: "course-columns" }, grid, panel));

  const count = () => model.get("tokens").length;
  function weightsOf(layer, head) {
    const size = count() ** 2;
    const start = (layer * model.get("heads") + head) * size;
    return all.subarray(start, start + size);
  }

  function chooseHead(layer, head, move) {
    layer = Math.max(0, Math.min(model.get("layers") - 1, layer));
    head = Math.max(0, Math.min(model.get("heads") - 1, head));
    model.set("layer", layer);
    model.set("head", head);
    model.save_changes();
    drawHead();
    if (move) grid.querySelector("[tabindex='0']").focus();
  }

  function drawHead() {
    const [layer, head] = [model.get("layer"), model.get("head")];
    for (const button of grid.children) {
      const chosen = button.dataset.layer == layer && button.dataset.head == head;
      button.tabIndex = chosen ? 0 : -1;
      button.setAttribute("aria-pressed", chosen);
    }
    title.textContent = `Layer ${layer}, head ${head}`;
    paint(large, weightsOf(layer, head));
    drawToken();
  }

  function drawToken() {
    const tokens = model.get("tokens");
    const row = weightsOf(model.get("layer"), model.get("head")).subarray(
      token * count(), (token + 1) * count());
    [...strip.children].forEach((button, index) => {
      const percent = (100 * row[index]) / STEPS;
      button.tabIndex = index === token ? 0 : -1;
      button.setAttribute("aria-pressed", index === token);
      button.querySelector(".course-bar").style.height = `${percent}%`;
      button.querySelector(".course-id").textContent = percent >= 0.5 ? `${percent.toFixed(0)}%` : "";
    });
    const best = [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, 3);
    const parts = best.filter((index) => row[index] / STEPS >= 0.01).map((index) =>
      `${((100 * row[index]) / STEPS).toFixed(0)}% to "${tokens[index]}" (${index + 1})`);
    sentence.textContent = `Token ${token + 1}, "${tokens[token]}", gives ${parts.join(", ")}.`;
  }

  function chooseToken(index, move) {
    token = Math.max(0, Math.min(count() - 1, index));
    drawToken();
    if (move) strip.children[token].focus();
  }

  function drawAll() {
    const view = model.get("weights");
    all = new Uint16Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    if (all.length !== model.get("layers") * model.get("heads") * count() ** 2) return;
    token = count() - 1;
    grid.style.gridTemplateColumns = `repeat(${model.get("heads")}, 1.6rem)`;
    const buttons = [];
    for (let layer = 0; layer < model.get("layers"); layer++) {
      for (let head = 0; head < model.get("heads"); head++) {
        const canvas = element("canvas", { "aria-hidden": "true" });
        const label = `Layer ${layer}, head ${head}`;
        const button = element("button", { type: "button", "aria-label": label, title: label }, canvas);
        Object.assign(button.dataset, { layer, head });
        paint(canvas, weightsOf(layer, head));
        button.onclick = () => chooseHead(layer, head, false);
        button.onkeydown = (event) => {
          const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
          if (!step) return;
          event.preventDefault();
          chooseHead(layer + step[0], head + step[1], true);
        };
        buttons.push(button);
      }
    }
    grid.replaceChildren(...buttons);
    strip.replaceChildren(...model.get("tokens").map((piece, index) => {
      const button = element("button", { type: "button" },
        element("span", { class: "course-gauge" }, element("span", { class: "course-bar" })),
        element("span", { class: "course-piece" }, piece),
        element("span", { class: "course-id" }));
      button.onmouseenter = () => chooseToken(index, false);
      button.onfocus = () => chooseToken(index, false);
      button.onkeydown = (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        chooseToken(index + step, true);
      };
      return button;
    }));
    drawHead();
  }

  large.onmousemove = (event) =>
    chooseToken(Math.floor((event.offsetY / large.clientHeight) * count()), false);
  form.onsubmit = (event) => {
    event.preventDefault();
    model.set("text", input.value);
    model.save_changes();
  };
  input.value = model.get("text");
  model.on("change:weights", drawAll);
  model.on("change:layer", drawHead);
  model.on("change:head", drawHead);
  model.on("change:problem", () => (problem.textContent = model.get("problem")));
  drawAll();
}

export default { render };
