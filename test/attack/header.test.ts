import { attack } from './suite'

attack('header', ['HS256', 'RS256'])
