// A browser whose pages are watched: what a page logs, what it fails to load, what axe-core finds.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Every rule but the experimental ones and those of level AAA.
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const CONTRASTS = ['color-contrast', 'link-in-text-block'];

export const WIDE = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

// A wait that no machine in use exceeds.
const TIMEOUT = 60_000;

export class Site {
  constructor(base, browser) {
    this.base = base.replace(/\/$/, '');
    this.browser = browser;
    this.findings = [];
    this.examined = 0;
  }

  static async open(base) {
    const browser = await chromium.launch({
      executablePath: process.env.RAPPORT_CHROMIUM ?? '/usr/bin/chromium',
      // Chromium's sandbox refuses to start as root.
      args: process.getuid() === 0 ? ['--no-sandbox'] : [],
    });
    return new Site(base, browser);
  }

  find(where, what) {
    this.findings.push(what);
    console.log(`${where}: ${what}`);
  }

  // Opens a tab of its own, with cookies of its own.
  async tab(name, options = {}) {
    const context = await this.browser.newContext({
      viewport: WIDE,
      reducedMotion: 'reduce',
      acceptDownloads: true,
      ...options,
    });
    context.setDefaultTimeout(TIMEOUT);
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`content security policy: ${event.violatedDirective} forbids ${event.blockedURI || 'inline'}`);
      });
    });
    const page = await context.newPage();
    const tab = new Tab(this, name, page, options.javaScriptEnabled !== false);
    page.on('console', (message) => {
      if (!['error', 'warning'].includes(message.type())) return;
      // The answer itself is examined by whoever asks for it.
      if (message.text().startsWith('Failed to load resource')) return;
      tab.find(`console: ${message.text()}`);
    });
    page.on('pageerror', (error) => tab.find(`script: ${error.message}`));
    page.on('requestfailed', (request) => {
      const why = request.failure()?.errorText;
      // A download ends the navigation that began it.
      if (why === 'net::ERR_ABORTED' && request.isNavigationRequest()) return;
      tab.find(`${request.url()} failed: ${why}`);
    });
    page.on('response', (response) => {
      if (response.status() >= 400 && response.status() !== tab.expected) {
        tab.find(`${response.url()} answered ${response.status()}`);
      }
      if (!response.url().startsWith(this.base)) tab.find(`${response.url()} is elsewhere`);
    });
    return tab;
  }

  // Runs one flow in a tab of its own. What it throws is a finding.
  async flow(name, options, run) {
    const tab = await this.tab(name, options);
    try {
      await run(tab, tab.page);
    } catch (error) {
      tab.find(error.message.split('\n').slice(0, 4).join(' '));
    }
    await tab.close();
  }
}

export class Tab {
  constructor(site, name, page, isScripted) {
    this.site = site;
    this.name = name;
    this.page = page;
    this.isScripted = isScripted;
    // The status of answers that a flow asks for.
    this.expected = 200;
  }

  find(what) {
    this.site.find(`${this.name} at ${this.path()}`, what);
  }

  check(holds, what) {
    if (!holds) this.find(what);
  }

  path() {
    return this.page.url().replace(this.site.base, '');
  }

  async go(path, expected = 200) {
    this.expected = expected;
    const response = await this.page.goto(this.site.base + path);
    this.check(response.status() === expected, `${path} answered ${response.status()}, not ${expected}`);
    return response;
  }

  async text(selector) {
    return (await this.page.locator(selector).first().textContent()).trim();
  }

  // Checks that the page says what became of a form.
  async notice(pattern) {
    const said = await this.text('.notice');
    this.check(pattern.test(said), `the notice says "${said}", not ${pattern}`);
  }

  // Examines the page as it is: four widths, both colour schemes. axe-core needs JavaScript.
  async examine() {
    if (!this.isScripted) return;
    for (const viewport of [WIDE, PHONE]) {
      await this.page.setViewportSize(viewport);
      await this.page.emulateMedia({ colorScheme: 'light' });
      await this.axe(`${viewport.width} light`, { type: 'tag', values: RULES });
      // The other colours change nothing but contrasts.
      await this.page.emulateMedia({ colorScheme: 'dark' });
      await this.axe(`${viewport.width} dark`, { type: 'rule', values: CONTRASTS });
      await this.checkWidth();
    }
    // 1440 px at a zoom of 200 %, and 1280 px at 400 % (WCAG 1.4.10).
    for (const width of [720, 320]) {
      await this.page.setViewportSize({ width, height: 450 });
      await this.checkWidth();
    }
    await this.page.emulateMedia({ colorScheme: 'light' });
    await this.page.setViewportSize(WIDE);
    this.site.examined += 1;
  }

  async axe(state, runOnly = { type: 'tag', values: RULES }) {
    if (!(await this.page.evaluate(() => Boolean(window.axe)))) await this.page.evaluate(AXE);
    const violations = await this.page.evaluate(async (runOnly) => {
      // The rows of a table are alike; its first ones stand for all.
      const alike = 'tbody tr:nth-child(n+6), .todo li:nth-child(n+6)';
      const exclude = [...document.querySelectorAll(alike)];
      const found = await window.axe.run({ include: [document], exclude }, {
        runOnly,
        resultTypes: ['violations'],
        // There are no frames, and the style sheet is there already.
        iframes: false,
        preload: false,
      });
      return found.violations.map(({ id, help, nodes }) => ({
        id,
        help,
        targets: nodes.map((node) => `${node.target.join(' ')} ${node.any[0]?.message ?? ''}`),
      }));
    }, runOnly);
    for (const { id, help, targets } of violations) {
      this.find(`axe, ${state}: ${id} (${help}): ${targets.slice(0, 3).join('; ')}, ${targets.length} in all`);
    }
  }

  // The page itself does not scroll sideways; parts of it may.
  async checkWidth() {
    const { width, shown, widest } = await this.page.evaluate(() => {
      const root = document.documentElement;
      const shown = root.clientWidth;
      const isClipped = (element) => element.closest('.scroll, pre, .visually-hidden, .skip') !== null;
      const beyond = [...document.querySelectorAll('main *')].filter(
        (element) => element.getBoundingClientRect().right > shown + 1 && !isClipped(element),
      );
      const widest = beyond.slice(-1).map((e) => `${e.tagName.toLowerCase()}.${e.getAttribute('class')}`);
      return { width: root.scrollWidth, shown, widest: widest[0] };
    });
    this.check(width <= shown, `scrolls sideways at ${shown} px: ${width} px wide (${widest})`);
  }

  async close() {
    await this.page.context().close();
  }
}
