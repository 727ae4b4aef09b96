import { attack } from './suite'

attack('both', ['HS256', 'RS256'])
