import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, describe, expect, test } from 'vitest'
import { rewrite, shakePkijs } from '../../scripts/shake-pkijs.mjs'

const ROOT = join(import.meta.dirname, '../..')
const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

/** A project with this pkijs in it. */
function project(code: string, manifest: object = { version: '4.0.0', sideEffects: false }): string {
  const root = mkdtempSync(join(tmpdir(), 'edge-ocsp-shake-'))
  folders.push(root)
  mkdirSync(join(root, 'node_modules/pkijs/build'), { recursive: true })
  writeFileSync(join(root, 'node_modules/pkijs/package.json'), JSON.stringify(manifest))
  writeFileSync(join(root, 'node_modules/pkijs/build/index.js'), code)
  return root
}
const built = (root: string) => readFileSync(join(root, 'node_modules/pkijs/build/index.js'), 'utf8')
const classes = (count: number) =>
  Array.from(
    { length: count },
    (_, i) => `class C${i} {\n\tstatic {\n\t\tthis.CLASS_NAME = "C${i}";\n\t}\n}\n`,
  ).join('')

describe('pkijs, made tree-shakeable at install (ADR 0009)', () => {
  test('a static block of one constant becomes a field, and nothing else changes', () => {
    expect(rewrite('class A {\n\tstatic {\n\t\tthis.CLASS_NAME = "A";\n\t}\n\tx() {}\n}').code).toBe(
      'class A {\n\tstatic CLASS_NAME = "A";\n\tx() {}\n}',
    )
    expect(rewrite('class A { static { this.DATA = id_Data; } }').code).toBe(
      'class A { static DATA = id_Data; }',
    )
  })

  test('the engine that is made at loading can be left out where nobody asks for it', () => {
    expect(rewrite('let engine;\ninitCryptoEngine();\nexport { engine }').code).toBe(
      'let engine;\n/* @__PURE__ */ initCryptoEngine();\nexport { engine }',
    )
    expect(rewrite('  initCryptoEngine();').changed).toBe(0)
  })

  test.each([
    ['calls something', 'class A { static { this.register("P-256"); } }'],
    ['makes an object', 'class A { static { this.NAMED = {}; } }'],
    ['says two things', 'class A { static { this.A = "a"; this.B = "b"; } }'],
    ['computes', 'class A { static { this.NAME = a(); } }'],
    ['sets what a function has already', 'class A { static { this.name = "A"; } }'],
    ['is of another object', 'class A { static { store.NAME = this; } }'],
  ])('a static block that %s is left alone', (_, code) => {
    expect(rewrite(code)).toEqual({ code, changed: 0, already: 0 })
  })

  test('the rewritten file means the same, says so once, and is left alone the second time', () => {
    const root = project(classes(120))
    expect(shakePkijs(root)).toMatch(/120 static blocks/)
    const once = built(root)
    expect(once).not.toContain('static {')
    expect(shakePkijs(root)).toBeUndefined()
    expect(built(root)).toBe(once)
    expect(readdirSync(join(root, 'node_modules/pkijs/build'))).toEqual(['index.js'])
    const names = (code: string): unknown =>
      new Function(`${code}; return [C0, C119].map((c) => [c.name, c.CLASS_NAME])`)()
    expect(names(once)).toEqual(names(classes(120)))
  })

  test.each([
    ['of another major version', classes(120), { version: '5.0.0', sideEffects: false }],
    ['that claims side effects', classes(120), { version: '4.1.0' }],
    ['of another shape', classes(20), undefined],
  ])('a pkijs %s is not touched, and a line says so', (_, code, manifest) => {
    const root = project(code, manifest)
    expect(shakePkijs(root)).toMatch(/^pkijs left as it is \(.*\): the Worker will be/)
    expect(built(root)).toBe(code)
  })

  test('without pkijs it says so and fails nothing', () => {
    const root = project('')
    rmSync(join(root, 'node_modules'), { recursive: true })
    expect(shakePkijs(root)).toMatch(/is not there/)
  })

  test('the pkijs that is installed here was rewritten, and esbuild drops its unused classes', async () => {
    expect(shakePkijs(ROOT)).toBeUndefined()
    const { outputFiles } = await build({
      stdin: {
        contents:
          "import { Certificate } from 'pkijs'; export const read = (der) => Certificate.fromBER(der)",
        resolveDir: ROOT,
      },
      bundle: true,
      write: false,
      format: 'esm',
      external: ['asn1js'],
      logLevel: 'silent',
    })
    const kept = [...(outputFiles[0]?.text ?? '').matchAll(/CLASS_NAME = "(\w+)"/g)].map(([, name]) => name)
    expect(kept).toContain('BasicConstraints')
    for (const unused of ['TimeStampReq', 'AuthenticatedSafe', 'CertificateRevocationList', 'OCSPRequest'])
      expect(kept).not.toContain(unused)
  })
})
