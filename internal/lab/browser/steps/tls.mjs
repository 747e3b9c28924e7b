// Steps of the page of TLS and DNS.

// shows loads the page until a row of a section has each of some texts, and returns what that row has in its columns.
export async function shows(t, { title, texts, look }) {
  const { page } = t, card = page.locator("main .card", { has: page.getByRole("heading", { name: title, exact: true }) });
  for (const end = Date.now() + t.patience; ; ) {
    await t.go("/tls");
    const rows = await card.locator("tbody tr").evaluateAll(all => all.map(r => Object.fromEntries([...r.querySelectorAll("td[data-h]")].map(c => [c.dataset.h, c.textContent.trim()]))));
    const row = rows.find(r => texts.every(x => Object.values(r).join("\n").includes(x)));
    if (row) {
      if (look) await t.look(look);
      return row;
    }
    t.is(Date.now() < end, `${title} has no row with ${texts.join(", ")}: ${JSON.stringify(rows)}`);
    await page.waitForTimeout(300);
  }
}
