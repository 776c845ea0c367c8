// How people find what they look for: filters, order, search, links, keys, SQL.

import { PHONE } from './browser.mjs';

export async function reading(site) {
  for (const javaScriptEnabled of [true, false]) {
    const name = (flow) => (javaScriptEnabled ? flow : `${flow} without JavaScript`);
    await site.flow(name('filter'), { javaScriptEnabled }, filter);
    await site.flow(name('search'), { javaScriptEnabled }, search);
    await site.flow(name('SQL'), { javaScriptEnabled }, sql);
    await site.flow(name('permalink'), { javaScriptEnabled }, permalink);
  }
  await site.flow('filter on a phone', { viewport: PHONE }, filterOnPhone);
  await site.flow('order', {}, order);
  await site.flow('keys', {}, keys);
  await site.flow('colour schemes', {}, colourSchemes);
}

async function filter(tab, page) {
  await tab.go('/funnel.html');
  await page.click('.choose > summary');
  const value = await page.locator('.choose select[name=segment] option').nth(1).getAttribute('value');
  await page.selectOption('.choose select[name=segment]', value);
  await page.click('.choose button[type=submit]');
  await page.waitForURL('**/view/**');
  tab.check(tab.path() === `/view/segment=${value}/funnel.html`, 'the filter stands in no path of its own');
  tab.check((await tab.text('.filtered')).includes(value), 'the page does not say what it is restricted to');
  await page.click('nav.rail a[href="health.html"]');
  tab.check(tab.path() === `/view/segment=${value}/health.html`, 'a link loses the filter');
  await page.click('td.name a >> nth=0');
  tab.check(tab.path().startsWith(`/view/segment=${value}/partners/`), 'the link to a partner loses the filter');
  await tab.go(`/view/segment=${value}/funnel.html`);
  await page.click('.choose > summary');
  await page.click('.choose a:text("Clear")');
  tab.check(tab.path() === '/funnel.html', 'Clear keeps the filter');
}

async function filterOnPhone(tab, page) {
  await tab.go('/index.html');
  await page.click('.choose > summary');
  const box = await page.locator('.choose > form').boundingBox();
  tab.check(box.x >= 0 && box.x + box.width <= PHONE.width, `the filters reach from ${box.x} to ${box.x + box.width} px`);
  await tab.axe('open filters');
  await tab.checkWidth();
  await page.click('.choose > summary');
  await page.click('.menu > summary');
  await tab.axe('open menu');
  await page.click('.menu a[href="revenue.html"]');
  tab.check(tab.path() === '/revenue.html', 'the menu leads elsewhere');
}

async function search(tab, page) {
  await tab.go('/partners.html');
  const name = (await tab.text('td.name a bdi')).slice(0, 5);
  await page.fill('form.search input[name=q]', name.toUpperCase());
  await page.click('form.search button');
  const names = await page.locator('td.name').allTextContents();
  tab.check(names.length > 0, `a search for ${name} finds nothing`);
  tab.check(names.every((found) => found.toLowerCase().includes(name.toLowerCase())), `a search for ${name} finds ${names}`);
  await page.click('td.name a >> nth=0');
  tab.check(/^\/partners\/.+\.html$/.test(tab.path()), 'a partner has no page');
  tab.check((await tab.text('h1')).toLowerCase().includes(name.toLowerCase()), 'the link leads to another partner');
  await tab.go('/partners.html');
  await page.fill('form.search input[name=q]', 'no such partner');
  await page.click('form.search button');
  tab.check((await tab.text('.empty')).startsWith('No partner fits'), 'nothing is found, and the page does not say so');
  await page.click('.empty a');
  tab.check((await page.locator('td.name').count()) > 0, 'all partners are not shown again');
  await page.selectOption('form.search select[name=sort]', 'name');
  await page.click('form.search button');
  const sorted = (await page.locator('td.name a bdi:first-child').allTextContents()).slice(0, 20).map((n) => n.toLowerCase());
  tab.check(sorted.join() === [...sorted].sort((a, b) => (a < b ? -1 : 1)).join(), `by name comes ${sorted}`);
  await page.selectOption('form.search select[name=tier]', 'healthy');
  await page.click('form.search button');
  const tiers = await page.locator('table.all tbody td:first-child').allTextContents();
  tab.check(tiers.length > 0 && tiers.every((tier) => tier.trim() === 'Healthy'), `among healthy ones are ${tiers}`);
}

async function sql(tab, page) {
  await tab.go('/ask.html');
  await ask(page, 'SELECT count(*) AS partners, 1 AS one FROM partners');
  const heads = await page.locator('table.result th').allTextContents();
  tab.check(heads.join() === 'partners,one', `the answer has the columns ${heads}`);
  tab.check(Number(await tab.text('table.result td')) > 0, 'the answer counts no partners');
  tab.check((await page.inputValue('textarea')).startsWith('SELECT count'), 'the query is gone');
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('button[formaction="ask.csv"]')]);
  tab.check(download.suggestedFilename() === 'answer.csv', `the CSV is called ${download.suggestedFilename()}`);
  const csv = await download.createReadStream();
  let text = '';
  for await (const part of csv) text += part;
  tab.check(/^partners,one\n\d+,1\n$/.test(text), `the CSV is ${text}`);
  await ask(page, 'DELETE FROM partners');
  tab.check((await page.getByRole('alert').count()) === 1, 'DELETE is not refused');
  await page.click('form.again button >> nth=1');
  tab.check((await page.locator('table.result td').count()) === 2, 'a query of the history is not asked again');
  await tab.examine();
}

async function ask(page, text) {
  await page.fill('#sql', text);
  await page.click('form.ask button.main');
  await page.waitForSelector('#result');
}

async function permalink(tab, page) {
  await tab.go('/growth.html');
  const lead = await tab.text('.lead');
  await page.click('.data:text("Permalink")');
  tab.check(/^\/view\/as_of=[\d-]+&run=\w+\/growth\.html$/.test(tab.path()), 'the permalink names no day and run');
  tab.check((await tab.text('.lead')) === lead, 'the permalink shows other figures');
}

async function order(tab, page) {
  await tab.go('/health.html');
  const head = page.locator('#partners th', { hasText: 'Score' });
  const scores = async () => {
    const cells = await page.locator('#partners tbody td:nth-child(3)').allTextContents();
    return cells.map(Number).filter((score) => !Number.isNaN(score));
  };
  for (const [direction, sign] of [['descending', -1], ['ascending', 1]]) {
    await head.getByRole('button').click();
    tab.check((await head.getAttribute('aria-sort')) === direction, `aria-sort is ${await head.getAttribute('aria-sort')}`);
    const found = await scores();
    const sorted = [...found].sort((a, b) => sign * (a - b));
    tab.check(found.length > 1 && found.join() === sorted.join(), `${direction} come ${found}`);
  }
  tab.check((await page.locator('#partners [aria-sort]').count()) === 1, 'two columns say that they are sorted');
  await tab.axe('sorted');
}

async function keys(tab, page) {
  const focused = (what) => page.evaluate((what) => document.activeElement?.[what], what);
  await tab.go('/partners.html');
  await page.keyboard.press('Tab');
  tab.check((await focused('className')) === 'skip', 'the first stop is not the skip link');
  const skip = await page.locator('.skip').boundingBox();
  tab.check(skip.x >= 0 && skip.width > 0, 'the skip link is not seen when it has the focus');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  tab.check(await page.evaluate(() => document.activeElement.closest('main') !== null), 'the skip link leads nowhere');
  await page.keyboard.press('/');
  tab.check((await focused('name')) === 'q', '/ does not lead to the search');
  await page.keyboard.type('j');
  tab.check((await focused('value')) === 'j', 'a j in the search is not written');
  await page.keyboard.press('Backspace');
  await page.evaluate(() => document.activeElement.blur());
  const links = await page.locator('td.name a').evaluateAll((all) => all.map((a) => a.href));
  for (const [key, at] of [['j', 0], ['j', 1], ['j', 2], ['k', 1]]) {
    await page.keyboard.press(key);
    tab.check((await focused('href')) === links[at], `${key} leads to ${await focused('href')}, not ${links[at]}`);
  }
  await page.keyboard.press('Enter');
  await page.waitForURL(links[1]);
  // A form is filled in without a mouse.
  await tab.go('/funnel.html');
  await page.locator('.choose > summary').focus();
  await page.keyboard.press('Enter');
  await page.keyboard.press('Tab');
  tab.check((await focused('name')) === 'as_of', 'the filters do not follow their button');
}

async function colourSchemes(tab, page) {
  await tab.go('/index.html');
  const colour = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await colour();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await colour();
  tab.check(light === 'rgb(255, 255, 255)' && dark === 'rgb(15, 21, 27)', `the page is ${light} and ${dark}`);
  await page.emulateMedia({ colorScheme: 'light', forcedColors: 'active' });
  await tab.axe('forced colours');
}
