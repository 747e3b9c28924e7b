// Steps of the policy: drafts, publishing, what undoes itself, and the way back.

const inForce = async t => (await t.page.locator("h1 + .ctx").innerText());

// tune moves a threshold by its number field and looks at the draft. It returns what is told of it.
export async function tune(t, { name, value, look }) {
  const { page } = t;
  await t.go("/policy");
  const field = page.locator(".thnums label", { hasText: name }).locator("input");
  await field.fill(String(value));
  const slider = await field.evaluate(e => document.querySelector(`[data-for="${CSS.escape(e.id)}"]`)?.value);
  t.same(Number(slider), Number(value), "the slider beside the field");
  await Promise.all([page.waitForNavigation(), page.locator(".thr button").click()]);
  if (look) await t.look(look);
  return page.locator("#publish .pl").innerText();
}

// slide moves a threshold by the keyboard, on its slider, and returns what the field beside it says. Nothing is saved.
export async function slide(t, { name, presses }) {
  await t.go("/policy");
  const slider = t.page.getByLabel(name + " from", { exact: true }).and(t.page.locator("[type=range]"));
  await slider.focus();
  for (let i = 0; i < presses; i++) await t.page.keyboard.press("ArrowRight");
  return t.page.evaluate(() => document.getElementById(document.activeElement.dataset.for).value);
}

// publish publishes the draft, to be confirmed in a while or not, and returns what is in force and what the page says.
export async function publish(t, { comment, wait, look }) {
  const { page } = t;
  await t.go("/policy/publish");
  if (look) await t.look(look);
  await page.locator("input[name=comment]").fill(comment);
  await page.locator("select[name=wait]").selectOption(wait);
  await Promise.all([page.waitForNavigation(), page.locator("form.card button").click()]);
  return { inForce: await inForce(t), said: (await page.locator("[role=status].msg").innerText().catch(() => "")), alert: (await page.locator("[role=alert]").allInnerTexts()).join(" ") };
}

// confirm confirms what is in force.
export async function confirm(t) {
  await t.go("/policy");
  await Promise.all([t.page.waitForNavigation(), t.page.getByRole("button", { name: "Confirm" }).click()]);
  return inForce(t);
}

// back goes back to a version by the list of all, which asks before.
export async function back(t, { version, look }) {
  const { page } = t;
  await t.go("/policy/history");
  if (look) await t.look(look);
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: `Go back… to version ${version}`, exact: true }).click()]);
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: `Go back to version ${version}`, exact: true }).click()]);
  return inForce(t);
}

// text writes the whole draft, and returns what is wrong with it.
export async function text(t, { replace, by, look }) {
  const { page } = t;
  await t.go("/policy/text");
  const area = page.locator("#text");
  await area.fill((await area.inputValue()).replace(replace, by));
  await Promise.all([page.waitForNavigation(), page.locator("form.form button").click()]);
  if (look) await t.look(look);
  return (await page.locator(".probs").allInnerTexts()).join(" ");
}

// tried has the entry in an open form tried on recorded mail until that says so.
export async function tried(t, card, tries, look) {
  for (const end = Date.now() + t.patience; tries;) {
    await Promise.all([t.page.waitForNavigation(), card.getByRole("button", { name: "Try it" }).click()]);
    const said = await card.getByRole("status").innerText();
    if (said.includes(tries)) break;
    if (Date.now() > end) throw new Error(`the trial says ${said}`);
  }
  if (tries && look) await t.look(look + "-tried");
}

// entry adds an entry to a list of the page of a path. With tries it is tried on recorded mail before, until that says so.
export async function entry(t, { path, title, fields, tries, look }) {
  const { page } = t;
  await t.go(path);
  const card = page.locator("section.card").filter({ has: page.getByRole("heading", { name: title, exact: true }) });
  await card.locator("summary", { hasText: "Add" }).click();
  for (const [name, value] of Object.entries(fields)) await card.locator(`[name="f:${name}"]`).fill(value);
  await tried(t, card, tries, look);
  await Promise.all([page.waitForNavigation(), card.getByRole("button", { name: "Add to the draft" }).click()]);
  if (look) await t.look(look);
  return card.innerText();
}

// met waits until an entry was met so often, as its line tells.
export async function met(t, { entry, hits, look }) {
  const row = t.page.locator("tr", { has: t.page.getByRole("rowheader", { name: entry }) });
  for (const end = Date.now() + t.patience; ; ) {
    await t.go("/lists");
    const said = await row.locator("[data-h^=Hits] b").innerText().catch(() => "");
    if (said === String(hits)) break;
    if (Date.now() > end) throw new Error(`${entry} has ${said} hits, not ${hits}`);
    await t.page.waitForTimeout(200);
  }
  if (look) await t.look(look);
}

// discard throws the draft away.
export async function discard(t) {
  const { page } = t;
  await t.go("/policy");
  await Promise.all([page.waitForNavigation(), page.locator("#publish").getByRole("button", { name: "Discard" }).click()]);
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Discard the draft" }).click()]);
  return page.locator("#publish").count();
}

// look takes pictures of a page.
export async function pictures(t, { path, look }) {
  await t.go(path);
  await t.look(look);
}

// rule writes a rule that counts, and returns what is wrong with its condition, and the rules of the draft where nothing is.
export async function rule(t, { fields, look }) {
  const { page } = t;
  await t.go("/policy/rules/new");
  for (const [name, value] of Object.entries(fields)) await page.locator(`[name="f:${name}"]`).fill(value);
  await page.locator("[name='f:observe']").uncheck();
  t.allow(/status of 422/);
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Save in the draft" }).click()]);
  if (look) await t.look(look);
  return { wrong: (await page.locator("#mistakes").allInnerTexts()).join(" "), rules: await page.locator(".tbl tbody tr th").allInnerTexts() };
}

// shadow lets the draft run in the shadow. counted waits until so many messages are counted, and stops it.
export async function shadow(t) {
  const { page } = t;
  await t.go("/policy/shadow");
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Let it run" }).click()]);
  return page.locator("main").innerText();
}
export async function counted(t, { text, look }) {
  const { page } = t, end = Date.now() + t.patience;
  for (;;) {
    await t.go("/policy/shadow");
    if ((await page.locator("main").innerText()).includes(text)) break;
    t.is(Date.now() < end, `the shadow run does not say ${text}`);
    await page.waitForTimeout(200);
  }
  if (look) await t.look(look);
  const said = await page.locator("main").innerText();
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Stop it now" }).click()]);
  await page.getByRole("heading", { name: "The last one" }).waitFor();
  return said;
}

// number writes a threshold into its field and saves it, by the form alone.
export async function number(t, { name, value }) {
  const { page } = t;
  await t.go("/policy");
  await page.locator(".thnums label", { hasText: name }).locator("input").fill(String(value));
  await Promise.all([page.waitForNavigation(), page.locator(".thr button").click()]);
  return page.locator("#publish .pl").innerText();
}

// conflict looks at a draft while another has published, and at what is said where it is published all the same; it begins anew then.
export async function conflict(t, { look }) {
  const { page } = t, out = {};
  await t.go("/policy");
  out.notes = await page.locator(".msg.warn").allInnerTexts();
  if (look) await t.look(look);
  await t.go("/policy/publish");
  out.differs = await page.locator(".diff").innerText();
  await page.locator("input[name=comment]").fill("over what another did");
  t.allow(/status of 412/);
  await Promise.all([page.waitForNavigation(), page.locator("form.card button").click()]);
  out.said = await page.locator("main").innerText();
  if (look) await t.look(look + "-refused");
  await t.go("/policy");
  await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Begin anew" }).click()]);
  if (await page.getByRole("button", { name: "Discard the draft" }).count())
    await Promise.all([page.waitForNavigation(), page.getByRole("button", { name: "Discard the draft" }).click()]);
  out.left = await page.locator("#publish").count();
  return out;
}

// versions reads the list of versions, the newest first.
export async function versions(t, { look }) {
  await t.go("/policy/history");
  if (look) await t.look(look);
  return t.page.locator("tbody tr").evaluateAll(all => all.map(e => e.textContent.replace(/\s+/g, " ").trim()));
}
