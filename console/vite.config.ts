import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// The administrator serves `dist/` with hashed names for ever and a policy that allows no inline script, so nothing is
// inlined here: neither the module preload helper nor small assets as data addresses.
export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
  },
  test: { environment: 'happy-dom', include: ['test/**/*.test.{ts,tsx}'], setupFiles: ['test/setup.ts'] },
});
