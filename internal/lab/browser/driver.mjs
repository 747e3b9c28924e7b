// The browser of the tests: Debian's Chromium, driven step by step. Each line of descriptor 3 is a step, {"step": "log.find",
// "args": {…}}, that a file of steps/ exports; each is answered on descriptor 4 by {"value": …, "faults": […], "error": "…"}.
// Faults are what no page may do at any time: errors on its console, requests to other hosts, breaches of the content
// security policy, dialogs. The environment says the rest: BASE, OUT, WIDTH, SCHEME, SCRIPT, HOSTS, CHROMIUM.
import fs from "node:fs";
import readline from "node:readline";
import { chromium } from "playwright-core";
import { look } from "./look.mjs";

const env = process.env, base = new URL(env.BASE), patience = 60_000;
const steps = {};
for (const file of fs.readdirSync(new URL("steps/", import.meta.url)).sort())
  steps[file.replace(/\.mjs$/, "")] = await import(new URL("steps/" + file, import.meta.url));

// A place of the browser's own for what it writes; nothing of it may reach the network by itself.
const browser = await chromium.launch({ executablePath: env.CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage",
  "--disable-background-networking", "--disable-component-update", "--disable-gpu", "--force-color-profile=srgb",
  "--host-resolver-rules=" + ["MAP *.gatepost.test 127.0.0.1", env.HOSTS].filter(Boolean).join(", ")] }); // passkeys want a name

let faults = [];
const t = { base: env.BASE, out: env.OUT, browser, allowed: [], patience };

// fault notes one, unless the step has said that it comes.
t.fault = text => { if (!t.allowed.some(a => a.test(text))) faults.push(text); };
// allow says what a step provokes itself, such as the browser's own line about an answer 403.
t.allow = (...patterns) => { t.allowed = patterns; };
// is ends a step where something is not as it must be.
t.is = (ok, what) => { if (!ok) throw new Error(what); };
t.same = (got, want, what) => t.is(got === want, `${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
t.look = (name, options) => look(t, name, options);
// open makes a new browser profile: no cookie of the one before is left.
t.open = async (options = {}) => {
  await t.context?.close();
  t.context = await browser.newContext({ ignoreHTTPSErrors: true, locale: "en-GB", timezoneId: "UTC", reducedMotion: "reduce",
    viewport: { width: Number(env.WIDTH || 1280), height: 800 }, colorScheme: env.SCHEME || "light",
    javaScriptEnabled: env.SCRIPT !== "off", ...options });
  t.context.setDefaultTimeout(patience);
  t.context.on("page", watch);
  if (env.SCRIPT !== "off")
    await t.context.addInitScript(() => addEventListener("securitypolicyviolation", e => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI} ${e.sample}`)));
  t.page = await t.context.newPage();
  return t.page;
};
// go opens a page of the console.
t.go = async path => t.page.goto(new URL(path, base).href, { waitUntil: "load" });

function watch(page) {
  page.on("console", m => { if (m.type() === "error" || m.type() === "warning") t.fault(`console: ${m.text()} (${m.location().url})`); });
  page.on("pageerror", e => t.fault(`script: ${e.message}`));
  page.on("dialog", d => { t.fault(`dialog: ${d.message()}`); d.dismiss(); });
  page.on("request", r => {
    const u = new URL(r.url());
    if (!["data:", "about:", "blob:"].includes(u.protocol) && u.host !== base.host) t.fault(`request to ${u.host}: ${r.url()}`);
    if (/__Host-|session=|token=/i.test(u.search)) t.fault(`a secret is in an address: ${u.pathname}`);
  });
}

const answer = fs.createWriteStream(null, { fd: 4 });
const say = x => answer.write(JSON.stringify(x) + "\n");
await t.open();
say({ value: browser.version() });
for await (const line of readline.createInterface({ input: fs.createReadStream(null, { fd: 3 }) })) {
  const { step, args } = JSON.parse(line), [file, name] = step.split(".");
  const out = {};
  faults = []; t.allowed = [];
  try {
    if (!steps[file]?.[name]) throw new Error(`there is no step ${step}`);
    out.value = await steps[file][name](t, args ?? {}) ?? null;
  } catch (e) {
    out.error = `${step}: ${e.message}`;
    const shot = `${env.OUT}/failed-${step}.png`;
    await t.page.screenshot({ path: shot, fullPage: true }).then(() => { out.error += `\nat ${t.page.url()}; see ${shot}`; }, () => {});
  }
  say({ ...out, faults: [...new Set(faults)] });
}
await browser.close();
process.exit(0);
