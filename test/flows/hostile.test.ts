// Longer than other files: it is one list, whose ids are those of the statements that it holds true.
import { createHash, createHmac, createPrivateKey, createSecretKey, generateKeyPairSync, randomBytes, sign as signWith, type JsonWebKey } from 'node:crypto'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import bcrypt from 'bcryptjs'
import fc from 'fast-check'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import jwtSession, { bcryptPasswords, memoryStore } from '../../lib'
import { buildApp, lookupIn, makeUsers, plainPasswords, SECRET, type TestApp, type TestUser } from '../support/app'
import { stopClock } from '../support/clock'
import { forge, forgeBy, forgeOver, mac, parse, reforge, seal, segment, withMember } from '../support/forge'
import { BASE64URL, forgeriesOf, ODD } from '../support/forgeries'
import { ODD_REQUESTS, oddLines } from '../support/odd-requests'
import { listen, type Heard } from '../support/wire'

const NAME = 'fastify-jwt-session'
const SEED = 20_260_101

/** The bodies of all refusals that were looked at. */
const bodies = new Set<string>()

t.test('A: algorithms, signatures, encoding', async (t) => {
  const server = await serve(t)
  const { access_token: token } = await server.client.login()
  const { header, claims, parts: [head, payload, signature] } = parse(token)

  t.test('A0: a token forged by hand with the known secret passes', async (t) => {
    t.equal((await server.me(reforge(token, {}))).status, 200)
    t.equal((await server.me(reforge(token, { jti: 'other', extra: { deep: [1] } }))).status, 200)
    t.equal(reforge(token, {}), token, 'nothing but the secret makes it')
  })

  t.test('A1: every spelling of none is refused', async (t) => {
    const spellings = [
      'none', 'None', 'NONE', 'nOnE', ' none', 'none ', 'none\0', '\tnone', '', ' ', 'null', null, [], ['none'], ['HS256'], [null], {}, 0, false, true,
      'HS256 ', 'HS256\0', undefined
    ]
    const probes = spellings.flatMap((alg) => {
      const other = segment({ ...header, alg })
      return [`${other}.${payload}.`, `${other}.${payload}`, `${other}.${payload}.${signature}`, `${other}..${signature}`, seal(other, payload)]
    })
    await refuses(t, server, [...probes, `${head}.${payload}.`, `${head}.${payload}`, `.${payload}.${signature}`])
  })

  t.test('A2: only HS256 verifies, also under the same secret', async (t) => {
    await refuses(t, server, [
      reforge(token, {}, { alg: 'HS384' }, SECRET, 'sha384'),
      reforge(token, {}, { alg: 'HS512' }, SECRET, 'sha512'),
      reforge(token, {}, {}, SECRET, 'sha384'),
      reforge(token, {}, {}, SECRET, 'sha512'),
      ...['HS384', 'HS512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES256K', 'ES384', 'ES512', 'EdDSA', 'Ed25519', 'HS1', 'HS',
        'dir', 'A256KW', 'HMAC', 'SHA256', 'toString', '__proto__', 'constructor'].map((alg) => reforge(token, {}, { alg }))
    ])
  })

  t.test('A3: alg is case-sensitive', async (t) => {
    await refuses(t, server, ['hs256', 'Hs256', 'hS256', 'HS256'.toLowerCase()].map((alg) => reforge(token, {}, { alg })))
  })

  t.test('A4: a public key in any spelling is not accepted as a secret', async (t) => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
    const ed = generateKeyPairSync('ed25519').publicKey
    for (const [name, key] of Object.entries({ publicKey, ec, ed })) {
      const pem = key.export({ type: 'spki', format: 'pem' }) as string
      const jwk = key.export({ format: 'jwk' })
      const spellings: Record<string, string | Buffer> = {
        pem,
        crlf: pem.replace(/\n/g, '\r\n'),
        'one line': pem.replace(/\n/g, ''),
        'byte order mark': `\uFEFF${pem}`,
        blanks: ` \n\t${pem}`,
        prefix: `x${pem}`,
        buffer: Buffer.from(pem),
        'buffer with a byte order mark': Buffer.from(`\uFEFF${pem}`),
        jwk: JSON.stringify(jwk),
        'indented jwk': JSON.stringify(jwk, null, 2),
        'buffer of a jwk': Buffer.from(` ${JSON.stringify(jwk)}\n`),
        jwks: JSON.stringify({ keys: [jwk] }),
        der: key.export({ type: 'spki', format: 'der' })
      }
      for (const [spelling, secret] of Object.entries(spellings)) {
        await t.rejects(register({ secret }), { code: 'FST_JWT_SESSION_OPTION_INVALID' }, `${name}, ${spelling}`)
      }
    }
  })

  t.test('A5: signatures of other families, zero, long, short and DER-coded ones are refused', async (t) => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const probes = ['ES256', 'ES384', 'ES512', 'EdDSA', 'RS256', 'PS256', 'HS256'].flatMap((alg) => {
      const input = `${segment({ ...header, alg })}.${payload}`
      const made = (['der', 'ieee-p1363'] as const).map((dsaEncoding) => signWith('sha256', Buffer.from(input), { key: ec, dsaEncoding }))
      const zeros = [0, 1, 31, 32, 33, 63, 64, 65, 96, 132, 256, 512].flatMap((length) => [Buffer.alloc(length), Buffer.alloc(length, 0xff)])
      return [...made, ...zeros, Buffer.from('3006020100020100', 'hex')].map((bytes) => `${input}.${bytes.toString('base64url')}`)
    })
    await refuses(t, server, probes)
  })

  t.test('A6: start-up refuses an HMAC secret that is missing, short or known', async (t) => {
    const short = SECRET.slice(0, 31)
    const secrets = [
      undefined, null, '', ' ', 'changeme', 'secret', short, Buffer.from(short), Buffer.alloc(0), Buffer.alloc(31), [], [''], [SECRET, short], [short, SECRET],
      [undefined], 0, 1, true, {}, { length: 32 }, () => SECRET, () => '', new Uint8Array(64),
      'your-256-bit-secret', 'a-string-secret-at-least-256-bits-long', '0123456789abcdef0123456789abcdef', '0123456789ABCDEF0123456789ABCDEF',
      ` ${'12345678901234567890123456789012'}\n`, Buffer.from('your-super-secret-jwt-token-with-at-least-32-characters-long')
    ]
    for (const secret of secrets) {
      await t.rejects(register({ secret: secret as never }), { code: 'FST_JWT_SESSION_OPTION_INVALID' }, `${typeof secret} ${String(secret).length}`)
    }
    // Each hash asks for a secret of its own length.
    for (const [algorithm, length] of [['HS256', 32], ['HS384', 48], ['HS512', 64]] as const) {
      const bytes = randomBytes(length)
      const withSecret = (secret: Buffer | string) => register({ secret: undefined, keys: [{ kid: 'one', algorithm, secret }] })
      for (const secret of [bytes.subarray(1), '', Buffer.alloc(0), 'changeme']) await t.rejects(withSecret(secret), { code: 'FST_JWT_SESSION_OPTION_INVALID' }, `${algorithm} ${secret.length}`)
      await t.resolves(withSecret(bytes))
    }
    await t.resolves(register({ secret: SECRET }))
    await t.resolves(register({ secret: [Buffer.from(SECRET)] }))
  })

  t.test('A7: an empty key, or a well-known one, verifies nothing', async (t) => {
    const keys = ['', '\0', ' ', 'null', 'undefined', 'secret', Buffer.alloc(32), Buffer.alloc(64), SECRET.slice(0, 31), `${SECRET} `, SECRET.toLowerCase()]
    await refuses(t, server, keys.flatMap((key) => [reforge(token, {}, {}, key), reforge(token, {}, { kid: 'unknown' }, key)]))
  })

  t.test('A8: empty, cut, padded, bit-flipped and swapped signatures are refused', async (t) => {
    const bytes = Buffer.from(signature, 'base64url')
    const flipped = Array.from({ length: bytes.length * 8 }, (_, bit) => {
      const copy = Buffer.from(bytes)
      copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7))
      return copy
    })
    const others = [
      Buffer.alloc(0), ...Array.from(bytes, (_, length) => bytes.subarray(0, length)), Buffer.concat([bytes, bytes]), Buffer.concat([bytes, Buffer.alloc(1)]),
      Buffer.concat([Buffer.alloc(1), bytes]), Buffer.from(bytes).reverse(), Buffer.from(bytes.toString('hex')), Buffer.from(signature)
    ]
    const { access_token: another } = await server.client.login('bob', 'builder')
    await refuses(t, server, [
      ...[...flipped, ...others].map((other) => `${head}.${payload}.${other.toString('base64url')}`),
      `${head}.${payload}.${parse(another).parts[2]}`,
      `${head}.${parse(another).parts[1]}.${signature}`,
      `${head}.${payload}.${mac(payload)}`,
      `${head}.${payload}.${mac(head)}`,
      `${head}.${payload}.${mac(`${payload}.${head}`)}`,
      `${head}.${payload}.${mac(`${head}${payload}`)}`
    ])
  })

  t.test('A9: padding, blanks, the other alphabet, other numbers of parts and JSON serialisation are refused', async (t) => {
    let dashed = token
    for (let count = 0; !/-.*_|_.*-/.test(parse(dashed).parts[2]); count++) dashed = reforge(token, { jti: `try-${count}` })
    t.equal((await server.me(dashed)).status, 200)
    const [, body, dashedSignature] = parse(dashed).parts
    const plain = dashedSignature.replaceAll('-', '+').replaceAll('_', '/')
    const { shapes } = forgeriesOf(token, { algorithm: 'HS256', signs: createSecretKey(Buffer.from(SECRET)), publicKey: undefined }, generateKeyPairSync('ed25519').publicKey)
    await refuses(t, server, [...shapes, `${head}.${body}.${plain}`, `${head}.${body}.${plain}=`])
  })

  t.test('A10: a token has one text', async (t) => {
    const variants = [head, payload, signature].flatMap((part, index) => Array.from(BASE64URL, (last) => {
      const parts = [head, payload, signature]
      parts[index] = part.slice(0, -1) + last
      // Where the MAC covers the text, it is made for the other text.
      return index === 2 ? parts.join('.') : seal(parts[0] as string, parts[1] as string)
    })).filter((text) => text !== token)
    const twins = variants.filter((text) => {
      const [one, two, three] = text.split('.').map((part) => Buffer.from(part, 'base64url').toString('hex'))
      return one === segmentHex(head) && two === segmentHex(payload) && (three === segmentHex(signature) || text.split('.')[2] !== signature)
    })
    t.ok(twins.length >= 3, 'among them are texts that decode to the same bytes')
    await refuses(t, server, variants)
  })

  t.test('A11: crit is refused, whatever it holds', async (t) => {
    const values = [['exp'], ['b64'], ['crit'], ['x'], ['alg'], ['alg', 'typ'], ['http://example.org/x'], [''], ...ODD]
    await refuses(t, server, values.flatMap((crit) => [reforge(token, {}, { crit }), reforge(token, {}, { crit, x: 1, exp: claims.exp })]))
  })

  t.test('A12: b64 is refused, with crit and without', async (t) => {
    const text = JSON.stringify(claims)
    const probes = [false, true, 'false', null, 0].flatMap((b64) => [{ b64 }, { b64, crit: ['b64'] }].flatMap((members) => {
      const other = segment({ ...header, ...members })
      return [seal(other, payload), `${other}.${text}.${mac(`${other}.${text}`)}`, `${other}.${payload}.${mac(`${other}.${text}`)}`, `${other}..${mac(`${other}.${text}`)}`]
    }))
    await refuses(t, server, probes)
  })

  t.test('A13: encrypted, compressed and nested tokens, and giant iteration counts, are refused quickly', async (t) => {
    const jwe = (members: object): string => [{ enc: 'A256GCM', ...members }, 'key', 'iv', 'text', 'tag'].map(segment).join('.')
    await refuses(t, server, [
      jwe({ alg: 'dir' }), jwe({ alg: 'RSA-OAEP' }), jwe({ alg: 'A256KW', zip: 'DEF' }), jwe({ alg: 'PBES2-HS256+A128KW', p2c: 2 ** 31, p2s: 'c2FsdA' }),
      ...[{ zip: 'DEF' }, { zip: 'GZIP' }, { cty: 'JWT' }, { cty: 'at+jwt' }, { enc: 'A256GCM' }, { alg: 'PBES2-HS256+A128KW', p2c: 2 ** 31, p2s: 'c2FsdA' }]
        .map((members) => reforge(token, {}, members)),
      forge({ ...header, cty: 'JWT' }, token), forge(header, token), forge(header, JSON.stringify(token))
    ])
  })

  t.test('A14: keys that a token brings or names are neither trusted nor fetched', async (t) => {
    let hits = 0
    const listener = http.createServer((_request, response) => { hits++; response.end('{"keys":[]}') })
    await new Promise<void>((resolve) => { listener.listen(0, '127.0.0.1', resolve) })
    t.teardown(() => listener.close())
    const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}/keys.json`

    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const own = Buffer.alloc(32, 7)
    const oct = { kty: 'oct', k: own.toString('base64url'), alg: 'HS256', kid: 'own' }
    const brought: object[] = [
      { jwk: oct }, { jwk: oct, kid: 'own' }, { jku: url }, { jku: url, kid: 'own' }, { x5u: url }, { x5c: [own.toString('base64')] }, { x5t: 'AAAA' },
      { 'x5t#S256': 'AAAA' }, { jwks: { keys: [oct] } }, { key: own.toString('base64') }, { jwk: null }, { jku: null }, { x5u: '' }, { x5c: [] }, { jwk: {} }
    ]
    const input = `${segment({ alg: 'ES256', typ: 'at+jwt', jwk: publicKey.export({ format: 'jwk' }) })}.${payload}`
    const elliptic = signWith('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')
    await refuses(t, server, [
      ...brought.flatMap((members) => [reforge(token, {}, members, own), reforge(token, {}, members)]),
      `${input}.${elliptic}`,
      reforge(token, { iss: url }), reforge(token, { iss: url }, {}, own)
    ])
    t.equal(hits, 0, 'nothing is fetched')
  })

  t.test('A15: a kid looks nothing up', async (t) => {
    const kids = [
      '__proto__', 'constructor', 'toString', 'hasOwnProperty', '../../../../etc/passwd', '/dev/null', "' OR '1'='1", "x' UNION SELECT 'key", '0', '', '*', '$(id)',
      'k'.repeat(4096), '\0', ...ODD
    ]
    await refuses(t, server, kids.flatMap((kid) => [reforge(token, {}, { kid }), reforge(token, {}, { kid }, '')]))
  })

  t.test('A16: an access token says typ at+jwt, and nothing else', async (t) => {
    t.equal(header.typ, 'at+jwt')
    const types = ['JWT', 'jwt', 'at+JWT', 'AT+JWT', 'application/at+jwt', 'rt+jwt', 'at+jwt ', ' at+jwt', 'at+jwt\0', 'at', '', ['at+jwt'], { 0: 'at+jwt' }, undefined, ...ODD]
    await refuses(t, server, types.map((typ) => reforge(token, {}, { typ })))
  })

  t.test('A17: a header or payload that is not a UTF-8 JSON object is refused', async (t) => {
    const json = JSON.stringify(claims)
    const texts: (string | Buffer)[] = [
      '', ' ', '[]', `[${json}]`, 'null', 'true', '0', '1', '""', '"x"', JSON.stringify(json), '{', '{}', '}', 'x', 'undefined', 'NaN', '{"sub"}', `${json}x`, `${json}${json}`, `\uFEFF${json}`,
      json.replace('{', '{,'), json.replaceAll('"', "'"), json.replace('}', ',}'), `/**/${json}`, `${json}\0`,
      Buffer.from(json, 'utf16le'), Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(json, 'utf16le')]),
      ...[[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80], [0xc3]].map((bytes) =>
        Buffer.concat([Buffer.from(json.slice(0, -1)), Buffer.from(',"x":"'), Buffer.from(bytes), Buffer.from('"}')]))
    ]
    const heads: (string | Buffer)[] = [
      '', 'null', '[]', '["HS256"]', '"HS256"', '1', '{}', '{', 'x', `\uFEFF${JSON.stringify(header)}`, `[${JSON.stringify(header)}]`, `${JSON.stringify(header)}x`,
      Buffer.from(JSON.stringify(header), 'utf16le'), withMember(header, '__proto__', '{"alg":"HS256"}'), '{"__proto__":{"alg":"HS256","typ":"at+jwt"}}'
    ]
    t.equal((await server.me(forge(` ${JSON.stringify(header)}\n`, `\n ${json} `))).status, 200, 'blanks are JSON')
    await refuses(t, server, [...texts.map((text) => forge(header, text)), ...heads.map((text) => forge(text, claims))])
  })

  t.test('A18: of duplicate claims the last one counts, everywhere', async (t) => {
    const { claims: bobs } = parse((await server.client.login('bob', 'builder')).access_token)
    const doubled = `${JSON.stringify(claims).slice(0, -1)},${JSON.stringify(bobs).slice(1)}`
    const answer = await server.me(forge(header, doubled))
    t.match([answer.status, answer.json], [200, { subject: 'user-bob', claims: { sub: 'user-bob', sid: bobs.sid, roles: ['reader'] } }])
    const mixed = `${JSON.stringify(claims).slice(0, -1)},"sub":"user-bob"}`
    await refuses(t, server, [forge(header, mixed)], 'SESSION_REVOKED')
    await refuses(t, server, [
      forge('{"alg":"HS256","typ":"at+jwt","alg":"none"}', claims), forge('{"typ":"at+jwt","alg":"HS256","typ":"rt+jwt"}', claims),
      forge(header, `${JSON.stringify(claims).slice(0, -1)},"exp":"never"}`)
    ])
  })

  t.test('A19: tokens that standards publish are refused, also under their own key', async (t) => {
    const key = Buffer.from('AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow', 'base64url')
    const published = await serve(t, { secret: key })
    const joe = 'eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ'
    const rfc7515 = `eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.${joe}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk`
    t.equal(mac(rfc7515.slice(0, rfc7515.lastIndexOf('.')), key), parse(rfc7515).parts[2], 'RFC 7515 A.1 is rightly signed')
    await refuses(t, published, [
      rfc7515,
      `eyJhbGciOiJub25lIn0.${joe}.`, // RFC 7519, section 6.1
      'eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY', // RFC 7797, section 4.2
      'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg', // RFC 8037, A.4
      seal('eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9', joe, key), seal(segment({ alg: 'HS256', typ: 'at+jwt' }), joe, key)
    ])
    const pairs: [algorithm: 'ES256' | 'EdDSA', jwk: JsonWebKey, token: string][] = [
      ['ES256', { kty: 'EC', crv: 'P-256', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', y: 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0', d: 'jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI' },
        `eyJhbGciOiJFUzI1NiJ9.${joe}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q`], // RFC 7515, A.3
      ['EdDSA', { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A' },
        'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg'] // RFC 8037, A.4
    ]
    for (const [algorithm, jwk, text] of pairs) {
      const privateKey = createPrivateKey({ key: jwk, format: 'jwk' })
      // ECDSA signs otherwise each time.
      if (algorithm === 'EdDSA') t.equal(forgeOver(text.slice(0, text.lastIndexOf('.')), algorithm, privateKey), text, 'RFC 8037 A.4 is rightly signed')
      const own = await serve(t, { secret: undefined, keys: [{ kid: 'own', algorithm, privateKey: jwk }] })
      const payload = Buffer.from(text.split('.')[1] as string, 'base64url')
      await refuses(t, own, [text, ...[undefined, 'own'].flatMap((kid) => ['at+jwt', undefined].map((typ) => forgeBy(algorithm, privateKey, { alg: algorithm, kid, typ }, payload)))])
      t.equal((await own.me((await own.client.login()).access_token)).status, 200)
    }

    const shared = 'hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg'
    const kid = '018c0ae5-4d9b-471b-bfd6-eef314bc7037'
    const frodo = "It\u2019s a dangerous business, Frodo, going out your door. You step onto the road, and if you don't keep your feet, there\u2019s no knowing where you might be swept off to."
    const cookbook = await serve(t, { secret: undefined, keys: [{ kid, algorithm: 'HS256', secret: Buffer.from(shared, 'base64url') }] })
    const rfc7520 = forge({ alg: 'HS256', kid }, frodo, Buffer.from(shared, 'base64url'))
    const [rfcHead, rfcBody, rfcMac] = rfc7520.split('.') as [string, string, string]
    t.equal(rfcMac, 's0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0', 'RFC 7520 4.4 is rightly signed')
    await refuses(t, cookbook, [rfc7520, `${rfcHead}..${rfcMac}`, forge({ alg: 'HS256', typ: 'at+jwt', kid }, frodo, Buffer.from(shared, 'base64url')), `${rfcHead}.${rfcBody}`]) // 4.4 and 4.5
    const { access_token: theirs } = await published.client.login()
    t.equal((await published.me(reforge(theirs, {}, {}, key))).status, 200)
    await refuses(t, published, [token])
  })
})

t.test('B: claims', async (t) => {
  const server = await serve(t, {}, ({ app }) => {
    app.get('/object', { onRequest: [app.requireClaims({ profile: { level: 2 } })] }, () => 'in')
    app.get('/own', { onRequest: [app.requireClaims({ toString: () => true })] }, () => 'in')
    app.get('/proto', { onRequest: [app.requireClaims(JSON.parse('{"__proto__":{"admin":true}}'))] }, () => 'in')
    app.get('/constructor', { onRequest: [app.requireClaims({ constructor: { name: 'Object' } })] }, () => 'in')
    app.get('/number', { onRequest: [app.requireClaims({ level: 1 })] }, () => 'in')
    app.get('/all', { onRequest: [app.requireClaims({ roles: jwtSession.allOf('admin', 'editor') })] }, () => 'in')
  })
  const { access_token: token, refresh_token: refreshToken } = await server.client.login()
  const { header, claims } = parse(token)
  const time = (): number => Math.floor(Date.now() / 1000)
  const changed = (...changes: object[]): string[] => changes.map((change) => reforge(token, change))
  const each = (name: string, values: readonly unknown[]): string[] => values.map((value) => reforge(token, { [name]: value }))
  const written = (name: string, values: string[]): string[] => values.map((json) => forge(header, withMember(claims, name, json)))

  t.test('B0: a token with rightly forged claims passes', async (t) => {
    const tokens = changed({}, { nbf: time() - 1 }, { iat: time() - 5, exp: time() + 5 }, { aud: ['other', NAME] }, { roles: [] }, { jti: 'x' }, { iat: time() + 2, exp: time() + 9 })
    t.same(await Promise.all(tokens.map(async (text) => (await server.me(text)).status)), tokens.map(() => 200))
  })

  t.test('B1: an expired token is refused, also when it was accepted before', async (t) => {
    const clock = stopClock(t)
    const { access_token: fresh } = await server.client.login()
    for (let count = 0; count < 3; count++) t.equal((await server.me(fresh)).status, 200)
    clock.advance(899)
    t.equal((await server.me(fresh)).status, 200)
    clock.advance(1.5)
    await refuses(t, server, [fresh, fresh], 'TOKEN_EXPIRED')
    await refuses(t, server, [reforge(fresh, { exp: 0, iat: 0 }), reforge(fresh, { exp: 1 }), reforge(fresh, { exp: Number(parse(fresh).claims.exp) - 1 })], 'TOKEN_EXPIRED')
  })

  t.test('B2: a token without exp is refused', async (t) => {
    await refuses(t, server, [...each('exp', [undefined]), reforge(token, { exp: undefined, EXP: claims.exp }), forge(header, withMember({ ...claims, exp: undefined }, '__proto__', `{"exp":${claims.exp}}`))])
  })

  t.test('B3: times are finite whole numbers that are not negative', async (t) => {
    const texts = [
      '1e999', '-1e999', '1e300', '-1e300', '9007199254740992', '9007199254740993', '-1', '-1e9', `${time() + 60}.5`, `"${time() + 60}"`, `[${time() + 60}]`, 'null', 'true', 'false',
      '""', '"never"', '"1e9"', '{}', '[]', `{"valueOf":${time() + 60}}`, '18446744073709551616', '8640000000000001'
    ]
    for (const name of ['exp', 'nbf', 'iat', 'auth_time']) {
      const elsewhere = name === 'auth_time' ? ['9007199254740992', '9007199254740993', '18446744073709551616'] : []
      await refuses(t, server, written(name, texts.filter((text) => text !== '8640000000000001' || name !== 'auth_time').concat(elsewhere)))
    }
    await refuses(t, server, changed({ iat: undefined }, { auth_time: undefined }))
  })

  t.test('B4: a token that is not valid yet is refused', async (t) => {
    await refuses(t, server, each('nbf', [time() + 2, time() + 60, time() + 1e9, Number.MAX_SAFE_INTEGER]))
  })

  t.test('B5: a token that was issued in the future is refused', async (t) => {
    await refuses(t, server, changed({ iat: time() + 7, exp: time() + 60 }, { iat: time() + 600, exp: time() + 900 }, { iat: time() + 1e6, exp: time() + 1e6 + 900 }))
  })

  t.test('B6: sub is a string that is not empty', async (t) => {
    await refuses(t, server, each('sub', [undefined, '', null, 0, 1, true, [], ['user-alice'], {}, { 0: 'user-alice' }, [['user-alice']]]))
    await refuses(t, server, each('sub', ['user-bob', 'user-alice ', 'USER-ALICE', '__proto__', 'x', '*', 'user-alice\0', 'user-alic\u0435']), 'SESSION_REVOKED')
  })

  t.test('B7: jti is a string, unique, and of at least 120 random bits', async (t) => {
    await refuses(t, server, each('jti', [undefined, '', null, 0, [], ['x'], {}, true]))
    const logins = await Promise.all(Array.from({ length: 200 }, () => server.client.login()))
    const ids = logins.map(({ access_token: text }) => parse(text).claims)
    for (const name of ['jti', 'sid']) {
      t.equal(new Set(ids.map((one) => one[name])).size, 200)
      t.ok(ids.every((one) => Buffer.from(String(one[name]), 'base64url').length >= 15))
    }
    const ones = ids.map(({ jti }) => Array.from(Buffer.from(String(jti), 'base64url'), (byte) => byte.toString(2).replaceAll('0', '').length).reduce((sum, bits) => sum + bits))
    t.ok(Math.abs(ones.reduce((sum, bits) => sum + bits) / (200 * 128) - 0.5) < 0.02, 'half of the bits are set')
  })

  t.test('B8: iss is compared as a whole string, and issued', async (t) => {
    t.equal(claims.iss, NAME)
    await refuses(t, server, each('iss', [
      undefined, '', 'fastify-jwt', `${NAME}s`, `${NAME} `, ` ${NAME}`, NAME.toUpperCase(), `${NAME}\0`, `https://${NAME}`, `${NAME}/`, [NAME], [NAME, 'x'], ['x', NAME], { 0: NAME }, '.*', '*', ...ODD
    ]))
  })

  t.test('B9: aud is matched by exact member, and issued', async (t) => {
    t.equal(claims.aud, NAME)
    await refuses(t, server, each('aud', [
      undefined, '', 'fastify-jwt', `${NAME}s`, `x,${NAME}`, `${NAME} x`, ` ${NAME}`, NAME.toUpperCase(), `${NAME}\0`, [], [[NAME]], ['x'], [NAME, null], [NAME, 1], [NAME, [NAME]],
      { 0: NAME, length: 1 }, { [NAME]: true }, '*', ['*'], ['.*'], ...ODD
    ]))
  })

  t.test('B10: sid names a live session of this subject', async (t) => {
    await refuses(t, server, each('sid', [undefined, '', '__proto__', 'constructor', [claims.sid], { 0: claims.sid }, `${claims.sid} `, `${claims.sid}A`, `${claims.sid}\n`, ...ODD]))
    const bobs = parse((await server.client.login('bob', 'builder')).access_token).claims
    await refuses(t, server, each('sid', ['A'.repeat(22), '-'.repeat(22), Buffer.alloc(16, 1).toString('base64url'), bobs.sid]), 'SESSION_REVOKED')
    await refuses(t, server, changed({ sid: undefined, SID: claims.sid }, { gen: undefined }, { gen: -1 }, { gen: '0' }, { gen: null }, { gen: 0.5 }))
  })

  t.test('B11: a refresh token opens no route, an access token does not refresh, and no marker is left to a default', async (t) => {
    const refreshClaims = parse(refreshToken)
    await refuses(t, server, [
      refreshToken, reforge(refreshToken, {}, { typ: 'at+jwt' }), reforge(refreshToken, { token_use: 'access' }), reforge(refreshToken, { token_use: 'access' }, { typ: 'at+jwt' }),
      reforge(token, {}, { typ: 'rt+jwt' }), reforge(token, { token_use: 'refresh' }), ...each('token_use', [undefined, ...ODD, ['access'], 'Access']),
      forge({ alg: 'HS256', typ: 'at+jwt' }, refreshClaims.claims)
    ])
    for (const text of [
      token, reforge(token, {}, { typ: 'rt+jwt' }), reforge(token, { token_use: 'refresh' }), reforge(token, { token_use: 'refresh' }, { typ: 'rt+jwt' }), reforge(refreshToken, {}, { typ: 'at+jwt' }),
      reforge(refreshToken, {}, { typ: 'JWT' }), reforge(refreshToken, {}, { typ: undefined }), reforge(refreshToken, { token_use: undefined }), reforge(refreshToken, { token_use: 'access' })
    ]) {
      t.same(faultsOf(await server.refresh(text), { code: 'REFRESH_TOKEN_INVALID', secret: text }), [])
    }
    t.equal((await server.refresh(reforge(refreshToken, {}))).status, 200, 'a rightly forged refresh token refreshes')
  })

  t.test('B12: requireClaims is exact and sees own members only', async (t) => {
    const insufficient = async (path: string, members: object[]): Promise<void> => {
      const answers = await Promise.all(members.map(async (change) => await server.get(path, reforge(token, change))))
      const faults = answers.flatMap((answer, index) => faultsOf(answer, { status: 403, code: 'CLAIMS_INSUFFICIENT', challenge: 'Bearer error="insufficient_scope"' })
        .map((fault) => `${path} ${JSON.stringify(members[index])}: ${fault}`))
      t.same(faults, [])
    }
    await insufficient('/admin', [
      undefined, null, '', 'Admin', 'ADMIN', 'admin ', ' admin', 'administrator', 'xadmin', 'admin,editor', 'admin\0', 1, true, [], ['Admin'], [['admin']], ['administrator'], [{ admin: true }],
      { admin: true }, { 0: 'admin', length: 1 }, { includes: 'admin' }, { value: 'admin' }, ['reader', null, 0, {}]
    ].map((roles) => ({ roles })))
    await insufficient('/object', [{ profile: null }, { profile: [] }, { profile: 2 }, { profile: '2' }, { profile: { level: '2' } }, { profile: { Level: 2 } }, { profile: [{ level: 2 }] }, {}])
    await insufficient('/number', [{ level: '1' }, { level: true }, { level: [true] }, { level: ['1'] }, { level: null }, {}])
    await insufficient('/all', [{ roles: ['admin'] }, { roles: 'admin' }, { roles: ['admin', ['editor']] }, { roles: 'admin editor' }])
    for (const path of ['/own', '/proto', '/constructor']) await insufficient(path, [{}])
    const allowed: [path: string, members: object][] = [
      ['/admin', { roles: 'admin' }], ['/admin', { roles: ['x', 'admin'] }], ['/object', { profile: { level: [1, 2] } }], ['/number', { level: 1.0 }], ['/all', { roles: ['editor', 'admin'] }],
      ['/own', { toString: 1 }]
    ]
    for (const [path, members] of allowed) t.equal((await server.get(path, reforge(token, members))).status, 200, path)
  })

  t.test('B13: __proto__, constructor, then and toJSON pollute nothing', async (t) => {
    for (const json of ['{"admin":true,"polluted":1}', '{"__proto__":{"polluted":1}}', 'null', '"x"', '[1]']) {
      for (const name of ['__proto__', 'constructor', 'prototype', 'then', 'toJSON', 'toString', 'valueOf', 'hasOwnProperty', 'catch', 'length', 'statusCode', 'code']) {
        const answer = await server.me(forge(header, withMember(claims, name, json)))
        t.equal(answer.status, 200)
        t.equal((answer.json as jwtSession.Auth).subject, 'user-alice')
      }
    }
    await refuses(t, server, [forge(header, `{"__proto__":${JSON.stringify(claims)}}`), forge(header, `{"constructor":{"prototype":${JSON.stringify(claims)}}}`)])
    t.equal(({} as { polluted?: unknown }).polluted, undefined)
    t.equal(({} as { admin?: unknown }).admin, undefined)
  })

  t.test('B14: odd values under common names cause no 5xx, and none in a header is accepted', async (t) => {
    const registered = ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'sid', 'gen', 'token_use']
    const others = [
      'name', 'given_name', 'family_name', 'nickname', 'preferred_username', 'profile', 'picture', 'website', 'email', 'email_verified', 'gender', 'birthdate', 'zoneinfo', 'locale',
      'phone_number', 'phone_number_verified', 'address', 'updated_at', 'azp', 'nonce', 'at_hash', 'c_hash', 'acr', 'amr', 'sub_jwk', 'cnf', 'sip_from_tag', 'orig', 'dest', 'mky', 'events',
      'toe', 'txn', 'rph', 'vot', 'vtm', 'attest', 'origid', 'act', 'scope', 'client_id', 'may_act', 'jcard', 'at_use_nbr', 'div', 'opt', 'vc', 'vp', 'sph', 'ace_profile', 'cnonce', 'exi',
      'roles', 'groups', 'entitlements', 'token_introspection', 'ueid', 'oemid', 'location', 'uptime', 'htm', 'htu', 'ath', 'user', 'id', 'uid', 'type', 'username', 'permissions', 'admin',
      'is_admin', 'tenant', 'org', 'session', 'key', 'alg', 'typ', 'kid', 'length', 'data', 'level'
    ]
    const headers = ['kid', 'jku', 'jwk', 'x5u', 'x5c', 'x5t', 'x5t#S256', 'cty', 'crit', 'b64', 'zip', 'enc', 'apu', 'apv', 'epk', 'iv', 'tag', 'p2s', 'p2c', 'url', 'nonce', 'iss', 'sub', 'aud', 'exp', 'alg', 'typ']
    await refuses(t, server, registered.flatMap((name) => each(name, ODD.filter((value) => !isSoundAnyway(name, value)))), ['TOKEN_INVALID', 'SESSION_REVOKED', 'TOKEN_EXPIRED'])
    await refuses(t, server, headers.flatMap((name) => ODD.map((value) => reforge(token, {}, { [name]: value }))))
    const answers = await Promise.all(others.flatMap((name) => each(name, ODD)).map(async (text) => (await server.me(text)).status))
    t.same(answers.filter((status) => status !== 200), [], 'claims of the application are its own')
    await refuses(t, server, ODD.filter((value) => value !== true).map((fresh) => reforge(token, { fresh })))
  })

  t.test('B15: no credential gets into a token, and it lasts at most an hour', async (t) => {
    t.ok(Number(claims.exp) - Number(claims.iat) <= 3600)
    t.notMatch(Buffer.from(parse(token).parts[1], 'base64url').toString(), /password|hash|secret|plain:|wonderland/i)
    const hash = await bcrypt.hash('x', 4)
    for (const leak of [
      { password: 'x' }, { passwordHash: 'x' }, { password_hash: 'x' }, { 'Password-Hash': 'x' }, { secret: 'x' }, { user: { passwordHash: 'x' } }, { list: [{ pwd: 'x' }] }, { bio: hash },
      { bio: 'plain:wonderland' }, { deep: { deeper: ['plain:wonderland'] } }, { access_token: 'x' }, { apiKey: 'x' }
    ]) {
      const { client } = await buildApp(t, { claims: () => leak })
      const answer = await client.post('/login', { username: 'alice', password: 'wonderland' })
      t.equal(answer.code, 'OPTION_INVALID', JSON.stringify(Object.keys(leak)))
      t.notMatch(answer.body, /access_token"|eyJ/)
    }
    const { client } = await buildApp(t, { claims: (user) => ({ ...user }) as never })
    t.equal((await client.post('/login', { username: 'alice', password: 'wonderland' })).code, 'OPTION_INVALID', 'the whole user')
  })

  t.test('B16: two users never mix, and the whole token decides', async (t) => {
    const users = ['alice', 'bob'].map((name) => [`user-${name}`, name === 'alice' ? 'wonderland' : 'builder', name] as const)
    const tokens = await Promise.all(users.flatMap(([subject, password, name]) => Array.from({ length: 5 }, async () =>
      ({ subject, token: (await server.client.login(name, password)).access_token }))))
    const rounds = Array.from({ length: 30 }, () => tokens).flat()
    const seen = await Promise.all(rounds.map(async ({ token: text }) => ((await server.me(text)).json as jwtSession.Auth).subject))
    t.same(seen, rounds.map(({ subject }) => subject))
    await refuses(t, server, tokens.flatMap(({ token: text }) => [1, 20, 100, text.lastIndexOf('.'), text.length - 1].map((length) => text.slice(0, length))))
    await refuses(t, server, tokens.map(({ token: text }) => `${text.slice(0, -10)}${'A'.repeat(10)}`))
  })

  t.test('B17: iss, aud, sub, exp, iat, jti, sid and auth_time are issued', async (t) => {
    t.match(claims, { iss: String, aud: String, sub: 'user-alice', exp: Number, iat: Number, jti: String, sid: String, auth_time: Number, token_use: 'access' })
    t.match(parse(refreshToken).claims, { iss: String, aud: String, sub: 'user-alice', exp: Number, iat: Number, jti: String, sid: claims.sid as string, token_use: 'refresh' })
  })

  t.test('B18: a signed token that claims a longer life than is issued is refused', async (t) => {
    const iat = time()
    await refuses(t, server, changed(
      { exp: iat + 86_400 * 365 * 10 }, { exp: Number.MAX_SAFE_INTEGER }, { exp: Number(claims.iat) + 901 }, { iat: iat - 86_400, exp: iat + 60 }, { iat: 0, exp: iat + 60 }, { iat: 1, exp: iat + 900 }
    ))
  })
})

t.test('C: transport and RFC 6750', async (t) => {
  const server = await serve(t)
  const { access_token: token, refresh_token: refreshToken } = await server.client.login()
  const { access_token: bobs } = await server.client.login('bob', 'builder')
  const authorized = async (...values: string[]): Promise<HttpAnswer> =>
    await server.raw(`GET /me HTTP/1.1\r\nHost: x\r\n${values.map((value) => `Authorization: ${value}\r\n`).join('')}Connection: close\r\n\r\n`)

  t.test('C0: a good token passes over a bare socket', async (t) => {
    const answer = await authorized(`Bearer ${token}`)
    t.match([answer.status, answer.json], [200, { subject: 'user-alice' }])
  })

  t.test('C1: every 401 carries a Bearer challenge', async (t) => {
    const answers = [
      await server.get('/me'), await server.get('/admin'), await server.get('/fresh'), await server.me('x'), await server.get('/maybe', 'x'), await server.refresh('x'), await server.post('/logout'),
      await server.post('/logout', undefined, 'x'), await server.post('/login', { username: 'alice', password: 'x' }), await server.post('/me', { x: 1 })
    ]
    for (const { status, headers } of answers) {
      t.equal(status, 401)
      t.match(headers['www-authenticate'], /^Bearer\b/)
    }
  })

  t.test('C2: without a credential the challenge names no error', async (t) => {
    for (const answer of [await server.get('/me'), await server.get('/admin'), await server.get('/fresh'), await server.post('/logout')]) {
      t.same(faultsOf(answer, { code: 'TOKEN_MISSING', challenge: 'Bearer' }), [])
    }
  })

  t.test('C3: expired, revoked and malformed tokens are invalid_token', async (t) => {
    const { access_token: ended } = await server.client.login()
    t.equal((await server.post('/logout', undefined, ended)).status, 204)
    const iat = Math.floor(Date.now() / 1000)
    for (const [text, code] of [[ended, 'SESSION_REVOKED'], [reforge(token, { iat: iat - 900, exp: iat - 1 }), 'TOKEN_EXPIRED'], ['x', 'TOKEN_INVALID']] as const) {
      t.same(faultsOf(await server.me(text), { code, challenge: 'Bearer error="invalid_token"', secret: text }), [])
    }
    t.same(faultsOf(await server.refresh('x'), { code: 'REFRESH_TOKEN_INVALID', challenge: 'Bearer error="invalid_token"' }), [])
  })

  t.test('C4: a malformed Authorization header is refused with a challenge', async (t) => {
    const values = [
      '', 'Bearer', 'Bearer ', 'Bearer   ', 'bearer', 'Bearer\t', `Bearer\t${token}`, `Bearer=${token}`, `Bearer:${token}`, `Bearer,${token}`, `Bearer${token}`, `Bearer  ${token}`, 'Bearer x y', '=', ',', ':',
      'Bearer ""', 'Bearer null', 'Bearer undefined', 'Bearer [object Object]', '\x7f'
    ]
    const answers = await Promise.all(values.map(async (value) => await authorized(value)))
    t.same(answers.flatMap((answer, index) => faultsOf(answer, { status: [400, 401], code: ['TOKEN_MISSING', 'TOKEN_INVALID', 'REQUEST_INVALID', undefined], challenge: answer.code === undefined ? undefined : /^Bearer/, secret: token })
      .map((fault) => `${values[index]}: ${fault}`)), [])
  })

  t.test('C5: a claim that is not there is insufficient_scope', async (t) => {
    t.same(faultsOf(await server.get('/admin', bobs), { status: 403, code: 'CLAIMS_INSUFFICIENT', challenge: 'Bearer error="insufficient_scope"', secret: bobs }), [])
  })

  t.test('C6: a challenge holds nothing but fixed words', async (t) => {
    const marker = 'MARKER7f3a'
    const header = segment({ alg: marker, typ: marker, kid: `"${marker}\\` })
    for (const text of [marker, `${marker}"`, `\\"${marker}`, `${header}.${header}.${header}`, seal(header, header), reforge(token, { iss: marker, sub: marker }), forge({ alg: 'HS256', typ: marker }, { [marker]: marker })]) {
      const answer = await server.get(`/me?${marker}`, text)
      t.equal(answer.status, 401)
      t.match(answer.headers['www-authenticate'], /^Bearer( error="[a-z_]+"(, max_age=\d+)?)?$/)
      t.notMatch(answer.body + JSON.stringify(answer.headers), marker)
    }
  })

  t.test('C7: the scheme is case-insensitive', async (t) => {
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR']) t.equal((await authorized(`${scheme} ${token}`)).status, 200, scheme)
  })

  t.test('C8: other schemes, raw, quoted and doubled values are refused', async (t) => {
    const basic = Buffer.from(`alice:${token}`).toString('base64')
    const values = [
      token, `Token ${token}`, `JWT ${token}`, `Basic ${token}`, `Basic ${basic}`, `Digest ${token}`, `DPoP ${token}`, `Negotiate ${token}`, `Bearer "${token}"`, `"Bearer ${token}"`, `Bearer ${token}, Bearer ${token}`,
      `Bearer ${token},`, `Bearer ${token};`, `Bearer ${token} ${token}`, `x Bearer ${token}`, `Basic eDp5, Bearer ${token}`, `Bearer Bearer ${token}`, `Bearers ${token}`, `XBearer ${token}`, `Bearer token=${token}`,
      `Bearer ${encodeURIComponent(`${token} `)}`, `Bearer <${token}>`, `null ${token}`
    ]
    const answers = await Promise.all(values.map(async (value) => await authorized(value)))
    t.same(answers.flatMap((answer, index) => faultsOf(answer, { code: ['TOKEN_MISSING', 'TOKEN_INVALID'], secret: token }).map((fault) => `${values[index]}: ${fault}`)), [])
  })

  t.test('C9: a repeated Authorization header is refused, in every order and spelling', async (t) => {
    const good = `Bearer ${token}`
    const pairs = [[good, good], [good, `Bearer ${bobs}`], [`Bearer ${bobs}`, good], [good, 'Bearer x'], ['Bearer x', good], [good, 'Basic eDp5'], ['Basic eDp5', good], [good, ''], ['', good], [good, good, good]]
    for (const values of pairs) {
      t.same(faultsOf(await authorized(...values), { status: 400, code: 'REQUEST_INVALID', challenge: 'Bearer error="invalid_request"', secret: token }), [])
    }
    const mixed = await server.raw(`GET /me HTTP/1.1\r\nauthorization: ${good}\r\nHost: x\r\nAUTHORIZATION: ${good}\r\nConnection: close\r\n\r\n`)
    t.equal(mixed.code, 'REQUEST_INVALID')
    for (const path of ['/maybe', '/admin', '/fresh']) {
      const answer = await server.raw(`GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: ${good}\r\nAuthorization: ${good}\r\nConnection: close\r\n\r\n`)
      t.equal(answer.code, 'REQUEST_INVALID', path)
    }
    const logout = await server.raw(`POST /logout HTTP/1.1\r\nHost: x\r\nAuthorization: ${good}\r\nAuthorization: Bearer ${bobs}\r\nConnection: close\r\n\r\n`)
    t.equal(logout.code, 'REQUEST_INVALID')
    t.same([(await server.me(token)).status, (await server.me(bobs)).status], [200, 200], 'and ended nobody')
  })

  t.test('C11: tokens in the query, in bodies and in other headers do not authenticate', async (t) => {
    const names = ['access_token', 'token', 'jwt', 'authorization', 'Authorization', 'bearer', 'auth', 'id_token', 'session']
    const headers = [
      'X-Authorization', 'X-Access-Token', 'X-Auth-Token', 'X-Token', 'Proxy-Authorization', 'Authentication', 'WWW-Authenticate', 'X-Forwarded-Authorization', 'X-Original-Authorization', 'HTTP_AUTHORIZATION',
      'Authorization_', 'Authorization-', 'X-Amzn-Oidc-Data', 'X-JWT-Assertion', 'Sec-WebSocket-Protocol', 'Token', 'X-User', 'X-User-Id', 'X-Forwarded-User'
    ]
    const answers = await Promise.all([
      ...names.flatMap((name) => [server.get(`/me?${name}=${token}`), server.get(`/me?${name}=Bearer%20${token}`), server.request('GET', '/me', { cookie: `${name}=${token}` })]),
      ...['__Host-access_token', '__Secure-refresh_token'].map((name) => server.request('GET', '/me', { cookie: `${name}=${token}` })),
      ...headers.flatMap((name) => [token, `Bearer ${token}`, 'user-alice'].map((value) => server.request('GET', '/me', { [name]: value }))),
      ...names.map((name) => server.post('/me', { [name]: token }))
    ])
    t.same(answers.flatMap((answer) => faultsOf(answer, { code: 'TOKEN_MISSING', challenge: 'Bearer', secret: token })), [])
    t.same(faultsOf(await server.request('POST', `/refresh?refresh_token=${refreshToken}`, { 'content-type': 'application/json' }, '{}'), { status: 400, code: 'REQUEST_INVALID', challenge: undefined }), [])
  })

  t.test('C12: CR, LF, NUL, folded lines and high bytes are refused, and inject nothing', async (t) => {
    const texts = oddLines('Authorization', 'Bearer ', token)
    const answers = await Promise.all(texts.map(async (line) => await server.raw(`GET /me HTTP/1.1\r\nHost: x\r\n${line}\r\nConnection: close\r\n\r\n`)))
    const faults = answers.flatMap((answer, index) => {
      const isRefused = answer.status === 400 || (answer.status === 401 && answer.code !== undefined)
      const isInjected = answer.headers['x-injected'] !== undefined || /injected|user-alice/i.test(answer.body)
      return isRefused && !isInjected ? [] : [`${JSON.stringify(texts[index])}: ${answer.status}`]
    })
    t.same(faults, [])
  })

  t.test('C13: login, refresh and logout answer to POST only', async (t) => {
    const bodies = { '/login': { username: 'alice', password: 'wonderland' }, '/refresh': { refresh_token: refreshToken }, '/logout': { refresh_token: refreshToken } }
    for (const [path, body] of Object.entries(bodies)) {
      for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'SEARCH']) {
        const text = ['TRACE', 'GET', 'HEAD'].includes(method) ? undefined : JSON.stringify(body)
        const headers = text === undefined ? {} : { 'content-type': 'application/json' }
        const query = new URLSearchParams(body as Record<string, string>).toString()
        const answer = await server.request(method, `${path}?${query}`, { ...headers, authorization: `Bearer ${token}`, 'x-http-method-override': 'POST', 'x-method-override': 'POST' }, text)
        t.ok([400, 404, 405, 415].includes(answer.status), `${method} ${path}: ${answer.status}`)
        t.notMatch(answer.body, /access_token"|Bearer/)
      }
    }
    t.equal((await server.me(token)).status, 200)
  })

  t.test('C14: every answer that carries or refuses a token is not to be stored', async (t) => {
    const tokens = await server.post('/login', { username: 'alice', password: 'wonderland' })
    const { refresh_token: own, access_token: access } = tokens.json as jwtSession.TokenAnswer
    const answers = [
      tokens, await server.refresh(own), await server.refresh('x'), await server.refresh(''), await server.post('/refresh', {}), await server.me('x'), await server.get('/me'), await server.get('/admin', bobs),
      await server.post('/login', { username: 'alice', password: 'x' }), await server.post('/login', {}), await server.request('POST', '/login', { 'content-type': 'text/plain' }, 'x'),
      await server.request('POST', '/login', { 'content-type': 'application/json' }, '{'), await server.post('/login', { username: 'alice', password: 'x'.repeat(20_000) }),
      await server.post('/logout', undefined, access), await server.post('/logout')
    ]
    t.same(answers.map(({ status, headers }) => [status, headers['cache-control']]), answers.map(({ status }) => [status, 'no-store']))
    t.same(answers.map(({ status }) => status), [200, 200, 401, 400, 400, 401, 401, 403, 401, 400, 415, 400, 413, 204, 401])
  })

  t.test('C15: errors are JSON and labelled so', async (t) => {
    const answers = [
      await server.get('/me'), await server.me('x'), await server.get('/admin', bobs), await server.refresh('x'), await server.refresh(''), await server.post('/login', {}), await server.post('/logout'), await server.get('/nowhere'),
      await server.request('POST', '/login', { 'content-type': 'application/json' }, '{'), await server.request('POST', '/login', { 'content-type': 'text/html', accept: 'text/html' }, '<p>'),
      await server.request('GET', '/me', { accept: 'text/html' }), await server.raw('GET /me HTTP/1.1\r\nbad header\r\n\r\n')
    ]
    for (const { headers, json, status } of answers) {
      t.match(headers['content-type'], /^application\/json\b/)
      t.match(json, { statusCode: status, error: String, message: String })
    }
  })

  t.test('C16: no spelling of a protected path and no method answers without a token', async (t) => {
    const paths = [
      '/me', '/me/', '//me', '///me', '/ME', '/Me', '/%6De', '/%6d%65', '/m%65', '/me%00', '/me%2f', '/me%2F', '/%2fme', '/./me', '/x/../me', '/me/.', '/me/..', '/../me', '/me;a=b', '/;/me', '/me?', '/me?x=1', '/me#x', '/me%20', '/me%09',
      '/me..;/', '\\me', '/\\me', '/me\\', '/me.json', '/m%e', '/%2e/me', '/%', '/me%', '/me%c0%80', '/me%252f', 'me', '', '*', '?', 'http://127.0.0.1/me', 'http://x/me', 'HTTP://x/me', 'https://x:443/me', '/me/me', '/*', '/me*', '/:id',
      '/admin', '/ADMIN', '/admin/', '/%61dmin', '/fresh', '/recent', '/recent/'
    ]
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND', 'SEARCH', 'LOCK', 'get', 'Get', 'FOO', 'PURGE', 'LINK']
    const lines = [...paths.map((path) => `GET ${path}`), ...paths.slice(0, 9).flatMap((path) => methods.map((method) => `${method} ${path}`))]
    const answers = await Promise.all(lines.map(async (line) => await server.raw(`${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)))
    t.same(answers.flatMap(({ status, body }, index) => status >= 400 && status < 500 && !/"subject"/.test(body) ? [] : [`${lines[index]}: ${status}`]), [])
    const head = await server.raw(`HEAD /me HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`)
    t.equal(head.status, 200, 'HEAD is served to whom GET is')
    const old = await server.raw('GET /me HTTP/1.0\r\n\r\n')
    t.equal(old.status, 401)
  })

  t.test('C17: OPTIONS of a protected route leaks nothing', async (t) => {
    for (const [index, authorization] of ['', `Bearer ${token}`, 'Bearer x'].entries()) {
      const headers = { origin: 'https://evil.example', 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization', ...(index === 0 ? {} : { authorization }) }
      for (const path of ['/me', '/admin', '/login', '/refresh', '/logout']) {
        const answer = await server.request('OPTIONS', path, headers)
        t.ok(answer.status >= 400 && answer.status < 500)
        t.notMatch(answer.body, /alice|eyJ|subject/)
        t.notOk(Object.keys(answer.headers).some((name) => name.startsWith('access-control-')))
      }
    }
  })
})

t.test('D: login', async (t) => {
  const long = `${'long-'.repeat(14)}72`
  const secrets: Record<string, string> = {
    alice: 'wonderland', bob: 'Builder Bob 1', long, sixty: 'y'.repeat(64), accents: 'pässwörd', replaced: 'pass\ufffdword', blank: ' both ends '
  }
  const users = makeUsers()
  for (const [name, password] of Object.entries(secrets)) users.set(name, { id: `user-${name}`, passwordHash: await bcrypt.hash(password, 4), roles: [] })
  // A plain object answers to names that nobody gave it, as the lookups of many applications do.
  const table = Object.fromEntries(users)
  const plainTable = Object.fromEntries(Array.from(makeUsers(), ([name, user]) => [name, { ...user, roles: [] }]))
  const passwords = bcryptPasswords({ cost: 8 })
  // A thread takes its time to start from TypeScript, and a registration has ten seconds.
  await passwords.hash('to start the first thread')
  const lookupOf = (table: Record<string, TestUser>): jwtSession.UserLookup<TestUser> =>
    ({ findByUsername: (username) => table[username], findById: (id) => Object.values(table).find((user) => user.id === id) })
  const server = await serve(t, { passwords, throttle: false, userLookup: lookupOf(table), claims: ({ roles }) => ({ roles }) })
  // What does not look at passwords needs no hashes.
  const quick = await serve(t, { throttle: false, userLookup: lookupOf(plainTable) })
  const requestsTo = ({ post, request }: Served) => ({
    login: async (username: unknown, password: unknown, more: object = {}): Promise<HttpAnswer> => await post('/login', { username, password, ...more }),
    post: async (body: string | Buffer | undefined, type = 'application/json'): Promise<HttpAnswer> =>
      await request('POST', '/login', type === '' ? {} : { 'content-type': type }, body)
  })
  const { login } = requestsTo(server)
  const credentials = JSON.stringify({ username: 'alice', password: 'wonderland' })
  const denied = { code: 'INVALID_CREDENTIALS', challenge: 'Bearer' }

  t.test('D0: the right credentials log in', async (t) => {
    for (const [username, password] of Object.entries(secrets)) t.equal((await login(username, password)).status, 200, username)
  })

  t.test('D1: an unknown user, a wrong password, a disabled user and one without a hash get the same answer', async (t) => {
    const odd: [string, Partial<(typeof table)[string]>][] = [['off', { disabled: true }], ['unset', { passwordHash: '' }], ['broken', { passwordHash: '$2b$04$x' }], ['odd', { passwordHash: undefined as never }]]
    for (const [name, members] of odd) table[name] = { id: `user-${name}`, passwordHash: (table.alice as { passwordHash: string }).passwordHash, roles: [], ...members }
    const answers = await Promise.all(['nobody', 'alice', ...odd.map(([name]) => name)].map(async (name) => await login(name, name === 'alice' ? 'wrong' : 'wonderland')))
    for (const answer of answers) {
      t.same(faultsOf(answer, denied), [])
      t.equal(answer.body, answers[0]?.body)
      t.same(Object.keys(answer.headers), Object.keys(answers[0]?.headers as object))
      t.equal(answer.headers['content-length'], answers[0]?.headers['content-length'])
    }
    for (const password of ['', 'undefined', 'null', '$2b$04$x']) t.not((await login('unset', password)).status, 200)
    for (const [name] of odd) t.same(faultsOf(await login(name, 'undefined'), denied), [])
  })

  t.test('D2: an unknown user takes as long as a known one', async (t) => {
    const names = ['alice', 'sixty', 'nobody', 'nobody else']
    const times = new Map(names.map((name): [string, number[]] => [name, []]))
    for (let round = 0; round < 24; round++) {
      for (let turn = 0; turn < names.length; turn++) {
        const name = names[(turn + round) % names.length] as string
        const started = performance.now()
        t.same(faultsOf(await login(name, 'wrong'), denied), [])
        times.get(name)?.push(performance.now() - started)
      }
    }
    const median = (name: string): number => times.get(name)?.sort((one, other) => one - other)[12] as number
    const [known, unknown] = [median('alice') + median('sixty'), median('nobody') + median('nobody else')]
    // Without the work for unknown names one of the two is a small part of the other.
    t.ok(known < 2 * unknown && unknown < 2 * known, `${known} ms, ${unknown} ms`)
  })

  t.test('D3: throttling does not tell known from unknown names', async (t) => {
    const server = await serve(t, { throttle: { account: { attempts: 3 } } })
    const told = async (username: string): Promise<object[]> => {
      const answers: object[] = []
      for (let attempt = 0; attempt < 6; attempt++) {
        const { status, body, headers } = await server.post('/login', { username, password: 'wrong' })
        answers.push({ status, body, headers: { ...headers, date: '', 'retry-after': Number(headers['retry-after']) > 890 } })
      }
      return answers
    }
    const known = await told('alice')
    t.match(known, [{ status: 401 }, { status: 401 }, { status: 401 }, { status: 429 }, { status: 429 }, { status: 429 }])
    t.same(await told('nobody'), known)
    t.same(await told('__proto__'), known)
  })

  t.test('D4: after a few failures for one account the answer is 429 with the time to wait, also for the right password', async (t) => {
    const clock = stopClock(t)
    const server = await serve(t)
    const guess = async (password: string): Promise<HttpAnswer> => await server.post('/login', { username: 'alice', password })
    const answers: HttpAnswer[] = []
    for (let attempt = 0; attempt < 101; attempt++) answers.push(await guess(`guess ${attempt}`))
    t.same(answers.map(({ status }) => status), answers.map((_, index) => index < 20 ? 401 : 429))
    for (const answer of [answers[20], answers[100], await guess('wonderland')]) {
      t.same(faultsOf(answer as HttpAnswer, { status: 429, code: 'TOO_MANY_ATTEMPTS', challenge: undefined }), [])
      t.equal(answer?.headers['retry-after'], '900')
    }
    clock.advance(900)
    t.equal((await guess('wonderland')).status, 200)
  })

  t.test('D5: no header gives an address a new budget, unless the application trusts its proxy; IPv6 is counted by 64 bits', async (t) => {
    const attempts = async ({ app }: TestApp, headers: Record<string, string>[]): Promise<number[]> => {
      const answers = await Promise.all(headers.map(async (each, index) =>
        await app.inject({ method: 'POST', url: '/login', headers: each, payload: { username: `name ${index}`, password: 'wrong' } })))
      return answers.map(({ statusCode }) => statusCode)
    }
    const throttle = { address: { attempts: 2 } }
    const names = ['x-forwarded-for', 'x-real-ip', 'forwarded', 'cf-connecting-ip', 'true-client-ip', 'x-client-ip', 'x-cluster-client-ip', 'client-ip', 'via', 'host', 'origin', 'user-agent', 'cookie']
    const distrustful = await buildApp(t, { throttle })
    const statuses = await attempts(distrustful, names.map((name, index) => ({ [name]: name === 'forwarded' ? `for=192.0.2.${index}` : `192.0.2.${index}` })))
    t.same(statuses.sort(), [401, 401, ...names.slice(2).map(() => 429)])

    const trusting = await buildApp(t, { throttle }, { trustProxy: true })
    const from = async (...addresses: string[]): Promise<number[]> => await attempts(trusting, addresses.map((address) => ({ 'x-forwarded-for': address })))
    t.same(await from('192.0.2.1', '192.0.2.2', '192.0.2.1', '192.0.2.1', '::ffff:192.0.2.2', '192.0.2.2'), [401, 401, 401, 429, 401, 429])
    t.same(await from('2001:db8::1', '2001:db8::2', '2001:db8::3', '2001:db8:0:1::1'), [401, 401, 429, 401])
  })

  t.test('D6: of 1,000 parallel guesses on one account no more than the budget is hashed', async (t) => {
    let verified = 0
    const server = await serve(t, { passwords: { ...plainPasswords, verify: async () => { verified++; await new Promise((resolve) => setTimeout(resolve, 5)); return false } } })
    const guesses = Array.from({ length: 1000 }, async (_, index) => (await server.post('/login', { username: 'alice', password: `guess ${index}` })).status)
    const statuses = await Promise.all(guesses)
    t.equal(verified, 20)
    t.equal(statuses.filter((status) => status === 401).length, 20)
    t.equal(statuses.filter((status) => status === 429).length, 980)
  })

  t.test('D7: an account under attack locks out no other from the same address, and ends no session', async (t) => {
    const server = await serve(t)
    const { access_token: token, refresh_token: refreshToken } = await server.client.login()
    await Promise.all(Array.from({ length: 500 }, async () => await server.post('/login', { username: 'alice', password: 'wrong' })))
    t.equal((await server.post('/login', { username: 'alice', password: 'wonderland' })).status, 429)
    t.equal((await server.me(token)).status, 200)
    const { json } = await server.refresh(refreshToken)
    const renewed = json as jwtSession.TokenAnswer
    t.equal((await server.me(renewed.access_token)).status, 200)
    t.equal((await server.post('/login', { username: 'bob', password: 'builder' })).status, 200)
    t.equal((await server.post('/logout', undefined, renewed.access_token)).status, 204)
  })

  t.test('D8: credentials that are not strings are malformed', async (t) => {
    const { login, post } = requestsTo(quick)
    const values: unknown[] = [
      null, undefined, 0, 1, true, [], ['alice'], [['alice']], {}, { $ne: null }, { $gt: '' }, { $regex: '.*' }, { toString: 'alice' }, { length: 5 }, { password: 1 }, { toString: { $ne: 1 } }, '', '\0', 'alice\0',
      'x'.repeat(1025)
    ]
    const answers = await Promise.all(values.flatMap((value) => [login(value, 'wonderland'), login('alice', value), login(value, value)]))
    t.same(answers.flatMap((answer, index) => faultsOf(answer, { status: 400, code: 'REQUEST_INVALID', challenge: undefined }).map((fault) => `${JSON.stringify(values[Math.floor(index / 3)])}: ${fault}`)), [])
    for (const body of ['{"username":["alice"],"password":["wonderland"]}', '{"username":"alice","password":["wonderland"]}', '{"username":{"0":"alice"},"password":"wonderland"}']) t.equal((await post(body)).code, 'REQUEST_INVALID')
  })

  t.test('D9: bodies that are empty, malformed or no objects are malformed', async (t) => {
    const { post } = requestsTo(quick)
    const bodies = [
      undefined, '', ' ', '{', '}', '{}', '[]', 'null', 'true', '0', '"x"', '""', 'undefined', 'NaN', '{"username"}', '{"username":}', "{'username':'alice'}", '{"username":"alice"}', '{"password":"wonderland"}', `[${credentials}]`,
      `${credentials}x`, `${credentials}${credentials}`, `${credentials},`, credentials.slice(0, -1), JSON.stringify(credentials), credentials.replace('}', ',}'), `/**/${credentials}`, '\0', 'username=alice&password=wonderland',
      Buffer.from(credentials, 'utf16le'), Buffer.from([0xff, 0xfe, 0x00]), Buffer.from([0x1f, 0x8b, 0x08])
    ]
    const answers = await Promise.all(bodies.map(async (body) => await post(body)))
    t.same(answers.flatMap(({ status, code }, index) => status === 400 && (code === 'REQUEST_INVALID' || Buffer.isBuffer(bodies[index])) ? [] : [`${String(bodies[index])}: ${status} ${code}`]), [])
    t.equal((await post(undefined, '')).status, 400, 'no body at all')
    const short = await quick.raw(`POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\nConnection: close\r\n\r\n${credentials}`)
    t.equal(short.status, 400, 'a length that cuts the body')
    const smuggled = await quick.raw('POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n')
    t.equal(smuggled.status, 400, 'two lengths')
  })

  t.test('D10: only application/json is read', async (t) => {
    const { post } = requestsTo(quick)
    for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON', 'application/json;charset=UTF-8']) t.equal((await post(credentials, type)).status, 200, type)
    const types = [
      '', 'text/plain', 'text/json', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', 'application/octet-stream', 'application/xml', 'application/jsonx', 'application/json5', 'application/ld+json',
      'application/vnd.api+json', 'json', 'application/', '/json', '*/*', 'application/*', 'text/plain; application/json', 'text/plain;charset=application/json', 'text/plain, application/json', 'application/json/x', 'xapplication/json',
      'application/ json', 'application /json', '__proto__', 'constructor'
    ]
    for (const type of types) {
      const answer = await post(credentials, type)
      t.equal(answer.status, 415, `${type}: ${answer.status}`)
      t.notMatch(answer.body, /eyJ/)
    }
    // What follows the type may be read as its parameters or refused, but the body is checked all the same.
    for (const type of ['application/json garbage', 'application/json\t', 'application/json;', 'application/json; ; ;', 'application/json, text/plain', 'application/json;text/plain', 'application/json ;charset=utf-16']) {
      const answer = await post('{"username":["alice"],"password":["wonderland"]}', type)
      t.ok([400, 415].includes(answer.status), `${type}: ${answer.status}`)
    }
    t.equal((await quick.request('POST', '/login', { 'content-type': 'application/x-www-form-urlencoded' }, 'username=alice&password=wonderland')).status, 415)
  })

  t.test('D11: a password is compared exactly', async (t) => {
    const pairs: [string, string[]][] = [
      ['alice', ['wonderland ', ' wonderland', 'Wonderland', 'WONDERLAND', 'wonderlan', 'wonderlandd', 'wonderland\n', 'wonderland\t', 'wonderlan\u0501', 'wonderland\u200b', '\ufeffwonderland', 'w', 'wonderland\u0300']],
      ['bob', ['builder bob 1', 'Builder  Bob 1', 'BuilderBob1', 'Builder Bob 1 ', 'Builder\u00a0Bob 1', 'Builder Bob \uff11']],
      ['blank', ['both ends', ' both ends', 'both ends ']],
      ['accents', ['password', 'pässwörd'.normalize('NFD'), 'PÄSSWÖRD', 'p\xc3\xa4ssw\xc3\xb6rd']],
      ['replaced', ['pass\ud800word', 'pass\udfffword', 'pass?word', 'pass\ufffd\ufffdword']]
    ]
    const probes = pairs.flatMap(([username, passwords]) => passwords.map((password) => [username, password] as const))
    const answers = await Promise.all(probes.map(async (probe) => await login(...probe)))
    t.same(answers.flatMap((answer, index) => faultsOf(answer, denied).map((fault) => `${JSON.stringify(probes[index])}: ${fault}`)), [])
    for (const password of ['wonderland\0', 'wonderland\0\0', '\0wonderland', 'wonder\0land']) t.equal((await login('alice', password)).code, 'REQUEST_INVALID')
  })

  t.test('D11: bytes that are not UTF-8 are not taken for the replacement character', async (t) => {
    for (const byte of ['\xff', '\xc0\x80', '\xed\xa0\x80']) {
      const body = `{"username":"replaced","password":"pass${byte}word"}`
      const answer = await server.raw(`POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)
      t.ok(answer.status === 400 || answer.status === 401, `${answer.status}`)
    }
  })

  t.test('D12: 64 bytes and more are accepted, and no byte after the 72nd is ignored', async (t) => {
    t.equal(Buffer.byteLength(long), 72)
    for (const more of ['x', ' ', 'x'.repeat(200), 'é', 'x'.repeat(900)]) t.same(faultsOf(await login('long', long + more), denied), [])
    t.same(faultsOf(await login('long', long.slice(0, -1)), denied), [])
    t.same(faultsOf(await login('sixty', 'y'.repeat(65)), denied), [])
    t.same(faultsOf(await login('sixty', 'y'.repeat(63)), denied), [])
    const { hashPassword, verifyPassword } = server.app.jwtSession
    for (const password of [`${long}x`, 'é'.repeat(37), 'x'.repeat(300), 'x\0', '', 1 as never]) await t.rejects(hashPassword(password), { code: 'FST_JWT_SESSION_REQUEST_INVALID' })
    t.equal(await verifyPassword(long, await hashPassword(long)), true)
    // A hash that a library made which cuts in silence.
    table.cut = { id: 'user-cut', passwordHash: await bcrypt.hash(long, 4), roles: [] }
    t.same(faultsOf(await login('cut', `${long}tail`), denied), [])
  })

  t.test('D13: a username that looks alike is another user', async (t) => {
    const { login } = requestsTo(quick)
    const names = [
      'Alice', 'ALICE', ' alice', 'alice ', 'alice\t', 'alice\n', '\ufeffalice', 'al\u200bice', 'alice\u200d', '\u0430lice', 'аlice', 'ａｌｉｃｅ', 'al\u0131ce', 'alice\u0301', 'a\u00adlice', 'alice.', 'alice/', 'alice%00', 'alice%20', 'alice#', 'al*', 'alice,bob',
      "alice' --", 'alice)(uid=*', 'user-alice', '\u202ealice'
    ]
    const answers = await Promise.all(names.map(async (name) => await login(name, 'wonderland')))
    t.same(answers.flatMap((answer, index) => faultsOf(answer, denied).map((fault) => `${JSON.stringify(names[index])}: ${fault}`)), [])
  })

  t.test('D14: names of inherited members are unknown users', async (t) => {
    const { login } = requestsTo(quick)
    const names = ['__proto__', 'constructor', 'prototype', 'then', 'toString', 'valueOf', 'toJSON', 'hasOwnProperty', 'isPrototypeOf', '__defineGetter__', '__lookupGetter__', 'length', 'name', 'undefined', 'null']
    const unknown = await login('nobody', 'wonderland')
    for (const name of names) {
      for (const password of ['wonderland', 'undefined']) {
        const answer = await login(name, password)
        t.same(faultsOf(answer, denied), [], name)
        t.equal(answer.body, unknown.body)
      }
    }
  })

  t.test('D15: further members of the body change nothing', async (t) => {
    stopClock(t)
    const { login, post } = requestsTo(quick)
    const more = {
      sub: 'user-bob',
      id: 'user-bob',
      userId: 'user-bob',
      user_id: 'user-bob',
      user: { id: 'user-bob' },
      subject: 'user-bob',
      roles: ['root'],
      role: 'root',
      claims: { roles: ['root'] },
      exp: 9e9,
      iat: 1,
      expiresIn: '99y',
      expires_in: 9e9,
      sid: 'A'.repeat(22),
      session: 'x',
      jti: 'x',
      aud: 'x',
      iss: 'x',
      scope: 'root',
      admin: true,
      disabled: false,
      passwordHash: 'x',
      refresh_token: 'x',
      access_token: 'x',
      token_use: 'refresh',
      fresh: false,
      auth_time: 9e9,
      remember: true
    }
    const answer = await login('alice', 'wonderland', more)
    const { access_token: token, refresh_token: refreshToken } = answer.json as jwtSession.TokenAnswer
    t.match(answer.json, { expires_in: 900, refresh_expires_in: 604_800 })
    const claims = parse(token).claims
    t.match(claims, { sub: 'user-alice', roles: [], aud: NAME, iss: NAME, fresh: true, token_use: 'access' })
    t.not(claims.sid, more.sid)
    t.notOk(['admin', 'role', 'scope', 'userId', 'user'].some((name) => name in claims))
    t.equal(parse(refreshToken).claims.sub, 'user-alice')
    const doubled = await post('{"username":"bob","password":"x","username":"alice","password":"wonderland"}')
    t.equal(parse((doubled.json as jwtSession.TokenAnswer).access_token).claims.sub, 'user-alice', 'of duplicates the last one counts')
    t.equal((await post('{"username":"alice","password":"wonderland","password":"x"}')).code, 'INVALID_CREDENTIALS')
  })

  t.test('D16: bodies that reach for prototypes are refused', async (t) => {
    const { post } = requestsTo(quick)
    const members = ['"__proto__":{"polluted":1}', '"__proto__":null', '"x":{"__proto__":{"polluted":1}}', '"constructor":{"prototype":{"polluted":1}}', '"\\u005f_proto__":{"polluted":1}', '"x":[{"__proto__":{"username":"bob"}}]']
    for (const member of members) t.equal((await post(credentials.replace('{', `{${member},`))).code, 'REQUEST_INVALID', member)
    t.equal((await post('{"__proto__":{"username":"alice","password":"wonderland"}}')).code, 'REQUEST_INVALID')
    t.equal(({} as { polluted?: unknown }).polluted, undefined)
  })

  t.test('D17: every login is a session of its own, whatever the client offers', async (t) => {
    const { login } = requestsTo(quick)
    stopClock(t)
    const first = parse(((await login('alice', 'wonderland')).json as jwtSession.TokenAnswer).access_token)
    const sid = String(first.claims.sid)
    const offered = await quick.request('POST', `/login?sid=${sid}&session=${sid}`, {
      'content-type': 'application/json', authorization: `Bearer ${first.parts.join('.')}`, cookie: `sid=${sid}; session=${sid}; sessionId=${sid}; __Secure-refresh_token=${sid}`, 'x-session-id': sid
    }, JSON.stringify({ username: 'alice', password: 'wonderland', sid, session: sid, sessionId: sid, session_id: sid, id: sid }))
    const second = parse((offered.json as jwtSession.TokenAnswer).access_token)
    t.equal(second.claims.iat, first.claims.iat, 'both in one second')
    t.not(second.claims.sid, sid)
    t.not(second.claims.jti, first.claims.jti)
    t.not(second.parts.join('.'), first.parts.join('.'))
  })

  t.test('D18: giant passwords, giant bodies and deep nesting are refused quickly', async (t) => {
    const { post } = requestsTo(quick)
    const deep = (depth: number): string => `{"username":"alice","password":"x","x":${'['.repeat(depth)}${']'.repeat(depth)}}`
    const bodies: Record<string, string> = {
      password: JSON.stringify({ username: 'alice', password: 'x'.repeat(900_000) }), body: JSON.stringify({ username: 'alice', password: 'x', more: 'x'.repeat(3_000_000) }), nesting: deep(300_000), objects: '{"username":'.repeat(300_000)
    }
    for (const [name, body] of Object.entries(bodies)) {
      const started = performance.now()
      t.equal((await quick.app.inject({ method: 'POST', url: '/login', headers: { 'content-type': 'application/json' }, payload: body })).statusCode, 413, name)
      // The answer comes before the rest of the body is sent.
      const head = `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`
      t.equal((await quick.raw(head + body.slice(0, 20_000))).status, 413, `${name}, by its length`)
      const chunked = `POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n${body.slice(0, 20_000)}\r\n`
      t.equal((await quick.raw(chunked)).status, 413, `${name}, in chunks`)
      t.ok(performance.now() - started < 3000)
    }
    for (const depth of [1000, 8000]) t.same(faultsOf(await post(deep(depth)), denied), [], 'what fits is harmless')
    for (const body of ['['.repeat(16_000), `${'['.repeat(8000)}${']'.repeat(8000)}`, '{"a":'.repeat(3000)]) t.equal((await post(body)).code, 'REQUEST_INVALID')
  })

  t.test('D19: success, failure, throttling, reuse and logout are told, without passwords, hashes and tokens', async (t) => {
    const lines: string[] = []
    const logger = { level: 'trace', stream: { write: (line: string) => { lines.push(line) } } }
    const { client, events } = await buildApp(t, { throttle: { account: { attempts: 1 } } }, { logger })
    const tokens = await client.login()
    const renewed = (await client.refresh(tokens.refresh_token)).json<jwtSession.TokenAnswer>()
    await client.refresh(tokens.refresh_token)
    const other = await client.login()
    await client.post('/logout', undefined, other.access_token)
    for (let attempt = 0; attempt < 2; attempt++) await client.post('/login', { username: 'bob', password: 'hunter2hunter2' })
    t.same([...new Set(events.map(({ name }) => name))].sort(), ['login.failed', 'login.succeeded', 'login.throttled', 'refresh.refused', 'refresh.succeeded', 'session.reused', 'session.revoked'])
    for (const name of ['login.failed', 'login.throttled', 'session.reused']) t.ok(lines.some((line) => line.includes(name)), name)
    const told = lines.join() + JSON.stringify(events)
    for (const secret of ['hunter2', 'wonderland', 'builder', 'plain:', 'eyJ', ...[tokens, renewed, other].flatMap((each) => each.refresh_token.split('.'))]) t.notMatch(told, secret)
  })
})

t.test('E: refresh', async (t) => {
  t.test('E0: a refresh token forged by hand with the known secret refreshes', async (t) => {
    const { client } = await buildApp(t)
    const { refresh_token: token } = await client.login()
    t.equal((await client.refresh(reforge(token, {}))).statusCode, 200)
  })

  t.test('E1: each refresh rotates the refresh token', async (t) => {
    const { client } = await buildApp(t)
    const tokens = [(await client.login()).refresh_token]
    for (let count = 0; count < 10; count++) {
      const answer = await client.refresh(tokens.at(-1) as string)
      t.equal(answer.statusCode, 200)
      tokens.push(answer.json().refresh_token)
    }
    t.equal(new Set(tokens).size, 11)
  })

  for (const steps of [1, 2, 5]) {
    t.test(`E2, E3, E4, E5, E6: the ancestor ${steps} back ends its family, access tokens included, and no other`, async (t) => {
      const { client } = await buildApp(t)
      const others = [await client.login(), await client.login('bob', 'builder')]
      const family = [await client.login()]
      for (let count = 0; count < steps; count++) family.push((await client.refresh((family.at(-1) as jwtSession.TokenAnswer).refresh_token)).json())
      const refused = await client.refresh((family[0] as jwtSession.TokenAnswer).refresh_token)
      t.same(faultsOf(refused, { code: 'REFRESH_TOKEN_INVALID' }), [])
      for (const { access_token: access, refresh_token: token } of family) {
        t.equal((await client.get('/me', access)).code, 'SESSION_REVOKED')
        t.equal((await client.refresh(token)).code, 'REFRESH_TOKEN_INVALID')
      }
      for (const { access_token: access, refresh_token: token } of others) {
        t.equal((await client.get('/me', access)).statusCode, 200)
        t.equal((await client.refresh(token)).statusCode, 200)
      }
    })
  }

  t.test('E7: 50 parallel refreshes leave one live chain and one successor', async (t) => {
    for (const rotation of ['strict', 'tolerant'] as const) {
      const clock = stopClock(t)
      const { client, app } = await buildApp(t, { rotation, revocationStore: slowStore(memoryStore()), session: { maxPerSubject: 3 } })
      const { refresh_token: token } = await client.login()
      clock.advance(60)
      const answers = await Promise.all(Array.from({ length: 50 }, () => client.refresh(token)))
      t.same(answers.filter(({ statusCode }) => statusCode !== 200 && statusCode !== 401), [], rotation)
      const successors = new Set(answers.filter(({ statusCode }) => statusCode === 200).map((answer) => answer.json().refresh_token))
      t.equal(successors.size, 1)
      t.ok((await app.jwtSession.list('user-alice')).length <= 1)
    }
  })

  t.test('E8: within the leeway a used token brings the same successor, and never another chain', async (t) => {
    const clock = stopClock(t)
    const { client, app } = await buildApp(t, { rotation: 'tolerant' })
    const { refresh_token: token } = await client.login()
    clock.advance(11)
    const successor = (await client.refresh(token)).json().refresh_token
    for (let count = 0; count < 5; count++) {
      clock.advance(1)
      t.equal((await client.refresh(token)).json().refresh_token, successor)
    }
    t.equal((await app.jwtSession.list('user-alice')).length, 1)
    clock.advance(11)
    const third = await client.refresh(successor)
    t.equal(third.statusCode, 200)
    t.equal((await client.refresh(token)).code, 'REFRESH_TOKEN_INVALID', 'two back is reuse, also within the leeway of the third')
    t.equal((await client.refresh(third.json().refresh_token)).code, 'REFRESH_TOKEN_INVALID')
  })

  t.test('E9: a refresh that races a logout leaves nothing alive', async (t) => {
    for (let round = 0; round < 60; round++) {
      const { client, app } = await buildApp(t, { revocationStore: slowStore(memoryStore(), round), rotation: round % 2 === 0 ? 'strict' : 'tolerant' })
      const { access_token: access, refresh_token: token } = await client.login()
      const ways = [() => client.post('/logout', undefined, access), () => client.post('/logout', { refresh_token: token }), () => client.post('/logout', { everywhere: true }, access)]
      const [renewed, ended] = await Promise.all([client.refresh(token), (ways[round % 3] as typeof ways[0])(), round % 4 === 0 ? client.refresh(token) : undefined])
      t.same([ended.statusCode, [200, 401].includes(renewed.statusCode)], [204, true], `${round}`)
      t.same(await app.jwtSession.list('user-alice'), [])
      if (renewed.statusCode !== 200) continue
      t.equal((await client.get('/me', renewed.json().access_token)).code, 'SESSION_REVOKED')
      t.equal((await client.refresh(renewed.json().refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    }
  })

  t.test('E10: reuse is refused after a restart over a store that persists', async (t) => {
    const revocationStore = memoryStore()
    const before = await buildApp(t, { revocationStore })
    const tokens = await before.client.login()
    const renewed = (await before.client.refresh(tokens.refresh_token)).json()
    await before.app.close()
    const after = await buildApp(t, { revocationStore })
    t.equal((await after.client.get('/me', renewed.access_token)).statusCode, 200, 'the session has survived')
    t.equal((await after.client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await after.client.refresh(renewed.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await after.client.get('/me', renewed.access_token)).code, 'SESSION_REVOKED')
    const empty = await buildApp(t)
    t.equal((await empty.client.refresh(renewed.refresh_token)).code, 'REFRESH_TOKEN_INVALID', 'a store that lost everything lets nobody in')
  })

  t.test('E11: another spelling of a refresh token is refused, used or not', async (t) => {
    const { client } = await buildApp(t)
    const { refresh_token: token } = await client.login()
    const spellings = (text: string): string[] => [
      ...Array.from(BASE64URL, (last) => text.slice(0, -1) + last).filter((other) => other !== text), `${text}=`, `${text} `, ` ${text}`, `${text}\n`, `${text}.`, `${text}\0`, text.replace('.', '=.'), `${text}\u200b`, `"${text}"`
    ]
    for (const other of spellings(token)) t.equal((await client.refresh(other)).code, 'REFRESH_TOKEN_INVALID')
    const renewed = (await client.refresh(token)).json()
    for (const other of spellings(token)) t.equal((await client.refresh(other)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await client.refresh(renewed.refresh_token)).statusCode, 200, 'and none of them hurt the session')
  })

  t.test('E12: forged, retyped, expired, foreign and incomplete refresh tokens are refused', async (t) => {
    const { client, app } = await buildApp(t)
    const { refresh_token: token, access_token: access } = await client.login()
    const bobs = await client.login('bob', 'builder')
    const { claims, parts: [head, payload, signature] } = parse(token)
    const time = Math.floor(Date.now() / 1000)
    const change = (...changes: object[]): string[] => changes.map((members) => reforge(token, members))
    const probes = [
      ...['', 'secret', SECRET.toLowerCase(), Buffer.alloc(32)].map((key) => reforge(token, {}, {}, key)), `${head}.${payload}.`, `${head}.${payload}`, forge({ alg: 'none', typ: 'rt+jwt' }, claims), `${segment({ alg: 'none', typ: 'rt+jwt' })}.${payload}.`,
      `${head}.${segment({ ...claims, gen: 1 })}.${signature}`, reforge(token, {}, { alg: 'HS512' }, SECRET, 'sha512'), reforge(token, {}, { kid: 'x' }), reforge(token, {}, { typ: 'JWT' }), access,
      ...change(
        { jti: undefined }, { jti: '' }, { jti: null }, { jti: 'other' }, { jti: `${claims.sid}.1` }, { gen: 1 }, { gen: '0' }, { gen: -1 }, { gen: undefined }, { gen: null }, { gen: 0.5 }, { sid: undefined }, { sid: parse(bobs.refresh_token).claims.sid },
        { sid: 'A'.repeat(22), jti: `${'A'.repeat(22)}.0` }, { sub: 'user-bob' }, { sub: undefined }, { sub: '' }, { sub: ['user-alice'] }, { exp: time - 1 }, { exp: 0 }, { exp: undefined }, { exp: 'x' }, { exp: null }, { iat: undefined }, { iat: time + 600 },
        { nbf: time + 600 }, { nbf: null }, { iss: 'x' }, { iss: [NAME] }, { iss: undefined }, { aud: 'x' }, { aud: undefined }, { aud: [] }, { token_use: 'access' }, { token_use: undefined }
      ),
      ...['1e999', '-1e300', '1e300', '9007199254740993'].map((json) => forge({ alg: 'HS256', typ: 'rt+jwt' }, withMember(claims, 'exp', json))),
      ...['null', '[]', '"x"', '1', ''].map((text) => forge({ alg: 'HS256', typ: 'rt+jwt' }, text))
    ]
    for (const probe of probes) t.same(faultsOf(await client.refresh(probe), { code: probe === '' ? 'REQUEST_INVALID' : 'REFRESH_TOKEN_INVALID', secret: probe }), [])
    for (const { length } of [await app.jwtSession.list('user-alice'), await app.jwtSession.list('user-bob')]) t.equal(length, 1)
    for (const tokens of [bobs, { refresh_token: token }]) t.equal((await client.refresh(tokens.refresh_token)).statusCode, 200, 'and none of them hurt a session')
  })

  t.test('E13: missing, odd, huge and NUL-bearing refresh tokens are 4xx and do not hurt the session', async (t) => {
    const { client } = await buildApp(t)
    const { refresh_token: token } = await client.login()
    const malformed: unknown[] = [undefined, null, true, 0, [], [token], {}, { 0: token }, { toString: token }, '', 'x'.repeat(8193), token.padEnd(9000, 'A')]
    for (const value of malformed) t.same(faultsOf(await client.post('/refresh', { refresh_token: value }), { status: 400, code: 'REQUEST_INVALID', challenge: undefined }), [], `${typeof value}`)
    for (const body of [undefined, null, [], [token], token, { token }, { refreshToken: token }, { REFRESH_TOKEN: token }]) {
      const answer = await client.post('/refresh', body)
      t.ok([400, 415].includes(answer.statusCode), `${answer.statusCode}`)
    }
    for (const value of ['\0', `${token}\0`, `\0${token}`, token.replace('.', '\0'), 'x', '.', '..', 'x'.repeat(8192), '.'.repeat(8192), 'a.'.repeat(4000), '\ud800', '__proto__']) {
      t.same(faultsOf(await client.refresh(value), { code: 'REFRESH_TOKEN_INVALID' }), [])
    }
    t.equal((await client.post('/refresh', { refresh_token: 'x'.repeat(20_000) })).statusCode, 413)
    t.equal((await client.refresh(token)).statusCode, 200)
  })

  t.test('E14: a refresh keeps the subject, adds no claims, and reads the user anew', async (t) => {
    const { client, users } = await buildApp(t)
    const tokens = await client.login()
    const more = { sub: 'user-bob', roles: ['root'], claims: { roles: ['root'] }, user: { id: 'user-bob' }, username: 'bob', scope: 'root', exp: 9e9, sid: 'x', fresh: true, grant_type: 'password', access_token: 'x' }
    const renewed = await client.post('/refresh', { refresh_token: tokens.refresh_token, ...more })
    const [before, after] = [parse(tokens.access_token).claims, parse(renewed.json().access_token).claims]
    t.match(after, { sub: 'user-alice', sid: before.sid as string, roles: ['admin', 'editor'], auth_time: before.auth_time as number })
    t.same(Object.keys(before).filter((name) => name !== 'fresh').sort(), Object.keys(after).sort())
    users.set('alice', { ...users.get('alice') as jwtSession.SessionUser, roles: ['reader'] })
    const forged = reforge(renewed.json().refresh_token, { roles: ['root'], fresh: true })
    const demoted = (await client.refresh(forged)).json()
    t.match(parse(demoted.access_token).claims, { sub: 'user-alice', roles: ['reader'] })
    t.equal((await client.get('/admin', demoted.access_token)).code, 'CLAIMS_INSUFFICIENT')
    t.equal((await client.get('/fresh', demoted.access_token)).code, 'REAUTHENTICATION_REQUIRED')
  })

  t.test('E15: rotation never moves the absolute end', async (t) => {
    const clock = stopClock(t)
    const { client, app } = await buildApp(t, { session: { idleTimeout: '1h', absoluteTimeout: '3h' } })
    let tokens = await client.login()
    const end = (await app.jwtSession.list('user-alice'))[0]?.expiresAt as number
    for (let count = 0; count < 5; count++) {
      clock.advance(1800)
      tokens = (await client.refresh(tokens.refresh_token)).json()
      t.equal((await app.jwtSession.list('user-alice'))[0]?.expiresAt, end)
      for (const text of [tokens.access_token, tokens.refresh_token]) t.ok(Number(parse(text).claims.exp) <= end)
    }
    clock.advance(1800)
    t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await client.refresh(reforge(tokens.refresh_token, { exp: Math.floor(end) + 9e6 }))).code, 'REFRESH_TOKEN_INVALID', 'whatever the token claims')
    const iat = Math.floor(clock.now())
    t.equal((await client.get('/me', reforge(tokens.access_token, { iat, exp: iat + 60 }))).code, 'SESSION_REVOKED')
  })

  t.test('E16: an idle limit ends unused refresh tokens', async (t) => {
    const clock = stopClock(t)
    const { client } = await buildApp(t, { session: { idleTimeout: '2s' } })
    const { refresh_token: token } = await client.login()
    clock.advance(2)
    t.equal((await client.refresh(token)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await client.refresh(reforge(token, { exp: Math.floor(clock.now()) + 9e6 }))).code, 'REFRESH_TOKEN_INVALID', 'whatever the token claims')
  })

  for (const [name, end] of Object.entries({
    disabled: ({ users }: TestApp) => { (users.get('alice') as jwtSession.SessionUser).disabled = true },
    deleted: ({ users }: TestApp) => { users.delete('alice') }
  })) {
    t.test(`E17: a user who is ${name} and whose sessions were ended is refused at once`, async (t) => {
      const server = await buildApp(t)
      const tokens = await server.client.login()
      end(server)
      await server.app.jwtSession.revokeAll('user-alice')
      t.equal((await server.client.get('/me', tokens.access_token)).code, 'SESSION_REVOKED')
      t.equal((await server.client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
      t.equal((await server.client.post('/login', { username: 'alice', password: 'wonderland' })).code, 'INVALID_CREDENTIALS')
    })

    t.test(`E17: where users are loaded, one who is ${name} is refused at the next request`, async (t) => {
      const server = await buildApp(t, { loadUser: true })
      const tokens = await server.client.login()
      t.equal((await server.client.get('/me', tokens.access_token)).statusCode, 200)
      end(server)
      for (const path of ['/me', '/maybe', '/admin']) t.equal((await server.client.get(path, tokens.access_token)).code, 'SESSION_REVOKED', path)
      t.equal((await server.client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    })

    t.test(`E17: the refresh of a user who is ${name} is refused, and ends the access tokens`, async (t) => {
      const server = await buildApp(t)
      const [tokens, other] = [await server.client.login(), await server.client.login()]
      end(server)
      t.equal((await server.client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
      t.equal((await server.client.get('/me', tokens.access_token)).code, 'SESSION_REVOKED')
      t.equal((await server.client.refresh(other.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    })
  }

  t.test('E18: with the access token of one user, the refresh token of another gives its own subject', async (t) => {
    const { app, client } = await buildApp(t)
    const [alice, bob] = [await client.login(), await client.login('bob', 'builder')]
    const answer = await app.inject({ method: 'POST', url: '/refresh', headers: { authorization: `Bearer ${bob.access_token}` }, payload: { refresh_token: alice.refresh_token } })
    t.equal(answer.statusCode, 200)
    for (const text of [answer.json().access_token, answer.json().refresh_token]) t.equal(parse(text).claims.sub, 'user-alice')
    t.equal((await client.get('/me', bob.access_token)).statusCode, 200)
  })

  t.test('E19: a session id has 128 random bits, and the store holds neither a token nor a hash of one', async (t) => {
    const inner = memoryStore()
    const written: string[] = []
    const { client } = await buildApp(t, { revocationStore: { ...inner, write: (record, expected) => { written.push(JSON.stringify(record)); return inner.write(record, expected) } } })
    const tokens = await client.login()
    const renewed = (await client.refresh(tokens.refresh_token)).json() as jwtSession.TokenAnswer
    await client.post('/logout', undefined, renewed.access_token)
    t.equal(written.length, 3)
    const dump = written.join('\n')
    for (const text of [tokens, renewed].flatMap(({ access_token: access, refresh_token: refresh }) => [access, refresh])) {
      const { claims, parts } = parse(text)
      t.equal(Buffer.from(String(claims.sid), 'base64url').length, 16)
      const forms = [text, ...parts].flatMap((part) => [part, ...['sha1', 'sha256', 'sha512', 'md5'].flatMap((hash) => (['hex', 'base64', 'base64url'] as const).map((encoding) => createHash(hash).update(part).digest(encoding)))])
      t.notOk(forms.some((form) => dump.includes(form)))
      if (claims.token_use === 'access') t.notOk(dump.includes(String(claims.jti)))
    }
    t.notMatch(dump, /eyJ|wonderland|plain:/)
    t.ok(dump.includes(String(parse(tokens.access_token).claims.sid)), 'the dump is one')
  })

  t.test('E20: unknown, expired, reused, revoked, foreign and malformed refresh tokens get the same answer', async (t) => {
    const clock = stopClock(t)
    const { client, users } = await buildApp(t)
    const [revoked, expired, reused, orphan] = [await client.login(), await client.login(), await client.login(), await client.login('bob', 'builder')] as const
    await client.post('/logout', undefined, revoked.access_token)
    await client.refresh(reused.refresh_token)
    users.delete('bob')
    const answers = [
      await client.refresh('x'), await client.refresh(reforge(expired.refresh_token, { sid: 'A'.repeat(22), jti: `${'A'.repeat(22)}.0` })), await client.refresh(reforge(expired.refresh_token, {}, {}, 'x')), await client.refresh(revoked.refresh_token),
      await client.refresh(reused.refresh_token), await client.refresh(orphan.refresh_token)
    ]
    clock.advance(86_400 * 8)
    answers.push(await client.refresh(expired.refresh_token))
    for (const answer of answers) {
      t.same(faultsOf(answer, { code: 'REFRESH_TOKEN_INVALID', challenge: 'Bearer error="invalid_token"' }), [])
      t.equal(answer.body, answers[0]?.body)
      t.same(Object.keys(answer.headers), Object.keys(answers[0]?.headers as object))
    }
  })
})

t.test('F: logout and revocation', async (t) => {
  t.test('F1: logout ends access and refresh tokens at once, whichever of them names the session', async (t) => {
    for (const by of ['access', 'refresh', 'both', 'expired', 'older'] as const) {
      const clock = stopClock(t)
      const { client } = await buildApp(t)
      const first = await client.login()
      const tokens = (await client.refresh(first.refresh_token)).json() as jwtSession.TokenAnswer
      t.equal((await client.get('/me', tokens.access_token)).statusCode, 200)
      if (by === 'expired') clock.advance(3600)
      const access = { access: tokens.access_token, refresh: undefined, both: tokens.access_token, expired: tokens.access_token, older: first.access_token }[by]
      const body = by === 'refresh' || by === 'both' ? { refresh_token: tokens.refresh_token } : undefined
      const answer = await client.post('/logout', body, access)
      t.same([answer.statusCode, answer.body], [204, ''], by)
      for (const text of [first.access_token, tokens.access_token]) t.equal((await client.get('/me', text)).code, by === 'expired' ? 'TOKEN_EXPIRED' : 'SESSION_REVOKED')
      t.equal((await client.refresh(tokens.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    }
  })

  t.test('F2: further logouts of a session that is gone answer the same, parallel ones too', async (t) => {
    const { client } = await buildApp(t, { revocationStore: slowStore(memoryStore()) })
    const { access_token: access, refresh_token: token } = await client.login()
    const parallel = await Promise.all(Array.from({ length: 20 }, (_, index) => index % 2 === 0 ? client.post('/logout', undefined, access) : client.post('/logout', { refresh_token: token })))
    const later = [await client.post('/logout', undefined, access), await client.post('/logout', { refresh_token: token }), await client.post('/logout', { refresh_token: token }, access)]
    t.same([...parallel, ...later].map(({ statusCode }) => statusCode), Array.from({ length: 23 }, () => 204))
    t.equal((await client.post('/logout', { everywhere: true }, access)).code, 'SESSION_REVOKED')
  })

  t.test('F3: nothing, garbage and odd bodies are 4xx', async (t) => {
    const { client, app } = await buildApp(t)
    const { access_token: access, refresh_token: token } = await client.login()
    t.equal((await client.post('/logout')).code, 'TOKEN_MISSING')
    t.equal((await client.post('/logout', {})).code, 'TOKEN_MISSING')
    t.equal((await client.post('/logout', { everywhere: true })).code, 'TOKEN_MISSING')
    for (const text of ['', 'x', '.', '..', 'a.b.c', '\xff', 'x'.repeat(9000), token, reforge(access, {}, {}, 'x'), forge({ alg: 'none' }, { sid: 1 })]) {
      t.same(faultsOf(await client.post('/logout', undefined, text), { code: 'TOKEN_INVALID', secret: text }), [])
      t.same(faultsOf(await client.post('/logout', { everywhere: true }, text), { code: 'TOKEN_INVALID', secret: text }), [])
    }
    for (const text of ['x', '.', 'a.b.c', '\0', access]) t.same(faultsOf(await client.post('/logout', { refresh_token: text }), { code: 'TOKEN_INVALID', secret: text }), [])
    for (const body of [{ refresh_token: '' }, { refresh_token: null }, { refresh_token: 1 }, { refresh_token: [token] }, { everywhere: 'true' }, { everywhere: 1 }, { everywhere: null }, [], [token], { refresh_token: 'x'.repeat(8193) }]) {
      t.same(faultsOf(await client.post('/logout', body, access), { status: 400, code: 'REQUEST_INVALID', challenge: undefined }), [])
    }
    for (const payload of ['{', 'x', '"x"', '1', 'true', '{"__proto__":{"everywhere":true}}']) {
      const answer = await app.inject({ method: 'POST', url: '/logout', payload, headers: { 'content-type': 'application/json', authorization: `Bearer ${access}` } })
      t.equal(answer.json().code, 'FST_JWT_SESSION_REQUEST_INVALID')
    }
    t.equal((await client.get('/me', access)).statusCode, 200, 'and nothing was ended')
  })

  t.test('F4: a token that does not verify cannot end the session that it names', async (t) => {
    const { client } = await buildApp(t)
    const [alice, bob] = [await client.login(), await client.login('bob', 'builder')]
    const { header, claims, parts: [head, payload] } = parse(alice.access_token)
    const bobs = parse(bob.access_token).claims
    const probes = [
      reforge(alice.access_token, {}, {}, 'x'), reforge(alice.access_token, {}, {}, ''), `${head}.${payload}.`, `${head}.${payload}`, `${segment({ ...header, alg: 'none' })}.${payload}.`, reforge(alice.access_token, {}, { kid: 'x' }),
      reforge(alice.access_token, { iss: 'x' }), reforge(alice.access_token, { aud: 'x' }), reforge(alice.access_token, { token_use: 'refresh' }), forge(header, [claims])
    ]
    for (const probe of probes) {
      t.equal((await client.post('/logout', undefined, probe)).code, 'TOKEN_INVALID')
      t.equal((await client.post('/logout', { refresh_token: probe })).code, 'TOKEN_INVALID')
    }
    t.equal((await client.post('/logout', undefined, reforge(bob.access_token, { sid: claims.sid }))).statusCode, 204, 'a session of another subject is not there')
    t.equal((await client.post('/logout', undefined, reforge(alice.access_token, { sid: bobs.sid }))).statusCode, 204)
    t.equal((await client.post('/logout', { refresh_token: bob.refresh_token }, alice.access_token)).code, 'REQUEST_INVALID', 'tokens of two sessions')
    for (const body of [{ sid: claims.sid }, { id: claims.sid }, { session: claims.sid, subject: 'user-alice' }]) t.equal((await client.post('/logout', body)).code, 'TOKEN_MISSING')
    for (const { access_token: text } of [alice, bob]) t.equal((await client.get('/me', text)).statusCode, 200)
  })

  t.test('F5: a logout ends its session only; everywhere ends those of the subject only', async (t) => {
    const { client } = await buildApp(t)
    const [one, two, three, bob] = [await client.login(), await client.login(), await client.login(), await client.login('bob', 'builder')] as const
    const alive = async (): Promise<boolean[]> => await Promise.all([one, two, three, bob].map(async ({ access_token: text }) => (await client.get('/me', text)).statusCode === 200))
    await client.post('/logout', { everywhere: false }, one.access_token)
    t.same(await alive(), [false, true, true, true])
    t.equal((await client.post('/logout', { everywhere: true, refresh_token: two.refresh_token })).code, 'TOKEN_MISSING', 'a refresh token alone is not enough')
    t.equal((await client.post('/logout', { everywhere: true }, one.access_token)).code, 'SESSION_REVOKED')
    const iat = Math.floor(Date.now() / 1000)
    t.equal((await client.post('/logout', { everywhere: true }, reforge(two.access_token, { iat: iat - 900, exp: iat - 1 }))).code, 'TOKEN_EXPIRED')
    t.same(await alive(), [false, true, true, true])
    t.equal((await client.post('/logout', { everywhere: true }, two.access_token)).statusCode, 204)
    t.same(await alive(), [false, false, false, true])
    t.equal((await client.refresh(three.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
  })

  t.test('F6: other spellings and re-signed copies of revoked tokens stay dead', async (t) => {
    const { client } = await buildApp(t)
    const { access_token: access, refresh_token: token } = await client.login()
    await client.post('/logout', undefined, access)
    const iat = Math.floor(Date.now() / 1000)
    for (const text of [access, reforge(access, {}), reforge(access, { jti: 'other' }), reforge(access, { iat, exp: iat + 900 }), reforge(access, { gen: 1 }), reforge(access, { gen: 99 }), reforge(access, { extra: 1 })]) {
      t.equal((await client.get('/me', text)).code, 'SESSION_REVOKED')
    }
    for (const last of BASE64URL) t.equal((await client.get('/me', access.slice(0, -1) + last)).statusCode, 401)
    const { sid } = parse(token).claims
    for (const gen of [0, 1, 2, 1000]) t.equal((await client.refresh(reforge(token, { gen, jti: `${String(sid)}.${gen}` }))).code, 'REFRESH_TOKEN_INVALID')
  })

  t.test('F7: a new login revives nothing', async (t) => {
    stopClock(t)
    const { client } = await buildApp(t)
    const old = await client.login()
    await client.post('/logout', undefined, old.access_token)
    const fresh = await client.login()
    t.equal((await client.get('/me', old.access_token)).code, 'SESSION_REVOKED')
    t.equal((await client.refresh(old.refresh_token)).code, 'REFRESH_TOKEN_INVALID')
    t.equal((await client.get('/me', fresh.access_token)).statusCode, 200)
  })

  t.test('F8: sessions can be listed, ended one by one, and all at once but one', async (t) => {
    const { app, client } = await buildApp(t)
    const [one, two, three, bob] = [await client.login(), await client.login(), await client.login(), await client.login('bob', 'builder')] as const
    const idOf = (tokens: jwtSession.TokenAnswer): string => String(parse(tokens.access_token).claims.sid)
    const alive = async (): Promise<boolean[]> => await Promise.all([one, two, three, bob].map(async ({ access_token: text }) => (await client.get('/me', text)).statusCode === 200))
    const listed = await app.jwtSession.list('user-alice')
    t.same(listed.map(({ id }) => id).sort(), [one, two, three].map(idOf).sort())
    t.equal(await app.jwtSession.revoke({ id: idOf(one), subject: 'user-bob' }), false, 'a session of somebody else')
    t.same(await alive(), [true, true, true, true])
    t.equal(await app.jwtSession.revoke({ id: idOf(one), subject: 'user-alice' }), true)
    t.same(await alive(), [false, true, true, true])
    t.same(await app.jwtSession.revokeAll('user-alice', { except: idOf(three) }), [idOf(two)])
    t.same(await alive(), [false, false, true, true])
    await app.jwtSession.revokeAll('user-alice')
    t.same(await alive(), [false, false, false, true])
    for (const subject of ['', '__proto__', 'constructor', 'nobody']) t.same([await app.jwtSession.list(subject), await app.jwtSession.revokeAll(subject)], [[], []])
  })

  t.test('F9: while the store fails, nobody gets in, nothing is said to be done, and nothing hangs', async (t) => {
    const never = new Promise<never>(() => {})
    const failures: Record<string, () => unknown> = {
      throws: () => { throw new Error('internal-detail') },
      rejects: () => Promise.reject(new Error('internal-detail')),
      'rejects with nothing': () => Promise.reject(undefined), // eslint-disable-line prefer-promise-reject-errors
      'never answers': () => never,
      'answers undefined': () => undefined,
      'answers null late': async () => null,
      'answers something else': () => ({ length: 1 }),
      'answers a text': () => 'ok'
    }
    for (const [name, fail] of Object.entries(failures)) {
      const { client, inner, store } = await withStore(t, { storeTimeout: '60ms' })
      const tokens = await client.login()
      Object.assign(store, { read: fail, write: fail, list: fail })
      const started = performance.now()
      const answers = await Promise.all([
        client.get('/me', tokens.access_token), client.get('/maybe', tokens.access_token), client.get('/admin', tokens.access_token), client.refresh(tokens.refresh_token), client.post('/logout', undefined, tokens.access_token),
        client.post('/logout', { refresh_token: tokens.refresh_token }), client.post('/logout', { everywhere: true }, tokens.access_token), client.post('/login', { username: 'alice', password: 'wonderland' })
      ])
      t.ok(performance.now() - started < 1500, `${name}: in time`)
      for (const answer of answers) {
        t.same([answer.statusCode, answer.code, typeof answer.headers['retry-after']], [503, 'STORE_UNAVAILABLE', 'string'], name)
        t.notMatch(answer.body, /internal-detail|eyJ/)
      }
      t.same(faultsOf(await client.get('/me', 'x'), { code: 'TOKEN_INVALID' }), [], 'bad tokens need no store')
      Object.assign(store, inner)
      t.equal((await client.get('/me', tokens.access_token)).statusCode, 200, 'once it works again, so does everything')
      t.equal((await client.refresh(tokens.refresh_token)).statusCode, 200)
    }
  })

  t.test('F9: a logout that was said to be done is obeyed here, even by a memory store whose writes get lost', async (t) => {
    const inner = memoryStore()
    const { client } = await buildApp(t, { revocationStore: { ...inner, write: (record, expected) => record.revoked || inner.write(record, expected) } })
    const tokens = await client.login()
    for (let count = 0; count < 5; count++) t.equal((await client.get('/me', tokens.access_token)).statusCode, 200)
    t.equal((await client.post('/logout', undefined, tokens.access_token)).statusCode, 204)
    t.equal((await client.get('/me', tokens.access_token)).code, 'SESSION_REVOKED')
  })

  t.test('F9: a logout or refresh that could not be written is not said to be done', async (t) => {
    const { client, store } = await withStore(t)
    const tokens = await client.login()
    store.write = () => Promise.reject(new Error('read-only'))
    t.equal((await client.get('/me', tokens.access_token)).statusCode, 200, 'reading works')
    t.equal((await client.post('/logout', undefined, tokens.access_token)).code, 'STORE_UNAVAILABLE')
    t.equal((await client.post('/logout', { everywhere: true }, tokens.access_token)).code, 'STORE_UNAVAILABLE')
    t.equal((await client.refresh(tokens.refresh_token)).code, 'STORE_UNAVAILABLE')
    t.equal((await client.post('/login', { username: 'alice', password: 'wonderland' })).code, 'STORE_UNAVAILABLE')
    store.write = () => false
    t.equal((await client.post('/logout', undefined, tokens.access_token)).code, 'STORE_UNAVAILABLE', 'a store that refuses all writes')
    t.equal((await client.refresh(tokens.refresh_token)).code, 'STORE_UNAVAILABLE')
  })

  for (const [name, spoil] of Object.entries<(record: jwtSession.SessionRecord) => unknown>({
    null: () => null,
    text: () => 'x',
    'no state': ({ state, ...record }) => record,
    'null for a state': (record) => ({ ...record, state: null }),
    'a state in JSON': (record) => ({ ...record, state: JSON.stringify(record.state) }),
    'an empty state': (record) => ({ ...record, state: {} }),
    'no end': (record) => ({ ...record, expiresAt: undefined }),
    'an end that is no number': (record) => ({ ...record, expiresAt: Number.NaN }),
    'no word of being revoked': (record) => ({ ...record, revoked: undefined })
  })) {
    t.test(`F9: a store that answers a record with ${name} has failed`, async (t) => {
      const { client, inner, store } = await withStore(t)
      const tokens = await client.login()
      store.read = (refs) => (inner.read(refs) as jwtSession.SessionRecord[]).map(spoil) as never
      for (const answer of [await client.get('/me', tokens.access_token), await client.refresh(tokens.refresh_token)]) {
        t.ok([401, 503].includes(answer.statusCode), `${answer.statusCode}`)
        t.match(answer.code, /^(STORE_UNAVAILABLE|SESSION_REVOKED|REFRESH_TOKEN_INVALID)$/)
      }
    })
  }

  t.test('F9: while users cannot be looked up, nobody gets tokens', async (t) => {
    const users = makeUsers()
    const lookup = lookupIn(users)
    const userLookup = { ...lookup }
    const { client } = await buildApp(t, { userLookup })
    const tokens = await client.login()
    for (const fail of [() => { throw new Error('internal-detail') }, () => Promise.reject(new Error('internal-detail'))]) {
      userLookup.findById = fail
      const answers = [await client.post('/login', { username: 'alice', password: 'wonderland' }), await client.refresh(tokens.refresh_token)]
      userLookup.findByUsername = fail
      answers.push(await client.post('/login', { username: 'alice', password: 'wonderland' }))
      for (const answer of answers) {
        t.same([answer.statusCode, answer.code], [503, 'STORE_UNAVAILABLE'])
        t.notMatch(answer.body, /internal-detail|eyJ/)
      }
    }
    Object.assign(userLookup, lookup)
    t.equal((await client.refresh(tokens.refresh_token)).statusCode, 200, 'and no refresh token was burnt')
  })

  t.test('F10: 10,000 logins and logouts leave nothing behind', async (t) => {
    const clock = stopClock(t)
    const inner = memoryStore()
    const refs = new Map<string, jwtSession.SessionRef>()
    const { app, users } = await buildApp(t, {
      session: { idleTimeout: '1m', absoluteTimeout: '10m' },
      revocationStore: { ...inner, write: (record, expected) => { refs.set(record.id, { id: record.id, subject: record.subject }); return inner.write(record, expected) } }
    })
    const [alice, bob] = [users.get('alice'), users.get('bob')] as [jwtSession.SessionUser, jwtSession.SessionUser]
    const kept = (): number => (inner.read([...refs.values()]) as unknown[]).length
    for (let count = 0; count < 5000; count++) {
      const { access_token: text } = await app.jwtSession.login(alice)
      await app.jwtSession.revoke({ id: String(parse(text).claims.sid), subject: alice.id })
      await app.jwtSession.login(bob)
      if (count % 100 === 0) clock.advance(1)
    }
    t.equal(refs.size, 10_000)
    t.equal(kept(), 5000, 'a revoked session is forgotten at once')
    clock.advance(660)
    await app.jwtSession.login(bob)
    t.equal(kept(), 1, 'an expired one when its time is over')
    t.equal((inner.list('user-bob') as unknown[]).length, 1)
    t.equal((inner.list('user-alice') as unknown[]).length, 0)
  })
})

t.test('H: robustness', async (t) => {
  const server = await serve(t, {}, ({ app }) => { app.get('/quiet', { onRequest: [app.authenticate] }, () => 'in') })
  const { access_token: token, refresh_token: refreshToken } = await server.client.login()
  const { header, claims, parts: [head, payload, signature] } = parse(token)

  t.test('H0: a rightly forged token passes', async (t) => {
    t.equal((await server.me(reforge(token, { jti: 'x' }))).status, 200)
  })

  t.test('H1: no mutated token is accepted or causes a 5xx', async (t) => {
    const anyJson = fc.json({ maxDepth: 3 })
    const place = fc.nat({ max: token.length - 1 })
    const character = fc.oneof(fc.constantFrom(...BASE64URL, '.', '=', '+', '/', ' ', '%'), fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 1 }))
    const mutated = fc.oneof(
      fc.tuple(place, character).map(([at, text]) => token.slice(0, at) + text + token.slice(at + 1)),
      fc.tuple(place, character).map(([at, text]) => token.slice(0, at) + text + token.slice(at)),
      fc.tuple(place, fc.integer({ min: 1, max: 40 })).map(([at, length]) => token.slice(0, at) + token.slice(at + length)),
      fc.tuple(place, place).map(([from, to]) => token + token.slice(Math.min(from, to), Math.max(from, to) + 1)),
      fc.shuffledSubarray([head, payload, signature, '', head, 'e30'], { minLength: 0, maxLength: 6 }).map((parts) => parts.join('.')),
      fc.tuple(anyJson, anyJson).map(([one, other]) => `${segment(one)}.${segment(other)}.${signature}`),
      fc.tuple(anyJson, anyJson).map(([one, other]) => forge(one, other)),
      anyJson.map((text) => forge(text, claims)),
      anyJson.map((text) => forge(header, text)),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => seal(head, Buffer.from(bytes).toString('base64url'))),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => seal(Buffer.from(bytes).toString('base64url'), payload)),
      fc.string({ unit: 'binary-ascii', maxLength: 200 }),
      fc.string({ unit: fc.constantFrom('.', 'e', '3', '0', 'A', '='), maxLength: 200 })
    ).filter((text) => text !== token)
    await holds(t, mutated, 1000, async (text) => {
      const answer = await server.app.inject({ url: '/me', headers: { authorization: `Bearer ${text}` } })
      return faultsOf(answer, { code: 'TOKEN_INVALID', secret: text })
    })
  })

  t.test('H1: no claim of a wrong form, rightly signed, is accepted or causes a 5xx', async (t) => {
    const names = fc.constantFrom('iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti', 'sid', 'gen', 'auth_time', 'token_use', 'fresh')
    const wrong = fc.oneof(fc.object({ maxDepth: 2 }), fc.array(fc.oneof(fc.integer(), fc.constant(null), fc.object({ maxDepth: 1 })), { maxLength: 3 }), fc.constant(null), fc.double({ noInteger: true }), fc.integer({ max: -1 }))
    await holds(t, fc.tuple(names, wrong).filter(([, value]) => Number.isFinite(value) || typeof value === 'object'), 400, async ([name, value]) => {
      const text = reforge(token, { [name]: value })
      return faultsOf(await server.app.inject({ url: '/me', headers: { authorization: `Bearer ${text}` } }), { code: 'TOKEN_INVALID', secret: text })
    })
  })

  t.test('H1: no odd Authorization header is accepted or causes a 5xx', async (t) => {
    const value = fc.oneof(
      fc.string({ unit: 'binary-ascii', maxLength: 60 }),
      fc.tuple(fc.constantFrom('', 'Bearer', 'bearer', 'Basic', 'BEARER\t', 'Token', 'Bearer,', '"Bearer"'), fc.constantFrom('', ' ', '  ', '\t', ',', '=', ':'), fc.constantFrom(token, '', `"${token}"`, `${token},`, ` ${token}`))
        .map((parts) => parts.join(''))
    ).filter((text) => text.toLowerCase() !== `bearer ${token}`.toLowerCase())
    await holds(t, value, 300, async (authorization) => {
      const answer = await server.app.inject({ url: '/me', headers: { authorization } })
      return faultsOf(answer, { code: ['TOKEN_INVALID', 'TOKEN_MISSING'], secret: token })
    })
  })

  t.test('H1: no odd body is accepted or causes a 5xx', async (t) => {
    const sound = { '/login': JSON.stringify({ username: 'alice', password: 'wonderland' }), '/refresh': JSON.stringify({ refresh_token: refreshToken }), '/logout': JSON.stringify({ refresh_token: refreshToken }) }
    const path = fc.constantFrom(...Object.keys(sound) as (keyof typeof sound)[])
    const type = fc.oneof({ weight: 9, arbitrary: fc.constant('application/json') }, { weight: 1, arbitrary: fc.constantFrom('', 'text/plain', 'application/json; charset=x', 'application/json;;', 'x', 'application/x-www-form-urlencoded') })
    const names = fc.constantFrom('username', 'password', 'refresh_token', 'everywhere', '__proto__', 'constructor', 'x')
    const payload = fc.oneof(
      fc.json({ maxDepth: 3 }), fc.string({ maxLength: 80 }), fc.string({ unit: 'binary-ascii', maxLength: 80 }),
      fc.dictionary(names, fc.oneof(fc.jsonValue(), fc.constantFrom('alice', 'x', '')), { maxKeys: 4 }).map((value) => JSON.stringify(value))
    )
    await holds(t, fc.tuple(path, type, payload, fc.nat(), fc.string({ maxLength: 2 }), fc.boolean()), 600, async ([url, contentType, random, at, text, isMutated]) => {
      const original = sound[url]
      const spot = 1 + at % (original.length - 2)
      const body = isMutated ? `${original.slice(0, spot)}${text}"${original.slice(spot + 1)}` : random
      if (isMutated && (body === original || sameJson(body, original))) return []
      const answer = await server.app.inject({ method: 'POST', url, payload: body, headers: contentType === '' ? {} : { 'content-type': contentType } })
      return answer.statusCode >= 400 && answer.statusCode < 500 && !answer.body.includes('eyJ') ? [] : [`${url} ${contentType} ${body}: ${answer.statusCode}`]
    })
    t.equal((await server.me(token)).status, 200, 'and none of them ended the session')
  })

  t.test('H1: odd requests of any kind cause no 5xx', async (t) => {
    const answers = await Promise.all(ODD_REQUESTS.map(async (text) => await server.raw(text)))
    // Status 0 is a connection that was closed without a word; 505 is what Node says to a version that it does not speak.
    t.same(answers.flatMap(({ status }, index) => status < 500 || status === 505 ? [] : [`${JSON.stringify(ODD_REQUESTS[index]?.slice(0, 80))}: ${status}`]), [])
    t.same(answers.filter(({ status }) => status >= 200 && status < 300), [])
    const agent = await server.request('POST', '/login', { 'content-type': 'application/json', 'user-agent': `x${'\xff'.repeat(5000)}` }, JSON.stringify({ username: 'alice', password: 'wonderland' }))
    t.equal(agent.status, 200, 'a long user agent is cut')
  })

  t.test('H2, H3: tokens of 8 to 12 KB and texts that a regular expression could stumble over are answered quickly', async (t) => {
    const sizes = [8000, 8190, 8192, 8193, 10_000, 12_000]
    const texts = sizes.flatMap((size) => [
      'A'.repeat(size), `${'A'.repeat(size)}!`, '.'.repeat(size), 'A.'.repeat(size / 2), `${'A'.repeat(size / 3)}.${'A'.repeat(size / 3)}.${'A'.repeat(size / 3)}!`, `${head}.${'A'.repeat(size)}.${signature}`, `${head}.${payload}.${'A'.repeat(size)}!`,
      ' '.repeat(size) + token, `${' '.repeat(size)}!`, '-'.repeat(size), '='.repeat(size), '"'.repeat(size), `${token}${'A'.repeat(size - token.length)}`, reforge(token, { pad: 'x'.repeat(Math.floor(size * 0.75)) }).padEnd(size, 'A')
    ])
    for (const text of texts) {
      const started = performance.now()
      const answer = await server.me(text)
      const took = performance.now() - started
      t.ok(took < 500, `${text.length}: ${took}`)
      t.same(faultsOf(answer, { code: 'TOKEN_INVALID', secret: text }), [])
    }
    t.equal((await server.me(reforge(token, { pad: 'x'.repeat(4000) }))).status, 200, 'what is long and good passes')
    for (const text of ['A', '.', ' ', '\0', '\\', '$2b$', '-', '_', 'a-', '\n', '\ud800']) {
      const started = performance.now()
      const long = text.repeat(8192 / text.length)
      t.ok([401, 413].includes((await server.refresh(long)).status) && (await server.post('/login', { username: long, password: long })).status < 500)
      t.ok((await server.post('/login', { username: text.repeat(256 / text.length), password: text.repeat(1024 / text.length) })).status < 500)
      t.ok(performance.now() - started < 1000)
    }
  })

  t.test('H4: deep JSON in tokens and bodies is harmless', async (t) => {
    const deep = (depth: number, open: string, close: string): string => `${open.repeat(depth)}1${close.repeat(depth)}`
    const depths = [100, 1000, 2500]
    const probes = depths.flatMap((depth) => [forge(header, deep(depth, '[', ']')), forge(deep(depth, '[', ']'), claims), forge(deep(Math.floor(depth / 3), '{"a":', '}'), claims), forge(header, `{"a":${deep(Math.floor(depth / 3), '{"a":', '}')}}`), forge(header, '['.repeat(depth))])
    await refuses(t, server, probes)
    for (const depth of depths) t.equal((await server.get('/quiet', forge(header, withMember(claims, 'deep', deep(depth, '[', ']'))))).status, 200, `${depth}`)
    for (const path of ['/login', '/refresh', '/logout']) {
      for (const body of [deep(8000, '[', ']'), deep(2500, '{"a":', '}'), `{"refresh_token":${deep(7000, '[', ']')}}`, `{"username":${deep(7000, '[', ']')},"password":"x"}`]) {
        const answer = await server.request('POST', path, { 'content-type': 'application/json' }, body)
        t.ok(answer.status >= 400 && answer.status < 500)
      }
    }
  })

  t.test('H6: many bad tokens and half-sent bodies keep nobody else from being served', async (t) => {
    const sockets = Array.from({ length: 10 }, () => {
      const socket = net.connect(server.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write('POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 200\r\n\r\n{"username":"alice",')
      return socket
    })
    t.teardown(() => sockets.forEach((socket) => socket.destroy()))
    const started = performance.now()
    const bad = Promise.all(Array.from({ length: 200 }, (_, index) => server.me(index % 2 === 0 ? `${token}${'A'.repeat(index + 1)}` : forge(header, { ...claims, exp: index }, 'x'))))
    const good = await Promise.all(Array.from({ length: 20 }, () => server.me(token)))
    t.same(good.map(({ status }) => status), good.map(() => 200))
    t.same((await bad).map(({ status }) => status), Array.from({ length: 200 }, () => 401))
    t.equal((await server.post('/login', { username: 'alice', password: 'wonderland' })).status, 200)
    t.ok(performance.now() - started < 3000)
  })
})

t.test('H5: no answer of all of the above tells of stacks, paths, keys, hashes or passwords', async (t) => {
  t.ok(bodies.size >= 12, 'there were answers of all kinds')
  const telling = new RegExp([
    '\\bat .+:\\d+:\\d+', 'node_modules', 'node:internal', '\\.[jt]s\\b', '"stack"', '"cause"', '"validation"', 'TypeError', 'RangeError', 'SyntaxError', 'FAST_JWT', 'FST_JWT_(?!SESSION_)', '\\$2[aby]\\$', 'plain:', 'wonderland', 'passwordHash', 'BEGIN ',
    SECRET.replace(/[^\w]/g, '\\$&'), process.cwd().replace(/[^\w]/g, '\\$&'), createHmac('sha256', SECRET).digest('hex')
  ].join('|'))
  t.same([...bodies].filter((body) => telling.test(body)), [])
  t.same([...bodies].filter((body) => body.startsWith('{"statusCode":500') && !body.includes('FST_JWT_SESSION_OPTION_INVALID')), [])
})

interface HttpAnswer extends Heard {
  json: unknown
  code: string | undefined
}

interface Served extends TestApp {
  port: number
  request (method: string, path: string, headers?: Record<string, string>, body?: string | Buffer): Promise<HttpAnswer>
  /** Sends bytes as they are, in Latin-1, and reads until the server has answered or closed. */
  raw (bytes: string): Promise<HttpAnswer>
  get (path: string, token?: string): Promise<HttpAnswer>
  post (path: string, body?: object, token?: string): Promise<HttpAnswer>
  me (token: string): Promise<HttpAnswer>
  refresh (token: string): Promise<HttpAnswer>
}

/** An application that listens. */
async function serve (t: Test, options: Parameters<typeof buildApp>[1] = {}, prepare: (server: TestApp) => void = () => {}): Promise<Served> {
  const server = await buildApp(t, options, { forceCloseConnections: true })
  prepare(server)
  const { port, send, raw } = await listen(t, server.app)

  const request: Served['request'] = async (method, path, headers, body) => answerOf(await send(method, path, headers, body))
  const bearer = (token: string | undefined): Record<string, string> => token === undefined ? {} : { authorization: `Bearer ${token}` }
  const get: Served['get'] = async (path, token) => await request('GET', path, bearer(token))
  const post: Served['post'] = async (path, body, token) => body === undefined
    ? await request('POST', path, bearer(token))
    : await request('POST', path, { ...bearer(token), 'content-type': 'application/json' }, JSON.stringify(body))

  return {
    ...server,
    port,
    request,
    get,
    post,
    me: async (token) => await get('/me', token),
    refresh: async (token) => await post('/refresh', { refresh_token: token }),
    raw: async (bytes) => answerOf(await raw(bytes))
  }
}

function answerOf ({ status, headers, body }: Heard): HttpAnswer {
  // Fastify itself names the URL that it does not know.
  if (status >= 400 && !body.startsWith('{"message":"Route ')) bodies.add(body)
  let json: unknown
  if (/^application\/json\b/.test(String(headers['content-type']))) {
    try {
      json = JSON.parse(body)
    } catch {
      // HEAD has the label and no body.
    }
  }
  const code = (json as { code?: string } | null | undefined)?.code
  return { status, headers, body, json, code: code?.startsWith('FST_JWT_SESSION_') ? code.slice('FST_JWT_SESSION_'.length) : undefined }
}

interface Expected {
  /** 401 unless told otherwise. */
  status?: number | number[]
  code: string | (string | undefined)[]
  /** Something that begins with Bearer unless told otherwise; undefined for none. */
  challenge?: string | RegExp | undefined
  /** What no part of which may come back. */
  secret?: string
}

interface Injected { statusCode: number, headers: object, body: string }

/** What is wrong with a refusal: nothing, if all is well. */
function faultsOf (response: HttpAnswer | Injected, expected: Expected): string[] {
  const answer = 'statusCode' in response ? answerOf({ status: response.statusCode, headers: response.headers as Heard['headers'], body: response.body }) : response
  const { status = 401, code, secret = '' } = expected
  const challenge = 'challenge' in expected ? expected.challenge : /^Bearer\b/
  const faults: string[] = []
  if (![status].flat().includes(answer.status)) faults.push(`status ${answer.status}`)
  if (![code].flat().includes(answer.code)) faults.push(`code ${answer.code}`)
  if (answer.code !== undefined && String(answer.headers['cache-control']) !== 'no-store') faults.push('may be stored')

  const given = answer.headers['www-authenticate']
  const isFit = challenge === undefined || given === undefined ? given === challenge : typeof challenge === 'string' ? given === challenge : challenge.test(given)
  if (!isFit) faults.push(`challenge ${given}`)

  if (answer.code !== undefined && Object.keys(answer.json as object).sort().join() !== 'code,error,message,statusCode') faults.push(`members ${answer.body}`)
  const whole = answer.body + JSON.stringify(answer.headers)
  const echo = secret.split('.').find((part) => part.trim().length >= 12 && whole.includes(part))
  if (echo !== undefined) faults.push(`echoes ${echo}`)
  return faults
}

/** Sends each text as an access token, and asserts that each is refused as it should be. */
async function refuses (t: Test, server: Served, tokens: string[], code: Expected['code'] = 'TOKEN_INVALID'): Promise<void> {
  const started = performance.now()
  // Header values are bytes; what is beyond them cannot be sent, and Node trims what stands around.
  const probes = tokens.map((token) => Buffer.from(token).toString('latin1')).filter((token) => !/[\0\r\n\x7f]/.test(token))
  const answers = await Promise.all(probes.map(async (token) => await server.me(token)))
  const faults = answers.flatMap((answer, index) => faultsOf(answer, { code, secret: probes[index] as string }).map((fault) => `${fault}: ${probes[index]}`))
  t.same(faults, [])
  t.ok(probes.length > 0 && probes.length >= tokens.length * 0.8)
  t.ok(performance.now() - started < 1500 + 5 * probes.length, 'in time')
}

/** Whether a value under the name of a registered claim is one that it may have, or leaves the token valid. */
function isSoundAnyway (name: string, value: unknown): boolean {
  if (name === 'jti') return typeof value === 'string' && value !== ''
  return name === 'gen' && value === 0
}

function segmentHex (part: string): string {
  return Buffer.from(part, 'base64url').toString('hex')
}

function sameJson (one: string, other: string): boolean {
  try {
    return JSON.stringify(JSON.parse(one)) === JSON.stringify(JSON.parse(other))
  } catch {
    return false
  }
}

/** Asserts that there is never a fault; with a fixed seed, so that a failure can be had again. */
async function holds<T> (t: Test, values: fc.Arbitrary<T>, numRuns: number, faults: (value: T) => Promise<string[]>): Promise<void> {
  await t.resolves(fc.assert(fc.asyncProperty(values, async (value) => {
    const found = await faults(value)
    if (found.length > 0) throw new Error(found.join('; '))
  }), { seed: SEED, numRuns }))
}

/** Registers the plugin, and says whether that went well. */
async function register (options: Partial<jwtSession.JwtSessionOptions>): Promise<void> {
  const app = Fastify()
  try {
    await app.register(jwtSession, { secret: SECRET, userLookup: lookupIn(makeUsers()), passwords: plainPasswords, ...options })
    await app.ready()
  } finally {
    await app.close().catch(() => {})
  }
}

/** The same store behind promises that settle in an order of their own: the same for the same seed. */
function slowStore (inner: jwtSession.RevocationStore, seed = 1): jwtSession.RevocationStore {
  let state = seed * 2_654_435_761 % 4_294_967_296
  async function later (): Promise<void> {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296
    for (let turns = state % 5; turns > 0; turns--) await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    read: async (refs) => { await later(); return await inner.read(refs) },
    write: async (record, expected) => { await later(); const answer = await inner.write(record, expected); await later(); return answer },
    list: async (subject) => { await later(); return await inner.list(subject) }
  }
}

/** An application over a store whose methods can be replaced while it runs. */
async function withStore (t: Test, options: Parameters<typeof buildApp>[1] = {}): Promise<TestApp & { inner: jwtSession.RevocationStore, store: jwtSession.RevocationStore }> {
  const inner = memoryStore()
  const store = { ...inner }
  return { ...await buildApp(t, { ...options, revocationStore: store }), inner, store }
}
