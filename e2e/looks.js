// Evaluated in each page: returns what is wrong with it for people who see little, use a keyboard or a
// narrow screen.
(() => {
  const wrong = [];
  const shown = e => e.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && !e.closest("[aria-hidden=true], .skip");
  const name = e => e.tagName.toLowerCase() + (e.id ? "#" + e.id : "");

  if (!document.documentElement.lang) wrong.push("html has no lang");
  if (!document.title.trim()) wrong.push("no title");
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not exactly one h1");
  if (document.querySelectorAll("main").length !== 1) wrong.push("not exactly one main");
  if (document.querySelector("[style], style, script:not([src])")) wrong.push("something inline");

  const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
  if (new Set(ids).size !== ids.length) wrong.push("an id stands twice");

  for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) {
    if (!e.closest("[aria-hidden=true]") && !e.labels.length) wrong.push(name(e) + " has no label");
    if (e.hasAttribute("aria-describedby") && !document.getElementById(e.getAttribute("aria-describedby"))) wrong.push(name(e) + " is described by nothing");
  }
  for (const e of document.querySelectorAll("button, a[href]")) {
    if (!(e.textContent.trim() || e.ariaLabel)) wrong.push(name(e) + " has no name");
    const box = e.getBoundingClientRect();
    if (shown(e) && (box.height < 24 || box.width < 24) && getComputedStyle(e).display !== "inline") wrong.push(name(e) + " is too small to hit");
  }

  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`scrolls sideways: ${document.documentElement.scrollWidth} of ${innerWidth} px`);

  // Contrast of every text with the ground behind it (WCAG 2.2, 1.4.3).
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = colours => {
    canvas.clearRect(0, 0, 1, 1);
    for (const c of colours) { canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); }
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => {
    const f = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
  };
  const grounds = e => e ? [...grounds(e.parentElement), getComputedStyle(e).backgroundColor] : ["Canvas"];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walker.nextNode());) {
    const e = n.parentElement, style = getComputedStyle(e);
    if (!n.data.trim() || !e.checkVisibility() || e.closest(".skip, .aside")) continue;
    const back = grounds(e), a = light(over(back)), b = light(over([...back, style.color]));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const px = parseFloat(style.fontSize), large = px >= 24 || px >= 18.66 && style.fontWeight >= 700;
    if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)} of "${n.data.trim().slice(0, 30)}"`);
  }
  return wrong;
})()
