// Steps of who comes in.

// stranger looks at what somebody sees who is not logged in: the login, wherever he asks.
export async function stranger(t) {
  await t.go("/log?q=from:example.org");
  t.is(new URL(t.page.url()).pathname === "/login", `a stranger is at ${t.page.url()}`);
  await t.page.getByRole("heading", { level: 1 }).waitFor();
  await t.look("login");
}
