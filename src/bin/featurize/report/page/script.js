
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("data").textContent);
  const svg = document.getElementById("scatter");
  const group = document.getElementById("points");
  const ring = document.getElementById("ring");
  const card = document.getElementById("card");
  const legend = document.getElementById("legend");
  const find = document.getElementById("find");
  const clear = document.getElementById("clear");
  const points = [...group.querySelectorAll("use")].map((mark, index) => {
    const title = mark.querySelector("title");
    const [label, path, scores] = title.textContent.split("\n");
    // The card takes the place of the browser's own tooltip.
    title.remove();
    return {
      mark, label, path, scores,
      group: data.labels[index], thumbnail: data.thumbnails[index],
      x: mark.x.baseVal.value, y: mark.y.baseVal.value,
    };
  });
  const buttons = [...legend.querySelectorAll("button")];
  const chosen = new Set();
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

  function picture(point) {
    if (typeof point.thumbnail !== "string") {
      const why = point.thumbnail === 0 ? "image not readable" : "no thumbnail";
      return element("div", why, "none");
    }
    const image = element("img");
    image.alt = "";
    image.src = "data:image/jpeg;base64," + point.thumbnail;
    return image;
  }

  function show(point) {
    current = point;
    ring.setAttribute("visibility", point ? "visible" : "hidden");
    card.hidden = !point;
    if (!point) return;
    ring.setAttribute("cx", point.x);
    ring.setAttribute("cy", point.y);
    const text = element("div");
    text.append(element("strong", point.label), element("span", point.path), element("span", point.scores));
    card.replaceChildren(picture(point), text);
    const box = svg.getBoundingClientRect();
    const scale = box.width / svg.viewBox.baseVal.width;
    const x = point.x * scale, y = point.y * scale, gap = 14;
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
      const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
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

  svg.addEventListener("keydown", (event) => {
    const along = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", -1], ArrowDown: ["y", 1] };
    const move = along[event.key];
    if (event.key === "Escape") return show(null);
    if (!move && event.key !== "Home" && event.key !== "End") return;
    event.preventDefault();
    const axis = move ? move[0] : "x";
    const order = visible().slice().sort((a, b) => a[axis] - b[axis] || a.x - b.x || a.y - b.y);
    if (order.length === 0) return;
    const at = order.indexOf(current);
    let next = event.key === "End" ? order.length - 1 : 0;
    if (move && at >= 0) next = Math.min(Math.max(at + move[1], 0), order.length - 1);
    else if (move && move[1] < 0) next = order.length - 1;
    show(order[next]);
  });

  // What is singled out: the labels that were chosen, or else the one that is pointed at.
  function highlight(only) {
    const labels = only === undefined ? chosen : new Set([only]);
    group.classList.toggle("chosen", labels.size > 0);
    for (const point of points) point.mark.classList.toggle("on", labels.has(point.group));
  }

  for (const button of buttons) {
    const label = Number(button.dataset.label);
    button.addEventListener("click", () => {
      if (!chosen.delete(label)) chosen.add(label);
      button.setAttribute("aria-pressed", String(chosen.has(label)));
      clear.hidden = chosen.size === 0;
      show(null);
      highlight();
    });
    for (const type of ["pointerenter", "focus"]) {
      button.addEventListener(type, () => chosen.size === 0 && highlight(label));
    }
    for (const type of ["pointerleave", "blur"]) button.addEventListener(type, () => highlight());
  }

  clear.addEventListener("click", () => {
    chosen.clear();
    for (const button of buttons) button.setAttribute("aria-pressed", "false");
    clear.hidden = true;
    highlight();
    find.hidden ? svg.focus() : find.focus();
  });

  find.addEventListener("input", () => {
    const wanted = find.value.trim().toLowerCase();
    for (const button of buttons) {
      button.parentElement.hidden = !button.textContent.toLowerCase().includes(wanted);
    }
  });
})();
