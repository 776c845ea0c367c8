// The forms by which people decide, with and without JavaScript.

export async function deciding(site) {
  for (const javaScriptEnabled of [true, false]) {
    const name = (flow) => (javaScriptEnabled ? flow : `${flow} without JavaScript`);
    await site.flow(name('override'), { javaScriptEnabled }, override);
    await site.flow(name('note'), { javaScriptEnabled }, note);
    await site.flow(name('refused form'), { javaScriptEnabled }, refused);
    await site.flow(name('one change'), { javaScriptEnabled }, oneChange);
    await site.flow(name('alerts'), { javaScriptEnabled }, alerts);
    await site.flow(name('annotation'), { javaScriptEnabled }, annotation);
    await site.flow(name('saved view'), { javaScriptEnabled }, savedView);
  }
  await site.flow('all of a rule', { javaScriptEnabled: false }, allOfARule);
}

async function toAPartner(tab, page) {
  await tab.go('/partners.html?tier=healthy&sort=score');
  await page.click('td.name a >> nth=0');
}

async function override(tab, page) {
  await toAPartner(tab, page);
  const partner = tab.path();
  await page.selectOption('select[name=tier]', 'at_risk');
  await page.fill('form[action$=override] input[name=days]', '7');
  await page.fill('form[action$=override] input[name=reason]', 'They told us <b>they leave</b>');
  await page.click('button:text("Set the tier")');
  await page.waitForSelector('.notice');
  tab.check(tab.path() === partner, 'the form leads to another page');
  await tab.notice(/at risk/i);
  tab.check((await tab.text('.facts')).includes('At risk'), 'the tier that was set is not shown');
  tab.check((await page.locator('main b:text("they leave")').count()) === 0, 'the reason is read as HTML');
  await tab.examine();
  await page.reload();
  tab.check((await page.locator('.notice').count()) === 0, 'the notice stays');
  await page.selectOption('select[name=tier]', '');
  await page.fill('form[action$=override] input[name=reason]', 'They stay');
  await page.click('button:text("Set the tier")');
  await page.waitForSelector('.notice');
  await tab.notice(/computed one again/);
  tab.check((await tab.text('.facts')).includes('Healthy'), 'the computed tier is not shown again');
}

async function note(tab, page) {
  await toAPartner(tab, page);
  await page.fill('form[action$=note] input[name=text]', 'Spoke with their engineers');
  await page.click('button:text("Keep the note")');
  await page.waitForSelector('.notice');
  tab.check((await tab.text('main')).includes('Spoke with their engineers'), 'the note is not shown');
}

// What the form itself does not stop, the server does.
async function refused(tab, page) {
  await toAPartner(tab, page);
  await page.evaluate(() => document.querySelectorAll('input[name=days]').forEach((field) => (field.max = '999')));
  await page.fill('form[action$=override] input[name=days]', '500');
  await page.fill('form[action$=override] input[name=reason]', 'Too long');
  await page.click('button:text("Set the tier")');
  await page.waitForSelector('.notice.refused');
  await tab.notice(/nothing was recorded/i);
  await tab.examine();
}

async function oneChange(tab, page) {
  await tab.go('/actions.html');
  const waiting = () => page.locator('.changes .decide:not(.undo)').count();
  const before = await waiting();
  tab.check(before >= 2, `${before} changes wait for a person`);
  await page.click('.changes .decide:not(.undo) form[action$="approve"] button >> nth=0');
  await page.waitForSelector('.notice');
  await tab.notice(/1 change approved/);
  tab.check((await waiting()) === before - 1, `${await waiting()} changes wait after one of ${before} is approved`);
  tab.check((await page.locator('.changes .decide.undo').count()) >= 1, 'what was approved can not be taken back');
  await page.click('.changes .decide:not(.undo) summary:text("Reject") >> nth=0');
  await page.fill('.changes .decide details[open] input[name=reason]', 'Not this month');
  await page.click('.changes .decide details[open] button');
  await page.waitForSelector('.notice');
  await tab.notice(/1 change rejected/);
  tab.check((await waiting()) === before - 2, `${await waiting()} changes wait after one more is rejected`);
  tab.check((await tab.text('main')).includes('Not this month'), 'the log has no reason');
  tab.check((await tab.text('.changes')).includes('Rejected'), 'the rejected change looks undecided');
  await page.click('.changes button:text("Approve after all") >> nth=0');
  await page.waitForSelector('.notice');
  await tab.notice(/1 change approved/);
}

// All changes of a rule need a second click, which says how many they are.
async function allOfARule(tab, page) {
  await tab.go('/actions.html');
  const before = await page.locator('.changes .decide:not(.undo)').count();
  await page.click('.rules .decide summary:text("Approve all") >> nth=0');
  const button = page.locator('.rules .decide details[open] button');
  const asked = await button.textContent();
  tab.check(/^Yes, approve \d+ changes?$/.test(asked), `the question is ${asked}`);
  await button.click();
  await page.waitForSelector('.notice');
  await tab.notice(new RegExp(`${asked.match(/\d+/)[0]} changes? approved`));
  const after = await page.locator('.changes .decide:not(.undo)').count();
  tab.check(after < before, `${after} of ${before} changes wait after all of a rule are approved`);
}

async function alerts(tab, page) {
  await tab.go('/alerts.html');
  if ((await page.locator('.decide').count()) === 0) return tab.find('no alert is open');
  await page.click('.decide summary:text("Note") >> nth=0');
  await page.fill('.decide details[open] input[name=text]', 'We look into it');
  await page.click('.decide details[open] button');
  await page.waitForSelector('.notice');
  await page.click('.decide summary:text("Snooze") >> nth=0');
  await page.fill('.decide details[open] input[name=reason]', 'Known until Friday');
  await page.click('.decide details[open] button');
  await page.waitForSelector('.notice');
  await tab.notice(/snooze/i);
}

// What explains a day is marked in the charts.
async function annotation(tab, page) {
  await tab.go('/data.html');
  const day = new Date(Date.now() - 10 * 86_400_000).toISOString().slice(0, 10);
  await page.fill('form[action$=annotate] input[name=from]', day);
  await page.fill('form[action$=annotate] input[name=text]', 'Our <b>gateway</b> was down');
  await page.click('form[action$=annotate] button');
  await page.waitForSelector('.notice');
  await tab.notice(/all partners/);
  tab.check((await tab.text('#annotations')).includes('Our <b>gateway</b> was down'), 'the annotation is not listed');
  await tab.examine();
  await tab.go('/growth.html');
  tab.check((await tab.text('.marks')).includes('Our <b>gateway</b> was down'), 'no chart explains the annotation');
  const described = await page.locator('svg desc').allTextContents();
  tab.check(described.some((text) => text.includes('Marked: 1 on')), 'no drawing describes the annotation');
}

// Columns are chosen in the URL, and a view is kept for whoever saves it.
async function savedView(tab, page) {
  const heads = async () => (await page.locator('#partners th').allTextContents()).join(' ');
  await tab.go('/partners.html');
  await page.click('.columns summary');
  await page.check('.columns input[value=segment]');
  await page.uncheck('.columns input[value=manager]');
  await page.click('form[role=search] button[type=submit]');
  await page.waitForSelector('#partners th:text("Segment")');
  tab.check(!(await heads()).includes('Manager'), `the columns are ${await heads()}`);
  await page.fill('.save input[name=name]', 'Mine <b>');
  await page.click('.save button');
  await page.waitForSelector('.notice');
  await tab.notice(/Saved as Mine <b>/);
  await tab.examine();
  await tab.go('/partners.html');
  tab.check((await tab.text('.views')).includes('Mine <b>'), 'the saved view has another name');
  await page.click('.views a');
  await page.waitForSelector('#partners th:text("Segment")');
  tab.check(!(await heads()).includes('Manager'), 'the saved view has other columns');
  await page.click('.views button');
  await page.waitForSelector('.notice');
  await tab.notice(/Deleted/);
  tab.check((await page.locator('.views').count()) === 0, 'the deleted view is still there');
}
