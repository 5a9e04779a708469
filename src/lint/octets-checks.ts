/** Faults of the octets: what the strict reader refuses, sorted into requirements. The first check that fits tells. */
import type { FaultCheck } from './check.ts'
import { fault } from './check.ts'

export const OCTETS_CHECKS: readonly FaultCheck[] = [
  fault(
    'R1.63',
    'time-form',
    'a time has to be YYYYMMDDHHMMSSZ, without fraction or offset',
    ({ reason }) => reason === 'badTime',
  ),
  fault(
    'R1.20',
    'status-number',
    'responseStatus has to be 0, 1, 2, 3, 5 or 6',
    ({ reason, offset }) => reason === 'badStatus' && offset <= 2,
  ),
  fault(
    'R1.20',
    'response-bytes',
    'responseBytes have to be there for successful, and for it alone',
    ({ reason }) => reason === 'badStatus',
  ),
  fault(
    'R1.50',
    'response-type',
    'responseType has to be id-pkix-ocsp-basic',
    ({ reason }) => reason === 'badResponseType',
  ),
  fault(
    'R1.50',
    'version-number',
    'version has to be v1, that is absent',
    ({ reason }) => reason === 'badVersion',
  ),
  fault(
    'R1.52',
    'key-hash-length',
    'byKey has to be 20 octets',
    ({ reason, path }) => reason === 'hashLength' && path === 'responderID',
  ),
  fault(
    'R1.69',
    'cert-id-hash-length',
    'the hashes of a CertID have to be as long as their algorithm says',
    ({ reason }) => reason === 'hashLength',
  ),
  fault(
    'R1.69',
    'cert-id-hash-parameters',
    'parameters of hashAlgorithm have to be NULL or absent',
    ({ reason }) => reason === 'badHashParameters',
  ),
  fault(
    'R1.30',
    'status-content',
    'good and unknown have no content: 80 00 and 82 00',
    ({ reason, path }) => reason === 'badValue' && path.endsWith('certStatus'),
  ),
  fault('R1.50', 'der-null', 'NULL has no content: 05 00', ({ reason }) => reason === 'badValue'),
  fault('R1.50', 'der-truncated', 'the response has to be whole', ({ reason }) => reason === 'truncated'),
  fault(
    'R1.50',
    'der-trailing',
    'nothing may follow the last element',
    ({ reason }) => reason === 'trailingData',
  ),
  fault(
    'R1.50',
    'der-length',
    'lengths have to be definite and as short as can be (DER, not BER)',
    ({ reason }) => reason === 'nonMinimalLength' || reason === 'indefiniteLength',
  ),
  fault(
    'R1.50',
    'der-integer',
    'an INTEGER has to be as short as can be',
    ({ reason }) => reason === 'nonMinimalInteger',
  ),
  fault(
    'R1.50',
    'der-boolean',
    'a BOOLEAN has to be TRUE (FF): FALSE is the default and left out',
    ({ reason }) => reason === 'badBoolean',
  ),
  fault(
    'R1.50',
    'der-oid',
    'an OBJECT IDENTIFIER has to be well-formed',
    ({ reason }) => reason === 'badOID',
  ),
  fault(
    'R1.50',
    'der-bit-string',
    'the signature has to be whole octets',
    ({ reason }) => reason === 'badBitString',
  ),
  fault(
    'R1.50',
    'der-too-large',
    'no more elements and longer numbers than a response needs',
    ({ reason }) => reason === 'tooLarge' || reason === 'tooDeep',
  ),
  fault(
    'R1.50',
    'der-structure',
    'the fields have to be those of RFC 6960 4.2.1, in their order',
    () => true,
  ),
]
