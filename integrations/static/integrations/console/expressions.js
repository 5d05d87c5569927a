"use strict";
// The editors of conditions and payloads: fields written at the cursor by a click, and completed while one types.
(() => {
  const boxes = [...document.querySelectorAll("textarea[data-expression]")];
  const list = document.getElementById("suggestions");
  // Asked anew each time: another version of the payload has other fields.
  const paths = () => [...document.querySelectorAll("[data-inserts]")].map((button) => button.dataset.inserts);
  const MOST = 8;
  let last = boxes[0], at = -1;

  const changed = (box) => box.dispatchEvent(new Event("input", { bubbles: true }));

  function write(box, text, from, to) {
    box.focus();
    box.setRangeText(text, from, to, "end");
    changed(box);
  }

  for (const box of boxes) box.addEventListener("focus", () => { last = box; });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-inserts]");
    if (button && last && !last.readOnly) write(last, button.dataset.inserts, last.selectionStart, last.selectionEnd);
    const tries = event.target.closest("[data-tries]");
    if (tries) {  // show what this event would send
      const form = document.getElementById("editor");
      let chosen = form.querySelector("input[name=shown]");
      if (!chosen) {
        chosen = document.createElement("input");
        chosen.type = "hidden";
        chosen.name = "shown";
        form.append(chosen);
      }
      chosen.value = tries.value;
      htmx.trigger(form, "tried");
    }
  });

  // -- completion: a list below the box; arrows, Enter or Tab choose, Escape closes it ---------------------------
  function word(box) {
    const before = box.value.slice(0, box.selectionStart);
    return before.match(/[A-Za-z_][\w.*[\]]*$/)?.[0] ?? "";
  }

  function close() {
    list.hidden = true;
    at = -1;
    for (const box of boxes) box.removeAttribute("aria-activedescendant");
  }

  function suggest(box) {
    const typed = word(box);
    const found = typed.length < 2 ? [] : paths().filter((path) => path !== typed && path.toLowerCase().includes(typed.toLowerCase()));
    found.sort((one, other) => other.startsWith(typed) - one.startsWith(typed));
    if (!found.length) return close();
    list.replaceChildren(...found.slice(0, MOST).map((path, index) => {
      const item = document.createElement("li");
      item.id = `suggestion-${index}`;
      item.setAttribute("role", "option");
      item.textContent = path;
      item.addEventListener("mousedown", (event) => { event.preventDefault(); take(box, path); });
      return item;
    }));
    box.after(list);
    list.hidden = false;
    mark(box, -1);
  }

  function mark(box, place) {
    const items = [...list.children];
    at = items.length ? (place + items.length) % items.length : -1;
    if (place < 0) at = -1;
    items.forEach((item, index) => item.setAttribute("aria-selected", String(index === at)));
    if (at >= 0) box.setAttribute("aria-activedescendant", items[at].id);
    else box.removeAttribute("aria-activedescendant");
  }

  function take(box, path) {
    const end = box.selectionStart;
    write(box, path, end - word(box).length, end);
    close();
  }

  for (const box of boxes) {
    if (box.readOnly) continue;
    box.setAttribute("aria-controls", "suggestions");
    box.setAttribute("aria-autocomplete", "list");
    box.addEventListener("input", (event) => { if (event.isTrusted) suggest(box); });
    box.addEventListener("blur", close);
    box.addEventListener("keydown", (event) => {
      if (list.hidden) return;
      const count = list.children.length;
      if (event.key === "ArrowDown") mark(box, (at + 1) % count);
      else if (event.key === "ArrowUp") mark(box, at <= 0 ? count - 1 : at - 1);
      else if ((event.key === "Enter" || event.key === "Tab") && at >= 0) take(box, list.children[at].textContent);
      else if (event.key === "Escape") close();
      else return;
      event.preventDefault();
    });
  }
})();
