/** The README's first minute, as it stands there, but for port and folder. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT, startServer, type TestServer } from '../support/server.ts'

const README = readFileSync(join(PROJECT_ROOT, 'README.md'), 'utf8')
const section = README.slice(README.indexOf('## Two commands'), README.indexOf('## The life of a request'))
/** Blocks in the order they stand: commands (sh) and what they print (text). */
const blocks = [...section.matchAll(/```(sh|text)\n([\s\S]*?)```/g)].map(([, kind, text = '']) => ({
  kind,
  text,
}))

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => {
  await server.stop()
})

/** The README's folder and address in the words of this server. */
const here = (text: string) =>
  text
    .replaceAll('.edge-ocsp/demo', join(server.state, 'demo'))
    .replaceAll('http://127.0.0.1:8787', server.url)

async function paste(script: string): Promise<string> {
  const env = { ...process.env, EDGE_OCSP_STATE: server.state, EDGE_OCSP_URL: server.url }
  const { stdout, stderr } = await promisify(execFile)('bash', ['-c', script], { cwd: PROJECT_ROOT, env })
  return stdout + stderr
}

test('begins with npm start', () => {
  expect(blocks[0]).toEqual({ kind: 'sh', text: 'npm start\n' })
  expect(section).toContain('ready\nhttp://127.0.0.1:8787')
})

test('its commands print what it says they print: good, then revoked', async () => {
  const pairs = blocks.slice(1)
  expect(pairs.map(({ kind }) => kind)).toEqual(['sh', 'text', 'sh', 'text'])
  for (let i = 0; i < pairs.length; i += 2) {
    const printed = await paste(here(pairs[i]?.text ?? ''))
    const promised = here(pairs[i + 1]?.text ?? '')
      .trimEnd()
      .split('\n')
    for (const line of promised) {
      // Times are of their day; the words before them are not.
      const words = /^(\s*(?:This|Next) Update: )/.exec(line)?.[1] ?? line
      expect(printed).toContain(words)
    }
  }
})
