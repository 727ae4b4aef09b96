'use strict'

const neostandard = require('neostandard')

const browser = neostandard({ env: ['browser'] }).find(({ name }) => name === 'neostandard/globals')

module.exports = [
  ...neostandard({ ts: true, ignores: ['dist', '.tap', '.stryker', 'coverage', 'docs/api'] }),
  { ...browser, files: ['examples/*/public/*.js'] }
]
