(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const svg = byId("scatter"), group = byId("points"), ring = byId("ring"), card = byId("card");
  const find = byId("find"), clear = byId("clear"), selects = [byId("across"), byId("up")];
  const buttons = [...byId("legend").querySelectorAll("button")];
  const points = [...group.querySelectorAll("use")].map((mark, index) => {
    const title = mark.querySelector("title");
    const [label, path] = title.textContent.split("\n");
    // The card takes the place of the browser's own tooltip.
    title.remove();
    const [group, scores, thumbnail] = data.points[index];
    const place = [mark.x.baseVal.value, mark.y.baseVal.value];
    return { mark, index, label, path, group, scores, thumbnail, place };
  });
  const chosen = new Set();
  const axes = [0, 1];
  let current = null;

  for (const element of document.querySelectorAll(".interactive")) element.hidden = false;
  find.hidden = buttons.length <= 16;

  const visible = () =>
    chosen.size === 0 ? points : points.filter((point) => chosen.has(point.group));

  function element(name, text, className) {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (className) made.className = className;
    return made;
  }

  // The small picture of a point: that of the list of labels, or one that only the data have.
  function picture({ index, thumbnail }) {
    const listed = byId("t" + index);
    if (!listed && !thumbnail) {
      return element("div", thumbnail === 0 ? "image not readable" : "no thumbnail", "none");
    }
    const image = element("img");
    image.alt = "";
    image.src = listed ? listed.src : "data:image/jpeg;base64," + thumbnail;
    return image;
  }

  const written = (point) => axes.map((axis) => {
    const score = point.scores[axis].toFixed(data.axes[axis][2]);
    return `PC${axis + 1} ${score.replace("-", "\u2212")}`;
  }).join(", ");

  function show(point) {
    current = point;
    ring.setAttribute("visibility", point ? "visible" : "hidden");
    card.hidden = !point;
    if (!point) return;
    ring.setAttribute("cx", point.place[0]);
    ring.setAttribute("cy", point.place[1]);
    const text = element("div");
    text.append(element("strong", point.label), element("span", point.path), element("span", written(point)));
    card.replaceChildren(picture(point), text);
    const box = svg.getBoundingClientRect(), gap = 14;
    const [x, y] = point.place.map((place) => place * box.width / svg.viewBox.baseVal.width);
    const left = x + gap + card.offsetWidth <= box.width ? x + gap : x - gap - card.offsetWidth;
    const top = Math.min(Math.max(y - card.offsetHeight / 2, 0), box.height - card.offsetHeight);
    card.style.left = Math.max(0, Math.min(left, box.width - card.offsetWidth)) + "px";
    // Where neither side has room for it, the card goes above or below the point.
    const covers = left < 0;
    card.style.top = (!covers ? top : y > box.height / 2 ? y - gap - card.offsetHeight : y + gap) + "px";
  }

  function nearest(event, reach) {
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
    let best = null, least = (reach * scale) ** 2;
    for (const point of visible()) {
      const distance = (point.place[0] - x) ** 2 + (point.place[1] - y) ** 2;
      if (distance <= least) [best, least] = [point, distance];
    }
    return best;
  }

  svg.addEventListener("pointermove", (event) => {
    if (event.pointerType === "mouse") show(nearest(event, 12));
  });
  svg.addEventListener("pointerdown", (event) => show(nearest(event, 24)));
  svg.addEventListener("pointerleave", (event) => {
    if (event.pointerType === "mouse") show(null);
  });
  svg.addEventListener("blur", () => show(null));

  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [1, -1], ArrowDown: [1, 1], Home: [0], End: [0] };
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return show(null);
    if (!steps[event.key]) return;
    event.preventDefault();
    const [along, step] = steps[event.key];
    const order = visible().slice().sort((a, b) =>
      a.place[along] - b.place[along] || a.place[1 - along] - b.place[1 - along]);
    const at = order.indexOf(current), last = order.length - 1;
    let next = event.key === "End" || step < 0 ? last : 0;
    if (step && at >= 0) next = Math.min(Math.max(at + step, 0), last);
    show(order[next] ?? null);
  });

  // Moves every mark to its place along the axes that were chosen, and shows these.
  function move() {
    show(null);
    for (const point of points) {
      point.place = axes.map((axis, direction) => {
        const [low, high] = data.axes[axis], [from, to] = data.frame[direction];
        return from + (point.scores[axis] - low) / (high - low) * (to - from);
      });
      point.mark.setAttribute("x", point.place[0].toFixed(1));
      point.mark.setAttribute("y", point.place[1].toFixed(1));
    }
    for (const grid of svg.querySelectorAll(".grid")) {
      const { across = axes[0], up = axes[1] } = grid.dataset;
      grid.toggleAttribute("hidden", Number(across) !== axes[0] || Number(up) !== axes[1]);
    }
  }

  selects.forEach((select, direction) => select?.addEventListener("change", () => {
    const other = 1 - direction, old = axes[direction];
    axes[direction] = Number(select.value);
    // The same component twice would be a line: the axes change places instead.
    if (axes[other] === axes[direction]) selects[other].value = axes[other] = old;
    move();
  }));

  // What is singled out: the labels that were chosen, or else the one that is pointed at.
  function highlight(only) {
    const labels = only === undefined ? chosen : new Set([only]);
    group.classList.toggle("chosen", labels.size > 0);
    for (const point of points) point.mark.classList.toggle("on", labels.has(point.group));
  }

  function choose(change) {
    change();
    for (const button of buttons) {
      button.setAttribute("aria-pressed", String(chosen.has(Number(button.dataset.label))));
    }
    clear.hidden = chosen.size === 0;
    show(null);
    highlight();
  }

  for (const button of buttons) {
    const label = Number(button.dataset.label);
    button.addEventListener("click", () => choose(() => chosen.delete(label) || chosen.add(label)));
    for (const type of ["pointerenter", "focus"]) {
      button.addEventListener(type, () => chosen.size === 0 && highlight(label));
    }
    for (const type of ["pointerleave", "blur"]) button.addEventListener(type, () => highlight());
  }

  clear.addEventListener("click", () => {
    choose(() => chosen.clear());
    (find.hidden ? svg : find).focus();
  });

  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    for (const button of buttons) {
      button.parentElement.hidden = !button.textContent.toLowerCase().includes(wanted);
    }
  });
})();
