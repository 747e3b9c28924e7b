// Steps of the first run, behind the first owner's sign-in.

// first becomes the owner and comes to the wizard, whatever page was asked for.
export async function first(t, { code, name, password }) {
  const { page } = t;
  await t.go("/log");
  for (const [label, text] of [["Code", code], ["Your name", name], ["Password", password], ["The same password again", password]])
    await page.getByLabel(label, { exact: label === "Password" }).first().fill(text);
  await page.getByRole("button", { name: "Begin" }).click();
  await page.getByRole("heading", { level: 1, name: "Set up Gatepost" }).waitFor();
  t.same(new URL(page.url()).pathname, "/begin", "where the owner is led");
}

// host has the name of the host looked at, and waits for what is found.
export async function host(t) {
  const { page } = t;
  await page.getByRole("button", { name: "Check the name" }).click();
  await page.locator("#begin .probe li").first().waitFor();
  await t.look("begin-host");
  const found = await page.locator("#begin .probe").innerText();
  await page.getByRole("link", { name: "Next: your mail server" }).click();
  await page.getByRole("heading", { name: "Where does accepted mail go?" }).waitFor();
  return found;
}

// server fills in the form and sends it by a button; it returns what the live test says, or where the page went on.
export async function server(t, { domain, host, port, tls, do: button, look, refused }) {
  const { page } = t;
  const form = page.locator("form", { has: page.locator("input[name=host]") });
  await form.getByLabel("Domain").fill(domain);
  await form.getByLabel("Your mail server").fill(host);
  await form.getByLabel("Port").fill(port);
  await form.getByLabel("TLS to this server").selectOption(tls);
  if (refused) t.allow(/status of 422/);
  await Promise.all([page.waitForEvent("load"), form.getByRole("button", { name: button, exact: true }).click()]);
  if (look) await t.look(look);
  const tested = page.locator("#tested");
  if (await tested.count() === 0) return new URL(page.url()).search;
  return await tested.innerText();
}

// dns looks at the lines to paste, loads the page again, and goes on.
export async function dns(t) {
  const { page } = t;
  await t.go("/begin");
  t.is(/corp\.test\. 3600 IN MX 10 /.test(await page.locator("#begin").innerText()), "the MX line is not there");
  await t.look("begin-dns");
  const lines = await page.locator("#begin code").allInnerTexts();
  await page.getByRole("link", { name: "Next: go live" }).click();
  await page.getByRole("heading", { name: /Accept mail for/ }).waitFor();
  await t.look("begin-live");
  return lines;
}

// live goes live; afterwards there is no such page.
export async function live(t) {
  const { page } = t;
  await page.getByRole("button", { name: "Go live" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  const said = await page.getByRole("status").first().innerText();
  for (const path of ["/setup", "/begin"])
    t.same((await t.context.request.get(new URL(path, t.base).href)).status(), 404, `the status of ${path} afterwards`);
  return said;
}

// domains adds a domain with its server to the draft, as flow 12 has it.
export async function domains(t, { domain, host, port, tls, refused }) {
  const { page } = t;
  await t.go("/domains");
  await page.locator("summary", { hasText: "Add one" }).first().click();
  const said = await server(t, { domain, host, port, tls, do: "Save in the draft", refused, look: refused ? "domains-refused" : "" });
  return { said, page: await page.locator("#main").innerText() };
}

// tests tries the way of a domain of the draft.
export async function tests(t, { domain }) {
  const { page } = t;
  await t.go("/domains");
  await Promise.all([page.waitForEvent("load"), page.getByRole("button", { name: `Test ${domain}`, exact: true }).click()]);
  return await page.locator("#tested").innerText();
}

// recipients chooses who tells of the recipients of a domain or a route whether they exist, and saves it in the draft.
export async function recipients(t, { of, way, look }) {
  const { page } = t;
  await t.go("/domains");
  const card = page.locator("form[action='/domains/recipients']");
  await card.getByLabel(`${of}: who is asked`, { exact: true }).selectOption(way);
  await Promise.all([page.waitForNavigation(), card.getByRole("button", { name: "Save in the draft" }).click()]);
  if (look) await t.look(look);
  return card.innerText();
}

// upload sends a backup with the file of its key, or another key for the file that is there, and returns what the page says then.
export async function upload(t, { file, key, refused, look }) {
  const { page } = t;
  if (file) {
    await t.go("/begin");
    await page.getByRole("link", { name: "Restore it" }).click();
    await page.getByRole("heading", { level: 1, name: "Restore a backup" }).waitFor();
    if (look) await t.look("restore");
    await page.getByLabel("File of the backup").setInputFiles(file);
  }
  await page.getByLabel("or the file of the key").setInputFiles(key);
  if (refused) t.allow(/status of 400/);
  const button = file ? "Upload and read it" : "Read it";
  await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.getByRole("button", { name: button, exact: true }).click()]);
  if (look) await t.look(look);
  return page.locator("#main").innerText();
}

// restore puts what was shown in place.
export async function restore(t) {
  const { page } = t;
  await page.getByRole("button", { name: "Restore and restart" }).click();
  await page.getByRole("heading", { name: "The backup is put in place" }).waitFor();
  return page.locator("#main").innerText();
}
