// The learner's text on top, its tokens below. Arrow keys walk along the tokens.

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function render({ model, el }) {
  const input = element("textarea", { rows: 2, "aria-label": "Text to cut into tokens" });
  const summary = element("p", { "aria-live": "polite", class: "course-summary" });
  const strip = element("div", { class: "course-tokens", role: "group", "aria-label": "Tokens" });
  const detail = element("p", { "aria-live": "polite", class: "course-detail" });
  el.classList.add("course-widget");
  el.append(input, summary, strip, detail);

  function describe(index) {
    const token = model.get("tokens")[index];
    detail.textContent = `Token ${index + 1}: "${token.piece}", id ${token.id}, bytes ${token.bytes}`;
  }

  function focus(index) {
    const buttons = [...strip.children];
    const next = buttons[Math.max(0, Math.min(buttons.length - 1, index))];
    buttons.forEach((button) => (button.tabIndex = button === next ? 0 : -1));
    next.focus();
  }

  function draw() {
    summary.textContent = model.get("summary");
    detail.textContent = "Hover a token, or walk with the arrow keys, to see its id and its bytes.";
    strip.replaceChildren(
      ...model.get("tokens").map((token, index) => {
        const button = element("button", { type: "button", tabindex: index ? -1 : 0 });
        button.append(
          element("span", { class: "course-piece" }, token.piece),
          element("span", { class: "course-id" }, String(token.id)),
        );
        button.onmouseenter = button.onfocus = () => describe(index);
        button.onkeydown = (event) => {
          const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
          if (!step) return;
          event.preventDefault();
          focus(index + step);
        };
        return button;
      }),
    );
  }

  let waiting;
  input.value = model.get("text");
  input.oninput = () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      model.set("text", input.value);
      model.save_changes();
    }, 200);
  };
  model.on("change:tokens", draw);
  model.on("change:summary", () => (summary.textContent = model.get("summary")));
  draw();
  return () => clearTimeout(waiting);
}

export default { render };
