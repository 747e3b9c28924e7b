// Steps of the audit log.
import fs from "node:fs";

// entries waits until so many entries of one operation are there, as those that were noted come into the log a little later, and
// returns what the page tells of each, the newest first, with all that is folded away.
export async function entries(t, { operation, count, look }) {
  const { page } = t, rows = page.locator("main tbody tr");
  for (const end = Date.now() + t.patience; ; ) {
    await t.go("/audit?" + new URLSearchParams({ operation }));
    const n = await rows.count();
    if (n === count) break;
    t.is(n < count && Date.now() < end, `${n} entries of ${operation}, not ${count}: ${await page.locator("main").innerText()}`);
    await page.waitForTimeout(200);
  }
  await page.locator("main tbody td > details").evaluateAll(all => all.forEach(d => { d.open = true; }));
  if (look) await t.look(look);
  return rows.evaluateAll(all => all.map(r => {
    const parts = [...r.querySelectorAll("details p")].map(p => [p.textContent, p.nextElementSibling.querySelector("bdi.wrap").textContent]);
    return { who: r.querySelector("th bdi").textContent, what: r.querySelector("[data-h=What]").innerText, object: r.querySelector("[data-h=Object] bdi").textContent, ...Object.fromEntries(parts) };
  }));
}

// download gets the file of all entries by the button of the page, and returns its text.
export async function download(t) {
  await t.go("/audit");
  const [file] = await Promise.all([t.page.waitForEvent("download"), t.page.getByRole("link", { name: "Download" }).click()]);
  t.is(/^[\w.-]+\.jsonl$/.test(file.suggestedFilename()), `the file is called ${file.suggestedFilename()}`);
  return fs.readFileSync(await file.path(), "utf8");
}

// verify has the chain checked by the button of the page, and returns what is said of it.
export async function verify(t, { look } = {}) {
  await t.go("/audit");
  await t.page.getByRole("link", { name: "Check the chain" }).click();
  const said = t.page.locator("main .msg");
  await said.waitFor();
  if (look) await t.look(look);
  return said.innerText();
}
