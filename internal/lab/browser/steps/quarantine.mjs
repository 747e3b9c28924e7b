// Steps of the quarantine.

// release finds a message by its subject, reads what is in it for a reason, and lets it go. It returns what was read and said.
export async function release(t, { id, subject, why, look }) {
  const { page } = t;
  await t.go("/quarantine");
  if (look) await t.look(look);
  await page.getByRole("link", { name: subject }).click();
  await page.waitForURL(u => u.pathname === "/quarantine/" + id);
  await page.getByLabel("What do you read it for?").fill(why);
  await page.getByRole("button", { name: "Show it as text" }).click();
  const text = page.getByRole("region", { name: "Message" });
  await text.waitFor();
  if (look) await t.look(look + "-message");
  const read = await text.innerText();
  await page.getByRole("button", { name: "Release", exact: true }).click();
  await page.waitForLoadState("load");
  return { read, said: await page.locator("main").innerText() };
}
