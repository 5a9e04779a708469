/** Configuration as docs/caching.md gives it: what is documented is what runs. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROJECT_ROOT } from '../../support/server.ts'

const PAGE = join(PROJECT_ROOT, 'docs/caching.md')

/**
 * The first block of a language under a heading, with other places in it.
 * @param places what stands in the page -> what stands for it here
 * @throws Error when the page has no such block, or the block no such place
 */
export function documented(
  heading: string,
  language: string,
  places: Readonly<Record<string, string>>,
): string {
  const section = readFileSync(PAGE, 'utf8')
    .split(/^#{2,3} /m)
    .find((text) => text.startsWith(`${heading}\n`))
  const block = new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, 'm').exec(section ?? '')?.[1]
  if (block === undefined) throw new Error(`${PAGE} has no ${language} under ${heading}`)
  return Object.entries(places).reduce((text, [from, to]) => {
    if (!text.includes(from)) throw new Error(`no ${from} under ${heading}:\n${text}`)
    return text.replaceAll(from, to)
  }, block)
}
