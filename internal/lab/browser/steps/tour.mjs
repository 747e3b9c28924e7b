// A walk over all pages that links lead to.

// One page of a kind is enough where an address names one thing of many.
const kind = path => path.replace(/[0-9A-Z]{5}-[0-9A-Z]{5}-[0-9A-Z]{4}/g, "REF").replace(/\/(v|users|alarms|queue|quarantine|domains|audit)\/[^/]+$/, "/$1/ONE");

// walk goes from the start page to each page that a link leads to, and looks at it: at so many at a time, as a step has a bound, and from
// there on at the next time. It returns the paths of those that it saw, and how many are left of those that it knows.
export async function walk(t, { from = "/", pages = 8, most = 60 } = {}) {
  const { all, kinds } = t.tour ??= { all: [from], kinds: new Set([kind(from)]), at: 0 }, seen = [];
  for (; t.tour.at < all.length && seen.length < pages; t.tour.at++) {
    t.is(t.tour.at < most, `there are more than ${most} pages: ${all.join(" ")}`);
    const path = all[t.tour.at], a = await t.go(path);
    seen.push(path);
    if (!/html/.test(a.headers()["content-type"] ?? "")) continue;
    if (a.status() !== 200) t.fault(`${path}: ${a.status()}`);
    await settled(t);
    const what = await t.page.evaluate(() => ({ h1: document.querySelectorAll("h1").length, main: document.querySelectorAll("main").length, lang: document.documentElement.lang, title: document.title,
      links: [...document.querySelectorAll("a[href]:not([download])")].filter(a => a.origin === location.origin).map(a => a.pathname) }));
    if (what.h1 !== 1 || what.main !== 1 || what.lang !== "en" || !/ · Gatepost$/.test(what.title)) t.fault(`${path}: ${JSON.stringify({ ...what, links: 0 })}`);
    await t.look("page" + kind(path).replaceAll("/", "-").replace(/-$/, "-start"));
    await focusSeen(t, path);
    for (const to of what.links) if (!kinds.has(kind(to)) && !/^\/(assets|api)\//.test(to)) { kinds.add(kind(to)); all.push(to); }
  }
  return { seen, left: all.length - t.tour.at };
}

// settled waits for parts of a page that come later.
async function settled(t) {
  await t.page.waitForFunction(() => !document.querySelector("[aria-busy=true]"));
}

// focusSeen presses Tab through a page: whatever gets the focus must show it.
async function focusSeen(t, path, most = 25) {
  await t.page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0); });
  for (let i = 0; i < most; i++) {
    await t.page.keyboard.press("Tab");
    const bad = await t.page.evaluate(() => {
      const e = document.activeElement;
      if (!e || e === document.body) return "end";
      const seen = x => { const s = getComputedStyle(x); return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0 || s.boxShadow !== "none"; };
      const r = e.getBoundingClientRect();
      // A slider shows it by its thumb, whose style no script can ask for: the rule for it must be there.
      const thumb = e.type === "range" && [...document.styleSheets].flatMap(s => [...s.cssRules]).some(r => {
        const [of, rest] = (r.selectorText ?? "").split(":focus-visible::-webkit-slider-thumb");
        return rest === "" && e.matches(of) && /outline: [1-9]/.test(r.cssText);
      });
      if (!(thumb || seen(e) || e.parentElement && e.matches("input, select, textarea") && seen(e.parentElement))) return `nothing shows that ${e.outerHTML.slice(0, 100)} has the focus`;
      if (r.width === 0 || r.height === 0) return `${e.outerHTML.slice(0, 100)} has the focus and no size`;
      return "";
    });
    if (bad === "end") return;
    if (bad) { t.fault(`${path}: ${bad}`); return; }
  }
}
