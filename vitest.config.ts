import { cloudflareTest, readD1Migrations } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'
import { MUTANTS } from './test/mutants/mutants.ts'
import { mutantPlugin } from './test/mutants/plugin.ts'

/** Set by `npm run test:mutants`: the clause that is broken in this run. */
const mutant = MUTANTS[Number(process.env['EDGE_OCSP_MUTANT'] ?? -1)]
const plugins = mutant === undefined ? [] : [mutantPlugin(mutant)]

const OTHERS = {
  laws: ['test/{laws,property,conformance,vectors,shards}/**/*.test.ts'],
  cli: ['test/{cli,dev,docs,scripts}/**/*.test.ts', 'test/x509/bundle.test.ts'],
}

/**
 * unit: plain Node, seconds. laws: simulations, fault injection, properties, clauses and real bytes, plain Node. cli: the command line, scripts and documentation,
 * mostly child processes. worker: inside workerd with real D1, KV and Cache API. e2e and interop: whole programs as
 * children of the test (the dev command, openssl, GnuTLS), one file at a time because they share two cores. chaos: processes that are killed, in plain Node and for real.
 */
export default defineConfig({
  test: {
    fsModuleCache: mutant === undefined,
    projects: [
      {
        plugins,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...OTHERS.laws, ...OTHERS.cli, 'test/{worker,e2e,interop,chaos}/**'],
          testTimeout: 30_000,
        },
      },
      { plugins, test: { name: 'laws', include: OTHERS.laws, testTimeout: 120_000 } },
      { test: { name: 'cli', include: OTHERS.cli, testTimeout: 120_000, hookTimeout: 60_000 } },
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: './wrangler.toml' },
            miniflare: {
              bindings: {
                TEST_MIGRATIONS: await readD1Migrations('migrations'),
                ADMIN_TOKEN: 'test-token',
                KEY_ENCRYPTION_KEY: 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=',
                LOG_SAMPLE_RATE: '0',
              },
              // As the block for a queue in wrangler.toml, but that nothing waits longer than it must.
              queueProducers: { RESIGN: 'edge-ocsp-resign', DEAD: 'edge-ocsp-resign-dead' },
              queueConsumers: {
                'edge-ocsp-resign': {
                  maxBatchSize: 1,
                  maxBatchTimeout: 0,
                  maxRetries: 2,
                  retryDelay: 0,
                  deadLetterQueue: 'edge-ocsp-resign-dead',
                },
                'edge-ocsp-resign-dead': { maxBatchSize: 10, maxBatchTimeout: 0 },
              },
            },
          })),
        ],
        test: {
          name: 'worker',
          include: ['test/worker/**/*.test.ts'],
          setupFiles: ['test/worker/setup.ts'],
          testTimeout: 30_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      { test: { name: 'chaos', include: ['test/chaos/**/*.test.ts'], testTimeout: 300_000 } },
      {
        test: {
          name: 'interop',
          include: ['test/interop/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
