// Drives a real headless Chromium through forms, as a person would, and tells where it got to.
//
// usage: node drive.js MODULES CHROMIUM URL <PLAN
//
// MODULES is the directory whose node_modules holds playwright-core, CHROMIUM the browser. PLAN is
// JSON, on standard input since it may hold what nobody may see in a command line:
//
//   { "steps": [{ "wait": SELECTOR, "fill": { SELECTOR: TEXT }, "untick": [SELECTOR],
//                 "click": SELECTOR }],
//     "until": PATTERN }
//
// Each step waits for its selector. At the end the browser has to be sent to an address that
// matches `until` (a regular expression), whether anybody answers there or not. Without `until`
// the page behind the last step is the end. Prints one line of JSON:
//
//   { "url": last address, "text": of the page there or null, "title", "status": or null,
//     "addresses": every address on the way, "pages": what each step's page showed }
//
// Ends with 1 and a sentence when it does not get there in time. The browser has an empty profile,
// trusts what the NSS database below $HOME does, and everything else as strictly as ever.

import { createRequire } from 'node:module';

// How long one step, the start of the browser, and all of it, may take, in milliseconds. A busy
// machine needs a few seconds; the first start has some 300 MB to read from the disk.
const STEP_MS = 20_000;
const START_MS = 45_000;
const ALL_MS = 50_000;
const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-proxy-server',
];

const [modules, executablePath, start] = process.argv.slice(2);
if (!modules || !executablePath || !start) {
  console.error('usage: node drive.js MODULES CHROMIUM URL <PLAN');
  process.exit(64);
}
const { chromium } = createRequire(`${modules}/package.json`)('playwright-core');

async function drive({ steps = [], until }) {
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS, timeout: START_MS });
  try {
    const context = await browser.newContext();
    context.setDefaultTimeout(STEP_MS);
    const page = await context.newPage();
    const addresses = [];
    let response = null;
    // Resolved once the browser has been sent to where it has to get to, and the answer is there
    // or known not to come.
    const pattern = until && new RegExp(until);
    const arrived = new Promise((resolve) => {
      const settle = (request, answer) => {
        if (!request.isNavigationRequest() || request.frame() !== page.mainFrame()) return;
        response = answer;
        if (pattern?.test(request.url())) resolve();
      };
      page.on('request', (request) => {
        if (request.isNavigationRequest() && request.frame() === page.mainFrame()) {
          addresses.push(request.url());
        }
      });
      page.on('response', (answer) => settle(answer.request(), answer));
      page.on('requestfailed', (request) => settle(request, null));
    });

    await page.goto(start, { waitUntil: 'load' });
    const pages = [];
    for (const step of steps) pages.push(await take(page, step, addresses));
    if (pattern) await within(arrived, () => `no address matched ${until}: ${shown(addresses)}`);
    // Fails where nobody answers: then there is no page to read.
    const answered = response !== null;
    if (answered) await page.waitForLoadState('load');
    return {
      url: addresses.at(-1),
      status: response?.status() ?? null,
      title: answered ? await page.title() : null,
      text: answered ? await page.innerText('body') : null,
      addresses,
      pages,
    };
  } finally {
    await browser.close();
  }
}

// A step that may mean two things on a page is a mistake.
const strict = { strict: true };

// One step; gives what its page showed.
async function take(page, { wait, fill = {}, untick = [], click }, addresses) {
  try {
    if (wait) await page.waitForSelector(wait);
    const text = await page.innerText('body');
    for (const [selector, text] of Object.entries(fill)) await page.fill(selector, text, strict);
    for (const selector of untick) await page.uncheck(selector, strict);
    // The click is done once the page behind it has begun to come.
    if (click) await page.click(click, strict);
    return text;
  } catch (error) {
    const seen = await page.innerText('body').catch(() => '(nothing)');
    throw new Error(`${error.message}\nat ${shown(addresses)}\nthe page says: ${seen}`);
  }
}

// The last address without its query, which may hold a code.
const shown = (addresses) => (addresses.at(-1) ?? '').split('?')[0];

async function within(promise, problem) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(problem())), STEP_MS);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
setTimeout(() => {
  console.error(`the browser was not done within ${ALL_MS / 1000} s`);
  process.exit(1);
}, ALL_MS).unref();
try {
  console.log(JSON.stringify(await drive(JSON.parse(Buffer.concat(chunks)))));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
