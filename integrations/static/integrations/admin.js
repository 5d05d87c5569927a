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
