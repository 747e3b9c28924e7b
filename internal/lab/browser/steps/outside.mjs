// Steps of who comes in by a directory or an issuer.

// directory signs in by a name and a password of the directory, after the page was looked at.
export async function directory(t, { name, password, look }) {
  await t.open();
  await t.go("/login");
  if (look) await t.look("login-outside");
  await t.page.getByLabel("Name").fill(name);
  await t.page.getByLabel("Password").fill(password);
  await t.page.getByRole("button", { name: "Sign in" }).click();
  await t.page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  return who(t);
}

// who is signed in, as the page has it.
async function who(t) {
  return (await t.page.locator(".acct summary").innerText()).replace(/\s+/g, " ").trim();
}

// issuer asks for the log, signs in at the issuer as somebody, and is where he wanted to be.
export async function issuer(t, { at, subject }) {
  t.allow(new RegExp(`request to ${at}`), /status of 404 .*favicon/);
  await t.open();
  await t.go("/log");
  await t.page.getByRole("link", { name: "Sign in with" }).click();
  await t.page.getByRole("button", { name: subject, exact: true }).click();
  await t.page.getByRole("heading", { level: 1, name: "Message log" }).waitFor();
  t.same(new URL(t.page.url()).pathname, "/log", "where somebody is who came from the issuer");
  const cookies = await t.context.cookies(t.base);
  t.is(cookies.length === 1 && cookies[0].name === "__Host-gatepost" && cookies[0].httpOnly && cookies[0].sameSite === "Strict", `cookies ${JSON.stringify(cookies.map(c => ({ ...c, value: "" })))}`);
  return who(t);
}

// refused goes to the issuer and comes back with what lets nobody in; it returns what the page says.
export async function refused(t, { at, subject, status }) {
  t.allow(new RegExp(`request to ${at}`), /status of 404 .*favicon/, new RegExp(`status of ${status}`));
  await t.open();
  await t.go("/login");
  await t.page.getByRole("link", { name: "Sign in with" }).click();
  await t.page.getByRole("button", { name: subject, exact: true }).click();
  const said = await t.page.getByRole("alert").innerText();
  t.same((await t.context.cookies(t.base)).length, 0, "cookies of who is not let in");
  return said;
}
