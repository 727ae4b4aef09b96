import { sign, type KeyObject } from 'node:crypto'
import { forgeBy, forgeOver, parse, reforge, segment, withMember } from './forge'

/** What a claim, a header or a member of a body may hold that nobody expects. */
export const ODD: readonly unknown[] = [
  null, true, false, 0, -1, 1.5, 1e300, '', ' ', 'x', '\0', '\uFEFF', 'é', 'constructor', '__proto__', '1e999', [], [null], ['x'], [[]], {}, { x: 1 },
  { length: 1, 0: 'x' }, { toString: 'x' }, { then: 'x' }, 'x'.repeat(2000)
]

/** The letters of tokens. */
export const BASE64URL: readonly string[] = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_')

/** JSON for times that are none. */
const NO_TIMES = [
  '1e999', '-1e999', '1e300', '-1e300', '9007199254740992', '-1', '-1e9', '1.5', '"1"', '[1]', 'null', 'true', '""', '"never"', '{}', '[]', '{"valueOf":1}', '18446744073709551616'
]

/** Who signed a token: what is made with the right key has to be refused for another reason. */
export interface Signer {
  readonly algorithm: string
  readonly signs: KeyObject
  /** What strangers know; undefined for a secret. */
  readonly publicKey: KeyObject | undefined
}

/** Texts that nobody may take for the token that they were made from, by what is wrong with them. */
export interface Forgeries {
  /** Another algorithm, or none. */
  algorithms: string[]
  /** A public key, in any spelling, as a secret. */
  publicKeys: string[]
  /** Signatures that are zero, long, short, cut, DER-coded, bent. */
  signatures: string[]
  emptyKeys: string[]
  /** Keys that are not there, and another one that is: `other`. */
  kids: string[]
  /** Members of the header that nobody may need to understand. */
  headers: string[]
  /** Other texts of the same bytes. */
  spellings: string[]
  /** Padding, blanks, other alphabets, other numbers of parts, JSON serialisation. */
  shapes: string[]
  /** What is no JSON object in UTF-8. */
  payloads: string[]
  /** Claims of a wrong form or a wrong value, rightly signed. */
  claims: string[]
}

/** @param stranger a public key of somebody else, for who has none. */
export function forgeriesOf (token: string, { algorithm, signs, publicKey }: Signer, stranger: KeyObject): Forgeries {
  const { header, claims, parts: [head, payload, signature] } = parse(token)
  const input = `${head}.${payload}`
  const by = (header: object, claims: unknown): string => forgeBy(algorithm, signs, header, claims)
  const seal = (head: string, payload: string): string => forgeOver(`${head}.${payload}`, algorithm, signs)
  const signedAs = (bytes: Buffer): string => `${input}.${bytes.toString('base64url')}`

  function algorithms (): string[] {
    const others = ['none', 'None', '', null, undefined, algorithm.toLowerCase(), `${algorithm} `, [algorithm], 'HS256', 'HS384', 'HS512', 'RS256', 'PS256', 'RS512', 'ES256', 'EdDSA']
      .filter((other) => other !== algorithm)
    const twin = { RS256: 'PS256', PS256: 'RS256' }[algorithm]
    return [
      ...others.flatMap((alg) => [by({ ...header, alg }, claims), `${segment({ ...header, alg })}.${payload}.`, `${segment({ ...header, alg })}.${payload}.${signature}`]),
      `${input}.`, input,
      ...(twin === undefined ? [] : [forgeBy(twin, signs, header, claims), forgeBy(twin, signs, { ...header, alg: twin }, claims)])
    ]
  }

  function publicKeys (): string[] {
    const key = publicKey ?? stranger
    const pem = key.export({ type: 'spki', format: 'pem' }) as string
    const der = key.export({ type: 'spki', format: 'der' })
    const jwk = key.export({ format: 'jwk' })
    const spellings: (string | Buffer)[] = [
      pem, pem.trim(), pem.replace(/\n/g, '\r\n'), pem.replace(/\n/g, ''), `\uFEFF${pem}`, ` ${pem}`, `x${pem}`, der, der.toString('base64'), der.toString('base64url'), der.toString('hex'),
      JSON.stringify(jwk), JSON.stringify(jwk, null, 2), JSON.stringify({ ...jwk, kid: header.kid, alg: algorithm, use: 'sig' }), JSON.stringify({ keys: [jwk] }), ...Object.values(jwk).map(String)
    ]
    return spellings.flatMap((secret) => (['sha256', 'sha384', 'sha512'] as const).flatMap((hash) => [
      reforge(token, {}, { alg: `HS${hash.slice(3)}` }, secret, hash), reforge(token, {}, { alg: `HS${hash.slice(3)}`, kid: undefined }, secret, hash), reforge(token, {}, {}, secret, hash)
    ]))
  }

  function signatures (): string[] {
    const bytes = Buffer.from(signature, 'base64url')
    const zeros = [0, 1, 31, 32, 33, 63, 64, 65, 255, 256, 257].flatMap((length) => [Buffer.alloc(length), Buffer.alloc(length, 0xff), Buffer.alloc(length, 1)])
    const flipped = Array.from({ length: 64 }, (_, index) => {
      const copy = Buffer.from(bytes)
      const bit = Math.floor(index * copy.length / 8)
      copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7))
      return copy
    })
    const others = [bytes.subarray(1), bytes.subarray(0, -1), Buffer.concat([bytes, Buffer.alloc(1)]), Buffer.concat([Buffer.alloc(1), bytes]), Buffer.concat([bytes, bytes]), Buffer.from(bytes).reverse()]
    const own = algorithm === 'ES256' ? ecdsaOddities(bytes, sign('sha256', Buffer.from(input), signs)) : algorithm === 'EdDSA' ? [withAddedOrder(bytes)] : []
    return [...[...zeros, ...flipped, ...others, ...own].map(signedAs), ...['=', '==', ' ', '.', 'A'].map((text) => token + text)]
  }

  function emptyKeys (): string[] {
    const kids = [header.kid, undefined, '', 'unknown', '__proto__']
    return kids.flatMap((kid) => ['', '\0', ' ', 'null', 'undefined', Buffer.alloc(32), Buffer.alloc(64)].flatMap((secret) =>
      ['HS256', algorithm].map((alg) => reforge(token, { jti: 'x' }, { kid, alg }, secret))))
  }

  function kids (): string[] {
    const kid = String(header.kid)
    const others = [
      undefined, null, '', 'other', 'unknown', '__proto__', 'constructor', 'toString', 'hasOwnProperty', 0, true, [], [kid], {}, { toString: kid }, '../../../../dev/null',
      "' OR '1'='1", "x' UNION SELECT 'key", `${kid}\0`, ` ${kid}`, kid.toLowerCase(), 'k'.repeat(4096), 'https://evil.example/jwks.json'
    ].filter((other) => other !== header.kid)
    return others.map((kid) => by({ ...header, kid }, claims))
  }

  function headers (): string[] {
    const jwk = publicKey?.export({ format: 'jwk' }) ?? { kty: 'oct', k: 'AAAA' }
    const members = [
      { crit: ['exp'] }, { crit: [] }, { b64: false }, { b64: true, crit: ['b64'] }, { jwk }, { jku: 'https://evil.example' }, { x5u: 'https://evil.example' }, { x5c: [''] }, { zip: 'DEF' }, { cty: 'JWT' },
      { enc: 'A256GCM' }, { x: 1 }, { use: 'sig' }, { typ: 'JWT' }, { typ: header.typ === 'at+jwt' ? 'rt+jwt' : 'at+jwt' }, { typ: 'ot+jwt' }, { typ: undefined }
    ]
    return members.map((more) => by({ ...header, ...more }, claims))
  }

  function spellings (): string[] {
    // Of which some are the same bytes, but for algorithms whose signatures fill their last letter.
    const spare = BASE64URL.map((letter) => token.slice(0, -1) + letter).filter((text) => text !== token)
    const padded = ['', 'x', 'xx'].flatMap((pad) => {
      const [other, body] = by(header, { ...claims, pad }).split('.') as [string, string]
      return BASE64URL.map((letter) => body.slice(0, -1) + letter).filter((text) => text !== body).map((text) => seal(other, text))
    })
    return [...spare, ...padded]
  }

  function shapes (): string[] {
    const around = ['=', '==', ' ', '\t', '%20', '%', '"', "'", ',', ';', '~', '!', 'é', '\u00a0', '\u00ad']
    const spoilt = around.flatMap((text) => [
      `${head}${text}.${payload}.${signature}`, `${head}.${payload}${text}.${signature}`, `${head}.${payload}.${signature.slice(0, 9)}${text}${signature.slice(9)}`,
      seal(`${head}${text}`, payload), seal(head, `${payload}${text}`), seal(head, `${payload.slice(0, 8)}${text}${payload.slice(8)}`)
    ])
    return [
      ...spoilt,
      ...['=', '==', '===', 'A', 'AA', '.'].map((text) => `${token}${text}`),
      `"${token}"`, `'${token}'`, `<${token}>`, `{${token}}`, `token=${token}`, `Bearer ${token}`,
      `.${token}`, `${token}.`, `${token}.${signature}`, `${token}.${token}`, `${token},${token}`, `${token} ${token}`, `${token}, Bearer ${token}`,
      '', '.', '..', '...', '....', 'a', 'a.b', 'a.b.c', 'a..b', head, payload, `${head}.${payload}`, `${head}..`, `..${signature}`, 'null', 'undefined', '[object Object]',
      JSON.stringify({ payload, protected: head, signature }), JSON.stringify({ payload, signatures: [{ protected: head, signature }] }),
      segment({ payload, protected: head, signature }), encodeURIComponent(`${token}=`), Buffer.from(token).toString('base64'), token.toUpperCase(), token.toLowerCase()
    ]
  }

  function payloads (): string[] {
    const texts: (string | Buffer)[] = ['', '[]', 'null', '"x"', '1', '{', Buffer.concat([Buffer.from('{"sub":"'), Buffer.from([0xff]), Buffer.from(`",${JSON.stringify(claims).slice(1)}`)])]
    return texts.map((text) => by(header, text))
  }

  function wrongClaims (): string[] {
    const time = Number(claims.iat)
    const use = claims.token_use === 'access' ? 'refresh' : 'access'
    const wrong: Record<string, readonly unknown[]> = {
      iss: [undefined, '', ' ', 'x', [claims.iss], { 0: claims.iss }, `${String(claims.iss)}/`, String(claims.iss).toUpperCase()],
      aud: [undefined, '', 'x', [], [[claims.aud]], [claims.aud, null], { 0: claims.aud, length: 1 }, '*', `${String(claims.aud)} x`],
      sub: [undefined, '', null, 0, true, [], [claims.sub], {}, 'user-bob', 'nobody', '__proto__'],
      sid: [undefined, '', null, 0, '__proto__', 'constructor', [claims.sid], { 0: claims.sid }, `${String(claims.sid)} `, 'A'.repeat(22), '-'.repeat(22)],
      jti: [undefined, '', null, 0, [], {}, true],
      gen: [undefined, -1, '0', null, 0.5, [], 1e300],
      token_use: [undefined, null, '', [], use, [claims.token_use], 'once'],
      exp: [undefined, 0, 1, time - 1],
      nbf: [time + 60, time + 1e9],
      iat: [undefined, time + 600, time + 1e6],
      csrf: [null, 0, {}, []]
    }
    return [
      ...Object.entries(wrong).flatMap(([name, values]) => values.map((value) => by(header, { ...claims, [name]: value }))),
      ...['exp', 'nbf', 'iat'].flatMap((name) => NO_TIMES.map((json) => by(header, withMember(claims, name, json)))),
      by(header, `{"__proto__":${JSON.stringify(claims)}}`), by(header, { claims }), by(header, [claims]), by(header, `${JSON.stringify(claims).slice(0, -1)},"sub":"user-bob"}`)
    ]
  }

  return {
    algorithms: algorithms(), publicKeys: publicKeys(), signatures: signatures(), emptyKeys: emptyKeys(), kids: kids(), headers: headers(), spellings: spellings(), shapes: shapes(), payloads: payloads(), claims: wrongClaims()
  }
}

/** Of an ECDSA signature: DER, and r or s that are zero, n, beyond n, or swapped. */
function ecdsaOddities (signature: Buffer, der: Buffer): Buffer[] {
  const n = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
  const [r, s, zero, one] = [signature.subarray(0, 32), signature.subarray(32), Buffer.alloc(32), Buffer.concat([Buffer.alloc(31), Buffer.from([1])])]
  const pairs = [[zero, zero], [zero, s], [r, zero], [n, n], [r, n], [n, s], [zero, n], [one, one], [one, zero], [s, r], [Buffer.alloc(32, 0xff), s]]
  return [der, Buffer.from('3006020100020100', 'hex'), Buffer.from('3006020101020101', 'hex'), ...pairs.map((pair) => Buffer.concat(pair))]
}

/** An Ed25519 signature with the order of the group added to S, which says the same and must not be accepted (RFC 8032 section 5.1.7). */
function withAddedOrder (signature: Buffer): Buffer {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString('hex')}`) + order
  return Buffer.concat([signature.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()])
}
