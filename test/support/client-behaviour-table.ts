/**
 * Known clients and how each asks. `seen`: as the program of Debian 12 was seen to write it on the wire. Where a source is a
 * requirement, the requirement has the evidence.
 */
import type { Client, Ways } from './client-behaviour.ts'

const BOTH = ['SHA-1', 'SHA-256'] as const
const ALL = ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'] as const
const JAVA = ['User-Agent: Java/17.0.21', 'Accept: text/html, image/gif, image/jpeg, */*; q=0.2']
const RUBY = ['Accept-Encoding: gzip;q=1.0,deflate;q=0.6,identity;q=0.3', 'Accept: */*', 'User-Agent: Ruby']
const PYTHON = ['Accept-Encoding: identity', 'User-Agent: Python-urllib/3.11']
const REQUESTS = ['User-Agent: python-requests/2.28.1', 'Accept-Encoding: gzip, deflate', 'Accept: */*']
const GO = ['User-Agent: Go-http-client/1.1', 'Accept-Encoding: gzip']
const CURL = ['User-Agent: curl/7.88.1', 'Accept: */*']
const WINDOWS = ['Accept: */*', 'User-Agent: Microsoft-CryptoAPI/10.0']
const APPLE = [
  'Accept: */*',
  'User-Agent: com.apple.trustd/3.0',
  'Accept-Language: en-us',
  'Accept-Encoding: gzip, deflate',
]
const FIREFOX = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
  'Accept: */*',
  'Accept-Language: en-US,en;q=0.5',
  'Accept-Encoding: gzip, deflate',
  'Pragma: no-cache',
  'Cache-Control: no-cache',
]
const NODE = [
  'accept: */*',
  'accept-language: *',
  'sec-fetch-mode: cors',
  'user-agent: node',
  'accept-encoding: gzip, deflate',
]

const POST = { method: ['POST'] } as const satisfies Ways
const KEPT = { connection: ['keep-alive'] } as const satisfies Ways

/** What `openssl ocsp` writes, and all that use its library to ask. */
const OPENSSL = { ...POST, version: ['1.0'], host: ['bare'] } as const satisfies Ways

export const CLIENTS: readonly Client[] = [
  {
    name: 'openssl ocsp',
    source: 'seen; R1.10, R1.95, R3.3, R5.44',
    ways: [
      { ...OPENSSL, hash: ALL, nonce: [0, 16], certIDs: [1, 2, 3], signed: [false, true] },
      { ...OPENSSL, path: ['/ocsp', '/ca1/'], headers: [['HOST: ocsp.example']], host: ['none'] },
    ],
  },
  {
    name: 'openssl ocsp before 3.0, without a Host',
    source: 'R5.31',
    ways: [{ ...OPENSSL, host: ['none'], nonce: [0, 16] }],
  },
  {
    name: 'testssl.sh',
    source: 'peers 1g: openssl ocsp -no_nonce with a Host, SHA-1 and then SHA-256',
    ways: [{ ...OPENSSL, hash: BOTH, host: ['none'], headers: [['HOST: ocsp.example']] }],
  },
  {
    name: 'GnuTLS ocsptool',
    source: 'seen; R3.3',
    ways: [
      {
        ...POST,
        version: ['1.0'],
        host: ['bare'],
        headers: [['Accept: */*']],
        connection: ['close'],
        nonce: [0, 23],
      },
    ],
  },
  {
    name: 'Java PKIX revocation checker',
    source: 'seen; R5.1, R1.100',
    ways: [
      { headers: [JAVA], ...KEPT },
      { ...POST, headers: [JAVA], ...KEPT, nonce: [0, 16, 32] },
    ],
  },
  {
    name: 'Java HttpClient with a body of unknown length',
    source: 'R5.35',
    ways: [{ ...POST, framing: ['chunked'], headers: [['User-Agent: Java-http-client/17']], hash: BOTH }],
  },
  {
    name: 'Bouncy Castle',
    source: 'R3.3, R3.4, R3.11, R1.5',
    ways: [
      {
        ...POST,
        headers: [JAVA],
        hash: ALL,
        nonce: [0, 8, 16, 32, 64],
        nonceForm: ['octet string', 'raw', 'critical'],
        requestorName: ['none', 'directoryName'],
        certIDs: [1, 2],
        signed: [false, true],
      },
    ],
  },
  {
    name: 'Go x/crypto/ocsp',
    source: 'seen; R5.2, R5.43',
    ways: [
      { headers: [GO], hash: ALL, spelling: ['escaped', 'raw', '+ and = alone escaped'] },
      { ...POST, headers: [GO], hash: ALL, framing: ['length', 'chunked'] },
    ],
  },
  {
    name: 'Python cryptography over urllib',
    source: 'seen; R3.6',
    ways: [
      { headers: [PYTHON], connection: ['close'], hash: ALL },
      { ...POST, headers: [PYTHON], connection: ['close'], hash: ALL, nonce: [0, 16, 32] },
    ],
  },
  {
    name: 'Python requests (certvalidator, ocspbuilder)',
    source: 'R5.34, R3.3',
    ways: [
      {
        ...POST,
        ...KEPT,
        headers: [REQUESTS],
        hash: BOTH,
        nonce: [0, 16],
        contentType: ['application/ocsp-request', undefined],
        requestorName: ['none', 'directoryName'],
      },
      { headers: [REQUESTS], ...KEPT, spelling: ['escaped', '+ and = alone escaped'] },
    ],
  },
  {
    name: 'Ruby OpenSSL::OCSP over Net::HTTP',
    source: 'seen; R5.46',
    ways: [{ headers: [RUBY] }, { ...POST, headers: [RUBY], hash: BOTH, nonce: [0, 16], certIDs: [1, 2] }],
  },
  {
    name: 'Node.js',
    source: 'seen; R5.1',
    ways: [
      { headers: [NODE], ...KEPT, hash: BOTH },
      { ...POST, headers: [NODE], ...KEPT, nonce: [0, 32], hash: BOTH },
    ],
  },
  {
    name: 'Windows CryptoAPI',
    source: 'peers 1g; R1.64, R5.1, R5.48',
    ways: [
      { headers: [WINDOWS], ...KEPT, validator: ['none', 'ETag', 'date'] },
      { headers: [['Cache-Control: max-age = 3600', ...WINDOWS]], ...KEPT, validator: ['none', 'date'] },
      { ...POST, headers: [['Cache-Control: no-cache', 'Pragma: no-cache', ...WINDOWS]], ...KEPT },
    ],
  },
  {
    name: 'certutil -url, -verify',
    source: 'peers 1g; R5.9, R5.13',
    ways: [{ headers: [WINDOWS], ...KEPT, path: ['/', '/ocsp/'], spelling: ['escaped', 'unpadded'] }],
  },
  {
    name: '.NET HttpWebRequest',
    source: 'R5.36',
    ways: [
      {
        ...POST,
        expects: [true],
        hash: BOTH,
        nonce: [0, 16],
        headers: [[]],
        connection: ['keep-alive', undefined],
      },
    ],
  },
  {
    name: 'macOS and iOS trustd',
    source: 'R5.17, R5.40, R5.46',
    ways: [
      { headers: [APPLE], parameters: ['absent'], ...KEPT },
      { headers: [APPLE], parameters: ['absent'], absolute: [true], connection: ['keep-alive', 'close'] },
    ],
  },
  {
    name: 'Firefox NSS',
    source: 'R2.1, R6.17',
    ways: [
      { headers: [FIREFOX], ...KEPT },
      { ...POST, headers: [FIREFOX], ...KEPT, nonce: [0, 16] },
    ],
  },
  {
    name: 'Chrome with OCSP (BoringSSL)',
    source: 'R5.1, R5.4',
    ways: [
      {
        path: ['/', '//', '/ocsp//'],
        headers: [
          ['User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/90.0', 'Accept-Encoding: gzip, deflate'],
        ],
        ...KEPT,
      },
    ],
  },
  {
    name: 'nginx ssl_stapling',
    source: 'seen; R5.30, R5.1',
    ways: [{ version: ['1.0'], host: ['bare'], path: ['/', '/ocsp/'] }],
  },
  {
    name: 'Apache SSLUseStapling',
    source: 'seen; R5.30',
    ways: [{ ...POST, version: ['1.0'], connection: ['close'] }],
  },
  {
    name: 'HAProxy ocsp-update',
    source: 'R5.1, R5.47',
    ways: [{ headers: [['User-Agent: HAProxy']] }, { ...POST, headers: [['User-Agent: HAProxy']] }],
  },
  {
    name: 'curl by hand',
    source: 'seen; R5.2, R5.34, R5.35, R5.36',
    ways: [
      { headers: [CURL], spelling: ['escaped', 'raw', 'base64url'] },
      {
        ...POST,
        headers: [CURL],
        contentType: [
          'application/ocsp-request',
          'application/x-www-form-urlencoded',
          'application/octet-stream',
        ],
        framing: ['length', 'chunked'],
        expects: [false, true],
        hash: BOTH,
        nonce: [0, 16],
      },
    ],
  },
  {
    name: 'Cisco ASA',
    source: 'peers 1g; R1.69, R3.3',
    ways: [
      {
        ...POST,
        version: ['1.0', '1.1'],
        connection: ['close'],
        nonce: [0, 16],
        headers: [['User-Agent: Cisco PKI']],
      },
    ],
  },
  {
    name: 'strongSwan',
    source: 'R1.5, R1.95, R3.2, R3.3',
    ways: [
      {
        ...POST,
        hash: BOTH,
        nonce: [15, 16, 32],
        requestorName: ['none', 'directoryName'],
        signed: [false, true],
        headers: [['User-Agent: strongSwan', 'Accept: */*']],
      },
    ],
  },
  {
    name: 'GnuPG dirmngr',
    source: 'R5.47, R3.3',
    ways: [{ ...POST, version: ['1.0'], nonce: [16, 32], host: ['with port', 'bare'] }],
  },
  {
    name: 'Zeek and ssl_exporter',
    source: 'peers 1g; R5.49',
    ways: [{ headers: [GO], ...KEPT, pipelined: [false, true], hash: BOTH }],
  },
  {
    name: 'a prober that pipelines',
    source: 'R5.49',
    ways: [
      { ...KEPT, pipelined: [true], hash: ALL },
      { ...POST, ...KEPT, pipelined: [true], hash: ALL, nonce: [0, 16] },
    ],
  },
  {
    name: 'OCSP Watch and the monitor of crt.sh',
    source: 'peers 1g; R1.9, R5.1',
    ways: [
      { headers: [GO], extra: ['empty Extensions'], spelling: ['+ raw', 'raw', 'escaped'] },
      { ...POST, headers: [GO], extra: ['empty Extensions', 'none'] },
    ],
  },
  {
    name: 'jgoodloe/ocspcrltesting',
    source: 'peers 1g; R3.2-R3.4, R3.12, R1.82, R1.85',
    ways: [
      {
        ...POST,
        headers: [REQUESTS],
        ...KEPT,
        hash: ALL,
        nonce: [1, 8, 15, 16, 31, 32, 33, 64, 128],
        nonceForm: ['octet string', 'critical'],
        extra: ['none', 'response types', 'service locator', 'unknown extension'],
      },
    ],
  },
  {
    name: 'XiPKI client',
    source: 'R1.3, R1.5, R1.86, R1.88, R2.1',
    ways: [
      {
        method: ['GET', 'POST'],
        hash: ALL,
        parameters: ['NULL', 'absent'],
        versionWritten: [false, true],
        nonce: [0, 8, 16],
        requestorName: ['none', 'directoryName', 'rfc822Name'],
        prefers: [
          [],
          ['sha256WithRSAEncryption'],
          ['ecdsa-with-SHA256', 'sha256WithRSAEncryption'],
          ['Ed25519'],
        ],
        certIDs: [1, 2, 3],
        signed: [false, true],
        headers: [['User-Agent: XiPKI', 'Accept: application/ocsp-response']],
      },
    ],
  },
  {
    name: 'edge-ocsp query',
    source: 'R3.6, R1.105',
    ways: [
      {
        headers: [['accept: application/ocsp-response', 'user-agent: node']],
        ...KEPT,
        hash: ALL,
        nonce: [0, 32],
      },
      { ...POST, headers: [['accept: application/ocsp-response']], ...KEPT, hash: ALL, nonce: [0, 32] },
    ],
  },
  {
    name: 'monitors that ask for the headers alone',
    source: 'R5.32, R5.33',
    ways: [{ method: ['HEAD'], headers: [CURL], hash: BOTH, validator: ['none', 'ETag'] }],
  },
  {
    name: 'a caching proxy that asks again (nginx, Squid, Varnish)',
    source: 'R6.11, R6.12, R5.3, R5.48, R5.50',
    ways: [
      {
        validator: ['ETag', 'date', 'none'],
        version: ['1.0', '1.1'],
        spelling: ['escaped', 'slashes merged', 'lower-case escapes', '/ alone escaped'],
        headers: [
          [
            'Via: 1.1 proxy.example (squid/5.7)',
            'X-Forwarded-For: 192.0.2.1',
            'Cache-Control: max-age=259200',
          ],
          ['X-Forwarded-Proto: https', 'X-Forwarded-Host: evil.example', 'Cookie: a=b', 'Range: bytes=0-3'],
        ],
      },
    ],
  },
  {
    name: 'proxies and libraries that rewrite the path',
    source: 'R5.5-R5.13',
    ways: [
      {
        path: ['/', '//', '///', '/ocsp/', '/ocsp//', '/ca1/gts1c3/', '/MEkw/'],
        spelling: [
          'escaped',
          'raw',
          'lower-case escapes',
          'space for +',
          'escaped twice',
          '+ escaped twice',
          'unpadded',
          'base64url',
          'slashes merged',
        ],
        suffix: ['', '/', '?utm_source=x&ts=1', '#fragment'],
        absolute: [false, true],
        hash: BOTH,
      },
    ],
  },
]
