import { act } from 'react';
import { afterEach, describe, expect, test } from 'vitest';
import { stage, type Stage } from './stage';

let on: Stage | undefined;
afterEach(async () => {
  await on?.close();
  on = undefined;
});

const find = (selector: string) => document.querySelector<HTMLElement>(selector);
const button = (text: string) => [...document.querySelectorAll('button')].find((one) => one.textContent?.trim() === text);

async function type(selector: string, text: string): Promise<void> {
  const input = find(selector) as HTMLInputElement;
  await act(async () => {
    Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value')!.set!.call(input, text);
    input.dispatchEvent(new Event('input', { bubbles: true }));
  });
}

describe('signing in', () => {
  test('keeps the place, and says what is wrong', async () => {
    on = await stage('/acme-printers/printers', { signedIn: false });
    await on.until(() => find('.sign-in-card'));
    await type('input[name=name]', 'ada');
    await type('input[name=password]', 'wrong');
    await act(async () => find('form')!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true })));
    await on.until(() => find('.note.danger'));
    expect(on.text()).toContain('Name or password is not right.');
    await type('input[name=password]', 'right');
    await act(async () => find('form')!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true })));
    await on.until(() => find('.grid-row'));
    expect(window.location.pathname).toBe('/acme-printers/printers');
  });

  test('by a link once, and says so when it was used', async () => {
    on = await stage('/sign-in/fresh', { signedIn: false });
    await on.until(() => find('.grid-row'));
    expect(window.location.pathname).toBe('/fleet/machines');
    await on.close();
    on = await stage('/sign-in/used', { signedIn: false });
    await on.until(() => find('.note.danger'));
    expect(on.text()).toContain('used already');
  });

  test('the first operator is asked for a name, and may go on without', async () => {
    on = await stage('/fleet/machines', { setup: true });
    await on.until(() => find('.set-up'));
    await on.until(() => find('.grid-row'));
    await act(async () => button('Later')!.click());
    expect(find('.set-up')).toBeNull();
    expect(on.text()).toContain('You have no name and password yet.');
  });
});

describe('a list', () => {
  test('is filtered by its address and says how many there are', async () => {
    on = await stage(`/fleet/machines?where=${encodeURIComponent('[{"field":"status","op":"eq","value":"offline"}]')}`);
    await on.until(() => find('.grid-row'));
    const offline = on.world.count('fleet', 'machines', { where: [{ field: 'status', op: 'eq', value: 'offline' }] });
    await on.until(() => on!.text().includes(`${offline} machines`));
    expect(on.text()).toContain('Status: Offline');
    expect([...document.querySelectorAll('.grid-row')].every((row) => row.textContent?.includes('Offline'))).toBe(true);
  });

  test('shows hostile text as text', async () => {
    on = await stage('/acme-printers/samples');
    await on.until(() => find('.grid-row'));
    expect(on.text()).toContain('<img src=x onerror=alert(1)>');
    expect(document.querySelector('.grid img, .grid script')).toBeNull();
    expect(on.text()).not.toMatch(/[\u202e\u0000\u200b]/);
  });

  test('that nothing matches names what is set, and a search is cleared by one press', async () => {
    on = await stage('/fleet/machines?q=zzzzzz');
    await on.until(() => find('.empty'));
    expect(find('.empty')!.textContent).toContain('Nothing has “zzzzzz” in it.');
    await act(async () => find('.search-clear')!.click());
    await on.until(() => find('.grid-row'));
    expect(window.location.search).toBe('');
    expect(find('.search-clear')).toBeNull();
  });

  test('that is empty offers the next command', async () => {
    on = await stage('/acme-printers/trays');
    await on.until(() => find('.empty'));
    expect(on.text()).toContain('No trays were counted');
    expect(button('Find printers')).toBeDefined();
  });
});

describe('modules', () => {
  test('one that does not run keeps its place, with cause and remedy', async () => {
    on = await stage('/northwind-scales');
    await on.until(() => find('.note.danger'));
    expect(on.text()).toContain('It crashed 5 times in 10 minutes');
    expect(on.text()).toContain('Update the module');
    expect(find('.nav-failure')).not.toBeNull();
    expect(find('.note a')!.getAttribute('href')).toMatch(/^\/fleet\/plugins\?where=.*northwind-scales/);
  });

  test('a view nobody can show yet is told calmly', async () => {
    on = await stage('/acme-printers/kind-terminal');
    await on.until(() => find('.empty'));
    expect(on.text()).toContain('cannot show');
    expect(on.errors).toEqual([]);
  });
});

describe('settings', () => {
  test('have the control of their type, and are sent as the command wants them', async () => {
    on = await stage('/acme-printers/settings');
    await on.until(() => find('.setting'));
    const panels = [...document.querySelectorAll<HTMLElement>('.setting')];
    expect(panels).toHaveLength(4);
    const every = panels.find((one) => one.textContent?.includes('Ask printers every'))!;
    expect(every.querySelector('input')!.value).toBe('30 min');
    expect(every.querySelector('.setting-others')!.textContent).toContain('Machine');
    const wake = panels.find((one) => one.textContent?.includes('Wake sleeping printers'))!;
    const save = () => [...wake.querySelectorAll('button')].find((one) => one.textContent === 'Save')!;
    expect(save().disabled).toBe(true);
    await act(async () => wake.querySelector<HTMLInputElement>('input[role=switch]')!.click());
    expect(save().disabled).toBe(false);
    await act(async () => wake.querySelector('form')!.dispatchEvent(new Event('submit', { bubbles: true, cancelable: true })));
    const job = await on.until(() => [...on!.world.jobs.values()].find((one) => one.command === 'fleet.change-setting'));
    expect(job.input).toEqual({ setting: 'acme-printers.wake', value: 'false' });
  });

  test('say what is wrong with a value before it is sent', async () => {
    on = await stage('/acme-printers/settings');
    await on.until(() => find('.setting'));
    const panel = [...document.querySelectorAll<HTMLElement>('.setting')].find((one) => one.textContent?.includes('Ask printers every'))!;
    panel.id = 'every';
    await type('#every input', 'soon');
    expect(panel.textContent).toContain('Type a duration such as 1h 30m.');
  });
});

describe('a detail', () => {
  test('shows its status once, and what is empty only when asked', async () => {
    on = await stage('/fleet/machine/m000003');
    const panel = await on.until(() => find('.detail .panel'));
    const terms = (root: ParentNode) => [...root.querySelectorAll(':scope > .facts dt')].map((one) => one.textContent);
    expect(find('.detail-title')!.textContent).toContain('Online');
    expect(terms(panel)).toContain('Addresses');
    expect(terms(panel)).not.toContain('Status');
    expect(terms(panel.querySelector('details.absent-facts')!)).toContain('Held because');
    const none = await on.until(() => find('.detail-view .empty'));
    expect(none.textContent).toBe('None for this machine');
  });
});

describe('the palette', () => {
  test('is walked with the arrows and leads to a view', async () => {
    on = await stage('/fleet/machines');
    await on.until(() => find('.grid-row'));
    await act(async () => find('.palette-button')!.click());
    await on.until(() => find('.palette-input input'));
    const press = (key: string) => act(async () => { find('.palette-input input')!.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true })); });
    for (const key of ['ArrowDown', 'ArrowDown', 'ArrowUp']) await press(key);
    await type('.palette-input input', 'groups');
    await on.until(() => find('[aria-selected=true]')?.textContent?.includes('Groups'));
    await press('Enter');
    await on.until(() => window.location.pathname === '/fleet/groups' && find('h1')?.textContent?.startsWith('Groups'));
    expect(on.errors).toEqual([]);
  });
});
