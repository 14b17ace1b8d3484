// Reads the page again while it is looked at, and puts the new content in the place of the old.
// Nothing is replaced while somebody writes into a form or has opened something.
(() => {
  "use strict";
  const every = Number(document.body.dataset.refresh) * 1000;
  const busy = () => {
    const at = document.activeElement;
    return document.hidden || (at && /^(INPUT|SELECT|TEXTAREA)$/.test(at.tagName) && !at.readOnly) ||
      document.querySelector("main details[open]") || String(getSelection()).length > 0;
  };
  const read = async () => {
    if (busy()) return;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) return;
      const next = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (busy()) return;
      const focus = document.activeElement && document.activeElement.id;
      document.querySelector("main").replaceWith(next.querySelector("main"));
      document.querySelector("#when").replaceWith(next.querySelector("#when"));
      if (focus && document.getElementById(focus)) document.getElementById(focus).focus();
    } catch { /* The server is away: what is shown says from when it is. */ }
  };
  if (every > 0) setInterval(read, every);
  document.addEventListener("click", (e) => {
    const button = e.target.closest("[data-copy]");
    if (!button) return;
    const from = document.getElementById(button.dataset.copy);
    navigator.clipboard.writeText("value" in from ? from.value : from.textContent).then(() => { button.textContent = "Copied"; });
  });
})();
