// Gatepost console behaviour. No dependencies. Everything works as plain links and forms without it, except Live. It fetches
// HTML fragments of its own origin with GET only; a change is always a form that a person submits.
const $ = (s, e = document) => e.querySelector(s), $$ = (s, e = document) => [...e.querySelectorAll(s)];
const policy = globalThis.trustedTypes?.createPolicy("gatepost", { createHTML: s => s }) ?? { createHTML: s => s };
const setHTML = (el, html) => { el.innerHTML = policy.createHTML(html); };

async function partial(url, name, signal) {
  const u = new URL(url, location.href);
  if (u.origin !== location.origin) throw new Error("It leads elsewhere.");
  const r = await fetch(u, { headers: { "X-Partial": name }, signal, credentials: "same-origin" });
  if (r.status === 401) { location.reload(); return ""; }
  if (!r.ok && r.status !== 400) throw new Error(`The gateway answered ${r.status}.`);
  return r.text();
}
function toast(t) { const d = document.createElement("div"); d.className = "toast"; d.textContent = t; $("#toasts").append(d); setTimeout(() => d.remove(), 4000); }

// ---- filters: any change refreshes the results and the address bar
let pending, timer;
async function refresh(form, submitter) {
  const box = document.getElementById(form.dataset.auto), q = new URLSearchParams(new FormData(form));
  const v = submitter?.name === "verdict" ? submitter.value : $(".seg [aria-pressed=true]")?.value;
  if (v) q.set("verdict", v);
  for (const [k, x] of [...q]) if (x === "" || (k === "range" && x === "24h")) q.delete(k);
  pending?.abort();
  const ac = pending = new AbortController();
  box.setAttribute("aria-busy", "true");
  const url = form.getAttribute("action") + (q.size ? "?" + q : "");
  try {
    setHTML(box, await partial(url, "results", ac.signal));
    history.replaceState(null, "", url);
    tail.fresh = []; if (tail.es) tail.start(); mark();
    box.removeAttribute("aria-busy");
  } catch (e) { if (e.name !== "AbortError") { box.removeAttribute("aria-busy"); toast(`Not updated. ${e.message}`); } }
}
document.addEventListener("input", e => {
  const form = e.target.closest("form[data-auto]"); if (!form) return;
  clearTimeout(timer); timer = setTimeout(refresh, 300, form);
});
document.addEventListener("submit", e => { const f = e.target.closest("form[data-auto]"); if (f) { e.preventDefault(); clearTimeout(timer); refresh(f, e.submitter); } });

// ---- drawer
const split = $("#split"), drawer = $("#drawer");
async function openMsg(tr, push = true) {
  const href = tr.dataset.href, html = await partial(href, "drawer").catch(e => toast(e.message));
  if (!html) return;
  setHTML(drawer, html); drawer.hidden = false; split.classList.add("open"); drawer.scrollTop = 0;
  if (push) history.pushState({ msg: tr.dataset.id }, "", href + location.search);
  mark(); $(".why", drawer).focus({ preventScroll: true });
}
function closeMsg() { if (!drawer || drawer.hidden || !split) return false; drawer.hidden = true; split.classList.remove("open"); const c = $("tr.cur"); history.pushState(null, "", "/log" + location.search); mark(); $("a", c ?? document.body)?.focus(); return true; }
function mark() { const id = drawer && !drawer.hidden ? location.pathname.split("/").pop() : null; for (const r of $$("tr[data-id]")) r.classList.toggle("cur", r.dataset.id === id); }
addEventListener("popstate", () => location.reload());

// ---- live tail: keeps while you read, never moves rows under the pointer
const tail = {
  es: null, fresh: [],
  start() {
    this.stop(); this.es = new EventSource("/log/live" + location.search);
    const b = $("[data-act=live]"); b.setAttribute("aria-pressed", "true");
    this.es.onopen = () => { b.classList.remove("lost"); b.lastChild.textContent = "Live"; };
    this.es.onerror = () => { b.classList.add("lost"); b.lastChild.textContent = "Reconnecting"; };
    this.es.addEventListener("skipped", e => toast(`${e.data} more came meanwhile than are shown: reload to see them`));
    this.es.addEventListener("row", e => { this.fresh.push(JSON.parse(e.data)); if (this.fresh.length > 500) this.fresh.shift(); this.busy() ? this.pill() : this.flush(); });
  },
  stop() { this.es?.close(); this.es = null; const b = $("[data-act=live]"); if (b) { b.setAttribute("aria-pressed", "false"); b.classList.remove("lost"); b.lastChild.textContent = "Live"; } },
  busy() { return scrollY > 160 || $("#rows")?.matches(":hover, :focus-within") || !getSelection().isCollapsed; },
  pill() { const p = $(".newrows"); if (!p) return; p.hidden = !this.fresh.length; p.textContent = `${this.fresh.length} new`; },
  flush() {
    const body = $("#rows"); if (!body) { if (this.fresh.length) { this.fresh = []; refresh($("#filters")); } return; }
    const t = document.createElement("template"); setHTML(t, this.fresh.reverse().join("")); this.fresh = [];
    for (const r of t.content.children) { document.getElementById(r.id)?.remove(); r.classList.add("fresh"); }
    body.prepend(t.content); while (body.rows.length > 200) body.lastElementChild.remove(); this.pill(); mark();
  },
};

// ---- what changes by itself, and what takes long
const asOf = new Date(), missed = { n: 0 };
async function again() {
  const parts = $$("[data-refresh]").filter(el => !el.matches(":focus-within") && !$("details[open], [data-keep], input:checked", el));
  if (document.hidden || !$("[data-refresh]")) return;
  try {
    const t = document.createElement("template"); setHTML(t, await partial(location.href, "main"));
    for (const el of [...parts, ...$$("#bell, #strips").filter(el => !el.matches(":focus-within"))]) { const now = t.content.getElementById(el.id); if (now && getSelection().isCollapsed) el.replaceWith(now); }
    missed.n = 0; asOf.setTime(Date.now());
  } catch { missed.n++; }
  for (const u of $$(".upd")) { u.classList.toggle("stale", missed.n > 2); if (missed.n > 2) u.textContent = `Data from ${asOf.toTimeString().slice(0, 8)}, the gateway does not answer`; else if (!missed.n && $("time", u)) $("time", u).textContent = asOf.toTimeString().slice(0, 8); }
}
// Clocks differ: what is left until something is counted down by the gateway's.
const ahead = Date.now() - new Date($(".upd time")?.dateTime ?? Date.now()), left = s => s < 1 ? "now" : s < 120 ? `in ${s} s` : s < 7200 ? `in ${Math.floor(s / 60)} min ${s % 60} s` : `in ${Math.round(s / 3600)} h`;
setInterval(() => { for (const el of $$("[data-until]")) el.textContent = left(Math.round((new Date(el.dateTime) - Date.now() + ahead) / 1000)); }, 1000);
const every = Math.min(...$$("[data-refresh]").map(el => +el.dataset.refresh));
if (Number.isFinite(every)) setInterval(again, Math.max(every, 2) * 1000);
for (const el of $$("[data-load]")) partial(el.dataset.load, "part").then(html => { setHTML(el, html); el.removeAttribute("aria-busy"); }, e => { el.removeAttribute("aria-busy"); el.textContent = `It cannot be shown. ${e.message}`; });
document.addEventListener("change", e => { const all = e.target.closest("input[data-all]"); if (all) for (const x of $$(`input[name="${CSS.escape(all.dataset.all)}"]`, all.form ?? document)) x.checked = all.checked; });

// ---- sliders beside number fields, which alone are sent
for (const el of $$("[data-sliders]")) el.hidden = false;
document.addEventListener("input", e => {
  const t = e.target, n = t.dataset?.for && document.getElementById(t.dataset.for);
  if (n) n.value = t.value; else if (t.type === "number" && t.id) { const r = $(`[data-for="${CSS.escape(t.id)}"]`); if (r) r.value = t.value; }
});

const acts = {
  live: () => tail.es ? tail.stop() : tail.start(), flush: () => { scrollTo({ top: 0 }); tail.flush(); },
  close: e => { if (split) { e.preventDefault(); closeMsg(); } }, help: () => $("#help").showModal(),
  nav: (e, b) => b.setAttribute("aria-expanded", String($("#nav").classList.toggle("open"))),
  copylink: () => navigator.clipboard.writeText(location.href).then(() => toast("Link copied")),
  copy: (e, b) => navigator.clipboard.writeText($("code", b.parentElement).textContent).then(() => toast("Copied")),
};
document.addEventListener("click", e => {
  const b = e.target.closest("[data-act]"); if (b) return acts[b.dataset.act]?.(e, b);
  const t = e.target.closest("[role=tab]"); if (t) return tab(t);
  const tr = e.target.closest("tr[data-href]");
  if (tr && split && !e.ctrlKey && !e.metaKey && !e.shiftKey && getSelection().isCollapsed && !e.target.closest("[data-out]")) { e.preventDefault(); openMsg(tr); }
});
function tab(t) { for (const o of $$("[role=tab]", t.parentElement)) { const on = o === t; o.setAttribute("aria-selected", String(on)); o.tabIndex = on ? 0 : -1; document.getElementById(o.getAttribute("aria-controls")).hidden = !on; } t.focus(); }

// ---- keyboard
let g = 0;
document.addEventListener("keydown", e => {
  if (e.target.matches("[role=tab]") && /^Arrow(Left|Right)$/.test(e.key)) { const a = $$("[role=tab]", e.target.parentElement); return tab(a.at((a.indexOf(e.target) + (e.key === "ArrowRight" ? 1 : -1)) % a.length)); }
  if (e.key === "Escape" && !$("dialog[open]")) return closeMsg();
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.matches("input, select, textarea")) return;
  if (Date.now() - g < 900) { g = 0; const to = $(`nav a[data-key="${CSS.escape(e.key)}"]`); if (to) return location.assign(to.href); }
  const rows = $$("tr[data-id]"), i = rows.findIndex(r => r.classList.contains("cur") || r.contains(document.activeElement));
  const go = n => { const r = rows[Math.max(0, Math.min(rows.length - 1, n))]; if (!r) return; $("a", r).focus(); r.scrollIntoView({ block: "nearest" }); if (drawer && !drawer.hidden) openMsg(r); };
  const k = { "/": () => { e.preventDefault(); ($("#filters input[name=q]") ?? $(".find input"))?.focus(); }, j: () => go(i + 1), k: () => go(i - 1), l: () => $("[data-act=live]") && acts.live(), t: () => $("#theme").requestSubmit(), "?": acts.help, g: () => { g = Date.now(); } }[e.key];
  k?.();
});
mark();
