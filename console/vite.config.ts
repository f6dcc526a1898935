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
    rolldownOptions: {
      output: {
        // What the first view needs travels in few files; the libraries keep their name from build to build.
        advancedChunks: {
          groups: [
            { name: 'react', test: /node_modules[\\/](react|react-dom|scheduler|wouter|regexparam|use-sync-external-store|@tanstack)[\\/]/ },
            { name: 'base', test: /src[\\/](api|model|ui[\\/](controls|icon|toast|theme|menu-button|use-size)|console|fields)/ },
          ],
        },
      },
    },
  },
  test: { environment: 'happy-dom', include: ['test/**/*.test.{ts,tsx}'], setupFiles: ['test/setup.ts'], testTimeout: 120_000 },
});
