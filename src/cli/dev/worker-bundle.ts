/**
 * Builds the Worker in memory, with the options `wrangler deploy` uses, so that what answers here is what would answer
 * at the edge. wrangler itself takes 1.2 s for it; a test compares the two.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, type Plugin } from 'esbuild'

/** Root of this package: where wrangler.toml, src and migrations stand. */
export const PACKAGE_ROOT = join(import.meta.dirname, '../../..')

export interface WorkerBundle {
  /** One ES module. A dynamic import inside it is evaluated when it is reached, not before. */
  readonly code: string
  readonly compatibilityDate: string
  readonly compatibilityFlags: readonly string[]
}

/** `[alias]` of wrangler.toml, as a plugin like wrangler's: esbuild's own alias makes another module of it. */
const alias = (root: string): Plugin => ({
  name: 'alias',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^@noble\/hashes\/(legacy|sha2)\.js$/ }, () => ({
      path: join(root, 'src/x509/no-hashes.ts'),
    })),
})

/**
 * @param entry another module than the one of wrangler.toml, built with the same options
 * @throws esbuild's BuildFailure, an Error when wrangler.toml lacks what we need of it
 */
export async function buildWorker(root = PACKAGE_ROOT, entry?: string): Promise<WorkerBundle> {
  const settings = readTopLevel(await readFile(join(root, 'wrangler.toml'), 'utf8'))
  const main = entry ?? settings['main']
  const compatibilityDate = settings['compatibility_date']
  if (typeof main !== 'string' || typeof compatibilityDate !== 'string') {
    throw new Error(`${join(root, 'wrangler.toml')}: main or compatibility_date is missing`)
  }
  const result = await build({
    entryPoints: [main],
    absWorkingDir: root,
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    supported: { 'import-source': true, using: true },
    minify: settings['minify'] === true,
    keepNames: settings['keep_names'] !== false,
    conditions: ['workerd', 'worker', 'browser'],
    loader: { '.js': 'jsx', '.mjs': 'jsx', '.cjs': 'jsx' },
    plugins: [alias(root)],
    external: ['__STATIC_CONTENT_MANIFEST', 'cloudflare:*'],
    define: {
      'navigator.userAgent': '"Cloudflare-Workers"',
      'process.env.NODE_ENV': '"production"',
      'global.process.env.NODE_ENV': '"production"',
      'globalThis.process.env.NODE_ENV': '"production"',
    },
    logLevel: 'silent',
  })
  const [output] = result.outputFiles
  if (output === undefined) throw new Error('esbuild wrote nothing')
  const flags = settings['compatibility_flags']
  return { code: output.text, compatibilityDate, compatibilityFlags: Array.isArray(flags) ? flags : [] }
}

type Setting = string | boolean | readonly string[]

/** The keys before the first table of a TOML file, one line each: strings, booleans, arrays of strings. */
export function readTopLevel(toml: string): Readonly<Record<string, Setting>> {
  const settings: Record<string, Setting> = {}
  for (const line of toml.split(/\r?\n/)) {
    if (/^\s*\[/.test(line)) break
    const match = /^\s*([A-Za-z0-9_-]+)\s*=\s*(.+?)\s*$/.exec(line)
    const value = match?.[2]
    if (match?.[1] === undefined || value === undefined) continue
    const text = /^"([^"\\]*)"/.exec(value)?.[1]
    if (text !== undefined) settings[match[1]] = text
    else if (/^(true|false)\b/.test(value)) settings[match[1]] = value.startsWith('true')
    else if (value.startsWith('['))
      settings[match[1]] = [...value.matchAll(/"([^"\\]*)"/g)].map((item) => item[1] ?? '')
  }
  return settings
}
