// Steps of a user who gets a digest and follows a link of it.

// say is what a page tells, and whether it has a button.
async function say(page, status) {
  return { status, text: await page.locator("body").innerText(), buttons: await page.locator("button").count() };
}

// open follows a link in so many tabs, and returns what the last of them says.
export async function open(t, { path, tabs = 1, status = 200, look }) {
  if (status !== 200) t.allow(new RegExp(`status of ${status}`));
  await t.open();
  t.tabs = [t.page];
  while (t.tabs.length < tabs) t.tabs.push(await t.context.newPage());
  let out;
  for (t.page of t.tabs) out = await say(t.page, (await t.go(path)).status());
  if (look) await t.look(look);
  return out;
}

// press presses the button of a tab, and returns what is said then.
export async function press(t, { tab = 0, status = 200, look }) {
  if (status !== 200) t.allow(new RegExp(`status of ${status}`));
  t.page = t.tabs[tab];
  const [a] = await Promise.all([t.page.waitForNavigation(), t.page.getByRole("button", { name: "Deliver it" }).click()]);
  const out = await say(t.page, a.status());
  if (look) await t.look(look);
  return out;
}
