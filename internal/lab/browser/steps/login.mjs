// Steps of who comes in.

// stranger looks at what somebody sees who is not logged in: the login, wherever he asks.
export async function stranger(t) {
  await t.open();
  await t.go("/log?q=from:example.org");
  t.same(new URL(t.page.url()).pathname, "/login", "where a stranger is");
  await t.page.getByRole("heading", { level: 1 }).waitFor();
  await t.look("login");
}

// focused waits until the first field has the focus, which a browser gives it some time after the page is there.
async function focused(page) {
  await page.locator("form input:focus").waitFor();
}

// first comes to a gateway that nobody has signed in to, wherever he asks, and becomes its owner, by the keyboard alone.
export async function first(t, { code, name, password, look }) {
  const { page } = t;
  await t.go("/log");
  t.same(new URL(page.url()).pathname, "/setup", "where the first visitor is");
  if (look) await t.look("setup");
  await focused(page);
  for (const text of [code, name, password, password]) {
    await page.keyboard.type(text);
    await page.keyboard.press("Tab");
  }
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  const again = await t.context.request.get(new URL("/setup", t.base).href);
  t.same(again.status(), 404, "the status of /setup afterwards");
}

// enter signs in by keyboard alone: the first field has the focus.
export async function enter(t, { name, password }) {
  await t.open();
  await t.go("/");
  const { page } = t;
  await focused(page);
  await page.keyboard.type(name);
  await page.keyboard.press("Tab");
  await page.keyboard.type(password);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  const cookies = await t.context.cookies();
  t.is(cookies.length > 0 && cookies.every(c => c.name.startsWith("__Host-") && c.httpOnly && c.secure && c.sameSite === "Strict" && c.path === "/"),
    `cookies ${JSON.stringify(cookies.map(c => ({ ...c, value: "" })))}`);
}

// wrong tries to come in with what is wrong, and is told so without a hint at what.
export async function wrong(t, { name, password }) {
  await t.open();
  await t.go("/login");
  t.allow(/status of 401/);
  await t.page.getByLabel("Name").fill(name);
  await t.page.getByLabel("Password").fill(password);
  await t.page.getByRole("button", { name: "Sign in" }).click();
  const said = await t.page.getByRole("alert").innerText();
  t.is(await t.page.getByLabel("Password").inputValue() === "", "the password is written back");
  return said;
}
