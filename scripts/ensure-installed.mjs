#!/usr/bin/env node
// Runs before `npm start`, `npm test` and `npm run bench`, so that both work on a fresh clone with nothing before them.
// Plain JavaScript for any Node from 20 on: what it installs brings the Node 24 that everything else needs.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, statSync, utimesSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { shakePkijs } from './shake-pkijs.mjs'

const WANTED_MAJOR = 24
const root = dirname(dirname(fileURLToPath(import.meta.url)))
const lockfile = join(root, 'package-lock.json')
// What npm last put into node_modules, written by npm itself.
const installed = join(root, 'node_modules', '.package-lock.json')
const localNode = join(root, 'node_modules', '.bin', 'node')

const reason = whyInstall()
if (reason !== undefined) install(reason)
// npm's postinstall has done it, unless it was told to run no scripts.
const said = shakePkijs(root)
if (said !== undefined) console.error(`edge-ocsp: ${said}`)

/** @returns {string | undefined} what is missing, in words; undefined when the tree is as the lockfile says */
function whyInstall() {
  if (!existsSync(installed)) return 'first run'
  if (!nodeIsThere()) return `Node ${WANTED_MAJOR} is missing from node_modules`
  if (!existsSync(lockfile) || statSync(lockfile).mtimeMs <= statSync(installed).mtimeMs) return undefined
  if (!sameVersions()) return 'package-lock.json has changed'
  // git touches files without changing what they say: note that we looked, and do not look again.
  const now = new Date()
  utimesSync(installed, now, now)
  return undefined
}

function nodeIsThere() {
  return existsSync(localNode) || Number.parseInt(process.versions.node, 10) >= WANTED_MAJOR
}

/** Every package of the lockfile stands in node_modules in that version (optional ones of other platforms may be absent). */
function sameVersions() {
  const wanted = JSON.parse(readFileSync(lockfile, 'utf8')).packages ?? {}
  const present = JSON.parse(readFileSync(installed, 'utf8')).packages ?? {}
  return Object.entries(wanted).every(
    ([path, { version, optional }]) =>
      path === '' || present[path]?.version === version || (optional && present[path] === undefined),
  )
}

/** @param {string} why */
function install(why) {
  console.error(`edge-ocsp: installing packages with npm (${why}); this takes about half a minute, once`)
  const started = Date.now()
  // `ci` empties node_modules first: only where nothing of worth is in it. It also insists on every platform's packages in
  // the lockfile, which a registry mirror may not have had; `install --no-save` keeps the locked versions and forgives that.
  const attempts = existsSync(lockfile) && !existsSync(installed) ? ['ci', 'install'] : ['install']
  const outputs = []
  const done = attempts.some((command) => {
    const run = npm(command, ...(command === 'install' ? ['--no-save'] : []))
    outputs.push(`npm ${command}: ${run.stdout ?? ''}${run.stderr ?? ''}${run.error?.message ?? ''}`.trim())
    return run.status === 0
  })
  if (!done) {
    console.error(outputs.join('\n'))
    fail(
      'npm could not install the packages. Fix what it says above, or run "npm install" yourself, and start again.',
    )
  }
  if (!nodeIsThere()) {
    fail(
      `the package "node" did not bring Node ${WANTED_MAJOR}: its install script was not run (npm config "ignore-scripts"?). ` +
        `Install Node ${WANTED_MAJOR} or newer, or run "npm rebuild node --ignore-scripts=false".`,
    )
  }
  const now = new Date()
  utimesSync(installed, now, now)
  console.error(`edge-ocsp: installed in ${Math.round((Date.now() - started) / 1000)} s`)
}

/** @param {string[]} args */
function npm(...args) {
  const all = [...args, '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  // Not "production": npm would leave out the tools that `npm start` is made of.
  const options = { cwd: root, encoding: 'utf8', env: { ...process.env, NODE_ENV: 'development' } }
  const script = process.env.npm_execpath
  return script?.endsWith('.js')
    ? spawnSync(process.execPath, [script, ...all], options)
    : spawnSync('npm', all, { ...options, shell: process.platform === 'win32' })
}

/** @param {string} message @returns {never} */
function fail(message) {
  console.error(`edge-ocsp: ${message}`)
  process.exit(1)
}
