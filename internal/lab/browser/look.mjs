// look takes a page as it is: pictures in both themes at two widths, what axe-core finds, and whether anything lies beyond
// the right edge, on the widths of phones too. Pictures are for people; the rest are faults.
import fs from "node:fs";
import { createRequire } from "node:module";

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

export async function look(t, name, { full = true } = {}) {
  const { page } = t, before = page.viewportSize();
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: width > 600 ? 800 : 844 });
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${t.out}/${name}-${colorScheme}-${width}.png`, fullPage: full, animations: "disabled", caret: "hide" });
      // Each theme and each width once: what axe finds comes of one or of the other.
      if ((colorScheme === "dark") === (width < 600)) await examine(t, `${name}, ${colorScheme}, ${width} px`);
    }
    await fits(t, `${name}, ${width} px`);
  }
  for (const width of [360, 320]) {
    await page.setViewportSize({ width, height: 640 });
    await fits(t, `${name}, ${width} px`);
  }
  await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: process.env.SCHEME || "light" });
}

// examine asks axe-core. Script of the test is not bound by the page's policy, as an extension's is not.
async function examine(t, where) {
  if (!await t.page.evaluate(() => "axe" in globalThis)) await t.page.evaluate(axe);
  const found = await t.page.evaluate(async values => (await axe.run(document, { runOnly: { type: "tag", values }, resultTypes: ["violations"] })).violations
    .map(v => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.target.join(" ") + ": " + (n.any[0]?.message ?? n.html)) })), tags);
  for (const v of found) {
    const text = `axe, ${where}: ${v.impact}: ${v.help} (${v.id}): ${v.nodes.join("; ")}`;
    if (v.impact === "serious" || v.impact === "critical") t.fault(text); else fs.appendFileSync(`${t.out}/axe-lesser.txt`, text + "\n");
  }
}

// fits is whether nothing lies beyond the right edge of the page.
async function fits(t, where) {
  const wide = await t.page.evaluate(() => {
    const w = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= w) return "";
    const out = [...document.body.querySelectorAll("*")].filter(e => e.getBoundingClientRect().right > w + 1).slice(0, 3).map(e => e.outerHTML.slice(0, 120));
    return `${document.documentElement.scrollWidth} px of ${w}: ${out.join(" | ")}`;
  });
  if (wide) t.fault(`overflow, ${where}: ${wide}`);
}
