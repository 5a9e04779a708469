import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { StateLock } from '../../src/cli/dev/lock.ts'
import { processInfo } from '../../src/cli/dev/processes.ts'

const children: ChildProcess[] = []
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

describe('the lock of a state folder', () => {
  test('holds the own pid, for the owner alone, and goes when it is released', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lock-'))
    const lock = await StateLock.acquire(folder)
    lock.recordServing({ pid: 123_456_789, started: 'never' }, 'http://127.0.0.1:1')
    expect(JSON.parse(readFileSync(join(folder, 'lock'), 'utf8'))).toMatchObject({
      pid: process.pid,
      url: 'http://127.0.0.1:1',
      workerd: { pid: 123_456_789 },
    })
    expect(statSync(join(folder, 'lock')).mode & 0o777).toBe(0o600)
    lock.release()
    lock.release()
    expect(existsSync(join(folder, 'lock'))).toBe(false)
  })

  test('refuses while its owner lives, naming process, folder and remedy', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lock-'))
    const other = await sleeper()
    writeLock(folder, { ...name(other), url: 'http://127.0.0.1:4242' })
    await expect(StateLock.acquire(folder)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringMatching(
        new RegExp(`process ${other.pid}.*${folder}.*serves http://127\\.0\\.0\\.1:4242`),
      ),
      hint: expect.stringContaining('--state DIR'),
    })
  })

  test.each([
    ['a process that is gone', () => ({ pid: 2 ** 22 + 1, started: '1' })],
    ['a pid that was given out again', async () => ({ ...name(await sleeper()), started: 'another time' })],
    ['half a line', () => '{"pid":1'],
  ])('is taken over from %s', async (_what, make) => {
    const folder = mkdtempSync(join(tmpdir(), 'lock-'))
    writeLock(folder, await make())
    const lock = await StateLock.acquire(folder)
    expect(JSON.parse(readFileSync(join(folder, 'lock'), 'utf8'))).toMatchObject({ pid: process.pid })
    lock.release()
  })

  test('ends the workerd that a killed predecessor named, and waits until it is gone', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lock-'))
    const orphan = await sleeper('workerd serve')
    writeLock(folder, { pid: 2 ** 22 + 1, started: '1', workerd: name(orphan) })
    const lock = await StateLock.acquire(folder)
    expect(processInfo(orphan.pid ?? 0)).toBeUndefined()
    lock.release()
  })

  test('ends nothing that is no workerd, whatever the lock says', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lock-'))
    const bystander = await sleeper()
    const reused = await sleeper('workerd serve')
    writeLock(folder, { pid: 2 ** 22 + 1, started: '1', workerd: name(bystander) })
    ;(await StateLock.acquire(folder)).release()
    writeLock(folder, {
      pid: 2 ** 22 + 1,
      started: '1',
      workerd: { ...name(reused), started: 'another time' },
    })
    ;(await StateLock.acquire(folder)).release()
    expect([bystander, reused].map(({ pid }) => processInfo(pid ?? 0)?.pid)).toEqual([
      bystander.pid,
      reused.pid,
    ])
  })

  test('ends an owner whose npm was killed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lock-'))
    const abandoned = await sleeper()
    writeLock(folder, { ...name(abandoned), launcher: { pid: 2 ** 22 + 1, started: '1' } })
    const lock = await StateLock.acquire(folder)
    expect(processInfo(abandoned.pid ?? 0)).toBeUndefined()
    lock.release()
  })

  test('is had by one of many that start at once over a stale one', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lock-'))
    writeLock(folder, { pid: 2 ** 22 + 1, started: '1' })
    const module = new URL('../../src/cli/dev/lock.ts', import.meta.url).href
    const script = `const { StateLock } = await import(${JSON.stringify(module)})
      try { await StateLock.acquire(${JSON.stringify(folder)}); console.log('mine'); setTimeout(() => {}, 3000) }
      catch (error) { console.log(error.exitCode) }`
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        children.push(child)
        const [chunk] = await once(child.stdout, 'data')
        return String(chunk).trim()
      }),
    )
    expect(outcomes.toSorted()).toEqual(['2', '2', '2', '2', '2', 'mine'])
  })
})

/** A process that waits; its command line ends with `words`. */
async function sleeper(words = 'nothing in particular'): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', 'echo up; while :; do sleep 0.05; done', ...words.split(' ')], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  children.push(child)
  await once(child.stdout, 'data')
  return child
}

function name(child: ChildProcess): { pid: number; started: string } {
  const info = processInfo(child.pid ?? 0)
  if (info === undefined) throw new Error('the process did not start')
  return { pid: info.pid, started: info.started }
}

function writeLock(folder: string, content: unknown): void {
  writeFileSync(join(folder, 'lock'), typeof content === 'string' ? content : `${JSON.stringify(content)}\n`)
}
