// Reads TAP, passes it on, and says at the end what failed, and in one line what came of it all.
import { Transform } from 'node:stream'

export default class Summary extends Transform {
  #rest = ''
  #counts = ''
  #failed = []
  #inFailure = false

  _transform (chunk, _encoding, done) {
    const lines = (this.#rest + chunk).split('\n')
    this.#rest = lines.pop()
    for (const line of lines) this.#read(line)
    done(null, chunk)
  }

  _flush (done) {
    this.#read(this.#rest)
    const count = (name) => this.#counts.match(new RegExp(`\\b${name}: (\\d+)`))?.[1] ?? '0'
    this.push([...this.#failed, `${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped\n`].join('\n'))
    done()
  }

  #read (line) {
    if (/^# \{ total: .*\}$/.test(line)) this.#counts = line
    if (/^\s*(ok|not ok|#|\d+\.\.\d+)/.test(line)) this.#inFailure = /^\s*not ok/.test(line) && !/ # (skip|todo)/i.test(line)
    if (this.#inFailure) this.#failed.push(line)
  }
}
