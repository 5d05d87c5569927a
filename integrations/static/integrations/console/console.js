"use strict";
// What pages of the console need of a script, by attributes: copying, confirming, switches, charts. Nothing is written in line.
(() => {
  const root = document.documentElement;
  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const say = (words) => { document.getElementById("spoken").textContent = words; };

  // Where tabs do not fit, the one that is open is in view.
  for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
    const row = tab.parentElement;
    row.scrollLeft += tab.getBoundingClientRect().left - row.getBoundingClientRect().left - (row.clientWidth - tab.offsetWidth) / 2;
  }

  // data-copies="id": copy the text of that element. Without an id: its own data-text.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copies], [data-text]");
    if (!button) return;
    const source = button.dataset.copies ? document.getElementById(button.dataset.copies) : null;
    const text = source ? source.textContent : button.dataset.text;
    try {
      await navigator.clipboard.writeText(text);
    } catch {  // no permission, or plain HTTP
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.classList.add("copied");
    say(document.body.dataset.copied);
    setTimeout(() => button.classList.remove("copied"), 1500);
  });

  // data-toggles="id": open or close that element.
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-toggles]");
    if (!button) return;
    const isOpen = document.getElementById(button.dataset.toggles).classList.toggle("open");
    button.setAttribute("aria-expanded", String(isOpen));
  });

  // data-submits: a choice sends its form at once.
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });

  // data-checks="name": tick or clear every box of that name in the form.
  document.addEventListener("change", (event) => {
    if (!event.target.matches("[data-checks]")) return;
    for (const box of event.target.form.querySelectorAll(`input[name="${event.target.dataset.checks}"]`)) {
      box.checked = event.target.checked;
    }
  });

  // data-confirms="words" on a button or form: ask before it is sent. Any button is sent once only.
  document.addEventListener("submit", (event) => {
    const form = event.target, words = event.submitter?.dataset.confirms ?? form.dataset.confirms;
    if (form.method === "dialog") return;
    if (words && form.dataset.agreed !== "yes") {
      event.preventDefault();
      event.stopImmediatePropagation();
      const dialog = document.getElementById("confirm"), submitter = event.submitter;
      dialog.querySelector("p").textContent = words;
      dialog.querySelector("[data-confirmed]").textContent = submitter?.textContent.trim() || document.body.dataset.continue;
      dialog.returnValue = "no";
      dialog.onclose = () => {
        if (dialog.returnValue !== "yes") return;
        form.dataset.agreed = "yes";
        form.requestSubmit(submitter);
        delete form.dataset.agreed;
      };
      dialog.showModal();
      return;
    }
    if (form.method === "post" && event.submitter && !form.hasAttribute("hx-post")) {
      const submitter = event.submitter;  // after the browser has read which button it was
      setTimeout(() => { submitter.disabled = true; }, 0);
      window.addEventListener("pageshow", () => { submitter.disabled = false; }, { once: true });
    }
  }, true);

  // A live part that gets no answer, or a bad one, keeps what it shows, and the page says that this may be old.
  const isLive = (live) => { const words = document.getElementById("not-live"); if (words) words.hidden = live; };
  document.addEventListener("htmx:error", (event) => { if (event.detail.ctx) isLive(false); });
  document.addEventListener("htmx:before:response", (event) => {
    const answers = event.detail.ctx.response.status < 500;
    isLive(answers);
    if (!answers) event.preventDefault();
  });

  // -- charts --------------------------------------------------------------------------------------------------
  const KINDS = { ok: "ok", warn: "warn", bad: "bad", off: "quiet", accent: "accent" };
  const drawn = new Map();

  function draw(holder, isAnew) {
    const source = document.getElementById(holder.dataset.chart);
    if (!source || typeof uPlot === "undefined") return;
    const { times, series } = JSON.parse(source.textContent);
    const data = [times, ...series.map((one) => one.values)], labels = series.map((one) => one.label).join();
    const before = drawn.get(holder);
    if (before && !isAnew && before.root.isConnected && before.labels === labels) {
      before.setData(data);  // what a pointer points at stays
      return;
    }
    before?.destroy();
    holder.textContent = "";
    const line = colour("line"), text = colour("quiet");
    // Times as the reader's clock shows them, a new day with its date; days alone where a step is one.
    const shown = (options) => new Intl.DateTimeFormat(root.lang || "en", options);
    const asDay = shown({ day: "numeric", month: "short" }), asTime = shown({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const asBoth = shown({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    const ticks = (_, found, __, ___, step) => {
      let before = "";
      return found.map((at) => {
        const when = new Date(at * 1000), day = asDay.format(when), isNew = day !== before;
        before = day;
        return step >= 86400 ? day : isNew ? `${asTime.format(when)}\n${day}` : asTime.format(when);
      });
    };
    // Whole numbers get no fractions beside them.
    const isWhole = series.every((one) => one.values.every((value) => value == null || Number.isInteger(value)));
    const steps = isWhole ? { incrs: [1, 2, 5].concat(...[1, 2, 3, 4, 5, 6, 7, 8].map((power) => [1, 2, 5].map((n) => n * 10 ** power))) } : {};
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const chart = new uPlot({
      width: holder.clientWidth || 300,
      height: holder.clientHeight || 220,
      cursor: { points: { size: 6 } },
      legend: { live: true },
      scales: { y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
      axes: [{ ...axis, values: ticks, space: 64 }, { ...axis, ...steps, size: 48, values: (_, ticks) => ticks.map((tick) => `${tick}`) }],
      series: [{ value: (_, at) => (at == null ? "" : asBoth.format(new Date(at * 1000))) }, ...series.map((one) => ({
        value: (_, number) => (number == null ? "" : number),
        label: one.label,
        stroke: colour(KINDS[one.kind] ?? "accent"),
        fill: one.fill ? `color-mix(in srgb, ${colour(KINDS[one.kind] ?? "accent")} 14%, transparent)` : undefined,
        width: 1.75, spanGaps: false, points: { show: false },
      }))],
    }, data, holder);
    chart.labels = labels;
    drawn.set(holder, chart);
  }

  function drawAll(isAnew = false) {
    for (const holder of drawn.keys()) if (!holder.isConnected) { drawn.get(holder).destroy(); drawn.delete(holder); }
    for (const holder of document.querySelectorAll("[data-chart]")) draw(holder, isAnew);
  }

  let waiting;
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(() => drawAll(true), 150); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(true));
  document.addEventListener("htmx:after:swap", () => drawAll());
  drawAll();
})();
