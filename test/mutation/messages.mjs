/** Leaves the words of messages alone: tests name the code of an error and the option, and every other word is free. */
const isMessage = (path) => {
  const { parent, key } = path
  if (path.listKey !== 'arguments') return false
  if (parent.type === 'NewExpression') return /^(?:Range)?Error$/.test(parent.callee.name)
  return parent.type === 'CallExpression' && parent.callee.name === 'optionInvalid' && key > 0
}

export const strykerPlugins = [{
  kind: 'Ignore',
  name: 'messages',
  value: {
    shouldIgnore: (path) => (path.isStringLiteral() || path.isTemplateLiteral()) && isMessage(path) ? 'a message' : undefined
  }
}]
