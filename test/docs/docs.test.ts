/** What the documentation says must be there: links, commands, flags. That commands work is shown in test/e2e/readme.test.ts. */
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')
const PAGES = [
  ...readdirSync(ROOT).filter((name) => name.endsWith('.md')),
  ...readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]
const textOf = (page: string) => readFileSync(join(ROOT, page), 'utf8')

/** `npx edge-ocsp issuer add --cert …` -> ["issuer add", ["--cert"]]; one row for each time it stands in a page. */
function commandsIn(page: string): { page: string; line: string; command: string; flags: string[] }[] {
  return [...textOf(page).matchAll(/^(?:npx )?edge-ocsp (.+)$|`npx edge-ocsp ([^`]+)`/gm)].map((match) => {
    const line = match[1] ?? match[2] ?? ''
    const [plain = ''] = line.split(/ [>|&<]/)
    const words = plain.split(' ')
    const named = words.findIndex((word) => !/^[a-z][a-z-]*$/.test(word))
    const leading = named < 0 ? words : words.slice(0, named)
    return { page, line, command: leading.join(' '), flags: plain.match(/--[a-z-]+/g) ?? [] }
  })
}

const helpTexts = new Map<string, string>()
/** Help of the longest leading part that is a command: what follows are its arguments. */
function helpOf(command: string): string {
  const words = command.split(' ')
  for (let length = Math.min(words.length, 2); length > 0; length -= 1) {
    const name = words.slice(0, length).join(' ')
    const known = helpTexts.get(name)
    if (known !== undefined) return known
    try {
      const text = execFileSync('node', ['src/cli/main.ts', ...words.slice(0, length), '--help'], {
        cwd: ROOT,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      })
      if (!text.includes(`Usage: edge-ocsp ${name}`)) continue
      helpTexts.set(name, text)
      return text
    } catch {
      // not a command of this length
    }
  }
  return ''
}

describe('documentation', () => {
  test.each(PAGES)('%s links only to what is there', (page) => {
    const links = [...textOf(page).matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map((match) => match[1] ?? '')
    expect(links.filter((link) => !existsSync(join(ROOT, dirname(page), link)))).toEqual([])
  })

  test('commands of the program exist, with every flag that is shown', { timeout: 120_000 }, () => {
    const commands = PAGES.flatMap(commandsIn)
    expect(commands.length).toBeGreaterThan(20)
    for (const { page, line, command, flags } of commands) {
      const help = helpOf(command)
      expect(help, `${page}: edge-ocsp ${line}`).not.toBe('')
      for (const flag of flags) expect(help, `${page}: edge-ocsp ${line}`).toContain(flag)
    }
  })

  test('every variable that the Worker reads is explained to operators', () => {
    const names = [...readFileSync(join(ROOT, 'src/env.ts'), 'utf8').matchAll(/readonly ([A-Z_]+)\?/g)].map(
      (match) => match[1] ?? '',
    )
    expect(names.length).toBeGreaterThan(5)
    const operations = textOf('docs/operations.md')
    for (const name of names) expect(operations).toContain(`\`${name}\``)
  })
})
