import { contextConstructed, type DERReader } from '../asn1/der-reader.ts'
import type { DERWriter } from '../asn1/der-writer.ts'
import { DERError } from '../asn1/error.ts'
import { OCSPDecodeError } from './error.ts'

/**
 * ResponderID ::= CHOICE { byName [1] EXPLICIT Name, byKey [2] EXPLICIT KeyHash }
 * KeyHash ::= OCTET STRING -- SHA-1 of the responder's public key BIT STRING value, always 20 octets
 * @see RFC 6960 4.2.1
 */
export type ResponderID =
  | {
      /** The whole Name element. */
      readonly byName: Uint8Array
    }
  | {
      /** 20 octets. */
      readonly byKey: Uint8Array
    }

const KEY_HASH_OCTETS = 20

/** @throws DERError, OCSPDecodeError.hashLength for a byKey that is not 20 octets (R1.52) */
export function readResponderID(reader: DERReader): ResponderID {
  switch (reader.peekTag()) {
    case contextConstructed(1):
      return { byName: reader.explicit(1, readName) }
    case contextConstructed(2):
      return { byKey: reader.explicit(2, readKeyHash) }
    default:
      throw new DERError('unexpectedTag', reader.offset, 'ResponderID')
  }
}

export function writeResponderID(id: ResponderID, writer: DERWriter): void {
  if ('byKey' in id) writer.explicit(2, (w) => w.octetString(id.byKey))
  else writer.explicit(1, (w) => w.raw(id.byName))
}

function readName(reader: DERReader): Uint8Array {
  return reader.raw(0x30)
}

function readKeyHash(reader: DERReader): Uint8Array {
  const offset = reader.offset
  const hash = reader.octetString()
  if (hash.length !== KEY_HASH_OCTETS)
    throw new OCSPDecodeError('hashLength', offset, `byKey of ${hash.length} octets`)
  return hash
}
