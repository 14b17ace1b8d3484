// Judges a page as axe does, and gives a list of what is wrong with it.
(() => {
  const found = [];
  const say = (what, el) => {
    const text = (el && (el.innerText || el.outerHTML) || "").trim().replace(/\s+/g, " ").slice(0, 60);
    found.push(what + (el ? ": <" + el.tagName.toLowerCase() + (el.className && el.className.baseVal === undefined ? " class=" + el.className : "") + "> " + text : ""));
  };
  const shown = (el) => {
    const r = el.getBoundingClientRect(), s = getComputedStyle(el);
    return r.width > 0 && r.height > 0 && s.visibility !== "hidden" && r.right > 0;
  };

  // Contrast, of every text against what lies beneath it.
  const colour = (text) => {
    const n = (text.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
    return { c: n.slice(0, 3), a: n.length > 3 ? n[3] : 1 };
  };
  const over = (top, below) => top.c.map((v, i) => v * top.a + below[i] * (1 - top.a));
  const beneath = (el) => {
    const layers = [];
    for (let at = el; at; at = at.parentElement) layers.push(colour(getComputedStyle(at).backgroundColor));
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    return layers.reverse().reduce((below, layer) => over(layer, below), dark ? [18, 18, 18] : [255, 255, 255]);
  };
  const light = (c) => {
    const [r, g, b] = c.map((v) => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => { const [x, y] = [light(a), light(b)]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
  const judge = (el, style, name) => {
    const below = beneath(el), ratio = contrast(over(colour(style.color), below), below);
    if (ratio < 4.5) say(name + " has a contrast of " + ratio.toFixed(2), el);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const judged = new Set();
  while (texts.nextNode()) {
    const el = texts.currentNode.parentElement;
    if (!texts.currentNode.nodeValue.trim() || judged.has(el) || el.closest("progress, svg, option, script, title") || !shown(el)) continue;
    judged.add(el);
    judge(el, getComputedStyle(el), "text");
  }
  for (const el of document.querySelectorAll("input, select, textarea")) {
    if (el.type === "hidden" || !shown(el)) continue;
    if (el.value && el.type !== "checkbox") judge(el, getComputedStyle(el), "a field");
    if (el.placeholder) judge(el, getComputedStyle(el, "::placeholder"), "a placeholder");
    if (!(el.labels && el.labels.length) && !el.getAttribute("aria-label")) say("a field has no label", el);
  }
  for (const el of document.querySelectorAll("rect.good, rect.warn, rect.bad, path.line")) {
    // What a mark says is said by text too, so it has to be seen, not read: 3 to 1.
    const style = getComputedStyle(el), paint = el.tagName === "path" ? style.stroke : style.fill;
    const below = beneath(el.closest("figure") || el.parentElement);
    if (contrast(over(colour(paint), below), below) < 3) say("a mark of " + el.getAttribute("class") + " is hardly seen");
  }

  // Names.
  for (const el of document.querySelectorAll("a[href], button, summary")) {
    if (el.closest("svg")) continue;
    if (!(el.innerText || el.textContent).trim() && !el.getAttribute("aria-label")) say("a link or button has no name", el);
  }
  for (const el of document.querySelectorAll("img, svg")) {
    if (el.getAttribute("aria-hidden") !== "true" && !el.getAttribute("alt") && !el.getAttribute("aria-label")) say("a picture has no title", el);
  }
  for (const el of document.querySelectorAll("th")) if (!el.scope) say("a column has no scope", el);
  const ids = [...document.querySelectorAll("[id]")].map((el) => el.id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) say("two things have the id " + id);
  if (!document.title.trim()) say("the page has no title");
  if (!document.documentElement.lang) say("the page has no language");

  // Headings in their order.
  const levels = [...document.querySelectorAll("h1, h2, h3, h4")].map((el) => Number(el.tagName[1]));
  if (levels.filter((l) => l === 1).length !== 1 || levels[0] !== 1) say("the page has not one h1 that comes first but " + levels.join(" "));
  levels.forEach((l, i) => { if (i && l > levels[i - 1] + 1) say("a heading skips a level: " + levels.join(" ")); });

  // What is cut off, or reaches out of the screen.
  if (document.documentElement.scrollWidth > innerWidth) {
    const wide = [...document.querySelectorAll("main *, header *, footer *")].filter((el) => el.getBoundingClientRect().right > innerWidth + 1 && !el.closest("nav, .scroll, pre, svg"));
    say("the page is " + (document.documentElement.scrollWidth - innerWidth) + " pixels too wide", wide[wide.length - 1]);
  }
  for (const el of document.querySelectorAll("main *")) {
    const s = getComputedStyle(el);
    if (s.overflowX === "hidden" && el.scrollWidth > el.clientWidth + 1) say("text is cut off", el);
    if (el.children.length === 0 && el.innerText && shown(el) && !el.closest(".scroll, pre, .skip")) {
      const r = document.createRange();
      r.selectNodeContents(el);
      const box = el.closest(".card, .verdict, main").getBoundingClientRect(), text = r.getBoundingClientRect();
      if (text.right > box.right + 1) say("text runs out of its box by " + Math.round(text.right - box.right) + " pixels", el);
    }
  }
  return found;
})()
