// Steps of a user of the portal.

// login follows a mailed link and presses its button, and returns where that leads.
export async function login(t, { link, look }) {
  const { page } = t;
  await t.go(link);
  if (look) await t.look(look);
  await Promise.all([page.waitForNavigation(), page.locator("main button, form button").last().click()]);
  return new URL(page.url()).pathname;
}

// tour looks at pages, and returns what each of them says.
export async function tour(t, { paths, look }) {
  const told = [];
  for (const path of paths) {
    await t.go(path);
    told.push(await t.page.locator("main").innerText());
    await t.look(look + path.replaceAll("/", "-"));
  }
  return told;
}
