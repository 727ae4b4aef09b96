'use strict'

// Preloaded into every process of a run of the suites (see audit-logs.ts): whatever logger an application asks for, all that is
// logged at any level goes into a file of the folder AUDIT_LOGS too, and what must not be in there into another. What the
// application's own stream gets is as it was.
const crypto = require('node:crypto')
const { appendFileSync, openSync, writeSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')
const { isMainThread } = require('node:worker_threads')

if (isMainThread && process.env.AUDIT_LOGS) trace(process.env.AUDIT_LOGS)

function trace (folder) {
  const fastify = require('fastify')
  const path = require.resolve('fastify')
  const { multistream } = createRequire(path)('pino')
  const name = join(folder, `${process.pid}-${Date.now()}`)
  const noted = new Set()
  let file

  const write = (line) => {
    if (file === undefined) {
      file = openSync(`${name}.log`, 'a')
      writeSync(file, `${JSON.stringify({ program: process.argv[1] ?? 'none' })}\n`)
    }
    writeSync(file, line)
  }

  const note = (kind, value) => {
    if (typeof value !== 'string' || noted.has(value)) return
    noted.add(value)
    appendFileSync(`${name}.secrets`, `${JSON.stringify({ kind, value })}\n`)
  }

  // The keys of all that is signed here.
  for (const [method, position] of [['createHmac', 1], ['createSecretKey', 0], ['createPrivateKey', 0]]) {
    const real = crypto[method]
    crypto[method] = (...args) => {
      noteKey(args[position])
      return real(...args)
    }
  }

  function noteKey (key) {
    if (typeof key === 'string' || Buffer.isBuffer(key)) {
      const bytes = Buffer.from(key)
      if (bytes.length < 16) return
      for (const encoding of ['utf8', 'base64', 'base64url', 'hex']) note('secret', bytes.toString(encoding))
    } else if (key instanceof crypto.KeyObject) {
      if (key.type === 'secret') noteKey(key.export())
      else if (key.type === 'private') note('private key', key.export({ format: 'jwk' }).d)
    } else if (key?.format === 'jwk') note('private key', key.key?.d)
    else if (key?.key !== undefined) noteKey(key.key)
  }

  /** Members of bodies that hold secrets, by their names. */
  function noteMembers (value) {
    if (typeof value !== 'object' || value === null) return
    for (const [member, inner] of Object.entries(value)) {
      const [kind] = /password|token|secret|csrf/i.exec(member) ?? []
      if (kind !== undefined) note(kind.toLowerCase(), inner)
      noteMembers(inner)
    }
  }

  function noteCookies (texts) {
    for (const text of texts) note('cookie', text.slice(text.indexOf('=') + 1))
  }

  function noteRequest ({ headers }) {
    note('token', headers.authorization?.replace(/^\S+ /, ''))
    note('csrf', headers['x-csrf-token'])
    noteCookies(headers.cookie?.split(/; ?/) ?? [])
  }

  function noteAnswer (reply, payload) {
    noteCookies([reply.getHeader('set-cookie') ?? []].flat().map((text) => text.split(';')[0]))
    if (typeof payload !== 'string' || !payload.startsWith('{')) return
    try {
      noteMembers(JSON.parse(payload))
    } catch {
      // What is no JSON names nothing.
    }
  }

  function loggerOf (given) {
    const own = given === true ? {} : given || { level: 'silent' }
    const { level = 'info', stream = process.stdout } = own
    const both = [{ level: 'trace', stream: { write } }, ...(level === 'silent' ? [] : [{ level, stream }])]
    return { ...own, level: 'trace', stream: multistream(both) }
  }

  function traced (options = {}) {
    const app = fastify(options.loggerInstance === undefined ? { ...options, logger: loggerOf(options.logger) } : options)
    app.addHook('onRequest', (request, _reply, done) => { noteRequest(request); done() })
    app.addHook('preValidation', (request, _reply, done) => { noteMembers(request.body); done() })
    app.addHook('onSend', (_request, reply, payload, done) => { noteAnswer(reply, payload); done() })
    return app
  }

  // Warnings of a process end up in its logs as well.
  process.on('warning', ({ stack }) => write(`${JSON.stringify({ level: 40, warning: stack })}\n`))
  require.cache[path].exports = Object.assign(traced, fastify, { default: traced, fastify: traced })
}
