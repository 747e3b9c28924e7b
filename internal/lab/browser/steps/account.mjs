// Steps of who changes what proves him.

// passkey adds a passkey, of an authenticator of the browser's own, signs out, and comes in again by password and passkey.
export async function passkey(t, { name, password }) {
  const { page } = t;
  const cdp = await t.context.newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options: { protocol: "ctap2", transport: "usb",
    hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } });
  await t.go("/account/security");
  await t.look("security");
  await page.getByRole("button", { name: "Add a passkey" }).click();
  await page.getByLabel("Name, by which you know it").fill("blue key");
  await t.look("security-passkey");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("rowheader", { name: "blue key" }).waitFor();
  t.same((await cdp.send("WebAuthn.getCredentials", { authenticatorId })).credentials.length, 1, "credentials of the authenticator");
  await t.context.clearCookies();
  await t.go("/login");
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("button", { name: "Use your passkey" }).waitFor();
  t.same(await page.getByLabel("Code of your authenticator").count(), 0, "fields for a code, where there is no app");
  await t.look("login-passkey");
  await page.getByRole("button", { name: "Use your passkey" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  await t.go("/account/security");
  t.is(!(await page.getByRole("row", { name: "blue key" }).innerText()).includes("never"), "the passkey was used, and its page says never");
}

// app sets up an app by its secret, and looks at the pages on the way.
export async function app(t) {
  const { page } = t;
  await t.go("/account/security");
  await page.getByRole("button", { name: "Set up an app" }).click();
  await page.getByRole("img", { name: "QR code of the secret" }).waitFor();
  await t.look("security-app");
}
