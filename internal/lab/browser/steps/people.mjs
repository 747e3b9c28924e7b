// Steps of users, sessions and tokens.

// add makes a user by the page, and returns the code that it shows once.
export async function add(t, { name, role, domains = "" }) {
  const { page } = t;
  await t.go("/users");
  const form = page.locator("form[action='/users']");
  await form.getByLabel("Name to sign in with").fill(name);
  await form.getByLabel("Role").selectOption(role);
  await form.getByLabel("Domains").fill(domains);
  await form.getByRole("button", { name: "Add" }).click();
  await proved(t);
  const code = page.locator("main .secret");
  await code.waitFor();
  await t.look("user-code");
  return (await code.innerText()).trim();
}

// proved answers where the password is asked again.
async function proved(t) {
  const again = t.page.locator("input[name=proof]");
  await t.page.waitForLoadState("load");
  if (await again.count() === 0) return;
  await again.fill(t.password);
  await t.page.getByRole("button", { name: "Confirm" }).click();
  await t.page.waitForLoadState("load");
}

// knows tells the steps the password that is asked again.
export async function knows(t, { password }) { t.password = password; }

// redeem sets a password by a code, in a browser of its own, and reads what the new user may see.
export async function redeem(t, { code, password, look }) {
  await t.open();
  await t.go("/redeem");
  if (look) await t.look(look);
  const { page } = t;
  await page.getByLabel("Code").fill(code);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByLabel("The same password again").fill(password);
  await page.getByRole("button", { name: "Set the password" }).click();
  await page.getByRole("navigation", { name: "Main" }).waitFor({ state: "attached" });
  return page.locator("#nav a").evaluateAll(all => all.map(a => a.getAttribute("href")));
}

// forbidden asks for a page that the user may not have: it says who may.
export async function forbidden(t, { path }) {
  t.allow(/status of 403/);
  const a = await t.go(path);
  t.same(a.status(), 403, "status of " + path);
  await t.look("forbidden");
  return t.page.locator("main").innerText();
}
