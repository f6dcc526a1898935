import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

// The administrator serves `dist/` with hashed names for ever and a policy that allows no inline script, so nothing is
// inlined here: neither the module preload helper nor small assets as data addresses.
export default defineConfig({
  plugins: [react()],
  build: {
    target: 'es2023',
    // The oldest browsers that know `:dir()` and `light-dark()`: below them the minifier rewrites both.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        // What every view needs travels in one file; the runtime keeps a file of its own, whatever is asked for.
        codeSplitting: {
          groups: [
            { name: 'base', test: /node_modules[\\/](react|react-dom|scheduler|wouter|regexparam|use-sync-external-store|@tanstack)[\\/]|src[\\/](api|model[\\/](?!tree|picks)|table|ui[\\/](controls|icon|toast|theme|menu-button|use-size)|console|fields)/ },
          ],
        },
      },
    },
  },
  test: { environment: 'happy-dom', include: ['test/**/*.test.{ts,tsx}'], setupFiles: ['test/setup.ts'], testTimeout: 120_000 },
});
