// What the page is made of. Whatever comes from elsewhere is set as text, never as HTML.

export const byId = (id) => document.getElementById(id)

/** An element with properties and children. */
export function make (name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties)
  element.append(...children)
  return element
}

/** Says something to those who do not see the page. */
export function announce (text) {
  byId('status').textContent = text
}

/** Does one thing at a time. Disabled meanwhile, a button would lose the focus. */
function oneAtATime (element, act) {
  return async (event) => {
    event.preventDefault()
    if (element.ariaBusy === 'true') return
    element.ariaBusy = 'true'
    try {
      await act(event)
    } finally {
      element.ariaBusy = 'false'
    }
  }
}

export const onPress = (button, act) => button.addEventListener('click', oneAtATime(button, act))
export const onSubmit = (form, act) => form.addEventListener('submit', oneAtATime(form, act))

/** The status and the code of an answer, in a colour that repeats what they say. */
export function badge ({ status, ok, code }) {
  const kind = ok ? 'good' : status === 503 || status === 0 ? 'failed' : 'refused'
  return make('span', { className: `badge ${kind}` }, status === 0 ? 'no answer' : [status, code].filter(Boolean).join(' '))
}

export const timeOf = (seconds) => new Date(seconds * 1000).toLocaleTimeString('en-GB')

/** How long ago something was. Clocks may differ: nothing is in the future. */
export function ago (seconds) {
  const age = Math.max(0, Date.now() / 1000 - seconds)
  const [size, unit] = [[3600, 'h'], [60, 'min'], [1, 's']].find(([seconds]) => age >= seconds) ?? [1, 's']
  return age < 3 ? 'now' : `${Math.floor(age / size)} ${unit} ago`
}

/** A browser and its system in a few words. */
export function deviceOf (userAgent = '') {
  const [, browser] = /(Edg|OPR|Firefox|Chrome|Safari|curl)\w*\//.exec(userAgent.replace(/Chrome(.*)(Edg|OPR)/, '$2')) ?? []
  const system = ['Android', 'iPhone', 'iPad', 'Windows', 'Mac OS X', 'Linux'].find((name) => userAgent.includes(name))
  const names = { Edg: 'Edge', OPR: 'Opera', 'Mac OS X': 'macOS' }
  if (browser === undefined) return userAgent.slice(0, 40) || 'Unknown device'
  return [names[browser] ?? browser, system && `on ${names[system] ?? system}`].filter(Boolean).join(' ')
}
