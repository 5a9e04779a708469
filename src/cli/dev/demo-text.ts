/** What the demonstration prints: commands that work when pasted, each on one line that begins with its program. */
import { isAbsolute, join, relative } from 'node:path'
import { loadCertificate } from '../certificate.ts'
import { getURL, makeQuestion } from '../ocsp-exchange.ts'
import { DEMO_ISSUER, type Demo } from './demo.ts'

const MEANING: Readonly<Record<string, string>> = {
  good: 'good',
  revoked: 'revoked, for keyCompromise',
  hold: 'on hold: revoked, for certificateHold',
  expired: 'expired, and still answered: good',
  never: 'never recorded: refused, "Responder Error: unauthorized (6)"',
}

export interface DemoText {
  /** Of this start. */
  readonly url: string
  /** Absolute path. */
  readonly state: string
  /** Where commands are pasted. */
  readonly directory: string
}

/** One command each, the good certificate first. */
export function demoCommands(demo: Demo, text: DemoText): readonly { name: string; command: string }[] {
  const { manifest } = demo
  const file = (name: string) => shellWord(nearPath(join(demo.folder, name), text.directory))
  return manifest.certificates.map(({ name, fileName }) => ({
    name,
    command: [
      'openssl ocsp',
      `-issuer ${file(manifest.issuer)}`,
      `-cert ${file(fileName)}`,
      `-CAfile ${file(manifest.chain)}`,
      `-url ${text.url}/`,
      '-no_nonce',
    ].join(' '),
  }))
}

export function demoText(demo: Demo, text: DemoText): readonly string[] {
  const near = (path: string) => shellWord(nearPath(path, text.directory))
  const commands = demoCommands(demo, text).flatMap(({ name, command }) => [
    `# ${MEANING[name] ?? name}`,
    command,
    '',
  ])
  const good = demo.manifest.certificates.find(({ name }) => name === 'good')
  const state = near(text.state)
  return [
    'Ask it, from another terminal in this folder:',
    '',
    ...commands,
    ...(good === undefined ? [] : moreWithGood(demo, text, good)),
    `Files: ${near(demo.folder)} has the certificates and keys of the demonstration CA, for trying out only;`,
    `       ${near(join(text.state, 'admin-token'))} the token of the admin API. Remove ${state} to begin anew.`,
  ]
}

function moreWithGood(
  demo: Demo,
  text: DemoText,
  good: { fileName: string; serial: string },
): readonly string[] {
  const near = (path: string) => shellWord(nearPath(path, text.directory))
  const issuer = loadCertificate(join(demo.folder, demo.manifest.issuer))
  const leaf = loadCertificate(join(demo.folder, good.fileName))
  const question = makeQuestion(issuer, leaf.serialNumber, 'SHA-1', false)
  const answer = near(join(demo.folder, 'good-answer.der'))
  const state = nearPath(text.state, text.directory) === '.edge-ocsp' ? '' : ` --state ${near(text.state)}`
  return [
    '# the same question by GET, with the headers that let caches work, and the answer in words',
    `curl -sD - -o ${answer} ${getURL(text.url, question.der)} && npx edge-ocsp decode ${answer}`,
    '',
    '# revoke the good one, and ask the first question again',
    `npx edge-ocsp revoke ${near(join(demo.folder, good.fileName))} --issuer ${DEMO_ISSUER} --reason keyCompromise${state}`,
    '',
  ]
}

/** As a person would type it: relative when it lies below. */
function nearPath(path: string, directory: string): string {
  const short = relative(directory, path)
  return short === '' || short.startsWith('..') || isAbsolute(short) ? path : short
}

function shellWord(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}
