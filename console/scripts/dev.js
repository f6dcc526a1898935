// The console on the invented backend, with hot reloading.

import { createServer, runnerImport } from 'vite';

const vite = await createServer({ server: { middlewareMode: true }, appType: 'spa' });
const { module } = await runnerImport('./mock/serve.ts');
const port = Number(process.env.PORT ?? 5173);
const mock = await module.serve({ port, pages: vite.middlewares, setup: process.argv.includes('--setup') });
mock.world.live(1500);
console.log(`Console on an invented backend: ${mock.address}/sign-in/anything`);
