// Who sees what where people sign in: managers their own partners, partners their own usage.

export async function signingIn(site) {
  const people = JSON.parse(process.env.PEOPLE);
  await site.flow('sign in and out', {}, (tab, page) => inAndOut(tab, page, people.leadership));
  await site.flow('sign in without JavaScript', { javaScriptEnabled: false }, (tab, page) =>
    inAndOut(tab, page, people.leadership),
  );
  await site.flow('manager', {}, (tab, page) => manager(tab, page, people));
  await site.flow('engineer', {}, (tab, page) => engineer(tab, page, people.engineer));
  await site.flow('partner', {}, (tab, page) => partner(tab, page, people));
}

async function signIn(tab, page, token) {
  await page.fill('input[name=token]', token);
  await page.click('button:text("Sign in")');
}

async function inAndOut(tab, page, token) {
  await tab.go('/growth.html');
  tab.check(tab.path().startsWith('/sign-in'), 'a page is shown without a token');
  const label = page.getByLabel('Token');
  tab.check((await label.getAttribute('type')) === 'password', 'the token is shown');
  tab.expected = 401;
  await signIn(tab, page, 'rapport_guess');
  tab.check((await page.getByRole('alert').count()) === 1, 'a wrong token is not told of');
  await tab.examine();
  tab.expected = 200;
  await signIn(tab, page, token);
  await page.waitForSelector('nav.rail');
  tab.check(tab.path() === '/growth.html', 'signing in does not lead back');
  await tab.examine();
  await tab.go('/actions.html');
  tab.check((await page.locator('.decide').count()) === 0, 'leadership may decide');
  await tab.go('/ask.html');
  tab.check((await page.locator('#sql').count()) === 0, 'leadership may ask in SQL');
  await page.click('button:text("Sign out")');
  await page.waitForURL('**/sign-in');
  await tab.go('/growth.html');
  tab.check(tab.path().startsWith('/sign-in'), 'a page is shown after signing out');
}

async function manager(tab, page, { manager, manager_name: name }) {
  await tab.go('/');
  await signIn(tab, page, manager);
  await page.waitForSelector('nav.rail');
  await tab.go('/partners.html');
  const managers = await page.locator('table.all tbody td.clip').allTextContents();
  tab.check(managers.length > 0 && managers.every((shown) => shown.trim() === name), `${name} sees partners of ${[...new Set(managers)]}`);
  tab.check((await page.locator('.choose select[name=manager]').count()) === 0, 'a manager can choose another one');
  await page.click('td.name a >> nth=0');
  tab.check((await page.locator('#decide').count()) === 1, 'a manager can’t decide on an own partner');
  await tab.examine();
  await tab.go('/metrics', 403);
  await tab.examine();
}

async function engineer(tab, page, token) {
  await tab.go('/ask.html');
  await signIn(tab, page, token);
  await page.waitForSelector('#sql');
  await tab.go('/partners.html');
  await page.click('td.name a >> nth=0');
  tab.check((await page.locator('#decide').count()) === 0, 'an engineer may decide');
}

async function partner(tab, page, { partner, partner_id: id }) {
  await tab.go(`/usage/${id}/usage.html`);
  await signIn(tab, page, partner);
  await page.waitForSelector('.bare');
  tab.check((await page.locator('nav').count()) === 0, 'a partner sees the navigation');
  const links = await page.locator('main a').evaluateAll((all) => all.map((a) => a.getAttribute('href')));
  tab.check(links.join() === 'usage.csv', `a partner sees the links ${links}`);
  tab.check(!/health|score|risk|manager/i.test(await tab.text('main')), 'a partner sees what we think of it');
  await tab.examine();
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('a[href="usage.csv"]')]);
  tab.check(download.suggestedFilename() === 'usage.csv', 'the usage is no file');
  await tab.go('/usage/another/usage.html', 404);
  await tab.go('/index.html', 403);
}
