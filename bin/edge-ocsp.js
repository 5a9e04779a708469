#!/usr/bin/env node
// Plain JavaScript that any Node can parse: it only finds a Node that runs TypeScript, then starts the program.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import * as module from 'node:module'
import { fileURLToPath } from 'node:url'

const NODE_MAJOR = 24
const GUARD = 'EDGE_OCSP_REEXECUTED'

function runningMajor() {
  return Number(process.versions.node.split('.')[0])
}

/** Runs ourselves again with the Node that the repository has installed. */
function runAgainWith(node) {
  const run = spawnSync(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, [GUARD]: '1' },
  })
  if (run.error) return undefined
  return run.status ?? 1
}

/** A child shares our terminal: Ctrl-C reaches it directly, and we wait for what it makes of it. */
function ignoreSignals() {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {})
}

/** Starts in a third of the time. In our own folder: what lies in /tmp might be somebody else's code. */
function keepCompiled() {
  module.enableCompileCache(fileURLToPath(new URL('../node_modules/.cache/edge-ocsp', import.meta.url)))
}

if (runningMajor() >= NODE_MAJOR) {
  keepCompiled()
  const { main } = await import('../src/cli/main.ts')
  process.exitCode = await main(process.argv.slice(2))
} else {
  const node = fileURLToPath(new URL('../node_modules/.bin/node', import.meta.url))
  let status
  if (existsSync(node) && process.env[GUARD] === undefined) {
    ignoreSignals()
    status = runAgainWith(node)
  }
  if (status === undefined) {
    process.stderr.write(
      `edge-ocsp: this is Node ${process.versions.node} (${process.execPath}); edge-ocsp needs Node ${NODE_MAJOR} or newer.\n` +
        'Remedy: run "npm install" in the repository (it brings its own Node), or install Node 24 from https://nodejs.org/\n',
    )
    status = 2
  }
  process.exitCode = status
}
