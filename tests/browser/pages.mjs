// Examines the pages of a running `rapport serve` in Chromium. Prints one line per finding; ends with
// 1 when there is any.
//
//   node pages.mjs open URL            where whoever comes does everything
//   node pages.mjs signed-in URL       where people sign in; PEOPLE holds their tokens as JSON:
//                                      manager, leadership, engineer, partner, partner_id
//
// - `browser.mjs`: the browser, and what is examined on each page
// - `every_page.mjs`: each page, in both colour schemes and at four widths
// - `reading.mjs`: filters, search, order, links, keys
// - `deciding.mjs`: the forms, also without JavaScript
// - `signing_in.mjs`: who sees what

import { Site } from './browser.mjs';
import { deciding } from './deciding.mjs';
import { everyPage } from './every_page.mjs';
import { reading } from './reading.mjs';
import { signingIn } from './signing_in.mjs';

const SUITES = {
  open: [everyPage, reading, deciding],
  'signed-in': [signingIn],
};

const [name, base] = process.argv.slice(2);
if (!SUITES[name] || !base) {
  console.error('usage: node pages.mjs open|signed-in URL');
  process.exit(2);
}

const site = await Site.open(base);
try {
  for (const suite of SUITES[name]) {
    const begin = Date.now();
    await suite(site);
    console.error(`${suite.name}: ${((Date.now() - begin) / 1000).toFixed(1)} s`);
  }
} finally {
  await site.browser.close();
}
console.error(`${site.examined} pages, ${site.findings.length} findings`);
process.exit(site.findings.length === 0 ? 0 : 1);
