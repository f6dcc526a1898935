// Text that tries to be markup, script or an order of letters stays text.

import { ensure, scenario, signIn } from './browser.mjs';

await scenario(async ({ page, facts }) => {
  page.on('dialog', () => { throw new Error('a dialog was opened by text'); });
  await signIn(page, facts);
  await page.goto(`${facts.url}/hello/greetings`);
  const grid = page.getByRole('grid', { name: 'Greetings' });
  await grid.getByText("<img src=x onerror=\"document.title='owned'\">").first().waitFor();
  await grid.getByText('javascript:alert(1)').first().waitFor();
  const facts_ = await page.evaluate(() => ({
    title: document.title,
    images: document.querySelectorAll('img[src=x]').length,
    scripts: [...document.scripts].filter((one) => one.textContent?.includes('owned')).length,
    links: [...document.links].filter((one) => one.protocol === 'javascript:').length,
    bidi: document.body.innerText.includes('\u202e'),
  }));
  ensure(!facts_.title.includes('owned') && facts_.images + facts_.scripts + facts_.links === 0, JSON.stringify(facts_));
  ensure(!facts_.bidi, 'a letter that turns the order around reaches the screen');
});
