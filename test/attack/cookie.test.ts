import { attack } from './suite'

attack('cookie', ['HS256', 'RS256'])
