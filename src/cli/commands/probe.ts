import { type Command, Option } from 'commander'
import type { HashAlgorithm } from '../../pkix/algorithm-identifier.ts'
import { parseSerial } from '../../pkix/serial-number.ts'
import { type CertificateFile, describeCertificate, loadCertificate, oneLine } from '../certificate.ts'
import { leaf } from '../common-options.ts'
import { type CommonOptions, parseOrigin, resolveURL } from '../context.ts'
import { parseDuration } from '../duration.ts'
import { EXIT, type ExitCode, usageError } from '../exit.ts'
import type { Method } from '../ocsp-exchange.ts'
import { createOutput } from '../output.ts'
import { parseHash } from '../policy-options.ts'
import type { Canary, Expected } from '../probe/plan.ts'
import type { NeverPolicy } from '../probe/round.ts'
import { serialOrCertificate } from '../serial.ts'

interface ProbeOptions extends CommonOptions {
  readonly issuer: string
  readonly responder?: string
  readonly good?: readonly string[]
  readonly revoked?: readonly string[]
  readonly never?: readonly string[]
  readonly neverAs?: NeverPolicy
  readonly decimal?: boolean
  readonly method?: Method
  readonly hash?: HashAlgorithm
  readonly profile: 'private' | 'public-trust'
  readonly timeout: number
  readonly maxLatency: number
  readonly minRemaining?: number
  readonly strict?: boolean
}

/** A response within ten seconds, under normal load (BR 4.10.2, R4.11). */
const TEN_SECONDS = '10s'

export function probeCommand(): Command {
  return leaf(
    'probe',
    'ask a deployed responder from outside, as a monitor does, and judge its answers',
    [
      'probe --url http://ocsp.example.com --issuer issuer.pem --good good.pem --revoked revoked.pem',
      'probe --url http://ocsp.example.com --issuer issuer.pem --good good.pem --min-remaining 12h --max-latency 500ms --json',
      'probe --url http://ocsp.example.com --issuer issuer.pem --never 0a1b2c --never-as unknown --profile public-trust',
    ],
    'Each canary is asked for by GET and by POST, with SHA-1 and SHA-256; then a serial number that nobody has, new each time, by\n' +
      'POST and in a path with two slashes. Judged are the status, signature and delegation, everything that "edge-ocsp lint" finds,\n' +
      'header lines, time taken and time left, and whether all ways agree.\n' +
      'Exit codes: 0 all is well (warnings may be); 1 an answer was wrong, or anything at all with --strict; 2 usage;\n' +
      '3 nothing was wrong, but something was not answered.',
  )
    .requiredOption('--issuer <cert>', 'certificate file of the issuer of the canaries')
    .option('--url <url>', "address of the responder (default: of a canary's AIA, else EDGE_OCSP_URL)")
    .option('--good <serial|cert...>', 'canaries that are good')
    .option('--revoked <serial|cert...>', 'canaries that are revoked')
    .option('--never <serial...>', 'serial numbers that were never issued, besides a random one')
    .addOption(
      new Option('--never-as <answer>', 'what it says of those (default: anything but good)').choices([
        'unauthorized',
        'unknown',
        'revoked',
      ]),
    )
    .option('--decimal', 'serials are decimal')
    .option('--responder <cert>', 'this responder certificate, and no other, has to sign')
    .addOption(new Option('--method <method>', 'only by this one').choices(['GET', 'POST']))
    .addOption(
      new Option('--hash <hash>', 'only with this one: sha1, sha256, sha384, sha512').argParser((text) =>
        parseHash(text, '--hash'),
      ),
    )
    .addOption(
      new Option('--profile <profile>', 'rules to judge by')
        .choices(['private', 'public-trust'])
        .default('private'),
    )
    .addOption(milliseconds('--timeout <time>', 'how long an answer may be waited for'))
    .addOption(milliseconds('--max-latency <time>', 'how long an answer may take'))
    .addOption(
      new Option(
        '--min-remaining <time>',
        'how long before its nextUpdate a newer answer is due (default: 0; with public-trust 8h, or half of what is shorter than 16h)',
      ).argParser((text) => parseDuration(text, '--min-remaining')),
    )
    .option('--strict', 'warnings count as errors')
    .action(async (options: ProbeOptions) => {
      process.exitCode = await probe(options)
    })
}

function milliseconds(flags: string, description: string): Option {
  const name = flags.split(' ')[0] ?? flags
  return new Option(flags, description)
    .argParser((text) => parseMilliseconds(text, name))
    .default(parseMilliseconds(TEN_SECONDS, name), TEN_SECONDS)
}

function parseMilliseconds(text: string, what: string): number {
  const match = /^(\d{1,6})ms$/i.exec(text.trim())
  const value = match === null ? parseDuration(text, what) * 1000 : Number(match[1])
  if (value >= 1 && value <= 600_000) return value
  throw usageError(`${what}: "${text}" is not between 1ms and 10m`, 'Write it like 500ms or 10s.')
}

async function probe(options: ProbeOptions): Promise<ExitCode> {
  const output = createOutput(options.json === true)
  const issuer = loadCertificate(options.issuer)
  const canaries = readCanaries(options, issuer)
  const url = responderURL(canaries, options)
  const [{ plan }, { runRound }, { viewRound, formatRound }] = await Promise.all([
    import('../probe/plan.ts'),
    import('../probe/round.ts'),
    import('../probe/view.ts'),
  ])
  const clock = () => Math.floor(Date.now() / 1000)
  const probes = plan({
    issuer,
    canaries,
    hashes: options.hash === undefined ? ['SHA-1', 'SHA-256'] : [options.hash],
    methods: options.method === undefined ? ['GET', 'POST'] : [options.method],
  })
  const results = await runRound(probes, {
    ...{ url, issuer, clock },
    ...(options.responder === undefined ? {} : { responder: loadCertificate(options.responder) }),
    profile: options.profile,
    timeoutMs: options.timeout,
    maxLatencyMs: options.maxLatency,
    minRemaining: options.minRemaining,
    never: options.neverAs,
  })
  const view = viewRound(url, clock(), results)
  output.result(view, () => formatRound(view))
  if (!canaries.some(({ expected }) => expected === 'good'))
    output.note('No certificate that is good was asked for: name a canary with --good.')
  if (view.errors > view.unanswered || (options.strict === true && view.warnings > 0)) return EXIT.no
  return view.unanswered > 0 ? EXIT.unknown : EXIT.good
}

/** @throws CLIError (usage) */
function readCanaries(options: ProbeOptions, issuer: CertificateFile): Canary[] {
  const read = (expected: Expected, list: readonly string[] = []) =>
    list.map((text): Canary => {
      const { serial, certificate } = serialOrCertificate(text, options.decimal === true)
      if (certificate !== undefined) checkPair(certificate, issuer)
      return {
        expected,
        serialNumber: parseSerial(serial),
        ...(certificate === undefined ? {} : { certificate }),
      }
    })
  return [...read('good', options.good), ...read('revoked', options.revoked), ...read('never', options.never)]
}

/** The gate would find fault with every answer, for what is a slip here. */
function checkPair(certificate: CertificateFile, issuer: CertificateFile): void {
  if (certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.x509.publicKey)) return
  throw usageError(
    `${certificate.path}: ${describeCertificate(certificate)} was not issued by ${issuer.path} (${oneLine(issuer.x509.subject)})`,
    `Its issuer is ${oneLine(certificate.x509.issuer)}: give that certificate with --issuer.`,
  )
}

function responderURL(canaries: readonly Canary[], options: ProbeOptions): string {
  if (options.url !== undefined) return parseOrigin(options.url, '--url')
  for (const { certificate } of canaries) {
    const found = /^OCSP - URI:(\S+)$/m.exec(certificate?.x509.infoAccess ?? '')?.[1]
    if (found !== undefined) return parseOrigin(found, `AIA of ${certificate?.path ?? 'a canary'}`)
  }
  return resolveURL(options)
}
