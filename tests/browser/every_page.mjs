// Every page of the navigation, a page of each family, and the states of pages.

// Two tabs keep two processors busy.
const TABS = 2;

export async function everyPage(site) {
  const addresses = await pages(site);
  const next = addresses[Symbol.iterator]();
  const work = async (number) => {
    for (const [path, status] of next) {
      await site.flow(`every page (${number})`, {}, async (tab) => {
        await tab.go(path, status);
        await openEverything(tab.page);
        await tab.examine();
      });
    }
  };
  await Promise.all(Array.from({ length: TABS }, (_, number) => work(number + 1)));
}

// Returns the paths to examine, with the status of their answers.
async function pages(site) {
  const found = [];
  await site.flow('navigation', {}, async (tab, page) => {
    await tab.go('/');
    const links = await page.locator('nav.rail a').evaluateAll((all) => all.map((a) => a.getAttribute('href')));
    tab.check(links.length >= 13, `the navigation has ${links.length} links`);
    found.push(...new Set(links.map((link) => `/${link}`)));
    const partner = await firstLink(tab, '/health.html', 'td.name a');
    const query = await firstLink(tab, '/metrics.html', 'main a[href^="sql/"]');
    await tab.go('/health.html');
    const segment = await page.locator('.choose select[name=segment] option').nth(1).getAttribute('value');
    found.push(
      partner,
      query,
      '/partners.html?q=no+such+partner',
      '/partners.html?tier=healthy&sort=score',
      '/partners.html?sort=risk&columns=tier,score,change,risk,segment,stage,reason',
      `/view/segment=${segment}/index.html`,
      `/view/segment=${segment}/health.html`,
      `/usage/${partner.match(/partners\/(.*)\.html/)[1]}/usage.html`,
      '/sign-in',
    );
  });
  const answered = found.map((path) => [path, 200]);
  return [...answered, ['/nothing.html', 404], ['/view/colour=red/index.html', 400]];
}

async function firstLink(tab, path, selector) {
  await tab.go(path);
  return `/${await tab.page.locator(selector).first().getAttribute('href')}`;
}

// What is folded is part of the page; a menu lies on top of it.
async function openEverything(page) {
  await page.evaluate(() => {
    for (const details of document.querySelectorAll('section details')) details.open = true;
  });
}
