/** The canary, and what is done when KV was lost, against the responder itself as `npm start` runs it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { at } from '../http/admin-world.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type Run, runProgram } from './support.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/operations.md'), 'utf8')

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(async () => {
  await server.stop()
})

const run = (line: string): Promise<Run> =>
  runProgram([...line.split(' '), '--url', server.url, '--state', server.state])

/** What is run in a section of the page: lines of its ```sh blocks. */
function commandsOf(title: string): string[] {
  const section = PAGE.split(/^## /m).find((text) => text.startsWith(`${title}\n`)) ?? ''
  const commands = [...section.matchAll(/^```sh\n([\s\S]*?)^```$/gm)]
    .flatMap(([, block = '']) => block.trim().split('\n'))
    .map((line) => line.replace(/^npx edge-ocsp /, ''))
  expect(commands.length).toBeGreaterThan(0)
  return commands
}

test.each(['Measuring the bound', 'KV was lost'])(
  'the commands of "%s" do what stands beside them',
  async (title) => {
    for (const line of commandsOf(title)) {
      const here = line.replaceAll('my-ca', 'demo').replace(/--ocsp-url \S+/, `--ocsp-url ${server.url}`)
      const { code, stdout, stderr } = await run(here)
      expect([code, stdout + stderr], line).toEqual([0, expect.any(String)])
    }
  },
)

test('a watched canary turns around each time, is seen within the bound, and is counted by the metrics', async () => {
  const before = await run('canary watch demo --rounds 2')
  expect([before.code, before.stdout]).toEqual([
    0,
    expect.stringMatching(/^2 of 2 seen within the bound of 300 s/),
  ])
  expect(before.stderr).toMatch(/(hold|released): seen after .* s\n(hold|released): seen after .* s\n/)
  const json = (await run('canary watch demo --json')).json()
  expect([at(json, 'seconds.0'), at(json, 'worst')]).toEqual([expect.any(Number), at(json, 'seconds.0')])
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics).toContain('edge_ocsp_canary_late_total{issuer="demo"} 0')
})

test('without a canary nothing is watched, and what is asked wrongly is said', async () => {
  await run('canary disable demo')
  const off = await run('canary watch demo')
  expect([off.code, off.stderr]).toEqual([1, expect.stringContaining('canary enable demo')])
  expect(await run('canary watch demo --rounds 0')).toMatchObject({ code: 2 })
  expect(await run('canary enable nobody')).toMatchObject({ code: 1 })
  const lost = await run('rebuild --issuer nobody')
  expect([lost.code, lost.stderr]).toEqual([1, expect.stringContaining('no issuer "nobody"')])
})

test('rebuild makes bundles due without making anything unusable', async () => {
  await run('presign --wait')
  const lost = await run('rebuild --json')
  expect([at(lost.json(), 'issuerPages'), at(lost.json(), 'next')]).toEqual([1, null])
  expect(Number(at(lost.json(), 'slots'))).toBeGreaterThan(0)
  const again = await run('presign --wait --json')
  expect(Number(at(again.json(), 'built'))).toBeGreaterThanOrEqual(Number(at(lost.json(), 'slots')))
  expect(at(again.json(), 'signatures')).toBe(0) // KV has them still: nothing had to be signed again
})
