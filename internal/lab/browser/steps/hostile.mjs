// Steps of what strangers wrote.

// shown looks at pages that hold what a stranger wrote: it is text, no script of it ran, it made no element and no link. pages are
// paths and the texts that each must show.
export async function shown(t, { pages, look }) {
  for (const [path, marks] of Object.entries(pages)) {
    await t.go(path);
    const text = await t.page.evaluate(() => document.body.textContent);
    for (const m of marks ?? []) t.is(text.includes(m), `${path} does not show ${m}`);
    const found = await t.page.evaluate(() => ({ ran: globalThis.gatepostRan ?? null, title: document.title,
      made: [...document.querySelectorAll("[data-smuggled], [hx-get], [onerror], [onload], [style], iframe, object, embed, base, main script, main img, main style, meta[http-equiv]")].map(e => e.outerHTML.slice(0, 100)),
      links: [...document.links].map(a => a.href).filter(h => !h.startsWith(location.origin + "/") && !h.startsWith(location.origin + "#")) }));
    t.is(found.ran === null && found.made.length === 0 && found.links.length === 0, `${path}: ${JSON.stringify(found)}`);
  }
  await t.look(look);
}
