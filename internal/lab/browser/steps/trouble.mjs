// Steps of what goes wrong: servers that are away, mail that waits, and what is told of it.

// wait goes on when something is true of a page that changes by itself, without a reload.
async function wait(t, what, check, arg, timeout = t.patience) {
  const marked = await t.page.evaluate(() => globalThis.sameDocument === true);
  t.is(marked, `the page was loaded anew before ${what}`);
  await t.page.waitForFunction(check, arg, { timeout }).catch(async e => { throw new Error(`${what}: ${e.message.split("\n")[0]}; the page says ${await t.page.locator("main").innerText()}`); });
  t.is(await t.page.evaluate(() => globalThis.sameDocument === true), `the page was loaded anew: ${what}`);
}

// open opens a page that is then left to change by itself.
export async function open(t, { path }) {
  await t.go(path);
  await t.page.evaluate(() => { globalThis.sameDocument = true; });
}

// shown waits until the start page tells of each trouble, by its cause, its effect on mail and what to do, and returns the lines.
export async function shown(t, { wants, look }) {
  for (const want of wants)
    await wait(t, want.join(", "), texts => [...document.querySelectorAll(".attn li")].some(li => texts.every(x => li.textContent.includes(x))), want);
  const lines = await t.page.locator(".attn li").allInnerTexts();
  if (look) await t.look(look);
  return lines;
}

// gone waits until the start page tells of none of them, for the time in milliseconds that is said.
export async function gone(t, { names, look, timeout }) {
  await wait(t, names.join(", "), names => ![...document.querySelectorAll(".attn li b")].some(b => names.some(n => b.textContent.startsWith(n))), names, timeout);
  if (look) await t.look(look);
}

// queued waits until the queue shows so many messages, and the route how many, since when, and what was said; what is left until the next
// try is counted down.
export async function queued(t, { count, said, look }) {
  const { page } = t;
  await wait(t, `${count} in the queue`, ([n, said]) => {
    const rows = document.querySelectorAll("#queue form table tbody tr"), lane = document.querySelector("#queue .tablebox tbody tr");
    return rows.length === n && lane?.querySelector("[data-h=Messages]").textContent.startsWith(String(n)) && lane.textContent.includes(said) && lane.textContent.includes("away");
  }, [count, said]);
  const left = () => page.locator("#queue form [data-until]").first().innerText();
  const before = await left();
  await wait(t, `another time than ${before}`, text => document.querySelector("#queue form [data-until]")?.textContent !== text, before);
  const out = { oldest: await page.locator("#queue [data-h=Oldest]").first().innerText(), why: await page.locator("#queue form [data-h='Why it waits']").first().innerText(), before, after: await left() };
  if (look) await t.look(look);
  return out;
}

// act ticks the first message, or all, and presses a button; a question is returned, and answered with yes.
export async function act(t, { verb, all = false, look }) {
  const { page } = t;
  await t.go("/queue");
  await (all ? page.getByLabel("All") : page.locator("#queue tbody input[name=ids]").first()).check();
  await Promise.all([page.waitForNavigation(), page.locator(`.bulk button[formaction='/queue/${verb}']`).click()]);
  let asked = "";
  if (await page.locator("input[name=confirm]").count()) {
    asked = await page.locator("h1").innerText();
    if (look) await t.look(look);
    await Promise.all([page.waitForNavigation(), page.locator("main .problem form button").click()]);
  }
  const said = await page.locator("[role=status].msg").innerText();
  await page.evaluate(() => { globalThis.sameDocument = true; });
  return { asked, said };
}

// drained waits until nothing is in the queue any more.
export async function drained(t) {
  await wait(t, "an empty queue", () => document.querySelector("#queue .empty h2")?.textContent === "No mail waits" && !document.querySelector("#queue tbody tr"));
}
