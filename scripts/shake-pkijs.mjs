#!/usr/bin/env node
// Runs after `npm install` and `npm ci`: lets a bundler leave out the classes of pkijs that nothing uses (ADR 0009).
// pkijs is one file of classes with `static { this.CLASS_NAME = "..."; }`. A static block may do anything, so no bundler drops
// a class that has one, and all of pkijs goes into the Worker. The same said as a field, `static CLASS_NAME = "..."`, means the
// same and can be dropped. And it makes its CryptoEngine as it is loaded, which keeps a quarter of it: marked as pure, the call
// goes where nobody asks for the engine, as in the Worker, and stays elsewhere. Nothing else is changed; a file that does not look as expected is left alone, and a line says so.
// Plain JavaScript for any Node from 20 on.
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const KNOWN_MAJOR = '4'
/** pkijs 4.0.0 has 120 of them. */
const FEWEST = 100
/**
 * One assignment of a text or of a module constant to a property in capitals. Such a property is a plain data property
 * wherever it is inherited, so that defining it and setting it come to the same.
 */
const STATIC_BLOCK = /\bstatic \{\s*this\.([A-Z][A-Z_]*) = ("[^"\\\n]*"|\w+);\s*\}/g
const ENGINE = /^initCryptoEngine\(\);$/m
const STATIC_FIELD = /\bstatic [A-Z][A-Z_]* = (?:"[^"\\\n]*"|\w+);/g

/**
 * @param {string} code of pkijs
 * @returns {{ code: string, changed: number, already: number }} `changed` blocks became fields, `already` were fields before
 */
export function rewrite(code) {
  const already = code.match(STATIC_FIELD)?.length ?? 0
  let changed = 0
  const rewritten = code.replace(STATIC_BLOCK, (_, name, value) => {
    changed += 1
    return `static ${name} = ${value};`
  })
  const pure = rewritten.replace(ENGINE, '/* @__PURE__ */ initCryptoEngine();')
  return { code: pure, changed: pure === rewritten ? changed : changed + 1, already }
}

/**
 * @param {string} root of the package that depends on pkijs
 * @returns {string | undefined} what was done, or why nothing was; undefined when it had been done before
 */
export function shakePkijs(root) {
  const folder = join(root, 'node_modules', 'pkijs')
  const file = join(folder, 'build', 'index.js')
  const unchanged = (/** @type {string} */ why) =>
    `pkijs left as it is (${why}): the Worker will be about 50 KB gzip larger`
  if (!existsSync(file)) return unchanged('node_modules/pkijs/build/index.js is not there')
  const { version, sideEffects } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  if (String(version).split('.')[0] !== KNOWN_MAJOR || sideEffects !== false) {
    return unchanged(`version ${version} is not known to scripts/shake-pkijs.mjs`)
  }
  const { code, changed, already } = rewrite(readFileSync(file, 'utf8'))
  if (changed === 0 && already >= FEWEST) return undefined
  if (changed + already < FEWEST)
    return unchanged(`${changed} static blocks where at least ${FEWEST} were expected`)
  // A new file in the old one's place: package managers link one copy into many projects, and a build may be reading.
  const fresh = `${file}.${process.pid}.tmp`
  writeFileSync(fresh, code)
  renameSync(fresh, file)
  return `pkijs ${version}: ${changed} static blocks written as static fields, so that bundlers can drop unused classes`
}

if (process.argv[1] !== undefined && fileURLToPath(import.meta.url) === process.argv[1]) {
  const said = shakePkijs(dirname(dirname(fileURLToPath(import.meta.url))))
  console.error(`edge-ocsp: ${said ?? 'pkijs can be tree-shaken already'}`)
}
