import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { evaluations } from '../../src/x509/evaluations.ts'

const SOURCE = fileURLToPath(new URL('../../src', import.meta.url).href)

/** What a request can load: all of it has to do without pkijs and asn1js. */
const REQUEST_PATH = ['asn1', 'pkix', 'ocsp', 'bundle', 'overlay', 'responder', 'signing']

function modulesOf(folder: string): string[] {
  return readdirSync(`${SOURCE}/${folder}`, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `${SOURCE}/${folder}/${name}`)
}

test('nothing on the request path evaluates x509, and importing x509 does so once', async () => {
  for (const path of [...modulesOf('signing'), ...modulesOf('ocsp')]) await import(path)
  expect(evaluations.count).toBe(0)
  await import('../../src/x509/index.ts')
  expect(evaluations.count).toBe(1)
  await import('../../src/x509/index.ts')
  expect(evaluations.count).toBe(1)
})

test.each(REQUEST_PATH)(
  'src/%s imports neither pkijs nor asn1js, not even through others',
  async (folder) => {
    const { outside } = await evaluatedBy(folder)
    expect(outside).toEqual([])
  },
)

test('the check above sees pkijs and asn1js where they are', async () => {
  const { outside } = await evaluatedBy('x509')
  expect(outside.some((input) => input.includes('node_modules/asn1js/'))).toBe(true)
  expect(outside.some((input) => input.includes('node_modules/pkijs/'))).toBe(true)
})

/** Static imports of a folder's modules that lead to X.509 libraries. What is imported on demand is another chunk. */
async function evaluatedBy(folder: string): Promise<{ outside: string[] }> {
  const entryPoints = modulesOf(folder)
  expect(entryPoints.length).toBeGreaterThan(0)
  const { metafile } = await build({
    entryPoints,
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    outdir: '/nowhere',
    splitting: true,
    logLevel: 'silent',
  })
  const { outputs } = metafile
  const seen = new Set<string>()
  const visit = (output: string): void => {
    if (seen.has(output)) return
    seen.add(output)
    for (const { kind, path } of outputs[output]?.imports ?? []) if (kind === 'import-statement') visit(path)
  }
  for (const [output, { entryPoint }] of Object.entries(outputs))
    if (entryPoint !== undefined && entryPoints.some((path) => path.endsWith(entryPoint))) visit(output)
  const inputs = [...seen].flatMap((output) => Object.keys(outputs[output]?.inputs ?? {}))
  return {
    outside: inputs.filter((input) =>
      /node_modules\/(pkijs|asn1js)\/|src\/x509\/(?!evaluations)/.test(input),
    ),
  }
}
