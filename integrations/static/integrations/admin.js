/* Copy buttons, and forms that say that they are busy. Everything works without this file. */
"use strict";
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    document.execCommand("copy"); // plain http: there is no clipboard object
  }
  button.textContent = "Copied";
});
document.addEventListener("submit", (event) => {
  const busy = event.target.dataset.busy;
  if (!busy) return;
  for (const button of event.target.querySelectorAll("button[type=submit]")) {
    button.textContent = busy;
    button.disabled = true;
  }
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) window.location.reload(); // back to a page whose buttons are still disabled
});

/* Another connector was chosen: fetch the page with its fields and put them in the place of the old ones. What was typed
   in fields that both have stays, except secrets. Without this, saving answers with the page that has them. */
document.addEventListener("change", async (event) => {
  const select = event.target.closest("select[data-swaps]");
  if (!select) return;
  const chosen = select.value;
  const address = new URL(window.location.href);
  address.searchParams.set(select.name, chosen);
  let page;
  select.form.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return;
    page = new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return; // no network just now
  } finally {
    select.form.removeAttribute("aria-busy");
  }
  if (select.value !== chosen) return; // a later choice is on its way
  swapFields(select, page);
});
function swapFields(select, page) {
  const shown = `id_${select.dataset.swaps}`;
  const marker = page.getElementById(shown);
  const fresh = [...page.querySelectorAll("fieldset.ig-kind")];
  const old = [...select.form.querySelectorAll("fieldset.ig-kind")];
  if (!marker || !fresh.length || !old.length) return;
  const candidates = fresh.flatMap(fieldsOf);
  for (const field of old.flatMap(fieldsOf).filter(wasTyped)) {
    const same = candidates.find((other) => other.name === field.name && other.type === field.type
      && (!isBox(field) || other.value === field.value));
    if (same) keep(field, same);
  }
  old[0].before(...fresh.map((part) => document.adoptNode(part)));
  for (const part of old) part.remove();
  document.getElementById(shown).value = marker.value;
}
const fieldsOf = (part) => [...part.querySelectorAll("input, select, textarea")];
const isBox = (field) => field.type === "checkbox" || field.type === "radio";
const valueOf = (field) => (isBox(field) ? (field.checked ? "on" : "") : field.value);
function wasTyped(field) {
  if (field.classList.contains("ig-secret")) return false;
  return valueOf(field) !== (field.dataset.default ?? (field.options ? field.options[0].value : ""));
}
function keep(field, same) {
  if (isBox(field)) same.checked = field.checked;
  else if (!field.options || [...same.options].some((option) => option.value === field.value)) same.value = field.value;
}
