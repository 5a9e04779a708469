import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

/**
 * Folder -> folders and packages it may import besides itself (ADR 0001). `dynamic` names what may be reached only by
 * `await import()` or for its types, so that the request path never evaluates it.
 */
const LAYERS: Record<string, { may: readonly string[]; dynamic?: readonly string[] }> = {
  asn1: { may: [] },
  pkix: { may: ['asn1'] },
  ocsp: { may: ['asn1', 'pkix'] },
  bundle: { may: ['asn1', 'pkix', 'ocsp'] },
  x509: { may: ['asn1', 'pkix', 'pkijs', 'asn1js'] },
  ports: { may: ['asn1', 'pkix', 'ocsp'] },
  lint: { may: ['asn1', 'pkix', 'ocsp', 'ports'] },
  overlay: { may: ['bundle', 'pkix', 'ports'] },
  responder: { may: ['asn1', 'pkix', 'ocsp', 'bundle', 'overlay', 'ports'], dynamic: ['x509'] },
  signing: { may: ['asn1', 'pkix', 'ocsp', 'lint', 'bundle', 'overlay', 'ports', 'responder'] },
  importers: { may: ['asn1', 'pkix'] },
  'admin-api': { may: ['zod'] },
  storage: { may: ['asn1', 'pkix', 'bundle', 'ports'] },
  http: {
    may: [
      'asn1',
      'pkix',
      'ocsp',
      'ports',
      'responder',
      'signing',
      'admin-api',
      'hono',
      'zod',
      'x509/evaluations.ts',
    ],
    dynamic: ['x509'],
  },
  jobs: { may: ['ports', 'overlay', 'signing'] },
  cli: {
    may: ['asn1', 'pkix', 'ocsp', 'importers', 'admin-api', 'node', 'commander', 'cli-progress', 'zod'],
    dynamic: ['lint', 'cli/answer', 'cli/dev', 'cli/lint', 'cli/probe'],
  },
  'cli/dev': {
    may: [
      'asn1',
      'pkix',
      'ocsp',
      'ports',
      'signing',
      'x509',
      'admin-api',
      'zod',
      'asn1js',
      'cli',
      'node',
      'miniflare',
      'esbuild',
    ],
  },
  'cli/answer': {
    may: [
      'ocsp',
      'pkix',
      'importers',
      'admin-api',
      'ports',
      'responder',
      'signing',
      'storage',
      'http',
      'compose-responder.ts',
      'cli',
      'node',
    ],
  },
  'cli/lint': { may: ['ocsp', 'pkix', 'lint', 'x509', 'cli'] },
  'cli/probe': { may: ['asn1', 'ocsp', 'pkix', 'x509', 'cli', 'cli/lint', 'node'] },
  'compose-responder.ts': { may: ['overlay', 'ports', 'responder', 'signing', 'storage'] },
  shards: { may: ['asn1', 'pkix', 'bundle', 'ports'] },
  'compose-shard.ts': {
    may: [
      'compose-responder.ts',
      'env.ts',
      'http',
      'jobs',
      'overlay',
      'ports',
      'responder',
      'signing',
      'storage',
    ],
  },
  'compose-shards.ts': { may: ['compose-shard.ts', 'http', 'jobs', 'ports', 'responder', 'shards'] },
  'compose.ts': {
    may: ['compose-shard.ts', 'compose-shards.ts', 'env.ts', 'http', 'jobs', 'signing', 'hono'],
    dynamic: ['http'],
  },
  'env.ts': { may: [] },
  'index.ts': { may: ['compose.ts', 'cloudflare'] },
}

interface Import {
  readonly file: string
  readonly target: string
  /** By `await import()`, or erased before it runs (`import type`). */
  readonly lazy: boolean
}

const SRC = join(import.meta.dirname, '../src')
const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((name) => /\.tsx?$/.test(name))

/** `import … from`, `export … from`, bare `import '…'` and `import('…')`; types count too. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8')
  const found: Import[] = []
  for (const match of text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s[^'"()]*?from\s*['"]([^'"]+)['"]|(?:^|\n)import\s*['"]([^'"]+)['"]/g,
  ))
    found.push({ file, target: match[1] ?? match[2] ?? '', lazy: /^\s*import\s+type\b/.test(match[0]) })
  for (const match of text.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g))
    found.push({ file, target: match[1] ?? '', lazy: true })
  return found
}

/** The layer of a file: its first folder, or its own name; the commands that are responders are layers of their own. */
function layerOf(path: string): string {
  return /^cli\/(answer|dev|lint|probe)(?=\/)/.exec(path)?.[0] ?? path.split('/')[0] ?? path
}

/** What an import reaches: a path below src, or a package. */
function resolve({ file, target }: Import): { path?: string; name: string } {
  if (target.startsWith('.')) {
    const path = relative(SRC, normalize(join(SRC, dirname(file), target)))
    return { path, name: layerOf(path) }
  }
  return {
    name: target.startsWith('node:')
      ? 'node'
      : target.startsWith('cloudflare:')
        ? 'cloudflare'
        : (target.split('/')[0] ?? target),
  }
}

function isAllowed(found: Import): boolean {
  const layer = layerOf(found.file)
  const { path, name } = resolve(found)
  if (name === layer) return true
  const { may, dynamic = [] } = LAYERS[layer] ?? { may: [] }
  return (
    may.includes(name) || (path !== undefined && may.includes(path)) || (found.lazy && dynamic.includes(name))
  )
}

describe('layers', () => {
  const imports = files.flatMap(importsOf)

  test('every file belongs to a layer, and enough files are seen to mean something', () => {
    expect(files.length).toBeGreaterThan(60)
    expect(imports.length).toBeGreaterThan(200)
    expect(files.filter((file) => LAYERS[layerOf(file)] === undefined)).toEqual([])
  })

  test('each layer imports only what it may', () => {
    expect(
      imports.filter((found) => !isAllowed(found)).map(({ file, target }) => `${file} -> ${target}`),
    ).toEqual([])
  })

  test('layers import one way: there is no cycle between them', () => {
    const edges = new Map<string, Set<string>>()
    for (const found of imports) {
      const from = layerOf(found.file)
      const to = resolve(found).name
      if (from !== to && LAYERS[to] !== undefined && !(LAYERS[from]?.dynamic ?? []).includes(to))
        edges.set(from, (edges.get(from) ?? new Set()).add(to))
    }
    const done = new Set<string>()
    const visit = (layer: string, path: readonly string[]): void => {
      if (path.includes(layer)) throw new Error(`cycle: ${[...path, layer].join(' -> ')}`)
      if (done.has(layer)) return
      for (const next of edges.get(layer) ?? []) visit(next, [...path, layer])
      done.add(layer)
    }
    expect(() => {
      for (const layer of edges.keys()) visit(layer, [])
    }).not.toThrow()
  })

  test('the rules can fail: a forbidden import is seen', () => {
    expect(isAllowed({ file: 'asn1/oid.ts', target: '../ocsp/error.ts', lazy: false })).toBe(false)
    expect(isAllowed({ file: 'http/admin-issuers.ts', target: '../x509/index.ts', lazy: false })).toBe(false)
    expect(isAllowed({ file: 'http/admin-issuers.ts', target: '../x509/index.ts', lazy: true })).toBe(true)
  })

  test('nothing but the X.509 layer imports pkijs, and beside it only the demonstration imports asn1js', () => {
    const users = (library: string) =>
      imports.filter(({ target }) => target === library).map(({ file }) => file)
    expect(users('pkijs').length).toBeGreaterThan(0)
    expect(users('pkijs').filter((file) => !file.startsWith('x509/'))).toEqual([])
    expect(users('asn1js').filter((file) => !/^(x509|cli)\//.test(file))).toEqual([])
  })
})
