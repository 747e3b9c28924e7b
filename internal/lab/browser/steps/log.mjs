// Steps of the log and of why this became of a message.
import { tried } from "./policy.mjs";

const drawer = t => t.page.locator("#drawer");
const headline = async t => { const h = drawer(t).locator("h2.why"); await h.waitFor(); return h.innerText(); };

// focused is what has the focus, for messages and comparisons.
const focused = t => t.page.evaluate(() => { const e = document.activeElement; return (e.closest("[id]")?.id ?? "") + " " + e.tagName.toLowerCase(); });

// await waits until the log tells of a message, which is written in batches, a little after its end.
export async function arrived(t, { query, count = 1 }) {
  const end = Date.now() + t.patience;
  for (;;) {
    await t.go("/log?q=" + encodeURIComponent(query));
    const n = await t.page.locator("#rows tr").count();
    if (n >= count) return n;
    if (Date.now() > end) throw new Error(`the log shows ${n} for ${query}, not ${count}`);
    await t.page.waitForTimeout(200);
  }
}

// explain finds a message from the start page and reads why, with the keyboard alone. It returns what is read.
export async function explain(t, { query, look }) {
  const { page } = t, key = k => page.keyboard.press(k);
  await t.go("/");
  await key("/");
  t.same(await page.evaluate(() => document.activeElement.name), "q", "what / has focused");
  await page.keyboard.type(query);
  await key("Enter");
  await page.waitForURL(u => u.pathname === "/log" && u.searchParams.get("q") === query);
  await page.locator("#rows tr").first().waitFor();
  if (look) await t.look(look);
  await key("j");
  const row = await focused(t);
  t.is(/^row-\S+ a$/.test(row), `j has focused ${row}`);
  await key("Enter");
  const out = await story(t);
  await page.waitForFunction(() => document.activeElement.matches("h2.why"));
  if (look) await t.look(look + "-why");
  t.is(new URL(page.url()).pathname.startsWith("/log/m/"), `the address is ${page.url()}`);
  await key("Escape");
  await drawer(t).waitFor({ state: "hidden" });
  t.same(await focused(t), row, "what Esc gives the focus back to");
  t.same(new URL(page.url()).pathname, "/log", "the address after Esc");
  return out;
}

// story is what the drawer tells.
async function story(t) {
  const d = drawer(t), out = { why: await headline(t) };
  out.facts = Object.fromEntries(await d.locator(".facts > div").evaluateAll(all => all.map(e => [e.querySelector("dt").textContent, e.querySelector("dd").innerText])));
  out.checks = await d.locator(".checks > li").evaluateAll(all => all.map(e => ({
    name: e.querySelector(".cn").firstChild.textContent, decided: [...e.querySelectorAll(".cn em")].some(x => x.textContent === "decided"),
    took: e.querySelector(".cg small").textContent, points: Number(e.querySelector(".cs").textContent.replace("−", "-").replace("+", "") || 0),
    evidence: e.querySelector(".ev").textContent.replace(/\s+/g, " ").trim() })));
  out.reply = await d.locator("h3 + .reply code").textContent().catch(() => "");
  return out;
}

// read opens a message by its address, as a colleague who got the link does, and returns what it tells.
export async function read(t, { id, look }) {
  await t.go("/log/m/" + id);
  const out = await story(t);
  if (look) await t.look(look);
  return out;
}

// rows are the lines of the log for a query.
export async function rows(t, { query, verdict = "" }) {
  await t.go(`/log?q=${encodeURIComponent(query)}${verdict && "&verdict=" + verdict}`);
  return t.page.locator("#rows tr").evaluateAll(all => all.map(e => e.innerText));
}

// wrongQuery asks what makes no sense; the page says which words there are, and keeps what was typed.
export async function wrongQuery(t, { query }) {
  t.allow(/status of 400/);
  await t.go("/log?q=" + encodeURIComponent(query));
  t.same(await t.page.locator("#filters input[name=q]").inputValue(), query, "what is kept of the query");
  const said = await t.page.getByRole("alert").innerText();
  await t.look("log-wrong-query");
  return said;
}

// empty is a search that finds nothing, and the way out of it.
export async function empty(t, { query }) {
  await t.go("/log?q=" + encodeURIComponent(query));
  await t.page.getByRole("heading", { name: "No message matches" }).waitFor();
  await t.look("log-empty");
  await t.page.getByRole("link", { name: "Clear filters" }).click();
  await t.page.locator("#rows tr").first().waitFor();
}

// filter presses a quick filter with the keyboard; the address holds it, and a reload keeps it.
export async function filter(t, { name, rows }) {
  const { page } = t;
  await t.go("/log");
  await page.locator(".seg").getByRole("button", { name }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(u => u.searchParams.has("verdict"));
  const n = await page.locator("#rows tr").count();
  t.same(n, rows, `rows of ${name}`);
  await page.reload();
  t.same(await page.locator("#rows tr").count(), rows, `rows of ${name} after a reload`);
}

// tail opens the live view on a tab of its own, and returns when it is there. fresh waits for a line that it shows by itself.
// What comes between is up to the test: the view must outlive it.
export async function tail(t) {
  const page = t.tail = await t.context.newPage();
  await page.goto(new URL("/log", t.base).href);
  const opened = page.waitForResponse(r => r.url().includes("/log/live"));
  await page.keyboard.press("l");
  t.same((await opened).status(), 200, "status of the live view");
  t.same(await page.locator("[data-act=live]").getAttribute("aria-pressed"), "true", "pressed");
}
export async function fresh(t, { text }) {
  const page = t.tail;
  await page.locator("#rows tr", { hasText: text }).first().waitFor();
  t.is(!await page.locator("[data-act=live]").evaluate(e => e.classList.contains("lost")), "the live view says that it is lost");
  await page.keyboard.press("l");
  t.same(await page.locator("[data-act=live]").getAttribute("aria-pressed"), "false", "pressed");
  await page.close();
}

// resumes waits in the live view until it shows each text again after its connection was cut, and returns how often it shows each.
export async function resumes(t, { texts }) {
  const page = t.tail;
  t.allow(/ERR_CONNECTION|ERR_EMPTY|ERR_INCOMPLETE|ERR_HTTP2|ERR_NETWORK|ERR_FAILED/);
  for (const text of texts) await page.locator("#rows tr", { hasText: text }).first().waitFor();
  await page.waitForFunction(() => !document.querySelector("[data-act=live]").classList.contains("lost"));
  return page.locator("#rows tr").evaluateAll((all, texts) => texts.map(x => all.filter(r => r.textContent.includes(x)).length), texts);
}

// theme turns the page dark and light again by its key; the choice outlives a reload.
export async function theme(t) {
  const { page } = t, now = () => page.evaluate(() => [document.documentElement.dataset.theme ?? "", getComputedStyle(document.documentElement).backgroundColor]);
  await t.go("/log");
  const [, before] = await now();
  await Promise.all([page.waitForNavigation(), page.keyboard.press("t")]);
  const [theme, ground] = await now();
  t.is(theme === "dark" && ground !== before, `t leads to ${theme} ${ground}, from ${before}`);
  await page.reload();
  t.same((await now())[0], "dark", "theme after a reload");
  await Promise.all([page.waitForNavigation(), page.keyboard.press("t")]);
  t.same((await now())[0], "light", "theme after the second t");
}

// overview is the start page, as it is looked at.
export async function overview(t) {
  await t.go("/");
  for (let n = 0; n < 60 && await t.page.locator(".over [role=status]").count(); n++) await t.page.reload(); // it says that mail is being counted
  await t.look("overview");
  return t.page.locator(".kpis a").evaluateAll(all => Object.fromEntries(all.map(e => [e.querySelector("span").textContent.trim(), Number(e.querySelector("b").textContent)])));
}

// plain finds and reads a message by links and forms alone.
export async function plain(t, { query, verdict, id }) {
  const { page } = t;
  await t.go("/log");
  await page.locator("#filters input[name=q]").fill(query);
  await page.locator("#filters").getByRole("button", { name: "Apply" }).click();
  await page.waitForURL(u => u.searchParams.get("q") === query);
  await page.locator(".seg").getByRole("button", { name: verdict }).click();
  await page.waitForURL(u => u.searchParams.has("verdict") && u.searchParams.get("q") === query);
  await page.locator(`#row-${id} a`).first().click();
  await page.waitForURL(u => u.pathname === "/log/m/" + id);
  return story(t);
}

// act opens the menu of the first row that a query finds, follows an item of it to the form that is filled in, and adds the entry to the
// draft. It returns what the form was filled with.
export async function act(t, { query, item, tries, look }) {
  const { page } = t;
  await t.go("/log?q=" + encodeURIComponent(query));
  await page.locator("#rows tr").first().getByRole("button", { name: "Allow or block" }).click();
  const choice = page.getByRole("link", { name: item, exact: true });
  await choice.waitFor();
  if (look) await t.look(look, { full: false });
  await choice.click();
  await page.waitForURL(u => u.pathname === "/lists" && u.searchParams.has("action"));
  const form = page.locator("#adder form");
  const filled = await form.evaluate(f => Object.fromEntries([...new FormData(f)].filter(([k]) => k !== "form")));
  if (look) await t.look(look + "-form");
  await tried(t, page.locator("section.card", { has: page.locator("#adder") }), tries, look);
  await Promise.all([page.waitForNavigation(), form.getByRole("button", { name: /^Add to/ }).click()]);
  return filled;
}
