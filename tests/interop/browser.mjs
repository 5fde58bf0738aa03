// The page of our server in Chromium, without a head: opened as a user opens it, and looked at until it
// is done. Ends with a line of JSON: what the page shows, and what the browser saw go over the network.
//
// `node browser.mjs URL REQUESTS SCREENSHOT`, with the browser's path in CHROMIUM

import puppeteer from 'puppeteer-core';

const [url, requests, screenshot] = process.argv.slice(2);
// No run takes so long, unless something hangs.
const timeout = 180_000;
// Its sandbox refuses to be root's.
const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
const browser = await puppeteer.launch({ executablePath: process.env.CHROMIUM, args });
try {
  const page = await browser.newPage();
  await page.setViewport({ width: 800, height: 520 });
  const network = { answers: 0, token_requests: 0, token_refused: 0, unauthorized: 0, other: 0 };
  const lapsed = new Set();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('requestfailed', (request) => errors.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.on('response', (response) => {
    const [path, status] = [new URL(response.url()).pathname, response.status()];
    if (path === '/token') {
      network.token_requests += 1;
      if (status !== 200) network.token_refused += 1;
    } else if (path.startsWith('/things/')) {
      if (status === 200) network.answers += 1;
      else if (status !== 401) network.other += 1;
      else {
        network.unauthorized += 1;
        lapsed.add(response.request().headers().authorization);
      }
    }
  });

  // A clock that can be set back, as a user's can: then a token looks good to the page for longer
  // than it is, and only the server knows that it is over.
  await page.evaluateOnNewDocument(() => {
    const now = Date.now;
    let back = 0;
    Date.now = () => now() - back;
    globalThis.setClockBack = (milliseconds) => { back += milliseconds; };
  });
  await page.goto(`${url}/?requests=${requests}`);
  const setting = setInterval(() => page.evaluate(() => setClockBack(10_000)).catch(() => {}), 4000);
  const shows = (id, text) => document.getElementById(id).textContent === text;
  await page.waitForFunction(shows, { timeout, polling: 200 }, 'state', 'done');
  clearInterval(setting);
  const shown = await page.$$eval('dd', (all) => Object.fromEntries(all.map((it) => [it.id, it.textContent])));
  await page.screenshot({ path: screenshot });
  for (const id of ['requests', 'failed', 'tokens', 'refreshes', 'waits', 'replays']) shown[id] = Number(shown[id]);
  console.log(JSON.stringify({ shown, network: { ...network, lapsed: lapsed.size }, errors }));
} finally {
  await browser.close();
}
